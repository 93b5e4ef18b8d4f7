"""A window's finished records in a compressed temporary file, until the window is verified."""

from __future__ import annotations

import tempfile
from itertools import compress
from typing import IO, TYPE_CHECKING, NamedTuple

from isal import igzip_lib
from lz4 import block as lz4

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

# What a record costs here it costs in every run: this takes half the time of the fastest gzip, and
# leaves a quarter of the text.
_ACCELERATION = 4


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
        r"""The same without line ends. They are ``\n`` only: others are blanks of JSON."""
        return self.text.split(b"\n")[:-1]


class _Block(NamedTuple):
    """Records in the file: how many, and how many bytes as text and in the file."""

    records: int
    length: int
    size: int


class Spool:
    """Records, one JSON object a line, written once and read once.

    The file has no name, so that nothing is left of it on any way out, SIGKILL included. Its size
    is about a quarter of the records' text; at most the windows in flight have one.

    Args:
        gzip_level: Keep the records as gzip members of this level, 0 to 3, which need no work to
            become a gzip file; None for what is fastest to read again.
    """

    def __init__(self, gzip_level: int | None = None) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._gzip_level = gzip_level
        self._blocks: list[_Block] = []
        self._kept: bytearray | None = None
        self.count = 0
        """Records written, dropped ones included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the disk space."""
        self._file.close()

    def write(self, text: bytes, count: int) -> None:
        """Append records.

        Args:
            text: The records, each with a line end, which is nowhere else.
            count: How many they are.
        """
        if not count:
            return
        if self._gzip_level is None:
            packed = lz4.compress(text, mode="fast", acceleration=_ACCELERATION, store_size=False)
        else:
            packed = pack_member(text, self._gzip_level)
        self._blocks.append(_Block(count, len(text), self._file.write(packed)))
        self.count += count

    def drop(self, ordinals: Iterable[int]) -> int:
        """Leave out some records when reading.

        Args:
            ordinals: Their numbers in order of writing, from 0, each at most once.

        Returns:
            How many they are.
        """
        dropped = 0
        for dropped, ordinal in enumerate(ordinals, start=1):  # noqa: B007 - the last one is returned
            if self._kept is None:
                # A byte a record: memory stays small beside the text of one block.
                self._kept = bytearray(b"\1") * self.count
            self._kept[ordinal] = 0
        return dropped

    def records(self) -> Iterator[Records]:
        """Read all records, in order of writing."""
        self._file.seek(0)
        first = 0
        for block in self._blocks:
            records = self._records(block)
            kept = None if self._kept is None else self._kept[first : first + block.records]
            first += block.records
            if kept is None or 0 not in kept:
                yield records
            elif number := sum(kept):
                lines = compress(records.lines(), kept)
                yield Records(number, b"\n".join((*lines, b"")))

    def _records(self, block: _Block) -> Records:
        packed = self._file.read(block.size)
        if self._gzip_level is not None:
            return Records(block.records, member=packed)
        text: bytes = lz4.decompress(packed, uncompressed_size=block.length)
        return Records(block.records, text)


def pack_member(text: bytes, level: int) -> bytes:
    """A gzip member; one after the other they are a gzip file (RFC 1952)."""
    packed: bytes = igzip_lib.compress(text, level, flag=igzip_lib.COMP_GZIP)
    return packed


def unpack_member(member: bytes) -> bytes:
    """The text of a gzip member."""
    text: bytes = igzip_lib.decompress(member, flag=igzip_lib.DECOMP_GZIP)
    return text
