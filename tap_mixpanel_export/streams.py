"""The stream `events`: verified windows in, RECORD, BATCH and STATE messages out.

This file is the one place that uses private hooks of the SDK; `tests/test_streams.py` checks their
signatures, and the SDK is pinned to its minor version.

- `_sync_records`: the public `get_records` hands records over one by one, as dictionaries, and the
  SDK looks at the selection of each value; measured, that costs several times the work of passing
  on the text (see `benchmarks/`). Here columns are selected when records are made.
- `_write_record_message`, `_write_state_message`, `_check_max_record_limit`: what `_sync_records`
  is made of.
"""

from __future__ import annotations

import logging
import math
import threading
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib.messages import StateMessage

from tap_mixpanel_export.api.quota import open_quota
from tap_mixpanel_export.api.rate_limit import until
from tap_mixpanel_export.errors import DiagnosticsError, ExportError
from tap_mixpanel_export.kept_aside import counted
from tap_mixpanel_export.output.messages import load_record, record_serializer
from tap_mixpanel_export.output.selection import Selection
from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.sync.download import RunContext
from tap_mixpanel_export.sync.lags import zone_advice
from tap_mixpanel_export.sync.late_filter import LateFilter, proof_fingerprint
from tap_mixpanel_export.sync.progress import ProgressReport
from tap_mixpanel_export.sync.report import RunReport
from tap_mixpanel_export.sync.scheduler import Scheduler
from tap_mixpanel_export.sync.server_clock import ServerClock, machine_now
from tap_mixpanel_export.sync.state_file import REPLICATION_KEY, read_bookmark, write_bookmark
from tap_mixpanel_export.sync.summary import RunSummary
from tap_mixpanel_export.sync.windows import to_milliseconds
from tap_mixpanel_export.timezones import Instants

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record

    from tap_mixpanel_export.api.quota import Quota
    from tap_mixpanel_export.config import ExportSettings
    from tap_mixpanel_export.output.messages import RecordSerializer
    from tap_mixpanel_export.output.writer import MessageWriter
    from tap_mixpanel_export.records.spool import Records
    from tap_mixpanel_export.sync.download import FinishedWindow
    from tap_mixpanel_export.sync.windows import Bookmark
    from tap_mixpanel_export.xdm.mapping.columns import Column


class EventsStream(Stream):
    """Raw events, replicated incrementally on their time."""

    name = "events"
    primary_keys = ("event_id",)
    replication_key = REPLICATION_KEY
    # Records have the schema's types by construction; checking each again costs as much as
    # everything else together.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(
        self,
        tap: Tap,
        writer: MessageWriter,
        schema: dict[str, Any],
        columns: tuple[Column, ...],
        load_settings: Callable[[], ExportSettings],
    ) -> None:
        super().__init__(tap, schema=schema)
        self._columns = columns
        self._load_settings = load_settings
        self._writer = writer
        self._written = 0
        self._summary: RunSummary | None = None
        self.is_test = False
        """Whether one query of one day is to tell if the settings are good."""

    @cached_property
    def _report(self) -> RunReport | None:
        folder = self._settings.report_dir
        return None if folder is None else RunReport(folder)

    @cached_property
    def _settings(self) -> ExportSettings:
        # Not before a sync: discovery needs no credentials.
        return self._load_settings()

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: the bookmark is the service's business, see `sync.state`."""

    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        """What the SDK makes of the setting; a test of the settings leaves no files."""
        return None if self.is_test else super().get_batch_config(config)

    def log(self, message: str, *args: Any, **kwargs: Any) -> None:
        """Log what the SDK tells of its work.

        Not that an error is "unhandled": what ends a run is told by the command, once, in words.
        """
        if not message.startswith("An unhandled error occurred"):
            super().log(message, *args, **kwargs)

    def log_sync_costs(self) -> None:
        """Say at the very end what a person wants to know of a run."""
        super().log_sync_costs()
        if self._summary is not None:
            next_from = self.stream_state.get("replication_key_value")
            self.logger.info("%s", self._summary.sentence(next_from))

    def get_records(self, context: Context | None) -> Generator[Record, None, None]:
        """All records, as dictionaries; the state moves as windows finish."""
        for finished in self._windows(context):
            for records in self._records(finished):
                for line in records.lines():
                    yield load_record(line)

    def _sync_records(
        self,
        context: Context | None = None,
        *,
        write_messages: bool = True,
    ) -> Generator[dict[str, Any], Any, Any]:
        """Write all records, and the state after each window."""
        with self.get_record_counter() as counter, self.get_sync_timer():
            if write_messages and self.ABORT_AT_RECORD_COUNT is None:
                serialize = self._serializer()
                for finished in self._windows(context):
                    for records in self._selection.of(self._records(finished)):
                        self._written += self._writer.write_lines(*serialize(records.text))
                        counter.increment(records.count)
                return
            count = 0
            # Closed here: a limit leaves it in the midst of a window.
            with closing(self.get_records(context)) as all_records:
                for record in all_records:
                    if count == self.ABORT_AT_RECORD_COUNT:
                        break
                    if write_messages:
                        self._write_record_message(record)
                    counter.increment()
                    count += 1
                    yield record
                else:
                    return
        # Outside of the timer, which would call a good test of the settings `failed`.
        self._check_max_record_limit(current_record_index=count)

    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterable[tuple[BaseBatchFileEncoding, list[str]]]:
        """Write files, and the state after each window.

        A file never holds records of two windows: the state says what is in complete files.
        """
        # The formats' libraries are imported by runs that write files only.
        from tap_mixpanel_export.output.batches import batch_writer, write_batches  # noqa: PLC0415

        writer = batch_writer(
            batch_config, self._columns, self._selection, self.config["batch_compression_level"]
        )
        name = f"{self.tap_name}--{self.name}"
        with self.get_record_counter() as counter, self.get_sync_timer():
            for finished in self._windows(context, writer.gzip_level):
                blocks = self._selection.of(self._records(finished))
                for url in write_batches(writer, batch_config, name, blocks):
                    yield batch_config.encoding, [url]
                counter.increment(finished.counts.records)

    def _records(self, finished: FinishedWindow) -> Iterator[Records]:
        """A window's records, counted by day for a report."""
        for records in finished.spool.records():
            if self._report is not None:
                self._report.count(records.lines())
            yield records

    def _serializer(self) -> RecordSerializer:
        return record_serializer(
            self.name,
            self._stream_version,
            self.stream_maps,
            self._selection.names,
            self.config.get("stream_maps"),
        )

    @cached_property
    def _selection(self) -> Selection:
        return Selection(self.effective_schema["properties"], self.mask)

    def _windows(
        self, context: Context | None, gzip_level: int | None = None
    ) -> Iterator[FinishedWindow]:
        """Verified windows; when the next one is asked for, the records of the last are written."""
        settings = self._settings
        state = self.get_context_state(context)
        bookmark = (
            read_bookmark(state, settings.zone)
            if self.replication_method == "INCREMENTAL"
            else None
        )
        summary = RunSummary()
        with (
            closing(self._limiter(settings)) as limiter,
            ProgressReport(settings.max_queries_per_hour) as progress,
        ):
            run_context = self._run_context(settings, bookmark, limiter, gzip_level)
            scheduler = Scheduler(
                run_context, settings.max_concurrent_queries, settings.selection, progress.tick
            )
            error: BaseException | None = None
            try:
                with closing(scheduler.run()) as run:
                    for finished in run:
                        self._check_malformed(settings, summary, finished)
                        summary.add(finished)
                        yield finished
                        summary.records += finished.counts.records
                        progress.update(
                            summary.windows,
                            scheduler.windows_left,
                            summary.records,
                            is_sweeping=scheduler.is_sweeping,
                        )
                        self._checkpoint(context, finished)
            except BaseException as end:
                error = end
                raise
            finally:
                run_context.stop.set()
                summary.queries = run_context.queries
                summary.written = self._written
                summary.filter_proof = run_context.late_filter.outcome
                summary.clock = run_context.clock.describe()
                if self._report is not None:
                    self._report.write(summary, error=_reason(error))
        self._log_summary(settings, run_context, summary)
        self._summary = summary

    def _limiter(self, settings: ExportSettings) -> Quota:
        return open_quota(
            settings.quota_file,
            max_per_hour=settings.max_queries_per_hour,
            project=str(settings.endpoint.project_id or ""),
            on_wait=lambda seconds, cause: self.logger.info(
                "waiting %.0f s, %s, for %s", seconds, until(seconds), cause
            ),
        )

    def _run_context(
        self,
        settings: ExportSettings,
        bookmark: Bookmark | None,
        limiter: Quota,
        gzip_level: int | None,
    ) -> RunContext:
        as_text = self.schema["properties"]["properties"]["type"] == "string"
        endpoint = settings.endpoint
        span = settings.test_span(machine_now()) if self.is_test else settings.span(bookmark)
        return RunContext(
            endpoint=endpoint,
            limiter=limiter,
            clock=ServerClock(),
            make_records=lambda event_filter: RecordMaker(
                self._columns,
                Instants(settings.zone, milliseconds=endpoint.time_in_ms),
                selected=self._selection.columns,
                properties_as_text=as_text,
                redaction=settings.redaction,
                event_filter=event_filter,
            ),
            span=span,
            late_filter=LateFilter(
                span,
                proof_fingerprint(endpoint.project_id, endpoint.region, settings.where),
                timedelta(days=settings.filter_proof_days),
                settings.selection,
            ),
            where=settings.where,
            excluded=frozenset(settings.exclude_event_names),
            deduplicate=settings.deduplicate,
            diagnostics_dir=settings.diagnostics_dir,
            stop=threading.Event(),
            gzip_level=gzip_level,
        )

    def _check_malformed(
        self, settings: ExportSettings, summary: RunSummary, finished: FinishedWindow
    ) -> None:
        """End the run when too much of it is malformed, before the window is written."""
        if not finished.counts.malformed:
            return
        own = finished.counts.malformed_percent
        so_far = summary.malformed_percent(finished)
        self.logger.warning(
            "%s: %d malformed line(s) kept in %s (%s)",
            finished.window,
            finished.counts.malformed,
            settings.diagnostics_dir,
            counted(finished.counts.malformed_reasons),
        )
        # A window of its own, too: late in a long run it would be lost in what was well before.
        if max(own, so_far) > settings.error_threshold_percent:
            raise DiagnosticsError(
                f"{finished.counts.malformed} malformed lines of {finished.window} are {own:.1f} % "
                f"of these days', {so_far:.1f} % of the run's so far; error_threshold_percent "
                f"allows {settings.error_threshold_percent:g} %. They are kept in "
                f"{settings.diagnostics_dir}. Nothing of {finished.window} was written"
            )

    def _checkpoint(self, context: Context | None, finished: FinishedWindow) -> None:
        """Write the state behind the records of a window."""
        if self.replication_method != "INCREMENTAL":
            return
        state = self.get_context_state(context)
        before = dict(state)
        if finished.bookmark is not None:
            write_bookmark(state, finished.bookmark, self._settings.zone)
        if state != before:
            self.state_manager.is_flushed = False
            self._write_state_message()
        elif finished.counts.records:
            # The SDK writes no state twice; but many targets forget one when a record comes behind
            # it, and a run that writes late events only would end without any.
            self._writer.write_message(StateMessage(value=self.tap_state))

    def _log_summary(
        self, settings: ExportSettings, run_context: RunContext, summary: RunSummary
    ) -> None:
        if (shift := summary.lags.shift) is not None:
            self.logger.warning(
                "%s",
                zone_advice(
                    shift, settings.zone, settings.project_timezone, run_context.clock.first
                ),
            )
        elif summary.from_future:
            self.logger.info(
                "%d of %d events have a timestamp later than Mixpanel processed them: the clocks "
                "of the devices that sent them are ahead",
                summary.from_future,
                summary.lines,
            )
        if (oldest_ms := summary.seen_late.oldest_ms) is not None:
            minutes = (to_milliseconds(run_context.clock.first) - oldest_ms) / 60_000
            self.logger.warning(
                "seen late: %d events, at most %.0f min after their stamp; raise "
                "processing_delay_minutes",
                summary.seen_late.count,
                math.ceil(minutes),
            )
        for column, count in sorted(summary.conversion_warnings.items()):
            self.logger.warning(
                "%d value(s) do not fit the type of column %s and are null there; `properties` "
                "has them",
                count,
                column,
            )
        if self.logger.isEnabledFor(logging.INFO):
            self.logger.info("run summary: %s", msgspec.json.encode(summary.to_dict()).decode())


def _reason(error: BaseException | None) -> str | None:
    """Why a run ended early, in words for a report; None when it did not."""
    if error is None or isinstance(error, ExportError):
        return None if error is None else str(error)
    if isinstance(error, (SystemExit, KeyboardInterrupt, GeneratorExit)):
        return "the run was ended from outside"
    # Its text may quote an event.
    return type(error).__name__
