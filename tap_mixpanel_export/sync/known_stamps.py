"""Pure: some events that earlier runs have seen, by which a filtered answer is checked.

A filter that has proven itself may fail later. Therefore a filtered query is asked so that an
honest answer must hold events that are known: the newest ones that were seen, and some older ones
all over the history. Of these their processing stamps are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

NEWEST = 16
"""How many of the newest stamps are kept, at most."""

_OTHERS = 20
_UNSTAMPED = 4
# Days; before them each stretch of the history is worth the same.
_WEEKS = 60


@dataclass(frozen=True, slots=True)
class KnownStamps:
    """Processing stamps of events that were seen, in milliseconds, each with the event's day.

    Attributes:
        entries: Days and stamps, ordered by stamp; 0 stands for an event without a usable one.
    """

    entries: tuple[tuple[date, int], ...] = ()

    @property
    def newest(self) -> int | None:
        """The newest stamp that was ever seen; None when none was."""
        stamp = self.entries[-1][1] if self.entries else 0
        return stamp or None

    def is_among_newest(self, stamp: int) -> bool:
        """Whether next to nothing that was ever seen is newer."""
        return bool(stamp) and stamp in {at for _, at in self.entries[-NEWEST:]}

    def within(self, first: date, last: date) -> list[int]:
        """The stamps of events of some days, ascending; 0 for an event without a stamp."""
        return [stamp for day, stamp in self.entries if first <= day <= last]

    def with_seen(self, seen: set[tuple[date, int]]) -> KnownStamps:
        """The same and some more; as many as are worth their bytes are kept."""
        every = {*self.entries, *seen}
        stamped = sorted((stamp, day) for day, stamp in every if stamp)
        newest = nlargest(NEWEST, stamped)
        others = sorted((day, stamp) for stamp, day in stamped[: -len(newest) or None])
        unstamped = sorted((day for day, stamp in every if not stamp), reverse=True)[:_UNSTAMPED]
        kept = [
            *((day, 0) for day in unstamped),
            *_thinned(others, _OTHERS),
            *((day, stamp) for stamp, day in newest),
        ]
        return KnownStamps(tuple(sorted(kept, key=lambda entry: (entry[1], entry[0]))))


def _thinned(entries: list[tuple[date, int]], most: int) -> list[tuple[date, int]]:
    """Some of the entries, of a day the newest: spread over the days, denser in the last weeks."""
    by_day = dict(entries)
    days = sorted(by_day)
    while len(days) > most:
        gaps = [
            ((days[at + 1] - days[at - 1]).days / (1 + min((days[-1] - days[at]).days, _WEEKS)), at)
            for at in range(1, len(days) - 1)
        ]
        del days[min(gaps)[1]]
    return [(day, by_day[day]) for day in days]
