"""Pure: which days are asked for in which query, and in which order."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from tap_mixpanel_export.sync.sweeps import SweepPlan
from tap_mixpanel_export.sync.windows import TICK, Purpose, Window
from tap_mixpanel_export.timezones import DAY, from_milliseconds

if TYPE_CHECKING:
    from datetime import date, datetime

    from tap_mixpanel_export.sync.known_stamps import KnownStamps
    from tap_mixpanel_export.sync.watermarks import Watermarks
    from tap_mixpanel_export.sync.windows import Span

TARGET_BYTES = 64 * 1024 * 1024
"""Size of a download, as transferred, that windows grow towards: some minutes, some 300,000
events of 35 properties."""

_GROWTH = 2


class Planner:
    """Cuts a run's days into windows, one query each.

    **Backfill first.** When `start_date` lies before what was exported so far, the days before are
    asked for backwards, so that what is exported has no gap whenever the run ends.

    **Then the look-back.** Days that end at or before the bookmark, within the look-back, are
    windows of their own. Where the service filters, their answers are small, so that they are as
    wide as `max_window_days` allows; others grow like those of new days. The bookmark's own day
    belongs to them when the last run had read all of it up to its own present, so that what it did
    not see was processed past the watermark. Otherwise (a run ended at an `end_date`, in the middle
    of a day) the rest of that day is asked for without a filter, in a window that starts at the
    bookmark.

    **Growth.** The days after are cut into windows that start at one day. Let a day's size be the
    largest transferred per day among the last four finished windows. A window is as wide as
    `TARGET_BYTES` holds such days, but at most twice as wide as the widest finished one, at most
    `max_window_days`, and narrower than any window that failed; at least one day. Therefore a small
    project's five years take some twenty queries, and a project with gigabytes a day is asked for a
    day at a time.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._sizes: list[float] = []
        self._widest = 0
        self._limit = span.max_days
        # What an earlier run has learned of the width, and what this one has.
        self._filtered_width = self._told_width()
        self._filtered_limit = min(span.max_days, self._filtered_width or span.max_days)
        self._widest_filtered = self._filtered_limit
        self._now: datetime | None = None
        # The last day of those to be exported backwards, and the first one.
        self._backfill = self._plan_backfill()
        self._lookback: deque[tuple[date, date]] = deque(self._plan_lookback())
        self._is_proof_due = True
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

    def next(
        self,
        *,
        is_filtered: bool = False,
        may_prove: bool = True,
        is_proving: bool = False,
        is_settled: bool = True,
    ) -> Window | None:
        """The next window; None when there is none now.

        Until the clock is known there is at most one.

        Args:
            is_filtered: Whether late events can be asked for by a filter.
            may_prove: Whether the filter may be tried, when it is not used.
            is_proving: Whether the filter is being tried: more is known when that is done.
            is_settled: Whether all windows of the look-back that were handed out are finished.
                Those of new days come after them, because they move the bookmark.
        """
        if self._backfill is not None:
            return self._next_backfill(*self._backfill)
        if self._lookback:
            if not is_filtered and may_prove and self._is_proof_due:
                self._is_proof_due = False
                if (proof := self._take_proof_day()) is not None:
                    return proof
            if is_proving:
                return None
            return self._next_lookback(is_filtered=is_filtered)
        last_day = self._last_day()
        if self._next_day > last_day or not is_settled:
            return None
        first = self._next_day
        last = min(first + DAY * (self._width() - 1), last_day)
        self._next_day = last + DAY
        return self._new_window(first, last)

    def put_back(self, window: Window) -> None:
        """Plan the days of a look-back window anew: they cannot be asked for as they were."""
        last = min(window.last, self._span.day(window.end - TICK))
        self._lookback.appendleft((window.first, last))

    def with_bookmark_day(self, window: Window) -> Window | None:
        """A window of the look-back, with an answer that must hold events known to be there.

        The newest events that earlier runs have seen are mostly of the bookmark's day: it is asked
        for along with the others, and nothing of it is written. None when it is too far away.
        """
        span, border = self._span, self._span.day_start(window.last + DAY)
        last = span.bookmark_day
        days = (last - window.first) // DAY + 1
        if window.last >= last or days > self._filtered_limit:
            return None
        upper = border if window.upper is None else min(window.upper, border)
        return replace(window, last=last, upper=upper)

    def windows_left(self, now: datetime | None = None) -> int:
        """An estimate of the windows still to be made.

        Args:
            now: This machine's time, to go by until the service's is known; None not to.
        """
        days = max(0, (self._last_day(now) - self._next_day) // DAY + 1)
        if self._backfill is not None:
            days += (self._backfill[1] - self._backfill[0]) // DAY + 1
        return len(self._lookback) + -(-days // self._width())

    def observe(self, window: Window, transferred: int) -> None:
        """Take the size of a finished download into account, in bytes as transferred."""
        if window.is_filtered:
            return
        self._sizes = [*self._sizes[-3:], transferred / window.days]
        self._widest = max(self._widest, window.days)

    def split(self, window: Window) -> tuple[Window, Window] | None:
        """Two halves of a window that failed, in order of time; None when it has one day.

        Later windows are made narrower than the one that failed.
        """
        if window.days == 1:
            if window.is_filtered:
                # It was not for their width that wider ones failed.
                self._filtered_width, self._widest_filtered = self._told_width(), 0
            return None
        half = window.days // 2
        if window.is_filtered:
            self._filtered_limit = max(1, min(self._filtered_limit, half))
        else:
            self._limit = max(1, min(self._limit, half))
        middle = window.first + DAY * (half - 1)
        cut = self._span.day_start(middle + DAY)
        return replace(window, last=middle, end=cut), replace(window, first=middle + DAY)

    def filtered_width(self, finished: Window, *, is_proven_now: bool) -> int | None:
        """How many days a filtered query of the next runs has at most; None for no such bound.

        They need not find out again what this run has: which width fails, and which one does not.
        Once after each proof of the filter they may try one that is twice as wide: what failed for
        an hour does not keep them narrow for ever.

        Args:
            finished: A window that is whole.
            is_proven_now: Whether the proof is this run's.
        """
        if finished.is_filtered and self._filtered_limit < self._widest_filtered:
            self._filtered_width = self._filtered_limit
        width = self._filtered_width
        if width is not None and is_proven_now and width == self._told_width():
            width *= _GROWTH
        return None if width is None or width >= self._span.max_days else width

    def is_lookback_left(self) -> bool:
        """Whether look-back windows are still to be made."""
        return bool(self._lookback)

    def sweep_plan(self) -> SweepPlan | None:
        """How days before the look-back are swept; None when they are not."""
        span = self._span
        if span.bookmark is None or not span.sweep_interval or not span.reaches_bookmark:
            return None
        bound = span.lookback_bound
        if bound is None:
            return None
        first, last = span.day(bound), span.first_lookback_day - DAY
        return SweepPlan(first, last, span.sweep_interval, self._filtered_limit)

    def sweep_window(
        self, plan: SweepPlan, watermarks: Watermarks, known: KnownStamps
    ) -> Window | None:
        """The next window of a sweep; None when there is nothing to sweep.

        An honest answer must hold the newest known event, and all that Mixpanel processed after it:
        the window ends where that is little.
        """
        days = replace(plan, width=self._filtered_limit).next_window(watermarks)
        if days is None:
            return None
        span = self._span
        first, last = days.first, days.last
        while newest := max(known.within(first, last), default=0):
            day = span.day(from_milliseconds(newest))
            if day < plan.oldest_day(watermarks):
                first = day + DAY
                continue
            last = min(last, day)
            break
        end = span.day_start(last + DAY)
        return Window(
            first, last, Purpose.SWEEP, span.lookback_bound, span.upper, end, is_filtered=True
        )

    def known_day(self, known: KnownStamps) -> Window | None:
        """The day of the newest known event, to be asked for with the filter; None without one.

        Nothing of it is to be written: another window does that.
        """
        days = [day for day, stamp in known.entries if stamp and self._span.watermarks.of(day)]
        if not days:
            return None
        first, end = days[-1], self._span.day_start(days[-1] + DAY)
        return Window(first, first, Purpose.SWEEP, None, None, end, is_filtered=True)

    def _told_width(self) -> int | None:
        """How many days a filtered query has at most, by the state."""
        proof = None if self._span.bookmark is None else self._span.bookmark.filter_proof
        return None if proof is None else proof.days

    def _width(self) -> int:
        width = min(max(self._span.first_days, self._widest * _GROWTH), self._limit)
        if self._sizes and (size := max(self._sizes)) > 0:
            width = min(width, int(TARGET_BYTES / size))
        return max(1, width)

    def _last_day(self, now: datetime | None = None) -> date:
        span, now = self._span, self._now or now
        # Until the clock is known: one window, to learn it from. Later: up to today, because a
        # `to_date` past it is refused by the service.
        if now is None:
            today = self._first_new_day() + DAY * (span.first_days - 1)
        else:
            today = span.day(now)
        return today if span.last_day is None else min(span.last_day, today)

    def _plan_backfill(self) -> tuple[date, date] | None:
        span = self._span
        begun = span.exported_from
        if begun is None or not span.start_is_given or span.start >= begun:
            return None
        if span.upper is not None and span.upper < begun:
            # What is exported would have a gap, which the state cannot say.
            return None
        last = span.day(begun)
        return span.day(span.start), last - DAY if span.starts_a_day(begun) else last

    def _next_backfill(self, first: date, last: date) -> Window:
        span = self._span
        start = max(first, last - DAY * (self._width() - 1))
        self._backfill = None if start == first else (first, start - DAY)
        end = span.day_start(last + DAY)
        return Window(start, last, Purpose.BACKFILL, span.start, span.exported_from, end)

    def _plan_lookback(self) -> list[tuple[date, date]]:
        span = self._span
        if span.bookmark is None:
            return []
        first, last = span.first_lookback_day, span.bookmark_day
        if span.last_day is not None:
            last = min(last, span.last_day)
        return [(first, last)] if first <= last else []

    def _take_proof_day(self) -> Window | None:
        """The bookmark's day, to try the filter on; None when there is nothing to try."""
        span = self._span
        first, last = self._lookback[-1]
        if last != span.bookmark_day or span.watermarks.of(last) is None:
            return None
        self._lookback.pop()
        if first < last:
            self._lookback.append((first, last - DAY))
        return replace(self._lookback_window(last, last), is_proof=True)

    def _next_lookback(self, *, is_filtered: bool) -> Window:
        first, last = self._lookback.popleft()
        width = self._filtered_limit if is_filtered else self._width()
        end = min(last, first + DAY * (width - 1))
        if end < last:
            self._lookback.appendleft((end + DAY, last))
        return replace(self._lookback_window(first, end), is_filtered=is_filtered)

    def _lookback_window(self, first: date, last: date) -> Window:
        span, done = self._span, self._span.resumed.done
        end = span.day_start(last + DAY)
        if span.end is not None:
            # What the run does not write, the bookmark must not pass.
            end = min(end, span.end)
        upper = span.upper
        if not self._bookmark_day_is_filtered() and end > done:
            # The rest of the bookmark's day has a window of its own: nothing is written twice.
            end = done
            resume = span.first_unread
            upper = resume if upper is None else min(upper, resume)
        return Window(first, last, Purpose.LOOKBACK, span.lookback_bound, upper, end)

    def _new_window(self, first: date, last: date) -> Window:
        span = self._span
        lower = span.start_bound
        if span.bookmark is not None:
            unread = span.first_unread
            lower = unread if lower is None else max(lower, unread)
        end = span.day_start(last + DAY)
        if span.end is not None and span.last_day is not None and last == span.last_day:
            end = min(end, span.end)
        return Window(first, last, Purpose.NEW, lower, span.upper, end)

    def _first_new_day(self) -> date:
        span = self._span
        if span.bookmark is None:
            return span.day(span.start)
        day = span.day(span.bookmark.done)
        if self._bookmark_day_is_filtered():
            day += DAY
        return max(day, span.day(span.start)) if span.start_is_given else day

    def _bookmark_day_is_filtered(self) -> bool:
        """Whether a look-back window covers the bookmark's whole day."""
        span = self._span
        bookmark = span.bookmark
        return (
            bookmark is not None
            and not span.starts_a_day(bookmark.done)
            and bookmark.processed_before is not None
            # The bookmark is then the last run's present, which the watermark was taken from. An
            # earlier one would not do: a device whose clock is ahead has events of after the
            # bookmark that were processed before the watermark.
            and bookmark.done - bookmark.processed_before >= span.delay
        )
