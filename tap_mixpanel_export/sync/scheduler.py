"""A run: plans windows, downloads them side by side, and hands them over in order of time."""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.errors import WideQueryError, WindowError
from tap_mixpanel_export.sync.download import Downloader
from tap_mixpanel_export.sync.pool import DownloadPool
from tap_mixpanel_export.sync.state import Checkpoints
from tap_mixpanel_export.sync.windows import Bookmark, Planner

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Future

    from tap_mixpanel_export.sync.download import FinishedWindow, Job
    from tap_mixpanel_export.sync.windows import Span, Window

# While windows still grow, each one that is finished makes the next ones wider. More of them in
# flight would be more narrow ones: queries wasted.
_IN_FLIGHT_WHILE_GROWING = 2

# s. How often a waiting run looks whether there is something to report.
_TICK = 1.0


class Engine:
    """Downloads the windows of one run.

    Args:
        span: What is asked for.
        job: What the downloads share.
        concurrency: Downloads under way at once, the finished ones that wait for their turn
            included: it bounds the disk space.
        on_tick: Called about once a second while a run waits.
    """

    def __init__(
        self,
        span: Span,
        job: Job,
        concurrency: int,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._span = span
        self._job = job
        self._concurrency = concurrency
        self._on_tick = on_tick
        self._planner = Planner(span)
        self._in_flight: deque[tuple[Window, Future[FinishedWindow]]] = deque()

    @property
    def windows_left(self) -> int:
        """How many windows are still to come, an estimate."""
        return len(self._in_flight) + self._planner.windows_left()

    def run(self) -> Generator[tuple[FinishedWindow, Callable[[], Bookmark | None]], None, None]:
        """Download all windows.

        Yields:
            A verified window, and a function to call when its records are written: it gives what
            the state is to say from then on, None when it stays as it is.

        Raises:
            ExportError: What the run cannot go on from. All windows before were handed over.
        """
        first = self._planner.next()
        if first is None:
            return
        job = self._job
        try:
            with closing(
                DownloadPool(lambda: Downloader(job), self._concurrency, job.stop)
            ) as pool:
                self._submit(pool, first)
                self._wait_for_grant(pool)
                now = job.clock.first
                self._planner.start_clock(now)
                yield from self._in_order(pool, Checkpoints(self._span, now))
        finally:
            self._discard()

    def _wait_for_grant(self, pool: DownloadPool) -> None:
        """Wait until the service grants a first export.

        The plan and the watermark rest on its time, and no quota is spent on more queries before
        the credentials and the expressions are known to be good.
        """
        granted = self._job.granted
        while not granted.done():
            window, future = self._in_flight[0]
            either: tuple[Future[Any], ...] = (granted, future)
            wait(either, _TICK, FIRST_COMPLETED)
            if future.done() and (error := future.exception()) is not None:
                self._in_flight.popleft()
                self._split(pool, window, error)
            self._on_tick()

    def _in_order(
        self, pool: DownloadPool, checkpoints: Checkpoints
    ) -> Iterator[tuple[FinishedWindow, Callable[[], Bookmark | None]]]:
        while True:
            self._fill(pool)
            if not self._in_flight:
                return
            window, future = self._in_flight[0]
            while not _is_done(future):
                self._on_tick()
            self._in_flight.popleft()
            if (error := future.exception()) is not None:
                self._split(pool, window, error)
                continue
            finished = future.result()
            self._planner.observe(window, finished.counts.received)
            self._fill(pool)
            lookback_left = self._planner.is_lookback_left() or any(
                later.late_only for later, _ in self._in_flight
            )
            with finished.spool:
                yield (
                    finished,
                    lambda window=window, left=lookback_left: checkpoints.finish(  # type: ignore[misc]
                        window, lookback_left=left
                    ),
                )

    def _split(self, pool: DownloadPool, window: Window, error: BaseException) -> None:
        """Download a window that failed in halves, if that can help.

        Raises:
            ExportError: It cannot.
        """
        halves = (
            self._planner.split(window)
            if isinstance(error, (WindowError, WideQueryError))
            else None
        )
        if halves is None:
            raise error
        submitted = [(half, pool.submit(half)) for half in halves]
        self._in_flight.extendleft(reversed(submitted))

    def _fill(self, pool: DownloadPool) -> None:
        most = self._concurrency
        if self._planner.growing:
            most = min(most, _IN_FLIGHT_WHILE_GROWING)
        while len(self._in_flight) < most:
            window = self._planner.next()
            if window is None:
                return
            self._submit(pool, window)

    def _submit(self, pool: DownloadPool, window: Window) -> None:
        self._in_flight.append((window, pool.submit(window)))

    def _discard(self) -> None:
        """Free the disk space of what was downloaded in vain."""
        for _, future in self._in_flight:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().spool.close()


def _is_done(future: Future[FinishedWindow]) -> bool:
    return bool(wait([future], timeout=_TICK).done)
