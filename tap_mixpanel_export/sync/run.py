"""One run: verified windows with their records, what they add up to, and what is said of it."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from tap_mixpanel_export.errors import DiagnosticsError, ExportError, StateError
from tap_mixpanel_export.sync.lags import zone_advice
from tap_mixpanel_export.sync.progress import ProgressReport
from tap_mixpanel_export.sync.rehearsal import rehearse
from tap_mixpanel_export.sync.report import RunReport
from tap_mixpanel_export.sync.scheduler import Scheduler
from tap_mixpanel_export.sync.summary import RunSummary
from tap_mixpanel_export.sync.windows import to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from tap_mixpanel_export.records.spool import Records
    from tap_mixpanel_export.sync.download import FinishedWindow, RunContext
    from tap_mixpanel_export.sync.forecast import Forecast, Speed, UsualDay

logger = logging.getLogger("tap-mixpanel-export.run")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run needs to know besides what its downloads do.

    Attributes:
        concurrency: Downloads under way at once.
        max_queries_per_hour: The run's share of the project's quota.
        selection: Fingerprint of the settings that say which events are exported.
        error_threshold_percent: How many of the lines may be malformed.
        report_dir: Where the report goes, if anywhere.
        zone: The project's.
        project_timezone: How the user has named it.
    """

    concurrency: int
    max_queries_per_hour: int
    selection: str | None
    error_threshold_percent: float
    report_dir: Path | None
    zone: tzinfo
    project_timezone: str | None


class ExportRun:
    """A run, as a context: downloads end with it, and its report is written.

    Args:
        context: What its downloads share.
        options: What else it needs to know.
        closes_quota: Whether the quota is its own.

    Raises:
        ReportError: The report's folder cannot be made.
    """

    def __init__(
        self, context: RunContext, options: RunOptions, *, closes_quota: bool = True
    ) -> None:
        self.summary = RunSummary()
        self.last_window: FinishedWindow | None = None
        """The window that was handed over last."""
        self._context = context
        self._options = options
        self._closes_quota = closes_quota
        # A run of hours should not find out at its end.
        self._report = None if options.report_dir is None else RunReport(options.report_dir)
        self._progress = ProgressReport(options.max_queries_per_hour)
        self._scheduler = Scheduler(
            context, options.concurrency, options.selection, self._progress.tick
        )
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
        context, options = self._context, self._options
        return rehearse(
            context,
            options.concurrency,
            selection=options.selection,
            usual=usual,
            speed=speed,
            used_queries=context.limiter.max_per_hour - context.limiter.left_in_hour(),
        )

    def _log_plan(self) -> None:
        if logger.isEnabledFor(logging.INFO):
            # What is wrong with the state ends the run where it is read.
            with suppress(StateError):
                logger.info("%s", self.forecast().sentence())

    def __enter__(self) -> Self:
        if self._closes_quota:
            self._open.enter_context(closing(self._context.limiter))
        self._log_plan()
        self._open.enter_context(self._progress)
        self._open.enter_context(closing(self._downloads))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        context, summary = self._context, self.summary
        context.stop.set()
        self._open.close()
        summary.queries = context.queries
        summary.filter_proof = context.late_filter.outcome
        summary.clock = context.clock.describe()
        if self._report is not None:
            self._report.write(summary, error=_reason(error))
        if error is None:
            self._log_summary()

    def windows(self) -> Iterator[FinishedWindow]:
        """Verified windows; when the next one is asked for, the records of the last are written."""
        summary = self.summary
        for finished in self._downloads:
            self._check_malformed(finished)
            summary.add(finished)
            self.last_window = finished
            yield finished
            summary.records += finished.counts.records
            self._progress.update(
                summary.windows,
                self._scheduler.windows_left,
                summary.records,
                is_sweeping=self._scheduler.is_sweeping,
            )

    def records(self, finished: FinishedWindow) -> Iterator[Records]:
        """A window's records, counted by day for a report."""
        for records in finished.spool.records():
            if self._report is not None:
                self._report.count(records.lines())
            yield records

    def _check_malformed(self, finished: FinishedWindow) -> None:
        """End the run when too much of it is malformed, before the window is written."""
        if not finished.counts.malformed:
            return
        threshold = self._options.error_threshold_percent
        own = finished.counts.malformed_percent
        so_far = self.summary.malformed_percent(finished)
        logger.warning(
            "%s: %d malformed line(s) kept in %s (%s)",
            finished.window,
            finished.counts.malformed,
            self._context.diagnostics_dir,
            finished.counts.why_malformed,
        )
        # A window of its own, too: late in a long run it would be lost in what was well before.
        if max(own, so_far) > threshold:
            raise DiagnosticsError(
                f"{finished.counts.malformed} malformed lines of {finished.window} are {own:.1f} % "
                f"of these days', {so_far:.1f} % of the run's so far; error_threshold_percent "
                f"allows {threshold:g} %. They are kept in "
                f"{self._context.diagnostics_dir}. Nothing of {finished.window} was written"
            )

    def _log_summary(self) -> None:
        summary, options, clock = self.summary, self._options, self._context.clock
        if (shift := summary.lags.shift) is not None:
            logger.warning(
                "%s",
                zone_advice(shift, options.zone, options.project_timezone, clock.first),
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
        names, is_first = self._context.event_names, self._context.span.bookmark is None
        # Later runs look for what is new: most names do not occur there.
        if names is not None and is_first and (text := names.warning()):
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


def _reason(error: BaseException | None) -> str | None:
    """Why a run ended early, in words for a report; None when it did not."""
    if error is None or isinstance(error, ExportError):
        return None if error is None else str(error)
    if isinstance(error, (SystemExit, KeyboardInterrupt, GeneratorExit)):
        return "the run was ended from outside"
    # Its text may quote an event.
    return type(error).__name__
