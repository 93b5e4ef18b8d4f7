"""The Python API: an export from its settings."""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import replace
from datetime import date
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import msgspec

from tap_mixpanel_export.config.run import make_run
from tap_mixpanel_export.errors import SettingsError
from tap_mixpanel_export.export.given import (
    check_given,
    environment_settings,
    notices_of_environment,
)
from tap_mixpanel_export.export.reader import EventReader
from tap_mixpanel_export.export.window import Window, usual_width
from tap_mixpanel_export.sync import server_clock
from tap_mixpanel_export.sync.foreign_states import take_over
from tap_mixpanel_export.sync.state_file import read_bookmark, write_bookmark
from tap_mixpanel_export.sync.windows import ProcessedBounds
from tap_mixpanel_export.timezones import DAY, start_of_day, to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from tap_mixpanel_export.api.quota import Quota
    from tap_mixpanel_export.records.arrow import ArrowEncoder
    from tap_mixpanel_export.records.form import RecordForm
    from tap_mixpanel_export.sync.run import ExportRun
    from tap_mixpanel_export.sync.windows import Span

logger = logging.getLogger("tap-mixpanel-export")

_STREAM = "events"


class Export:
    """An export, described by the tap's own settings.

    Args:
        config: The settings, as in the tap's `config.json`.
        columns: Names of the columns wanted besides `event_id` and `timestamp`; None for all. It
            chooses among the columns that there are; the setting `columns` adds some.
        quota: Shared with other exports; None for the one that `quota_file` names. Whoever has
            opened it closes it.
        env: Whether settings that `config` does not have are read from the environment
            (`TAP_MIXPANEL_EXPORT_…`) and a file `.env`.

    Raises:
        SettingsError: All problems of the settings, in one message.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        columns: Sequence[str] | None = None,
        quota: Quota | None = None,
        env: bool = True,
    ) -> None:
        given = {**(environment_settings() if env else {}), **(config or {})}
        checked = check_given(given)
        settings, problems = checked.settings, checked.problems
        if find_spec("pyarrow") is None:
            problems = [*problems, "pyarrow is missing: pip install tap-mixpanel-export[arrow]"]
        known = [] if settings is None else [c.name for c in settings.event_columns]
        wanted = None if columns is None else dict.fromkeys(columns)
        if settings is not None and wanted is not None:
            known = [*known, "event_id", "timestamp", "properties"]
            problems += [f"there is no column {name}" for name in wanted if name not in known]
        if problems or settings is None:
            raise SettingsError(problems)
        # An environment that is not read is left out on purpose: that is no news.
        variables = notices_of_environment(given, is_read=True) if env else ()
        for notice in (*variables, *checked.notices):
            logger.warning("%s", notice)
        self._settings = settings
        self._columns = None if wanted is None else frozenset(wanted)
        self._quota = quota

    @property
    def schema(self) -> pa.Schema:
        """Of the batches: times in UTC, microseconds; `properties` is JSON text."""
        # It is of `arrow_form`.
        return cast("ArrowEncoder", self._form.encoder).schema

    @cached_property
    def _form(self) -> RecordForm:
        # An extra, and half a second to import.
        from tap_mixpanel_export.records.arrow import arrow_form  # noqa: PLC0415

        settings = self._settings
        return arrow_form(settings.event_columns, self._columns, time_in_ms=settings.time_in_ms)

    def plan(
        self,
        *,
        days: int | None = None,
        splits_per_day: int = 1,
        now: datetime | None = None,
        between: tuple[datetime | None, datetime | None] = (None, None),
    ) -> list[Window]:
        """Cut the time from `start_date` to `end_date` into windows; sends nothing.

        The windows are disjoint and leave out nothing, whoever reads them, in whichever order.

        Args:
            days: How many days a window has. By default as few as fit an hour of the project's
                quota, 30 at most.
            splits_per_day: Into how many windows a day is cut, by the time when Mixpanel processed
                its events; only with windows of one day. Each asks for the whole day and keeps its
                part: that spreads the work, and costs the transfer so many times.
            now: The present; this machine's by default.
            between: Only days that hold an instant from the first one to the second one; None for
                no such bound.

        Raises:
            ValueError: `days` or `splits_per_day` is below 1, or both are above it.
        """
        if days is not None and days < 1:
            raise ValueError("days must be at least 1")
        if splits_per_day < 1 or (splits_per_day > 1 and (days or 1) > 1):
            raise ValueError("splits_per_day must be at least 1, and takes windows of one day")
        span = self._settings.span(None)
        present = now or server_clock.machine_now()
        since, until = between
        first = span.day(max(span.start, since or span.start))
        last = min(span.day(min(present, until or present)), span.last_day or date.max)
        total = (last - first).days + 1
        width = 1 if splits_per_day > 1 else days or usual_width(total)
        windows = [
            Window(
                first=at,
                last=min(at + DAY * (width - 1), last),
                start=max(span.start, span.day_start(at)),
                end=span.upper,
            )
            for at in (first + DAY * offset for offset in range(0, max(total, 0), width))
        ]
        if splits_per_day == 1:
            return windows
        return [part for window in windows for part in self._split(window, splits_per_day)]

    def _split(self, window: Window, parts: int) -> Iterator[Window]:
        """Windows of one day, by processing time: most events are processed when they occur."""
        start = to_milliseconds(start_of_day(window.first, self._settings.zone))
        end = to_milliseconds(start_of_day(window.first + DAY, self._settings.zone))
        cuts = [start + (end - start) * part // parts for part in range(1, parts)]
        for part, (after, until) in enumerate(zip([None, *cuts], [*cuts, None], strict=True)):
            yield Window(
                window.first, window.last, window.start, window.end, after, until, part == 0
            )

    def read(
        self,
        state: Mapping[str, Any] | None = None,
        *,
        on_state: Callable[[dict[str, Any]], None] | None = None,
    ) -> EventReader:
        """Run the export as the tap does: look-back, new days, late events of older days.

        Args:
            state: That of an earlier reader or of the tap, in Singer's form; None for a first run.
            on_state: Called with the state when it has moved: all batches up to it were taken, and
                the next one was asked for, which may take long.

        Raises:
            StateError: The state cannot be used.
        """
        held: dict[str, Any] = {"bookmarks": {_STREAM: {}}}
        if state is not None:
            taken = take_over(dict(state))
            bookmarks = taken.state.get("bookmarks", {})
            held = {**taken.state, "bookmarks": {**bookmarks}}
            held["bookmarks"][_STREAM] = dict(bookmarks.get(_STREAM, {}))
        entry = held["bookmarks"][_STREAM]
        zone = self._settings.zone
        bookmark = read_bookmark(entry, zone)
        run = self._run(self._settings.span(bookmark))

        def batches(reader: EventReader) -> Generator[pa.RecordBatch, None, None]:
            with run:
                for finished in run.windows():
                    yield from run.records(finished)
                    if finished.bookmark is not None:
                        write_bookmark(entry, finished.bookmark, zone)
                        reader.state = deepcopy(held)
                        if on_state is not None:
                            on_state(reader.state)

        return EventReader(self.schema, batches, None if state is None else held, run.summary)

    def read_window(self, window: Window, *, to_its_end: bool = False) -> EventReader:
        """Read one window, in halves if the whole cannot be had; there is no state.

        Repeats are dropped within the window.

        Args:
            window: Of `plan`, here or in another process.
            to_its_end: Whether the window is read for the last time. Then the reader raises
                ClockError before its first batch, unless clocks that agree, or the events' own
                stamps, tell that all that was processed up to `processed_until` has shown up.
        """
        settings = self._settings
        days = window.days
        span = replace(
            settings.span(None),
            start=window.start or start_of_day(window.first, settings.zone),
            start_is_given=True,
            end=window.end or start_of_day(window.last + DAY, settings.zone),
            end_is_day=True,
            last_day=window.last,
            first_days=days,
            max_days=days,
            bounds=ProcessedBounds(
                window.processed_after, window.processed_until, window.with_unstamped
            ),
        )
        # The days of the query are those of the window, whatever instants it begins and ends at.
        run = self._run(span, concurrency=1)
        until = window.processed_until if to_its_end else None

        def batches(_: EventReader) -> Generator[pa.RecordBatch, None, None]:
            with run:
                for finished in run.windows():
                    if until is not None:
                        run.check_complete(until)
                    yield from run.records(finished)

        return EventReader(self.schema, batches, None, run.summary)

    def _run(self, span: Span, concurrency: int | None = None) -> ExportRun:
        settings = self._settings
        if concurrency is not None:
            settings = msgspec.structs.replace(settings, max_concurrent_queries=concurrency)
        return make_run(settings, span, self._form, self._quota)


def read_events(
    start: date | str | None = None, end: date | str | None = None, **settings: Any
) -> EventReader:
    """Read events into a notebook or a script, once.

    Args:
        start: First day or instant; 30 days ago when there is none.
        end: Last day (inclusive) or instant; now when there is none.
        settings: Any of the tap's settings; what is missing comes from the environment.

    Raises:
        SettingsError: All problems of the settings, in one message.
    """
    times = {"start_date": start, "end_date": end}
    texts = {name: str(value) for name, value in times.items() if value is not None}
    return Export({**settings, **texts}).read()
