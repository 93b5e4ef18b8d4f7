"""Pure but for a temporary file: which records of a window another copy supersedes."""

from __future__ import annotations

import struct
from array import array
from itertools import compress
from typing import TYPE_CHECKING, BinaryIO

from tap_mixpanel_export.private_files import open_temporary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KEY_BYTES = 16
"""How much of a key tells it from others: of twenty million events two have the same by chance with
p < 1e-24."""

ENTRY = struct.Struct(f"<{KEY_BYTES}sqI")
"""An event's key, processing time and ordinal: its disk need, when a window has many."""

# A window of 20 million events has 80,000 in each: 15 MB when one is looked at.
_PARTITIONS = 256
# Events; 3 MB.
_BUFFERED = 100_000


class Duplicates:
    """Finds the copies of events that are not to be written.

    Mixpanel applies no deduplication to exports. Of equal events (`event`, `time`, `distinct_id`,
    `$insert_id`) the latest processed counts; the first of those that are equal in that, too.

    Which copy that is, is known when the last one has been seen. Until then the keys are kept, in
    partitions of a temporary file as soon as they are many: memory stays the same for a hundred
    thousand and for a hundred million events.
    """

    def __init__(self) -> None:
        self._partitions = [bytearray() for _ in range(_PARTITIONS)]
        # Where each partition's pieces are in the file, and how long: there are too many for an
        # object each.
        self._offsets = [array("Q") for _ in range(_PARTITIONS)]
        self._lengths = [array("I") for _ in range(_PARTITIONS)]
        self._room = _BUFFERED
        self._file: BinaryIO | None = None

    def close(self) -> None:
        """Free the disk space."""
        if self._file is not None:
            self._file.close()

    def add(
        self, keys: Sequence[bytes | None], processed: Sequence[int | None], first: int
    ) -> None:
        """Note records that are written, in order of writing.

        Args:
            keys: Their keys, of which the first `KEY_BYTES` count; None for events that are never
                repeats.
            processed: When they were processed.
            first: The number of the first one in the window, from 0; below 2**32.
        """
        if None in processed:
            # Older than any that says when it was processed.
            processed = [-1 if at is None else at for at in processed]
        ordinals: Sequence[int] = range(first, first + len(keys))
        if None in keys:
            known = [key is not None for key in keys]
            keys = list(compress(keys, known))
            processed = list(compress(processed, known))
            ordinals = list(compress(ordinals, known))
        partitions = self._partitions
        # The format cuts the keys to their length.
        for entry in map(ENTRY.pack, keys, processed, ordinals):
            partitions[entry[0]] += entry
        self._room -= len(keys)
        if self._room <= 0:
            self._spill()

    def superseded(self) -> Iterator[int]:
        """The ordinals of the copies that are not to be written, in no order."""
        for index in range(_PARTITIONS):
            yield from _losers(self._read(index))

    def _read(self, index: int) -> bytes:
        """All entries of a partition, in order of writing."""
        pieces = []
        for offset, length in zip(self._offsets[index], self._lengths[index], strict=True):
            assert self._file is not None  # noqa: S101 - it has pieces only when there is one
            self._file.seek(offset)
            pieces.append(self._file.read(length))
        return b"".join((*pieces, self._partitions[index]))

    def _spill(self) -> None:
        """Move what is in memory to the file."""
        if self._file is None:
            self._file = open_temporary()
        offset = self._file.seek(0, 2)
        for index, partition in enumerate(self._partitions):
            if partition:
                self._offsets[index].append(offset)
                self._lengths[index].append(len(partition))
                offset += self._file.write(partition)
                self._partitions[index] = bytearray()
        self._room = _BUFFERED


def _losers(entries: bytes) -> Iterator[int]:
    keys = {entries[at : at + KEY_BYTES] for at in range(0, len(entries), ENTRY.size)}
    if len(keys) * ENTRY.size == len(entries):
        return
    best: dict[bytes, tuple[int, int]] = {}
    for key, processed, ordinal in ENTRY.iter_unpack(entries):
        known = best.get(key)
        if known is None:
            best[key] = (processed, ordinal)
        elif processed > known[0]:
            best[key] = (processed, ordinal)
            yield known[1]
        else:
            yield ordinal
