"""Pure: which events of a response are written, and why others are not."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The years 1 to 9999 lie between them.
BEGINNING_MS = -(10**15)
END_MS = 10**15

_start_of = itemgetter(0)


class Skip(str, Enum):
    """Why an event is not written."""

    OUTSIDE_SPAN = "outside the span"
    """It occurred before or after what the run is asked to export."""
    EXCLUDED = "excluded"
    """The user wants no events of its name."""
    SEEN_BEFORE = "seen before"
    """Mixpanel had processed it when an earlier run read its day."""
    NOT_YET = "processed later"
    """It was processed after `processed_until`: another read brings it."""


NOTHING_SKIPPED: Mapping[Skip, int] = {}
"""How many events of each kind are skipped in most blocks."""


class EventSelector(Protocol):
    """What chooses events: an `EventFilter`, or what looks on while one does."""

    def reason_to_skip(self, instant: int, processed: int | None, name: str) -> Skip | None:
        """Why an event is not written."""

    def select(
        self, instants: Sequence[int], processed: Sequence[int | None], names: Sequence[str]
    ) -> tuple[Sequence[bool] | None, Mapping[Skip, int]]:
        """Choose among the events of a block."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of a response are written.

    All times are milliseconds since the epoch.

    Attributes:
        lower: Events before this instant are not written.
        upper: Events from this instant on are not written.
        watermarks: Pairs, in order of their first members: events from that instant on, up to the
            next pair's, were seen before when they had been processed at or before the second
            member. Those before the first pair were not. Events without a processing time are never
            taken for seen.
        unread_from: Events from this instant on were not seen before, whatever their processing
            time; None when there is no such instant.
        processed_until: Events that were processed later are not written; None when there is no
            such bound.
        with_unstamped: Whether events without a processing time are written.
        excluded: Events of these names are not written.
    """

    lower: int = BEGINNING_MS
    upper: int = END_MS
    watermarks: tuple[tuple[int, int], ...] = ()
    unread_from: int | None = None
    processed_until: int | None = None
    with_unstamped: bool = True
    excluded: frozenset[str] = frozenset()

    def reason_to_skip(self, instant: int, processed: int | None, name: str) -> Skip | None:
        """Why an event is not written.

        Args:
            instant: When it occurred.
            processed: When Mixpanel processed it; None when it does not say.
            name: Its name.

        Returns:
            The first reason that holds; None when it is written.
        """
        if not self.lower <= instant < self.upper:
            return Skip.OUTSIDE_SPAN
        if name in self.excluded:
            return Skip.EXCLUDED
        if processed is None:
            return None if self.with_unstamped else Skip.NOT_YET
        if self.processed_until is not None and processed > self.processed_until:
            return Skip.NOT_YET
        if not self.watermarks or (self.unread_from is not None and instant >= self.unread_from):
            return None
        place = bisect_right(self.watermarks, instant, key=_start_of)
        seen = place and processed <= self.watermarks[place - 1][1]
        return Skip.SEEN_BEFORE if seen else None

    def accepts_all(
        self, instants: Sequence[int], processed: Sequence[int | None], names: Sequence[str]
    ) -> bool:
        """Whether all events of a block are surely written: a few look-ups instead of one for each.

        What is true of the first, the last, the earliest and the latest processed is used only
        where it decides the others. False is no answer: then each event is to be asked for. For the
        arguments see `select`.
        """
        first, last = min(instants), max(instants)
        if first < self.lower or last >= self.upper or not self.excluded.isdisjoint(names):
            return False
        if not self._looks_at_stamps:
            return True
        stamps = (
            cast("Sequence[int]", processed)
            if None not in processed
            else [at for at in processed if at is not None]
        )
        if not stamps or (len(stamps) < len(processed) and not self.with_unstamped):
            return self.with_unstamped
        if self.processed_until is not None and max(stamps) > self.processed_until:
            return False
        if not self.watermarks or (self.unread_from is not None and first >= self.unread_from):
            return True
        # The watermark that holds for the first one, and all that begin up to the last one.
        begin = max(0, bisect_right(self.watermarks, first, key=_start_of) - 1)
        end = bisect_right(self.watermarks, last, key=_start_of)
        highest = max((mark for _, mark in self.watermarks[begin:end]), default=None)
        return highest is None or min(stamps) > highest

    @property
    def _looks_at_stamps(self) -> bool:
        return bool(self.watermarks or self.processed_until is not None or not self.with_unstamped)

    def select(
        self, instants: Sequence[int], processed: Sequence[int | None], names: Sequence[str]
    ) -> tuple[list[bool] | None, Mapping[Skip, int]]:
        """Choose among the events of a block.

        Args:
            instants: When each occurred; at least one.
            processed: When Mixpanel processed each; None when it does not say.
            names: Their names.

        Returns:
            Whether each is written, None when all are; and how many are not, by reason.
        """
        if self.accepts_all(instants, processed, names):
            return None, NOTHING_SKIPPED
        reasons = list(map(self.reason_to_skip, instants, processed, names))
        skipped = {skip: count for skip in Skip if (count := reasons.count(skip))}
        return [reason is None for reason in reasons], skipped
