"""Pure but for a temporary file: which records of a window another copy supersedes."""

from __future__ import annotations

import tempfile
from array import array
from itertools import compress
from operator import itemgetter
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KEY_BYTES = 32
"""Size of a key: a whole SHA-256, of which no two are equal by chance."""

ENTRY_BYTES = KEY_BYTES + array("q").itemsize + array("I").itemsize
"""Disk need of an event, when a window has many: its key, processing time and ordinal."""

# A window of 20 million events has 80,000 in each: 15 MB when one is looked at.
_PARTITIONS = 256
# Events; 6 MB.
_BUFFERED = 65_536


class Repeats:
    """Finds the copies of events that are not to be written.

    Mixpanel applies no deduplication to exports. Of equal events (`event`, `time`, `distinct_id`,
    `$insert_id`) the latest processed counts; the first of those that are equal in that, too.

    Which copy that is, is known when the last one has been seen. Until then the keys are kept, in
    partitions of a temporary file as soon as they are many: memory stays the same for a hundred
    thousand and for a hundred million events.
    """

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._processed = array("q")
        self._ordinals = array("I")
        # Where events of each partition are in the file, and how many: keys, then times, ordinals.
        self._offsets = [array("Q") for _ in range(_PARTITIONS)]
        self._counts = [array("I") for _ in range(_PARTITIONS)]
        self._file: IO[bytes] | None = None

    def close(self) -> None:
        """Free the disk space."""
        if self._file is not None:
            self._file.close()

    def add(
        self, keys: Sequence[bytes | None], processed: Sequence[int | None], first: int
    ) -> None:
        """Note records that are written, in order of writing.

        Args:
            keys: Their keys; None for events that are never repeats.
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
        self._keys += keys  # type: ignore[arg-type]  # None is not among them any more
        self._processed.extend(processed)  # type: ignore[arg-type]
        self._ordinals.extend(ordinals)
        if len(self._keys) >= _BUFFERED:
            self._spill()

    def superseded(self) -> Iterator[int]:
        """The ordinals of the copies that are not to be written, in no order."""
        if self._file is None:
            yield from _losers(self._keys, self._processed, self._ordinals)
            return
        self._spill()
        for offsets, counts in zip(self._offsets, self._counts, strict=True):
            yield from _losers(*_read(self._file, offsets, counts))

    def _spill(self) -> None:
        """Move what is in memory to the file, sorted into partitions."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        buckets: list[list[int]] = [[] for _ in range(_PARTITIONS)]
        for index, key in enumerate(self._keys):
            buckets[key[0]].append(index)
        offset = self._file.seek(0, 2)
        for bucket, offsets, counts in zip(buckets, self._offsets, self._counts, strict=True):
            if not bucket:
                continue
            # With the first one twice it gives a tuple in any case.
            pick = itemgetter(bucket[0], *bucket)
            offsets.append(offset)
            counts.append(len(bucket))
            offset += self._file.write(b"".join(pick(self._keys)[1:]))
            offset += self._file.write(array("q", pick(self._processed)[1:]).tobytes())
            offset += self._file.write(array("I", pick(self._ordinals)[1:]).tobytes())
        self._keys, self._processed, self._ordinals = [], array("q"), array("I")


def _read(
    file: IO[bytes], offsets: Iterable[int], counts: Iterable[int]
) -> tuple[list[bytes], array[int], array[int]]:
    """A partition's keys, times and ordinals."""
    keys: list[bytes] = []
    processed, ordinals = array("q"), array("I")
    for offset, events in zip(offsets, counts, strict=True):
        file.seek(offset)
        text = file.read(events * KEY_BYTES)
        keys += [text[at : at + KEY_BYTES] for at in range(0, len(text), KEY_BYTES)]
        processed.frombytes(file.read(events * processed.itemsize))
        ordinals.frombytes(file.read(events * ordinals.itemsize))
    return keys, processed, ordinals


def _losers(
    keys: Sequence[bytes], processed: Sequence[int], ordinals: Sequence[int]
) -> Iterator[int]:
    if len(set(keys)) == len(keys):
        return
    best: dict[bytes, tuple[int, int]] = {}
    for key, at, ordinal in zip(keys, processed, ordinals, strict=True):
        known = best.get(key)
        if known is None:
            best[key] = (at, ordinal)
        elif at > known[0]:
            best[key] = (at, ordinal)
            yield known[1]
        else:
            yield ordinal
