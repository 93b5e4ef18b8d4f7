"""Pure: which days are asked for in which query, and which of their events are written.

Times are instants (aware datetimes in UTC); days are days of the project's zone, because that is
how the export API cuts them, both ends inclusive.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone, tzinfo

from tap_mixpanel_export.records.event_filter import BEGINNING_MS, END_MS, EventFilter
from tap_mixpanel_export.timezones import day_of, start_of_day

_DAY = timedelta(days=1)
_TICK = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

SAFETY_MARGIN = timedelta(minutes=15)
"""Subtracted from the server's time for the watermark: how long an event that Mixpanel has
stamped as processed may take until an export shows it, and how far its clocks may differ."""

TARGET_BYTES = 64 * 1024 * 1024
"""Size of a download, as transferred, that windows grow towards: some minutes, some 300,000
events of 35 properties."""

_GROWTH = 2


def to_milliseconds(instant: datetime) -> int:
    """Whole milliseconds since the epoch."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The days of one query, and which of their events are written.

    Attributes:
        first: First day asked for.
        last: Last day asked for, inclusive.
        late_only: The window starts before the bookmark. Only events that were processed past the
            watermark, that carry no processing time, or that are past the bookmark are asked for
            and written.
        lower: Events before this instant are not written.
        upper: Events from this instant on are not written.
        end: The instant up to which everything is done when the window is finished.
    """

    first: date
    last: date
    late_only: bool
    lower: datetime | None
    upper: datetime | None
    end: datetime

    @property
    def days(self) -> int:
        """How many days are asked for."""
        return (self.last - self.first) // _DAY + 1

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What earlier runs have done.

    Attributes:
        done: Everything before this instant was exported. An instant that starts a day of the
            project is excluded, because windows end there; any other is included.
        processed_before: The watermark: all that Mixpanel had processed before it was seen. None
            when the state does not say (it is another tap's): then look-back windows are written
            whole.
    """

    done: datetime
    processed_before: datetime | None


@dataclass(frozen=True, slots=True)
class Span:
    """What a run is asked to export.

    Attributes:
        zone: The project's zone; UTC for projects created since 2023-01-01.
        start: First instant to export when there is no bookmark, and never an earlier one when
            `start_is_given`.
        start_is_given: Whether the user named the start.
        end: Last instant to export, or the first not to export when `end_is_day`; None is now.
        end_is_day: Whether the end is the end of a day, hence not included itself.
        last_day: Day of the last instant to export; None is today.
        bookmark: None in a first run.
        lookback: How far back late events are looked for, from the bookmark.
        max_days: Upper bound of the days in one query.
    """

    zone: tzinfo
    start: datetime
    start_is_given: bool
    end: datetime | None
    end_is_day: bool
    last_day: date | None
    bookmark: Bookmark | None
    lookback: timedelta
    max_days: int

    @property
    def upper(self) -> datetime | None:
        """Events from this instant on are not exported; None when there is no such bound."""
        return self.end if self.end is None or self.end_is_day else self.end + _TICK

    @property
    def reaches_bookmark(self) -> bool:
        """Whether the run can see everything up to the bookmark, so that it may move it."""
        return self.bookmark is None or self.end is None or self.end >= self.bookmark.done


class Planner:
    """Cuts a run's days into windows, one query each, in order of time.

    **Look-back first.** Days that end at or before the bookmark, within the look-back, are windows
    of their own. Their answers are small (the service filters), so they are as wide as
    `max_window_days` allows. The bookmark's own day belongs to them when the last run had read all
    of it up to its own present, so that what it did not see was processed past the watermark.
    Otherwise (a run ended at an `end_date`, in the middle of a day) the rest of that day is asked
    for without a filter, in a window that starts at the bookmark.

    **Growth.** The days after are cut into windows that start at one day. Let a day's size be the
    largest transferred per day among the last four finished windows. A window is as wide as
    `TARGET_BYTES` holds such days, but at most twice as wide as the widest finished one, at most
    `max_window_days`, and narrower than any window that failed; at least one day. Therefore a small
    project's five years take 61 queries of 30 days and ten to get there, and a project with
    gigabytes a day is asked for a day at a time.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._sizes: list[float] = []
        self._widest = 0
        self._limit = span.max_days
        self._now: datetime | None = None
        self._lookback = self._plan_lookback()
        self._next_day = self._first_new_day()

    @property
    def growing(self) -> bool:
        """Whether finished windows still make the next ones wider: then few should be in flight."""
        return self._width() < self._limit and (
            not self._sizes or max(self._sizes) * self._width() < TARGET_BYTES / _GROWTH
        )

    def start_clock(self, now: datetime) -> None:
        """Set today by the service's clock, which may differ from this machine's.

        The first window needs no clock: it lies at the start or before the bookmark.
        """
        self._now = now

    def next(self) -> Window | None:
        """The next window; None when there is none any more.

        Until the clock is known there is at most one.
        """
        if self._lookback:
            return self._lookback.pop(0)
        last_day = self._last_day()
        if self._next_day > last_day:
            return None
        first = self._next_day
        last = min(first + _DAY * (self._width() - 1), last_day)
        self._next_day = last + _DAY
        return self._new_window(first, last)

    def windows_left(self) -> int:
        """An estimate of the windows still to be made."""
        days = max(0, (self._last_day() - self._next_day) // _DAY + 1)
        return len(self._lookback) + -(-days // self._width())

    def observe(self, window: Window, transferred: int) -> None:
        """Take the size of a finished download into account, in bytes as transferred."""
        if window.late_only:
            return
        self._sizes = [*self._sizes[-3:], transferred / window.days]
        self._widest = max(self._widest, window.days)

    def split(self, window: Window) -> tuple[Window, Window] | None:
        """Two halves of a window that failed; None when it has one day.

        Later windows are made narrower than the one that failed.
        """
        if window.days == 1:
            return None
        if not window.late_only:
            self._limit = max(1, min(self._limit, window.days // 2))
        middle = window.first + _DAY * (window.days // 2 - 1)
        cut = start_of_day(middle + _DAY, self._span.zone)
        return replace(window, last=middle, end=cut), replace(window, first=middle + _DAY)

    def is_lookback_left(self) -> bool:
        """Whether look-back windows are still to be made."""
        return bool(self._lookback)

    def _width(self) -> int:
        width = min(max(1, self._widest * _GROWTH), self._limit)
        if self._sizes and (size := max(self._sizes)) > 0:
            width = min(width, int(TARGET_BYTES / size))
        return max(1, width)

    def _last_day(self) -> date:
        span = self._span
        # Until the clock is known: one day, to learn it from. Later: up to today, because a
        # `to_date` past it is refused by the service.
        today = self._first_new_day() if self._now is None else day_of(self._now, span.zone)
        return today if span.last_day is None else min(span.last_day, today)

    def _plan_lookback(self) -> list[Window]:
        span = self._span
        if span.bookmark is None:
            return []
        zone, done = span.zone, span.bookmark.done
        # No event is older than the epoch, and the calendar ends not far before it.
        first = day_of(done - min(span.lookback, max(done - _EPOCH, _DAY)), zone)
        if span.start_is_given:
            first = max(first, day_of(span.start, zone))
        last = day_of(done, zone)
        open_ended = self._bookmark_day_is_filtered()
        # A bookmark at the start of a day leaves nothing of that day to look back at.
        if self._at_day_start(done):
            last -= _DAY
        if span.last_day is not None:
            last = min(last, span.last_day)
        windows = []
        while first <= last:
            window_last = min(last, first + _DAY * (span.max_days - 1))
            windows.append(self._lookback_window(first, window_last, open_ended=open_ended))
            first = window_last + _DAY
        return windows

    def _lookback_window(self, first: date, last: date, *, open_ended: bool) -> Window:
        span = self._span
        if span.bookmark is None:  # pragma: no cover - look-back needs a bookmark
            raise ValueError("no bookmark to look back from")
        end = start_of_day(last + _DAY, span.zone)
        if span.end is not None:
            # What the run does not write, the bookmark must not pass.
            end = min(end, span.end)
        upper = span.upper
        if not open_ended and end > span.bookmark.done:
            # The rest of the bookmark's day has a window of its own: nothing is written twice.
            end = span.bookmark.done
            resume = self._first_unread()
            upper = resume if upper is None else min(upper, resume)
        return Window(first, last, True, self._start_bound(), upper, end)  # noqa: FBT003

    def _new_window(self, first: date, last: date) -> Window:
        span = self._span
        lower = self._start_bound()
        if span.bookmark is not None:
            unread = self._first_unread()
            lower = unread if lower is None else max(lower, unread)
        end = start_of_day(last + _DAY, span.zone)
        if span.end is not None and span.last_day is not None and last == span.last_day:
            end = min(end, span.end)
        return Window(first, last, False, lower, span.upper, end)  # noqa: FBT003

    def _start_bound(self) -> datetime | None:
        span = self._span
        return span.start if span.start_is_given or span.bookmark is None else None

    def _first_new_day(self) -> date:
        span = self._span
        if span.bookmark is None:
            return day_of(span.start, span.zone)
        day = day_of(span.bookmark.done, span.zone)
        if self._bookmark_day_is_filtered():
            day += _DAY
        return max(day, day_of(span.start, span.zone)) if span.start_is_given else day

    def _bookmark_day_is_filtered(self) -> bool:
        """Whether a look-back window covers the bookmark's whole day."""
        bookmark = self._span.bookmark
        return (
            bookmark is not None
            and not self._at_day_start(bookmark.done)
            and bookmark.processed_before is not None
            # The bookmark is then the last run's present, which the watermark was taken from. An
            # earlier one would not do: a device whose clock is ahead has events of after the
            # bookmark that were processed before the watermark.
            and bookmark.done >= bookmark.processed_before + SAFETY_MARGIN
        )

    def _first_unread(self) -> datetime:
        bookmark = self._span.bookmark
        if bookmark is None:  # pragma: no cover - callers have one
            raise ValueError("no bookmark to resume from")
        if self._at_day_start(bookmark.done):
            return bookmark.done
        return bookmark.done + _TICK

    def _at_day_start(self, instant: datetime) -> bool:
        return instant == start_of_day(day_of(instant, self._span.zone), self._span.zone)


def filter_of(window: Window, bookmark: Bookmark | None) -> EventFilter:
    """Which events of a window are written; see the attributes of `Window`.

    The service filters look-back windows already, unless it refuses the expression; the check here
    is the one that counts.
    """
    span = EventFilter(
        lower=BEGINNING_MS if window.lower is None else to_milliseconds(window.lower),
        upper=END_MS if window.upper is None else to_milliseconds(window.upper),
    )
    if not window.late_only or bookmark is None or bookmark.processed_before is None:
        return span
    return replace(
        span,
        watermarks=((BEGINNING_MS, to_milliseconds(bookmark.processed_before)),),
        unread_from=to_milliseconds(bookmark.done) + 1,
    )


def late_clause(watermark: datetime) -> str:
    """The segmentation expression that asks for late events only."""
    processed = 'properties["mp_processing_time_ms"]'
    return f"{processed} > {to_milliseconds(watermark)} or not defined({processed})"
