"""Pure: up to which processing time Mixpanel's events were seen, day by day."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

from tap_mixpanel_export.timezones import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable

_day_of = itemgetter(0)

MOST_MARKS = 40
"""How many marks a state holds at most: some 50 bytes each, of the 4 KB that a state may have."""


@dataclass(frozen=True, slots=True)
class Watermarks:
    """All that Mixpanel had processed of a day before its watermark was seen.

    Attributes:
        marks: Days in ascending order, each with the watermark that holds from this day on, up to
            the day of the next one. Days before the first one have none.
    """

    marks: tuple[tuple[date, datetime], ...] = ()

    def of(self, day: date) -> datetime | None:
        """The watermark of a day; None when it has none."""
        place = bisect_right(self.marks, day, key=_day_of)
        return self.marks[place - 1][1] if place else None

    def lowest(self, first: date, last: date) -> datetime | None:
        """The oldest watermark of some days; None when one of them has none."""
        if self.of(first) is None:
            return None
        return min(mark for _, _, mark in self.pieces(first, last))

    def pieces(self, first: date, last: date) -> list[tuple[date, date, datetime]]:
        """The days from `first` to `last` that have a watermark: ranges of days that share one."""
        if not self.marks:
            return []
        ends = [day - DAY for day, _ in self.marks[1:]] + [date.max]
        return [
            (max(day, first), min(end, last), mark)
            for (day, mark), end in zip(self.marks, ends, strict=True)
            if day <= last and end >= first
        ]

    def raised(self, first: date, last: date | None, watermark: datetime) -> Watermarks:
        """The same, with a watermark for some days; a later one that a day has already stays.

        Days that leave a gap before the first one that has a watermark get none.

        Args:
            first: First day.
            last: Last day; None for all that come.
            watermark: The watermark.
        """
        end = date.max if last is None else last
        if self.marks and end < date.max and end + DAY < self.marks[0][0]:
            return self
        borders = {first, *(day for day, _ in self.marks)}
        if end < date.max:
            borders.add(end + DAY)
        marks = [(day, self.of(day)) for day in sorted(borders)]
        return _joined(
            (day, max(mark or watermark, watermark) if first <= day <= end else mark)
            for day, mark in marks
        )

    def lowered(self, others: Watermarks) -> Watermarks:
        """The same, but nowhere later than the others, where those have a watermark."""
        days = sorted({day for day, _ in (*self.marks, *others.marks)})
        marks = [(day, self.of(day)) for day in days]
        return _joined((day, mark and min(mark, others.of(day) or mark)) for day, mark in marks)

    def compacted(self, most: int = MOST_MARKS) -> Watermarks:
        """The same with fewer marks: neighbours share the older one, those that differ least first.

        Events that were processed between the two come again, and none is missed.
        """
        marks = list(self.marks)
        while len(marks) > max(most, 2):
            # The last one is every run's own, and is not made older.
            gaps = [abs(b[1] - a[1]) for a, b in pairwise(marks[:-1])]
            at = gaps.index(min(gaps))
            marks[at : at + 2] = [(marks[at][0], min(marks[at][1], marks[at + 1][1]))]
        return Watermarks(tuple(marks))

    def blurred(self) -> Watermarks:
        """The same for days that begin up to a day earlier or later than these did.

        When a project's zone changes, so do its days: at each border the older watermark holds.
        """
        days = {day + shift for day, _ in self.marks[1:] for shift in (-DAY, DAY)}
        days |= {day for day, _ in self.marks}
        around = [(day, (day - DAY, day, day + DAY)) for day in sorted(days)]
        return _joined((day, min(filter(None, map(self.of, near)))) for day, near in around)


def _joined(days: Iterable[tuple[date, datetime | None]]) -> Watermarks:
    """The watermarks of some days, in ascending order; days that share one are one range."""
    marks: list[tuple[date, datetime]] = []
    for day, mark in days:
        if mark is not None and not (marks and marks[-1][1] == mark):
            marks.append((day, mark))
    return Watermarks(tuple(marks))
