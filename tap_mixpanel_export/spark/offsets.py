"""Pure: how far a stream has read, how far it may read next, and the windows between the two.

**The rule.** An event belongs to the first micro-batch whose end (day D, processing time W) has
its day at or before D and its processing stamp at or before W. So from (D0, W0) to (D1, W1) there
are the days up to D0 with the events processed after W0 and up to W1, and the days after D0 up to
D1 with all events processed up to W1. Each event is in one of them, whenever the batch is read.

- D never passes the day of W: later days have next to nothing yet.
- W stays until D has reached its day: a history is caught up with before late events cost queries.
- Late events are looked for in the days before W's day, wherever D is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Any

import msgspec

from tap_mixpanel_export.export.window import (
    HOURLY_QUERIES,
    WIDEST_DAYS,
    Window,
    usual_width,
)
from tap_mixpanel_export.sync.server_clock import AGREEMENT
from tap_mixpanel_export.timezones import DAY, from_milliseconds, to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_mixpanel_export.sync.windows import Bookmark, Span


@dataclass(frozen=True)
class Offset:
    """How far a stream has read.

    Attributes:
        day: The last day of which something was read, in the project's zone.
        processed_until: What Mixpanel processed later was not read, in milliseconds since the
            epoch. 0 when nothing was read at all.
        start: The stream has no events before this instant.
    """

    day: date
    processed_until: int
    start: datetime

    def to_dict(self) -> dict[str, Any]:
        """The offset as JSON values, as it is kept in the checkpoint."""
        return {
            "day": self.day.isoformat(),
            "processed_until": self.processed_until,
            "start": self.start.isoformat(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Offset:
        """The offset that `to_dict` gave."""
        return msgspec.convert(value, cls)


@dataclass(frozen=True)
class StreamPlan:
    """Cuts a stream into micro-batches, and those into windows.

    Attributes:
        span: What the settings ask for.
        interval: W is a whole number of these since the epoch, so that there is one batch in each.
        partition_days: How many days a window has at most; None for as few windows as fit an hour
            of the project's quota.
    """

    span: Span
    interval: timedelta
    partition_days: int | None = None

    def first(self, bookmark: Bookmark | None) -> Offset:
        """Where a stream begins that has no checkpoint.

        Args:
            bookmark: Of the tap, which has exported what is before it. What it has of the
                bookmark's own day comes again, and so do late events that were processed on it.
        """
        span = self.span
        if bookmark is None:
            return Offset(span.day(span.start) - DAY, 0, span.start)
        day = span.day(bookmark.done) - DAY
        begun = span.start if span.start_is_given else bookmark.exported_from
        if bookmark.processed_before is None:
            # Another tap's, which does not say what it had seen: its last days are read again.
            day -= DAY * span.lookback.days
            begun = begun or span.day_start(day + DAY)
            return Offset(day, to_milliseconds(span.day_start(day + DAY)) - 1, begun)
        over_ms = to_milliseconds(span.day_start(day + DAY)) - 1
        seen_ms = min(to_milliseconds(bookmark.processed_before), over_ms)
        begun = begun or span.day_start(span.day(from_milliseconds(seen_ms) - span.lookback))
        return Offset(day, seen_ms, begun)

    def present(self, now: datetime) -> int:
        """W at a time: all that Mixpanel processed up to then has shown up, if the clock is right.

        Args:
            now: By a clock that agrees with the service's.
        """
        step_ms = to_milliseconds(from_milliseconds(0) + self.interval)
        return to_milliseconds(now - self.span.delay - AGREEMENT) // step_ms * step_ms

    def next(self, offset: Offset, present_ms: int, most_days: int | None) -> Offset:
        """How far the next micro-batch reads.

        Args:
            offset: How far was read.
            present_ms: As `present` gives it.
            most_days: How many days it reads for the first time, at most; None for all.

        Returns:
            The end of the batch; `offset` itself when there is nothing to read yet, or any more.
        """
        processed_ms = offset.processed_until
        is_behind = processed_ms > 0 and offset.day < self._last_day(processed_ms)
        if not is_behind:
            if present_ms <= processed_ms or self._is_over(offset):
                return offset
            processed_ms = present_ms
        last = self._last_day(processed_ms)
        if most_days is not None:
            last = min(last, offset.day + DAY * most_days)
        if offset.processed_until == 0 and last <= offset.day:
            # The first day has not begun, as far as is known for certain.
            return offset
        return Offset(max(last, offset.day), processed_ms, offset.start)

    def windows(self, start: Offset, end: Offset) -> list[Window]:
        """What a micro-batch reads, in order of time.

        Args:
            start: The end of the one before. When nothing was read before, `end` says where the
                stream begins: the default of `start_date` moves on with the time.
            end: Its own end.
        """
        span = self.span
        begin = span.day(end.start)
        is_first = start.processed_until == 0
        windows: list[Window] = []
        if not is_first and end.processed_until > start.processed_until:
            late = max(begin, self._first_lookback_day(start))
            windows += self._cut(late, start.day, end, start.processed_until)
        new = begin if is_first else max(begin, start.day + DAY)
        return [*windows, *self._cut(new, end.day, end, None)]

    @property
    def usual_days(self) -> int:
        """How many days a micro-batch reads for the first time: an hour of the project's quota."""
        return HOURLY_QUERIES * (self.partition_days or WIDEST_DAYS)

    def _cut(self, first: date, last: date, end: Offset, after: int | None) -> Iterator[Window]:
        span, total = self.span, (last - first).days + 1
        # Next to nothing of what is read again is kept.
        width = self.partition_days or (WIDEST_DAYS if after is not None else usual_width(total))
        for step in range(0, max(total, 0), width):
            at = first + DAY * step
            yield Window(
                first=at,
                last=min(at + DAY * (width - 1), last),
                start=max(end.start, span.day_start(at)),
                end=span.upper,
                processed_after=after,
                processed_until=end.processed_until,
            )

    def _last_day(self, processed_ms: int) -> date:
        day = self.span.day(from_milliseconds(processed_ms))
        return day if self.span.last_day is None else min(day, self.span.last_day)

    def _first_lookback_day(self, offset: Offset) -> date:
        return self.span.day(from_milliseconds(offset.processed_until) - self.span.lookback)

    def _is_over(self, offset: Offset) -> bool:
        """Whether the look-back has left the last day behind."""
        last = self.span.last_day
        return last is not None and offset.day >= last and self._first_lookback_day(offset) > last
