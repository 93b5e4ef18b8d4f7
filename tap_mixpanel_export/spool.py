"""A window's finished records in a compressed temporary file, until the window is verified."""

from __future__ import annotations

import tempfile
from itertools import compress
from typing import TYPE_CHECKING

from isal import igzip_lib

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

# The fastest level that still shrinks the text to about a quarter.
_LEVEL = 1


class Spool:
    """Records, one JSON object a line, written once and read once.

    The file has no name, so that nothing is left of it on any way out, SIGKILL included. Its size
    is about a quarter of the records' text; at most the windows in flight have one.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._blocks: list[tuple[int, int, int]] = []
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

    def write(self, records: list[bytes]) -> None:
        """Append records, none of which has a line end in it."""
        if records:
            self.write_text(b"\n".join(records) + b"\n", len(records))

    def write_text(self, text: bytes, count: int) -> None:
        """Append records.

        Args:
            text: The records, each with a line end, which is nowhere else.
            count: How many they are.
        """
        if not count:
            return
        without_end = memoryview(text)[:-1]
        size = self._file.write(igzip_lib.compress(without_end, _LEVEL))
        self._blocks.append((count, len(without_end), size))
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

    def blocks(self) -> Iterator[tuple[bytes, int]]:
        r"""Read all records.

        Yields:
            Records joined by ``\n`` (none at the end), and how many they are.
        """
        self._file.seek(0)
        first = 0
        for count, length, size in self._blocks:
            text: bytes = igzip_lib.decompress(self._file.read(size), bufsize=length or 1)
            kept = None if self._kept is None else self._kept[first : first + count]
            first += count
            if kept is None or 0 not in kept:
                yield text, count
            elif number := sum(kept):
                yield b"\n".join(compress(text.split(b"\n"), kept)), number
