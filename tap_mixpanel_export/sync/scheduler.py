"""A run: plans windows, downloads them side by side, and hands them over in order."""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.errors import (
    AuthenticationError,
    DayError,
    ExportError,
    LongPauseError,
    RateLimitedError,
    StateError,
    WideQueryError,
    WindowError,
    WorkerError,
)
from tap_mixpanel_export.sync import server_clock
from tap_mixpanel_export.sync.download import Downloader
from tap_mixpanel_export.sync.late_filter import FilterNotTrustedError
from tap_mixpanel_export.sync.planner import Planner
from tap_mixpanel_export.sync.pool import DownloadPool, Downloads
from tap_mixpanel_export.sync.state import Checkpoints
from tap_mixpanel_export.sync.windows import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Future

    from tap_mixpanel_export.sync.context import FinishedWindow, RunContext
    from tap_mixpanel_export.sync.sweeps import SweepPlan
    from tap_mixpanel_export.sync.windows import Bookmark, Window

logger = logging.getLogger("tap-mixpanel-export.scheduler")

# While windows still grow, each one that is finished makes the next ones wider. More of them in
# flight would be more narrow ones: queries wasted.
_IN_FLIGHT_WHILE_GROWING = 2

# How often a waiting run looks whether there is something to report.
_TICK_SECONDS = 1.0

# Of the hour's queries, that sweeps leave to others.
_LEFT_TO_OTHERS = 10

# After so many failures in a row the service has other troubles than the width of a window.
_MOST_FAILED_SWEEPS = 6


# What a narrower window does not mend.
_NO_MORE_SWEEPS = (
    AuthenticationError,
    FilterNotTrustedError,
    LongPauseError,
    RateLimitedError,
    WorkerError,
)


class Scheduler:
    """Downloads the windows of one run.

    Args:
        context: What the downloads share.
        on_tick: Called about once a second while a run waits.
        make_pool: Gives what downloads; threads that ask the service when it is missing.
    """

    def __init__(
        self,
        context: RunContext,
        on_tick: Callable[[], None] = lambda: None,
        make_pool: Callable[[], Downloads] | None = None,
    ) -> None:
        self._context = context
        self._make_pool = make_pool or (
            lambda: DownloadPool(lambda: Downloader(context), context.concurrency, context.stop)
        )
        self._span = context.span
        self._on_tick = on_tick
        self._planner = Planner(context.span)
        self._checkpoints = Checkpoints(context.span, context.clock, context.selection)
        self._in_flight: deque[tuple[Window, Future[FinishedWindow]]] = deque()
        self._has_told_filter = False
        self._has_told_doubt = False

    @property
    def windows_left(self) -> int:
        """How many windows are still to come, an estimate."""
        return len(self._in_flight) + self._planner.windows_left()

    def run(self) -> Generator[FinishedWindow, None, None]:
        """Download all windows.

        Yields:
            Verified windows; their records are to be written before the next one is asked for, and
            the state after them.

        Raises:
            ExportError: What the run cannot go on from. All windows before were handed over.
        """
        context = self._context
        # By the service's time it is looked at again. This spares a query that would be given up.
        context.late_filter.check_age(server_clock.machine_now())
        first = self._next_window()
        if first is None:
            return
        try:
            with closing(self._make_pool()) as pool:
                self._submit(pool, first)
                self._wait_for_grant(pool)
                self._check_bookmark()
                self._planner.start_clock(context.clock.first)
                yield from self._in_order(pool)
                self._tell_filter()
                yield from self._sweeps(pool)
        finally:
            self._discard()

    def _wait_for_grant(self, pool: Downloads) -> None:
        """Wait until the service grants a first export.

        The plan and the watermark rest on its time, and no quota is spent on more queries before
        the credentials and the expressions are known to be good.
        """
        granted = self._context.granted
        while not granted.done():
            window, future = self._in_flight[0]
            either: tuple[Future[Any], ...] = (granted, future)
            wait(either, _TICK_SECONDS, FIRST_COMPLETED)
            if future.done() and (error := future.exception()) is not None:
                self._in_flight.popleft()
                if isinstance(error, DayError):
                    self._check_bookmark()
                self._retry(pool, window, error)
                if not self._in_flight and (again := self._next_window()) is not None:
                    self._submit(pool, again)
            self._on_tick()

    def _check_bookmark(self) -> None:
        """End the run when the state is ahead of every clock.

        Raises:
            StateError: It is: nothing could be exported until then.
        """
        bookmark, clock = self._span.bookmark, self._context.clock
        if bookmark is None or not clock.is_known:
            return
        for what, instant in (
            ("its bookmark", bookmark.done),
            ("its watermark", bookmark.processed_before),
            ("the first day that was exported", bookmark.exported_from),
        ):
            if instant is not None and clock.is_ahead(instant):
                raise StateError(
                    f"the state is ahead of the clock: {what} is {instant.isoformat()}, and now it "
                    f"is {clock.first.isoformat()} by {clock.describe()}. Mend the clock or the "
                    "state, or start without a state"
                )

    def _in_order(self, pool: Downloads) -> Iterator[FinishedWindow]:
        while True:
            self._fill(pool)
            if not self._in_flight:
                return
            window, future = self._in_flight[0]
            while not _is_done(future):
                self._on_tick()
            self._in_flight.popleft()
            if (error := future.exception()) is not None:
                self._retry(pool, window, error)
                continue
            finished = future.result()
            self._planner.observe(window, finished.counts.received)
            if window.purpose is Purpose.LOOKBACK:
                self._tell_filter()
            self._fill(pool)
            with finished.spool:
                yield self._with_bookmark(finished)

    def _with_bookmark(self, finished: FinishedWindow) -> FinishedWindow:
        window, use = finished.window, self._context.late_filter.use
        finished.bookmark = self._checkpoints.finish(
            window,
            lookback_left=self._planner.is_lookback_left() or not self._is_settled,
            seen=finished.seen,
            use=use,
            filtered_width=self._planner.filtered_width(window, is_proven_now=use.is_proven_now),
        )
        self._tell_doubt(finished.bookmark)
        return finished

    @property
    def _is_settled(self) -> bool:
        """Whether no window of the look-back is in flight."""
        return not any(later.purpose is Purpose.LOOKBACK for later, _ in self._in_flight)

    def _tell_filter(self) -> None:
        """Say once which way the run goes, and why."""
        late_filter = self._context.late_filter
        if self._has_told_filter or self._span.bookmark is None:
            return
        self._has_told_filter = True
        way = "only what is new is asked for" if late_filter.is_trusted else "days are read whole"
        logger.info("filter for late events %s; %s", late_filter.outcome, way)

    def _tell_doubt(self, bookmark: Bookmark | None) -> None:
        """Say once what is read again."""
        has_left_out = self._context.late_filter.use.has_left_out
        if self._has_told_doubt or bookmark is None or bookmark.lookback_from is None:
            return
        if not has_left_out:
            # The state is still the last run's.
            return
        self._has_told_doubt = True
        logger.warning(
            "Mixpanel's filter has left out events that are there: what was processed since it had "
            "proven itself (%s) is read again by the next run, and comes again",
            bookmark.processed_before,
        )

    def _retry(self, pool: Downloads, window: Window, error: BaseException) -> None:
        """Download a window that failed in another way, if there is one.

        Raises:
            ExportError: There is none.
        """
        if isinstance(error, FilterNotTrustedError):
            self._context.activity.replaced(window)
            self._planner.put_back(window)
            return
        halves = (
            self._planner.split(window)
            if isinstance(error, (WindowError, WideQueryError))
            else None
        )
        if halves is None:
            raise error
        self._context.activity.replaced(window)
        if window.purpose is Purpose.BACKFILL:
            halves = (halves[1], halves[0])
        submitted = [(half, pool.submit(half)) for half in halves]
        self._in_flight.extendleft(reversed(submitted))

    def _fill(self, pool: Downloads) -> None:
        most = self._context.concurrency
        if self._planner.growing:
            most = min(most, _IN_FLIGHT_WHILE_GROWING)
        while len(self._in_flight) < most:
            window = self._next_window()
            if window is None:
                return
            self._submit(pool, window)

    def _next_window(self) -> Window | None:
        late_filter = self._context.late_filter
        window = self._planner.next(
            is_filtered=late_filter.is_trusted,
            may_prove=late_filter.is_worth_trying,
            is_proving=any(window.is_proof for window, _ in self._in_flight),
            is_settled=self._is_settled,
        )
        if window is None or not window.is_filtered or late_filter.can_check(window):
            return window
        # No event of these days is known.
        wider = self._planner.with_bookmark_day(window)
        if wider is not None and late_filter.can_check(wider):
            return wider
        self._planner.put_back(window)
        return self._planner.next(may_prove=False)

    def _submit(self, pool: Downloads, window: Window) -> None:
        self._in_flight.append((window, pool.submit(window)))
        if self._context.workers is not None:
            left = self._planner.windows_left(server_clock.machine_now())
            self._context.workers.windows_left = len(self._in_flight) + left

    def _sweeps(self, pool: Downloads) -> Iterator[FinishedWindow]:
        """Ask older days for late events, as many as are due.

        What fails here fails nothing else, and is asked for by the next run.
        """
        plan = self._planner.sweep_plan()
        if plan is None or not plan.days:
            return
        if not plan.due(self._checkpoints.watermarks, self._context.clock.first):
            return
        if not self._context.late_filter.is_trusted:
            logger.info(
                "late events of the days before %s are not looked for: it takes a filter for late "
                "events that has proven itself",
                self._span.first_lookback_day,
            )
            return
        failures = 0
        # Days that cannot be had now, so that the others get their turn.
        set_aside: list[Window] = []
        while (
            failures < _MOST_FAILED_SWEEPS
            and (window := self._next_sweep(plan, set_aside)) is not None
        ):
            if not self._context.late_filter.can_check(window) and not self._verify_filter(pool):
                return
            self._submit(pool, window)
            outcome = self._sweep(window)
            if isinstance(outcome, _NO_MORE_SWEEPS):
                return
            if isinstance(outcome, Exception):
                failures += 1
                if self._planner.split(window) is None:
                    set_aside.append(window)
                continue
            failures = 0
            before = self._checkpoints.watermarks
            with outcome.spool:
                yield self._with_bookmark(outcome)
            if self._checkpoints.watermarks == before:
                # No clock can be trusted: nothing can be said to have been seen.
                return

    def _next_sweep(self, plan: SweepPlan, set_aside: list[Window]) -> Window | None:
        """The next window of the sweep; None when it is to end here."""
        context = self._context
        watermarks = self._checkpoints.watermarks
        for other in set_aside:
            watermarks = watermarks.raised(other.first, other.last, context.clock.first)
        if not plan.due(watermarks, context.clock.first):
            return None
        limiter = context.limiter
        # An answer without events is read twice.
        if limiter.left_in_hour() < limiter.max_per_hour // _LEFT_TO_OTHERS + 2:
            logger.info("late events of older days: the rest is left for a later run (quota)")
            return None
        window = self._planner.sweep_window(plan, watermarks, context.late_filter.known)
        return None if window in set_aside else window

    def _verify_filter(self, pool: Downloads) -> bool:
        """Ask for the day of the newest event that is known, and see whether the answer holds it.

        A run may have no filtered answer that could be looked at: all days were quiet, say.
        """
        window = self._planner.known_day(self._context.late_filter.known)
        if window is None:
            return False
        self._submit(pool, window)
        outcome = self._sweep(window)
        if isinstance(outcome, Exception):
            return False
        outcome.spool.close()
        return self._context.late_filter.is_verified

    def _sweep(self, window: Window) -> FinishedWindow | Exception:
        """Download a window of a sweep; what went wrong when that fails."""
        _, future = self._in_flight[0]
        while not _is_done(future):
            self._on_tick()
        self._in_flight.popleft()
        error = future.exception()
        if error is None:
            return future.result()
        if not isinstance(error, (ExportError, FilterNotTrustedError)):
            raise error
        if isinstance(error, ExportError):
            logger.warning(
                "%s: late events were not looked for, a later run does it: %s", window, error
            )
        return error

    def _discard(self) -> None:
        """Free the disk space of what was downloaded in vain."""
        for _, future in self._in_flight:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().spool.close()


def _is_done(future: Future[FinishedWindow]) -> bool:
    return bool(wait([future], timeout=_TICK_SECONDS).done)
