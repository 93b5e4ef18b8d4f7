"""What went by in an answer: noted a block at a time, while events are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress, count
from typing import TYPE_CHECKING

from tap_mixpanel_export.sync.known_stamps import NEWEST
from tap_mixpanel_export.sync.lags import Lags
from tap_mixpanel_export.sync.server_clock import EARLIEST
from tap_mixpanel_export.timezones import from_milliseconds, to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from tap_mixpanel_export.records.event_filter import EventFilter, Skip
    from tap_mixpanel_export.sync.windows import Span

# Stamps in seconds, or 0, are no times of Mixpanel's.
_EARLIEST_MS = to_milliseconds(EARLIEST)


@dataclass(slots=True)
class SeenLate:
    """Events that were processed before the last watermark, and are seen now for the first time.

    Attributes:
        count: How many.
        oldest_ms: The oldest of their processing stamps.
    """

    count: int = 0
    oldest_ms: int | None = None

    def add(self, other: SeenLate) -> None:
        """Take others along."""
        self.count += other.count
        self.note(other.oldest_ms)

    def note(self, stamp_ms: int | None) -> None:
        """Take the stamp of one."""
        if stamp_ms is not None:
            self.oldest_ms = stamp_ms if self.oldest_ms is None else min(stamp_ms, self.oldest_ms)


class Observed:
    """An event filter that notes what it sees.

    It costs some look-ups a block, and nothing an event.

    Args:
        event_filter: Says which events are written.
        span: Knows the days.
        looked_for: Stamps that are to be found in the answer; 0 for an event without one.
        by_watermark: Chooses by the watermarks alone, where `event_filter` takes more for new.
    """

    def __init__(
        self,
        event_filter: EventFilter,
        span: Span,
        *,
        looked_for: frozenset[int] = frozenset(),
        by_watermark: EventFilter | None = None,
    ) -> None:
        self._filter = event_filter
        self._span = span
        self.lags = Lags()
        """Samples of how long after their timestamp events were processed."""
        self._by_watermark = by_watermark
        self._looked_for = looked_for
        self._missing = set(looked_for)
        self._newest: dict[int, int] = {}
        self._threshold_ms = 0
        self._unstamped_at: int | None = None
        self.lowest_ms: int | None = None
        """The oldest processing stamp."""
        self.newest_ms: int | None = None
        """The newest processing stamp."""
        self.seen_late = SeenLate()
        """Events that are written though their stamps are older than the watermark."""

    def stamps_of(self, looked_for: frozenset[int]) -> frozenset[int]:
        """Those of the stamps that were found."""
        return looked_for - self._missing

    @property
    def found(self) -> frozenset[int]:
        """The stamps that were looked for, as far as they were found."""
        return self.stamps_of(self._looked_for)

    def seen(self) -> set[tuple[date, int]]:
        """Days and stamps of the newest events; 0 for one without a stamp."""
        seen = {
            (self._span.day(from_milliseconds(instant)), stamp)
            for stamp, instant in self._newest.items()
        }
        if self._unstamped_at is not None:
            seen.add((self._span.day(from_milliseconds(self._unstamped_at)), 0))
        return seen

    def select(
        self, instants: Sequence[int], processed: Sequence[int | None], names: Sequence[str]
    ) -> tuple[Sequence[bool] | None, Mapping[Skip, int]]:
        """Choose among the events of a block; see `EventFilter.select`."""
        usable = self._note(instants, processed)
        accepted, skipped = self._filter.select(instants, usable, names)
        if self._by_watermark is not None:
            for at in range(len(names)) if accepted is None else compress(count(), accepted):
                self._note_seen_late(instants[at], usable[at], names[at])
        return accepted, skipped

    def reason_to_skip(self, instant: int, processed: int | None, name: str) -> Skip | None:
        """Why an event is not written; see `EventFilter.reason_to_skip`."""
        (usable,) = self._note((instant,), (processed,))
        reason = self._filter.reason_to_skip(instant, usable, name)
        if reason is None:
            self._note_seen_late(instant, usable, name)
        return reason

    def _note_seen_late(self, instant: int, processed: int | None, name: str) -> None:
        if (
            self._by_watermark is not None
            and self._by_watermark.reason_to_skip(instant, processed, name) is not None
        ):
            self.seen_late.count += 1
            self.seen_late.note(processed)

    def _note(
        self, instants: Sequence[int], processed: Sequence[int | None]
    ) -> Sequence[int | None]:
        """Take a block, and give its usable stamps."""
        stamps = processed if None not in processed else [at for at in processed if at is not None]
        if stamps and min(stamps) < _EARLIEST_MS:  # type: ignore[type-var,operator]  # None is not among them
            processed = [None if at is None or at < _EARLIEST_MS else at for at in processed]
            stamps = [at for at in processed if at is not None]
        if len(stamps) < len(processed):
            self._unstamped_at = instants[list(processed).index(None)]
            self._missing.discard(0)
        if not stamps:
            return processed
        lowest: int = min(stamps)  # type: ignore[type-var,assignment]  # None is not among them
        highest: int = max(stamps)  # type: ignore[type-var,assignment]  # None is not among them
        self.lowest_ms = lowest if self.lowest_ms is None else min(lowest, self.lowest_ms)
        self.newest_ms = highest if self.newest_ms is None else max(highest, self.newest_ms)
        if self._missing:
            self._missing.difference_update(stamps)
        if highest > self._threshold_ms:
            self._note_newest(instants, processed)
        self.lags.sample(instants, processed)
        return processed

    def _note_newest(self, instants: Sequence[int], processed: Sequence[int | None]) -> None:
        # From the end: of events with one stamp the first one counts.
        of_block = dict(zip(reversed(processed), reversed(instants), strict=True))
        self._newest |= {stamp: at for stamp, at in of_block.items() if stamp is not None}
        kept = sorted(self._newest)[-NEWEST:]
        self._newest = {stamp: self._newest[stamp] for stamp in kept}
        if len(kept) == NEWEST:
            self._threshold_ms = kept[0]
