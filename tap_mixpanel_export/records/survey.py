"""What is told of the events that were read: their days, names, and unmapped properties."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tap_mixpanel_export.records.event_filter import EventSelector, Skip

MOST_NAMES = 1000
"""How many names of events, and of properties, are counted one by one."""

MOST_DAYS = 4000
"""How many days are counted one by one."""

_DAY_MS = 86_400_000

# Mixpanel's own bound; whoever sends longer ones does not fill the memory.
_NAME_CHARACTERS = 255

# The first events are all looked at, so that small projects get shares, too; then one in so many
# bytes, which costs a thousandth of reading them.
_FIRST_EVENTS = 200
_SAMPLE_BYTES = 256 * 1024


class BoundedCounts:
    """Counts of at most so many things, those that came first, and of all others together.

    Args:
        most: How many are counted one by one.
    """

    def __init__(self, most: int) -> None:
        self.counts: Counter[str] = Counter()
        """By thing."""
        self.other = 0
        """Of all others."""
        self._most = most

    def add(self, counts: Mapping[str, int]) -> None:
        """Add some."""
        mine = self.counts
        for thing, count in counts.items():
            if thing in mine or len(mine) < self._most:
                mine[thing] += count
            else:
                self.other += count

    def add_all(self, others: BoundedCounts) -> None:
        """Add those of another."""
        self.add(others.counts)
        self.other += others.other


class DayTally:
    """Records of one response by the UTC day of their time, and which of them are late.

    Args:
        done: Events up to this instant, in milliseconds, are late ones; None when none is.
    """

    def __init__(self, done: int | None) -> None:
        self._done = done
        # Of each block where it begins, and the one code of all its records, or that of each.
        self._starts = array("Q")
        self._codes: list[int | array[int]] = []
        self._count = 0
        # By a day since the epoch, twice, and one more for late events.
        self._records: Counter[int] = Counter()

    @property
    def late(self) -> int:
        """How many are late."""
        return sum(count for code, count in self._records.items() if code & 1)

    def add(self, instants: Sequence[int]) -> None:
        """Count records that are written.

        Most blocks lie within a day, and cost two look-ups.

        Args:
            instants: When each occurred, milliseconds since the epoch; at least one.
        """
        first, last = self._code(min(instants)), self._code(max(instants))
        self._starts.append(self._count)
        self._count += len(instants)
        if first == last:
            self._codes.append(first)
            self._records[first] += len(instants)
        else:
            codes = array("i", map(self._code, instants))
            self._codes.append(codes)
            self._records.update(codes)

    def without(self, ordinals: Iterable[int]) -> Iterator[int]:
        """The numbers of records that are not written after all, which are not counted any more."""
        for ordinal in ordinals:
            block = bisect_right(self._starts, ordinal) - 1
            codes = self._codes[block]
            code = codes if isinstance(codes, int) else codes[ordinal - self._starts[block]]
            self._records[code] -= 1
            yield ordinal

    def days(self) -> Iterator[tuple[int, int, int]]:
        """Each day since the epoch with its records, and how many of them are late."""
        for day in sorted({code >> 1 for code in self._records}):
            late = self._records[day << 1 | 1]
            yield day, self._records[day << 1] + late, late

    def __reduce__(self) -> tuple[Callable[..., DayTally], tuple[Counter[int]]]:
        # From a worker process, when all is counted.
        return _days_counted, (self._records,)

    def _code(self, instant: int) -> int:
        is_late = self._done is not None and instant <= self._done
        return instant // _DAY_MS << 1 | is_late


class WindowTally:
    """Names and days of the events of one response.

    Args:
        done: Events up to this instant, in milliseconds, are late ones; None when none is.
        look: Samples the events of a block.
    """

    def __init__(self, done: int | None, look: Callable[[bytes], None]) -> None:
        self.names = BoundedCounts(MOST_NAMES)
        """Events read, by name."""
        self.by_day = DayTally(done)
        """Records to write."""
        self.look = look
        """Samples the events of a block."""

    def __reduce__(self) -> tuple[Callable[..., WindowTally], tuple[BoundedCounts, DayTally]]:
        # From a worker process, when all is counted.
        return _counted, (self.names, self.by_day)

    def of_names(self, event_filter: EventSelector) -> EventSelector:
        """The same filter, which has the names counted that it meets."""
        return _NamesCounted(event_filter, self.names)


def _days_counted(records: Counter[int]) -> DayTally:
    by_day = DayTally(None)
    by_day._records = records  # noqa: SLF001 - its own function, which pickle can name
    return by_day


def _counted(names: BoundedCounts, by_day: DayTally) -> WindowTally:
    tally = WindowTally(None, lambda _: None)
    tally.names, tally.by_day = names, by_day
    return tally


class _NamesCounted:
    """An event filter whose events' names are counted."""

    def __init__(self, event_filter: EventSelector, names: BoundedCounts) -> None:
        self._filter = event_filter
        self._names = names

    def reason_to_skip(self, instant: int, processed: int | None, name: str) -> Skip | None:
        self._names.add({name[:_NAME_CHARACTERS]: 1})
        return self._filter.reason_to_skip(instant, processed, name)

    def select(
        self, instants: Sequence[int], processed: Sequence[int | None], names: Sequence[str]
    ) -> tuple[Sequence[bool] | None, Mapping[Skip, int]]:
        of_block = Counter(names)
        self._names.add({name[:_NAME_CHARACTERS]: count for name, count in of_block.items()})
        return self._filter.select(instants, processed, names)


class _Line(msgspec.Struct):
    properties: dict[str, msgspec.Raw]


class Survey:
    """What is read in a run, for its report. All methods may be called from any thread.

    Args:
        mapped: Properties that have a column, or are not to be told of.
        before: How many events others have looked at.
    """

    def __init__(self, mapped: Iterable[str], before: int = 0) -> None:
        self.unmapped = BoundedCounts(MOST_NAMES)
        """Sampled events that have a property without a column, by its name."""
        self.sampled = 0
        """How many events were looked at."""
        self._before = before
        self._mapped = frozenset(mapped)
        self._bytes = 0
        self._lock = threading.Lock()
        self._decode = msgspec.json.Decoder(_Line).decode

    def __reduce__(self) -> tuple[type[Survey], tuple[frozenset[str], int]]:
        # For a worker process, which tells what it has found.
        return Survey, (self._mapped, self._before + self.sampled)

    def add(self, sampled: int, unmapped: BoundedCounts) -> None:
        """Take what was found elsewhere."""
        with self._lock:
            self.sampled += sampled
            self.unmapped.add_all(unmapped)

    def start_window(self, done: int | None) -> WindowTally:
        """What counts the events of a response.

        Args:
            done: Events up to this instant, in milliseconds, are late ones; None when none is.
        """
        return WindowTally(done, self.take)

    def take(self, block: bytes) -> None:
        """Look at some events of a block of whole lines."""
        with self._lock:
            wanted = _FIRST_EVENTS - self._before - self.sampled
            self._bytes += len(block)
            if wanted > 0:
                for line in block.split(b"\n", wanted)[:wanted]:
                    self._look(line)
            elif self._bytes >= _SAMPLE_BYTES:
                self._bytes = 0
                self._look(block[: block.find(b"\n") + 1 or None])

    def _look(self, line: bytes) -> None:
        try:
            properties = self._decode(line).properties
        except (msgspec.MsgspecError, RecursionError):
            # It is counted where it is read.
            return
        self.sampled += 1
        self.unmapped.add(
            {name[:_NAME_CHARACTERS]: 1 for name in properties if name not in self._mapped}
        )
