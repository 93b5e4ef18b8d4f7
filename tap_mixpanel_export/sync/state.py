"""Pure: what the state says after each finished window."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tap_mixpanel_export.sync.known_stamps import KnownStamps
from tap_mixpanel_export.sync.reliance import FilterUse, Reliance
from tap_mixpanel_export.sync.watermarks import Watermarks
from tap_mixpanel_export.sync.windows import EPOCH, Bookmark, Purpose

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from datetime import date, datetime

    from tap_mixpanel_export.sync.server_clock import ServerClock
    from tap_mixpanel_export.sync.windows import Span, Window

_DAY = timedelta(days=1)
_UNUSED = FilterUse(None, timedelta())


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
        self._reliance = Reliance(span)
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
        use: FilterUse = _UNUSED,
    ) -> Bookmark | None:
        """Take a window as finished: what the state is to say when its records are written.

        Args:
            window: The window.
            lookback_left: Whether look-back windows are still to be finished.
            seen: Days and processing stamps of some of its events.
            use: What was done with the filter for late events.

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
        if window.purpose is Purpose.BACKFILL:
            moved = self._backfilled(window, watermark)
        elif window.purpose is Purpose.SWEEP:
            moved = self._swept(window, watermark)
        else:
            moved = self._advanced(self._reached or window.end, watermark)
        self._bookmark = replace(
            self._reliance.applied(moved, self._marks, use, self._clock.first),
            filter_proof=use.proof,
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

    def _backfilled(self, window: Window, watermark: datetime | None) -> Bookmark:
        span = self._span
        if self._bookmark is None or window.upper is None:  # pragma: no cover - planned with one
            raise ValueError("no bookmark to export the days before of")
        last = min(window.last, span.day(window.upper) - _DAY)
        if watermark is not None and window.first <= last:
            self._marks = self._marks.raised(window.first, last, watermark)
        begun = max(span.start, span.day_start(window.first))
        return replace(self._bookmark, exported_from=begun)

    def _swept(self, window: Window, watermark: datetime | None) -> Bookmark:
        if self._bookmark is None:  # pragma: no cover - planned with one
            raise ValueError("no bookmark to sweep before")
        if watermark is not None:
            self._marks = self._marks.raised(window.first, window.last, watermark)
        return self._bookmark
