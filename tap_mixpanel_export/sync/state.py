"""Pure: what the state says after each finished window.

A filter for late events that has proven itself may lie later, and get away with it for a while.
What was seen by its help only since the last proof is kept apart from what is certain. When the
filter is found to have left out events, all of that is read again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tap_mixpanel_export.sync.known_stamps import KnownStamps
from tap_mixpanel_export.sync.watermarks import Watermarks
from tap_mixpanel_export.sync.windows import Bookmark, Certain, FilterProof, Purpose
from tap_mixpanel_export.timezones import DAY, EPOCH

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from datetime import date, datetime

    from tap_mixpanel_export.sync.server_clock import ServerClock
    from tap_mixpanel_export.sync.windows import Span, Window


@dataclass(frozen=True, slots=True)
class FilterUse:
    """What a run did with the service's filter for late events, up to now.

    Attributes:
        proof: Its last proof.
        holds_for: How long that holds.
        is_proven_now: Whether the proof is this run's.
        was_relied_on: Whether one of its answers stood for whole days.
        has_left_out: Whether it was found to leave out events.
    """

    proof: FilterProof | None = None
    holds_for: timedelta = timedelta()
    is_proven_now: bool = False
    was_relied_on: bool = False
    has_left_out: bool = False


class Checkpoints:
    """Moves the bookmark as windows finish, so that a run that is cut off resumes behind them.

    The bookmark and the watermark stay as they are until the look-back is done: a run that ends
    before that is repeated from its start, and misses no late event.

    Args:
        span: What the run is asked for.
        clock: Knows the time at the first request of the run.
        selection: Fingerprint of the settings that say which events are exported.
    """

    def __init__(self, span: Span, clock: ServerClock, selection: str | None = None) -> None:
        self._span = span
        self._clock = clock
        self._selection = selection
        self._bookmark = span.bookmark
        self._reached: datetime | None = None
        self._marks = span.watermarks
        self._certain = span.certain
        self._known = KnownStamps() if span.bookmark is None else span.bookmark.known

    @property
    def watermarks(self) -> Watermarks:
        """The watermarks of all days, as far as windows are finished."""
        return self._marks

    def finish(
        self,
        window: Window,
        *,
        lookback_left: bool,
        seen: AbstractSet[tuple[date, int]] = frozenset(),
        use: FilterUse = FilterUse(),
        filtered_width: int | None = None,
    ) -> Bookmark | None:
        """Take a window as finished: what the state is to say when its records are written.

        Args:
            window: The window.
            lookback_left: Whether look-back windows are still to be finished.
            seen: Days and processing stamps of some of its events.
            use: What was done with the filter for late events.
            filtered_width: How many days a query with it is to have at most from now on.

        Returns:
            What the state is to say; None when it is to stay as it is.
        """
        self._known = self._known.with_seen({*seen})
        if window.purpose in {Purpose.LOOKBACK, Purpose.NEW}:
            # Look-back windows finish in any order.
            self._reached = window.end if self._reached is None else max(window.end, self._reached)
        if not self._may_move(window, lookback_left=lookback_left):
            return None
        watermark = self._clock.watermark(self._span.delay)
        if window.purpose in {Purpose.BACKFILL, Purpose.SWEEP}:
            moved = self._extended(self._bookmark or self._span.resumed, window, watermark)
        else:
            moved = self._advanced(self._reached or window.end, watermark)
        self._bookmark = replace(
            self._as_certain(moved, use),
            filter_proof=use.proof and replace(use.proof, days=filtered_width),
            known=self._known,
            zone=None,
            selection=self._selection,
        )
        return self._bookmark

    def _may_move(self, window: Window, *, lookback_left: bool) -> bool:
        if window.purpose is Purpose.BACKFILL:
            return True
        if window.purpose is Purpose.LOOKBACK and lookback_left:
            return False
        return self._span.reaches_bookmark

    def _advanced(self, end: datetime, watermark: datetime | None) -> Bookmark:
        span, before = self._span, self._bookmark
        if watermark is None and span.bookmark is None:
            # No clock can be trusted, and no event has told it: what comes up on these days later
            # is late, whenever it was processed. Without one they would take the next run's.
            watermark = EPOCH
        # What happens from the first request on may be missed by queries that ran before.
        done = min(end, self._clock.first)
        processed_before = watermark
        first = span.day(span.start)
        exported_from: datetime | None = span.start
        if before is not None:
            done = max(done, before.done)
            known = [at for at in (watermark, before.processed_before) if at is not None]
            processed_before = max(known, default=None)
            if span.start_is_given and span.bookmark and span.start > span.bookmark.done:
                # Between them lie days that are not exported: what comes before is another story.
                self._marks = Watermarks()
            else:
                exported_from = before.exported_from or span.lookback_bound
                first = span.first_lookback_day if span.bookmark else first
                if exported_from is None:
                    exported_from = span.day_start(first)
        if processed_before is not None:
            self._marks = self._marks.raised(first, None, processed_before)
        return Bookmark(done, processed_before, exported_from)

    def _extended(self, before: Bookmark, window: Window, watermark: datetime | None) -> Bookmark:
        """The same bookmark when days before the look-back are done, new ones or swept ones."""
        span, last = self._span, window.last
        if window.upper is not None:
            # A day of which only a part was asked for has what was seen of the rest.
            last = min(last, span.day(window.upper) - DAY)
        if watermark is not None and window.first <= last:
            self._marks = self._marks.raised(window.first, last, watermark)
        if window.purpose is Purpose.SWEEP:
            return before
        return replace(before, exported_from=max(span.start, span.day_start(window.first)))

    def _as_certain(self, moved: Bookmark, use: FilterUse) -> Bookmark:
        """A bookmark that says what is certain, and takes back what is not if it is doubtful."""
        span = self._span
        is_confirmed = use.is_proven_now and not use.has_left_out
        certain = None if is_confirmed else self._certain
        if certain is None and use.was_relied_on:
            certain = Certain(span.first_lookback_day, span.watermarks)
        elif certain is not None and not use.was_relied_on:
            # What was not found out while the proof held, nor by the next one, is no news later.
            oldest = self._clock.first - use.holds_for - span.lookback
            certain = None if certain.watermarks.marks[-1][1] < oldest else certain
        if certain is None or not use.has_left_out:
            return replace(moved, watermarks=self._marks, certain=certain)
        # The next sweeps of this run still go by the marks, as if the filter were right.
        marks = self._marks.lowered(certain.watermarks)
        return replace(
            moved,
            watermarks=marks,
            processed_before=marks.marks[-1][1],
            lookback_from=certain.first_day,
            certain=None,
        )
