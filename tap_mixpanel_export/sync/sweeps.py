"""Pure: which days long exported are due to be asked for late events again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tap_mixpanel_export.timezones import DAY, DayRange

if TYPE_CHECKING:
    from datetime import date, datetime

    from tap_mixpanel_export.sync.watermarks import Watermarks


# Runs are never exactly as far apart as their schedule says.
_EARLY = 0.9


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """How older days are to be swept.

    Attributes:
        first: The first day that is swept: of those ever exported, or of `start_date`.
        last: The last day that the look-back does not cover.
        interval: Every day is swept once in so long.
        width: Upper bound of the days in one query.
    """

    first: date
    last: date
    interval: timedelta
    width: int

    @property
    def days(self) -> int:
        """How many days there are to sweep."""
        return max(0, (self.last - self.first) // DAY + 1)

    def due(self, watermarks: Watermarks, now: datetime) -> int:
        """How many days are to be swept now, those with the oldest watermarks.

        As few as will do so that, at a steady pace from now on, every day is swept in time: of
        days that were all swept together, after a day a seventh of them (with an interval of
        seven days), and so on. Less than a day's share is left for a later run, so that hourly runs
        cost no more queries than daily ones.
        """
        pieces = sorted(watermarks.pieces(self.first, self.last), key=lambda piece: piece[2])
        pace = self.days / (self.interval / DAY)
        count, due, is_overdue = 0, 0.0, False
        for first, last, watermark in pieces:
            count += (last - first) // DAY + 1
            left = watermark + self.interval - now
            due = max(due, count - pace * (left / DAY))
            is_overdue = is_overdue or left <= timedelta()
        share = min(self.width, pace, self.days) * _EARLY
        return min(self.days, round(due)) if is_overdue or due >= max(1, share) else 0

    def oldest_day(self, watermarks: Watermarks) -> date:
        """The first day of those with the oldest watermark."""
        return min(watermarks.pieces(self.first, self.last), key=lambda piece: piece[2])[0]

    def next_window(self, watermarks: Watermarks) -> DayRange | None:
        """The days of the next query: those of the oldest watermark, and their neighbours.

        A query costs the same whatever its width, and brings late events only: it takes the
        neighbours along whose watermark is older than that on the other side, as wide as it may be.
        """
        pieces = watermarks.pieces(self.first, self.last)
        if not pieces:
            return None
        oldest = min(pieces, key=lambda piece: piece[2])
        taken = DayRange(oldest[0], min(oldest[1], oldest[0] + DAY * (self.width - 1)))
        if taken.last < oldest[1]:
            return taken
        while True:
            around = [
                (mark, wider)
                for first, last, mark in pieces
                if DAY in {taken.first - last, first - taken.last}
                and (wider := DayRange(min(first, taken.first), max(last, taken.last))).days
                <= self.width
            ]
            if not around:
                return taken
            _, taken = min(around, key=lambda one: one[0])
