"""Pure but for a temporary file: which records of a window another copy supersedes."""

from __future__ import annotations

import struct
import tempfile
from itertools import compress
from typing import IO, TYPE_CHECKING

from tap_mixpanel_export.records import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_mixpanel_export.records import Record

# Two of twenty million keys are equal by chance with p < 1e-24.
_ENTRY = struct.Struct(f"<{KEY_BYTES}sqI")
# A window of 20 million events has 80,000 in each: 25 MB when one is looked at.
_PARTITIONS = 256
_BUFFERED = 4 * 1024 * 1024


class Repeats:
    """Finds the copies of events that are not to be written.

    Mixpanel applies no deduplication to exports. Of equal events (`event`, `time`, `distinct_id`,
    `$insert_id`) the latest processed counts; the first of those that are equal in that, too.

    Which copy that is, is known when the last one has been seen. Until then the keys are kept, in
    partitions of a temporary file as soon as they are many: memory stays the same for a thousand
    and for a hundred million events, disk need is 28 bytes an event.
    """

    def __init__(self) -> None:
        self._buffers = [bytearray() for _ in range(_PARTITIONS)]
        self._segments: list[list[tuple[int, int]]] = [[] for _ in range(_PARTITIONS)]
        self._room = _BUFFERED // _ENTRY.size
        self._file: IO[bytes] | None = None

    def close(self) -> None:
        """Free the disk space."""
        if self._file is not None:
            self._file.close()

    def add(self, records: Sequence[Record], first: int) -> None:
        """Note records that are written.

        Args:
            records: Some records in order of writing.
            first: The number of the first one in the window, from 0; below 2**32.
        """
        self.add_block([key for _, key, _, _ in records], [at for _, _, _, at in records], first)

    def add_block(
        self, keys: Sequence[bytes | None], processed: Sequence[int | None], first: int
    ) -> None:
        """Note records that are written, in order of writing.

        Args:
            keys: Their keys, of which the first `KEY_BYTES` count.
            processed: When they were processed.
            first: The number of the first one in the window, from 0; below 2**32.
        """
        if None in processed:
            processed = [-1 if at is None else at for at in processed]
        ordinals: Sequence[int] = range(first, first + len(keys))
        if None in keys:
            known = [key is not None for key in keys]
            keys = list(compress(keys, known))
            processed = list(compress(processed, known))
            ordinals = list(compress(ordinals, known))
        buffers = self._buffers
        # The format cuts the keys to their length.
        for entry in map(_ENTRY.pack, keys, processed, ordinals):
            buffers[entry[0]] += entry
        self._room -= len(keys)
        if self._room <= 0:
            self._spill()

    def superseded(self) -> Iterator[int]:
        """The ordinals of the copies that are not to be written, in no order."""
        for index in range(_PARTITIONS):
            yield from self._losers(index)

    def _losers(self, index: int) -> Iterator[int]:
        entries = self._partition(index)
        keys = {entries[at : at + KEY_BYTES] for at in range(0, len(entries), _ENTRY.size)}
        if len(keys) * _ENTRY.size == len(entries):
            return
        best: dict[bytes, tuple[int, int]] = {}
        for key, processed, ordinal in _ENTRY.iter_unpack(entries):
            known = best.get(key)
            if known is None:
                best[key] = (processed, ordinal)
            elif processed > known[0]:
                best[key] = (processed, ordinal)
                yield known[1]
            else:
                yield ordinal

    def _partition(self, index: int) -> bytes:
        pieces = []
        for offset, length in self._segments[index]:
            assert self._file is not None  # noqa: S101 - segments exist only in a file
            self._file.seek(offset)
            pieces.append(self._file.read(length))
        pieces.append(bytes(self._buffers[index]))
        return b"".join(pieces)

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        offset = self._file.seek(0, 2)
        for index, buffer in enumerate(self._buffers):
            if buffer:
                self._segments[index].append((offset, len(buffer)))
                offset += self._file.write(buffer)
                self._buffers[index] = bytearray()
        self._room = _BUFFERED // _ENTRY.size
