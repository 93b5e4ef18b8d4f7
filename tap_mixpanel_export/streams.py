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

import time
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib.messages import StateMessage

from tap_mixpanel_export.config import make_run
from tap_mixpanel_export.output.messages import load_record, record_serializer
from tap_mixpanel_export.output.selection import Selection
from tap_mixpanel_export.record_layout import EVENT_ID, STREAM
from tap_mixpanel_export.sync.state_file import REPLICATION_KEY, read_bookmark, write_bookmark

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context, Record

    from tap_mixpanel_export.config import ExportSettings
    from tap_mixpanel_export.output.batches import BatchFiles
    from tap_mixpanel_export.output.messages import RecordSerializer
    from tap_mixpanel_export.output.writer import MessageWriter
    from tap_mixpanel_export.sync.run import ExportRun


# So soon `meltano config test` ends the tap once it has seen a record.
_END_OF_TEST_SECONDS = 2


class EventsStream(Stream):
    """Raw events, replicated incrementally on their time."""

    name = STREAM
    primary_keys = (EVENT_ID,)
    replication_key = REPLICATION_KEY
    # Records have the schema's types by construction; checking each again costs as much as
    # everything else together.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(
        self,
        tap: Tap,
        writer: MessageWriter,
        schema: dict[str, Any],
        load_settings: Callable[[], ExportSettings],
    ) -> None:
        super().__init__(tap, schema=schema)
        self._load_settings = load_settings
        self._writer = writer
        self._export_run: ExportRun | None = None
        self.is_test = False
        """Whether one query of one day is to tell if the settings are good."""

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
        if self._export_run is not None:
            next_from = self.stream_state.get("replication_key_value")
            self.logger.info("%s", self._export_run.summary.sentence(next_from))

    def get_records(self, context: Context | None) -> Generator[Record, None, None]:
        """All records, as dictionaries; the state moves as windows finish."""
        with self._run(context) as run:
            for finished in run.windows():
                for records in run.records(finished):
                    for line in records.lines():
                        yield load_record(line)
                self._checkpoint(context, run)

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
                self._write_sample(context, serialize)
                with self._run(context) as run:
                    for finished in run.windows():
                        for records in self._selection.of(run.records(finished)):
                            size = self._writer.write_lines(*serialize(records.text))
                            run.summary.written += size
                            counter.increment(records.count)
                        self._checkpoint(context, run)
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

    def _write_sample(self, context: Context | None, serialize: RecordSerializer) -> None:
        """Write one day's records first, for a reader who ends the run at the first of them.

        That is how Meltano tests settings. Without it a first run of years without events would
        spend most of the hour's queries until then. Who does read on gets these records twice.
        """
        if not self._writer.is_mixed_with_log or self.get_context_state(context):
            return
        with self._run(context, is_test=True) as run:
            for finished in run.windows():
                for records in self._selection.of(run.records(finished)):
                    self._writer.write_lines(*serialize(records.text))
        if run.summary.records:
            time.sleep(_END_OF_TEST_SECONDS)

    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterable[tuple[BaseBatchFileEncoding, list[str]]]:
        """Write files, and the state after each window.

        A file never holds records of two windows: the state says what is in complete files.
        """
        # The formats' libraries are imported by runs that write files only.
        from tap_mixpanel_export.output.batches import batch_files  # noqa: PLC0415

        settings = self._settings
        files = batch_files(
            batch_config,
            f"{self.tap_name}--{self.name}",
            self._selection,
            settings.event_columns,
            gzip_level=settings.batch_compression_level,
            time_in_ms=settings.time_in_ms,
        )
        with (
            self.get_record_counter() as counter,
            self.get_sync_timer(),
            self._run(context, files) as run,
        ):
            for finished in run.windows():
                for url in files.write(run.records(finished)):
                    yield batch_config.encoding, [url]
                counter.increment(finished.counts.records)
                self._checkpoint(context, run)

    def _run(
        self, context: Context | None, files: BatchFiles | None = None, *, is_test: bool = False
    ) -> ExportRun:
        settings, bookmark = self._settings, None
        is_test = is_test or self.is_test
        if self.replication_method == "INCREMENTAL":
            bookmark = read_bookmark(self.get_context_state(context), settings.zone)
        self._export_run = make_run(
            settings,
            settings.test_span() if is_test else settings.span(bookmark),
            self._selection.text_form() if files is None else files.form,
            # What a test finds is said, and is no run.
            is_told=not is_test,
        )
        return self._export_run

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
        return Selection(
            self.effective_schema["properties"],
            self.mask,
            properties_as_text=self.schema["properties"]["properties"]["type"] == "string",
        )

    def _checkpoint(self, context: Context | None, run: ExportRun) -> None:
        """Write the state behind the records of the run's last window."""
        finished = run.last_window
        if finished is None or self.replication_method != "INCREMENTAL":
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
