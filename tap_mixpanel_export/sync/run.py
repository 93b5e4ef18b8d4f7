"""One run: verified windows with their records, what they add up to, and what is said of it."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tap_mixpanel_export.errors import ClockError, DiagnosticsError, StateError
from tap_mixpanel_export.sync.lags import zone_advice
from tap_mixpanel_export.sync.progress import ProgressReport, Standing
from tap_mixpanel_export.sync.rehearsal import rehearse
from tap_mixpanel_export.sync.scheduler import Scheduler
from tap_mixpanel_export.sync.summary import RunSummary
from tap_mixpanel_export.timezones import from_milliseconds, to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

    from tap_mixpanel_export.sync.context import FinishedWindow, RunContext
    from tap_mixpanel_export.sync.forecast import Forecast, Speed, UsualDay

logger = logging.getLogger("tap-mixpanel-export.run")


class RunObserver(Protocol):
    """What is told how a run goes on: its report."""

    def begin(self, summary: RunSummary) -> None:
        """Take note that the run begins; what is raised ends it before its first request."""

    def written(self, finished: FinishedWindow, summary: RunSummary) -> None:
        """Take a window whose records are written."""

    def tick(self, summary: RunSummary) -> None:
        """Called about once a second."""

    def end(self, summary: RunSummary, error: BaseException | None) -> None:
        """Take note how the run ended."""


class ExportRun:
    """A run, as a context: downloads end with it, and its report is written.

    Args:
        context: What it knows, and its downloads share.
        observer: Is told how it goes on.
        closes_quota: Whether the quota is its own.
    """

    def __init__(
        self,
        context: RunContext,
        observer: RunObserver | None = None,
        *,
        closes_quota: bool = True,
    ) -> None:
        self.summary = RunSummary()
        self.last_window: FinishedWindow | None = None
        """The window that was handed over last."""
        self._context = context
        self._closes_quota = closes_quota
        self._observer = observer
        self._is_writing = False
        self._progress = ProgressReport(
            context.limiter.max_per_hour, context.activity, self._standing
        )
        self._scheduler = Scheduler(context, self._tick)
        self._downloads = self._scheduler.run()
        self._open = ExitStack()

    def forecast(self, usual: UsualDay | None = None, speed: Speed | None = None) -> Forecast:
        """What the run would do, without a query.

        Args:
            usual: What days hold; without it, the least that can be.
            speed: How fast answers come.

        Raises:
            StateError: The state is ahead of the clock.
            QuotaFileError: The quota cannot be shared any more.
        """
        limiter = self._context.limiter
        used = limiter.max_per_hour - limiter.left_in_hour()
        return rehearse(self._context, usual=usual, speed=speed, used_queries=used)

    def check_complete(self, until_ms: int) -> None:
        """See to it that the windows so far hold all that Mixpanel processed up to a time.

        Args:
            until_ms: The time, in milliseconds since the epoch.

        Raises:
            ClockError: No clock that can be trusted tells so.
        """
        clock, delay = self._context.clock, self._context.span.delay
        seen = clock.watermark(delay)
        if seen is None or to_milliseconds(seen) < until_ms:
            raise ClockError(
                f"what Mixpanel processed up to {from_milliseconds(until_ms).isoformat()} may not "
                f"have shown up yet: it is {clock.first.isoformat()} by {clock.describe()}, and "
                f"events may take {delay.total_seconds() / 60:g} min (processing_delay_minutes). "
                "Set the clocks of all machines right, and try again"
            )

    def _log_plan(self) -> None:
        if logger.isEnabledFor(logging.INFO):
            # What is wrong with the state ends the run where it is read.
            with suppress(StateError):
                logger.info("%s", self.forecast().sentence())

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            ReportError: The report's folder cannot be written to.
        """
        with ExitStack() as on_error:
            if self._closes_quota:
                on_error.enter_context(closing(self._context.limiter))
            if self._observer is not None:
                self._observer.begin(self._told())
            self._log_plan()
            on_error.enter_context(self._progress)
            on_error.enter_context(closing(self._downloads))
            if self._context.workers is not None:
                # Before the downloads, which may wait for them.
                on_error.enter_context(closing(self._context.workers))
            self._open = on_error.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._context.stop.set()
        self._open.close()
        summary = self._told()
        if self._observer is not None:
            self._observer.end(summary, error)
        if error is None:
            self._log_summary()

    def _told(self) -> RunSummary:
        """The summary with what the downloads know."""
        context, summary = self._context, self.summary
        summary.queries = context.queries
        summary.filter_proof = context.late_filter.outcome
        summary.clock = context.clock.describe()
        return summary

    def _standing(self) -> Standing:
        summary, received = self.summary, self.summary.counts.received
        if self._is_writing and self.last_window is not None:
            # It is under way still, and counted so.
            received -= self.last_window.counts.received
        return Standing(
            done=summary.windows,
            left=self._scheduler.windows_left + self._is_writing,
            events=summary.records,
            received=received,
        )

    def _tick(self) -> None:
        """Tell how far the run is, if it is time to."""
        self._progress.tick()
        if self._observer is not None:
            self._observer.tick(self._told())

    def windows(self) -> Iterator[FinishedWindow]:
        """Verified windows; when the next one is asked for, the records of the last are written."""
        summary = self.summary
        for finished in self._downloads:
            self._check_malformed(finished)
            summary.add(finished)
            self.last_window = finished
            self._is_writing = True
            yield finished
            self._is_writing = False
            summary.count_written(finished.counts.records)
            self._context.activity.written(finished.window, finished.counts.records)
            if self._observer is not None:
                self._observer.written(finished, self._told())
            self._progress.tick()

    def records(self, finished: FinishedWindow) -> Iterator[Any]:
        """A window's records, in the run's form."""
        for records in finished.spool.records():
            yield records
            # A loader may take minutes for a window.
            self._tick()

    def _check_malformed(self, finished: FinishedWindow) -> None:
        """End the run when too much of it is malformed, before the window is written."""
        if not finished.counts.malformed:
            return
        threshold = self._context.error_threshold_percent
        own = finished.counts.malformed_percent
        so_far = self.summary.malformed_percent(finished)
        logger.warning(
            "%s: %d malformed line(s) kept in %s (%s)",
            finished.window,
            finished.counts.malformed,
            self._context.parts.diagnostics_dir,
            finished.counts.why_malformed,
        )
        # A window of its own, too: late in a long run it would be lost in what was well before.
        if max(own, so_far) > threshold:
            raise DiagnosticsError(
                f"{finished.counts.malformed} malformed lines of {finished.window} are {own:.1f} % "
                f"of these days', {so_far:.1f} % of the run's so far; error_threshold_percent "
                f"allows {threshold:g} %. They are kept in "
                f"{self._context.parts.diagnostics_dir}. Nothing of {finished.window} was written"
            )

    def _log_summary(self) -> None:
        summary, context, clock = self.summary, self._context, self._context.clock
        if (shift := summary.lags.shift) is not None:
            logger.warning(
                "%s",
                zone_advice(shift, context.span.zone, context.project_timezone, clock.first),
            )
        elif summary.counts.from_future:
            logger.info(
                "%d of %d events have a timestamp later than Mixpanel processed them: the clocks "
                "of the devices that sent them are ahead",
                summary.counts.from_future,
                summary.counts.lines,
            )
        if (oldest_ms := summary.seen_late.oldest_ms) is not None:
            minutes = (to_milliseconds(clock.first) - oldest_ms) / 60_000
            logger.warning(
                "seen late: %d events, at most %.0f min after their stamp; raise "
                "processing_delay_minutes",
                summary.seen_late.count,
                math.ceil(minutes),
            )
        names, is_first = context.event_names, context.span.bookmark is None
        # Later runs look for what is new: most names do not occur there.
        if names is not None and is_first and (text := names.warning()):
            logger.warning("%s", text)
        redaction = context.parts.redaction
        if redaction is not None and is_first and summary.records and (text := redaction.warning()):
            logger.warning("%s", text)
        for column, count in sorted(summary.counts.conversion_warnings.items()):
            logger.warning(
                "%d value(s) do not fit the type of column %s and are null there; `properties` "
                "has them",
                count,
                column,
            )
        if logger.isEnabledFor(logging.INFO):
            logger.info("run summary: %s", msgspec.json.encode(summary.to_dict()).decode())
