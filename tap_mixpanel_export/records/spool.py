"""A window's finished records, compressed, in memory or a file until the window is verified."""

from __future__ import annotations

import io
import os
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from isal import igzip_lib
from lz4 import block as lz4

from tap_mixpanel_export.private_files import TEMPORARY_BUFFER_BYTES, open_temporary
from tap_mixpanel_export.records.lines import whole_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self

# What a record costs here it costs in every run: this takes half the time of the fastest gzip, and
# leaves a quarter of the text.
_ACCELERATION = 4


class WindowSpool(Protocol):
    """What keeps the finished records of a window until it is verified."""

    count: int
    """Records written, dropped ones included."""

    def __enter__(self) -> Self:
        """Free the disk space in the end."""

    def __exit__(self, *_: object) -> None:
        """Free the disk space."""

    def close(self) -> None:
        """Free the disk space."""

    def write(self, encoded: Any, count: int) -> None:
        """Append some records, as their encoder made them."""

    def drop(self, ordinals: Iterable[int]) -> int:
        """Leave out some records, by their numbers in order of writing; returns how many."""

    def records(self) -> Iterator[Any]:
        """Read all records, in order of writing."""

    def hand_over(self) -> tuple[Contents, int | None]:
        """What another process needs to read them, and the descriptor of their file, if any.

        Raises:
            OutputError: The file cannot be written to its end.
        """


class Contents(Protocol):
    """What is told of a spool to the process that is to read it. It is pickled."""

    def received(self, descriptor: int | None) -> WindowSpool:
        """The spool in that process.

        Args:
            descriptor: Of its file, which is closed with it.
        """


class Records:
    """Some records of a window.

    Args:
        count: How many they are.
        text: Each a JSON object and a line end; None to unpack it when it is asked for.
        member: The same as a gzip member, when there is one.
    """

    def __init__(self, count: int, text: bytes | None = None, member: bytes | None = None) -> None:
        self.count = count
        self.member = member
        self._text = text

    @property
    def text(self) -> bytes:
        """Each a JSON object and a line end, which is nowhere else."""
        if self._text is None:
            self._text = unpack_member(self.member or b"")
        return self._text

    def lines(self) -> list[bytes]:
        """The same without line ends."""
        return whole_lines(self.text)


@dataclass(frozen=True, slots=True)
class SpoolContents:
    """What another process needs to read a spool, besides its file.

    Attributes:
        gzip_level: See `Spool`.
        blocks: Of each block the records, and the bytes as text and in the file.
        dropped: A bit for each record that is left out.
        count: Records, those included.
        memory: What would be in the file; None when it is there.
    """

    gzip_level: int | None
    blocks: tuple[array[int], array[int], array[int]]
    dropped: bytearray
    count: int
    memory: bytes | None

    def received(self, descriptor: int | None) -> ReceivedSpool:
        """The spool in the other process."""
        return ReceivedSpool(self, descriptor)


class TemporarySpool:
    """The file of a spool, and what is dropped of its records.

    Args:
        file: One without a name, so that nothing is left of it on any way out, SIGKILL included.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._dropped = bytearray()
        self.count = 0
        """Records written, dropped ones included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the disk space."""
        self._file.close()

    def drop(self, ordinals: Iterable[int]) -> int:
        """Leave out some records when reading.

        Args:
            ordinals: Their numbers in order of writing, from 0, each at most once.

        Returns:
            How many they are.
        """
        dropped = 0
        for dropped, ordinal in enumerate(ordinals, start=1):  # noqa: B007 - the last one is returned
            if not self._dropped:
                # A bit a record: memory stays the same, however many there are.
                self._dropped = bytearray(self.count // 8 + 1)
            self._dropped[ordinal // 8] |= 1 << ordinal % 8
        return dropped

    def _dropped_of(self, first: int, count: int) -> int:
        """Which of some records are dropped, the first one in the lowest bit."""
        some = self._dropped[first // 8 : (first + count - 1) // 8 + 1]
        return int.from_bytes(some, "little") >> first % 8 & (1 << count) - 1


class Spool(TemporarySpool):
    """Records, one JSON object a line, written once and read once.

    Their size is about a quarter of the records' text; at most the windows in flight have a spool.

    Args:
        gzip_level: Keep the records as gzip members of this level, 0 to 3, which need no work to
            become a gzip file; None for what is fastest to read again.
        memory_bytes: How much of them is kept in memory before there is a file.
    """

    def __init__(self, gzip_level: int | None = None, memory_bytes: int = 0) -> None:
        super().__init__(io.BytesIO() if memory_bytes else open_temporary())
        self._memory_bytes = memory_bytes
        self._bytes = 0
        self._gzip_level = gzip_level
        # Of each block the records, and the bytes as text and in the file: there are too many for
        # an object each.
        self._counts, self._lengths, self._sizes = array("I"), array("I"), array("I")

    def write(self, encoded: bytes, count: int) -> None:
        """Append records.

        Args:
            encoded: The records, each with a line end, which is nowhere else.
            count: How many they are.
        """
        if not count:
            return
        if self._gzip_level is None:
            packed = lz4.compress(
                encoded, mode="fast", acceleration=_ACCELERATION, store_size=False
            )
        else:
            packed = pack_member(encoded, self._gzip_level)
        self._counts.append(count)
        self._lengths.append(len(encoded))
        self._sizes.append(self._file.write(packed))
        self.count += count
        self._bytes += len(packed)
        if self._bytes > self._memory_bytes and isinstance(self._file, io.BytesIO):
            self._leave_memory(self._file)

    def _leave_memory(self, memory: io.BytesIO) -> None:
        with memory:
            self._file = open_temporary()
            self._file.write(memory.getvalue())

    def records(self) -> Iterator[Records]:
        """Read all records, in order of writing."""
        self._file.seek(0)
        first = 0
        for count, length, size in zip(self._counts, self._lengths, self._sizes, strict=True):
            records = self._unpacked(count, length, self._file.read(size))
            dropped = self._dropped_of(first, count)
            first += count
            if not dropped:
                yield records
            elif lines := [
                line for at, line in enumerate(records.lines()) if not dropped >> at & 1
            ]:
                yield Records(len(lines), b"\n".join((*lines, b"")))

    def hand_over(self) -> tuple[SpoolContents, int | None]:
        """What another process needs to read this spool, and the descriptor of its file, if any.

        Raises:
            OutputError: The file cannot be written to its end.
        """
        memory = self._file.getvalue() if isinstance(self._file, io.BytesIO) else None
        self._file.flush()
        contents = SpoolContents(
            self._gzip_level,
            (self._counts, self._lengths, self._sizes),
            self._dropped,
            self.count,
            memory,
        )
        return contents, None if memory is not None else self._file.fileno()

    def _unpacked(self, count: int, length: int, packed: bytes) -> Records:
        if self._gzip_level is not None:
            return Records(count, member=packed)
        text: bytes = lz4.decompress(packed, uncompressed_size=length)
        return Records(count, text)


class ReceivedSpool(Spool):
    """The spool of another process, to be read.

    Args:
        contents: What it has told.
        descriptor: Of the file, which is closed with the spool; None without one.
    """

    def __init__(self, contents: SpoolContents, descriptor: int | None) -> None:
        TemporarySpool.__init__(self, received_file(descriptor, contents.memory or b""))
        self._memory_bytes = self._bytes = 0
        self._gzip_level = contents.gzip_level
        self._counts, self._lengths, self._sizes = contents.blocks
        self._dropped, self.count = contents.dropped, contents.count


def received_file(descriptor: int | None, memory: bytes = b"") -> BinaryIO:
    """What another process has written: into a file, or into memory."""
    if descriptor is None:
        return io.BytesIO(memory)
    return os.fdopen(descriptor, "rb", TEMPORARY_BUFFER_BYTES)


def pack_member(text: bytes, level: int) -> bytes:
    """A gzip member; one after the other they are a gzip file (RFC 1952)."""
    packed: bytes = igzip_lib.compress(text, level, flag=igzip_lib.COMP_GZIP)
    return packed


def unpack_member(member: bytes) -> bytes:
    """The text of a gzip member."""
    text: bytes = igzip_lib.decompress(member, flag=igzip_lib.DECOMP_GZIP)
    return text
