"""Pure: which days long exported are due to be asked for late events again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tap_mixpanel_export.timezones import DAY

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

    def next_window(self, watermarks: Watermarks) -> tuple[date, date] | None:
        """The days of the next query: those of the oldest watermark, and their neighbours.

        A query costs the same whatever its width, and brings late events only: it takes the
        neighbours along whose watermark is older than that on the other side, as wide as it may be.
        """
        pieces = watermarks.pieces(self.first, self.last)
        if not pieces:
            return None
        left = right = min(range(len(pieces)), key=lambda at: pieces[at][2])
        first, last, _ = pieces[left]
        last = min(last, first + DAY * (self.width - 1))
        while True:
            around = [pieces[at] for at in (left - 1, right + 1) if 0 <= at < len(pieces)]
            fitting = [
                piece
                for piece in around
                if (max(last, piece[1]) - min(first, piece[0])) // DAY < self.width
            ]
            if last < pieces[right][1] or not fitting:
                return first, last
            piece = min(fitting, key=lambda one: one[2])
            first, last = min(first, piece[0]), max(last, piece[1])
            left, right = (left - 1, right) if piece[0] == first else (left, right + 1)
