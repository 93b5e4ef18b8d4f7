"""From settings to a run of the export."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from tap_mixpanel_export.api.quota import open_quota
from tap_mixpanel_export.api.rate_limit import until
from tap_mixpanel_export.config.event_choice import choice_fingerprint, choice_notice
from tap_mixpanel_export.cores import usable_cores
from tap_mixpanel_export.records.event_filter import EventFilter
from tap_mixpanel_export.records.event_names import EventNames
from tap_mixpanel_export.records.form import RecordMakers
from tap_mixpanel_export.records.survey import Survey
from tap_mixpanel_export.report.document import RunDocument
from tap_mixpanel_export.report.recorder import RunReport
from tap_mixpanel_export.sync import server_clock
from tap_mixpanel_export.sync.activity import Activity
from tap_mixpanel_export.sync.context import RunContext
from tap_mixpanel_export.sync.filter_proof import fingerprint
from tap_mixpanel_export.sync.late_filter import LateFilter
from tap_mixpanel_export.sync.reading import ReaderParts
from tap_mixpanel_export.sync.run import ExportRun
from tap_mixpanel_export.sync.worker_process import can_start
from tap_mixpanel_export.sync.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.api.quota import Quota
    from tap_mixpanel_export.config.checks import ExportSettings
    from tap_mixpanel_export.records.form import RecordForm
    from tap_mixpanel_export.sync.windows import Span

logger = logging.getLogger("tap-mixpanel-export.run")

# Of finished records that wait to be written, compressed: what all windows in flight may keep in
# memory, so that most daily runs put nothing on the disk.
_SPOOLS_BYTES = 32 * 1024 * 1024

# Unless more are asked for: then the one process that writes is what the others wait for.
_MOST_WORKERS = 4


def make_run(
    settings: ExportSettings,
    span: Span,
    form: RecordForm,
    quota: Quota | None = None,
    *,
    is_told: bool = True,
) -> ExportRun:
    """Make a run over any time; nothing is asked for before it is entered.

    Args:
        settings: Checked.
        span: The time to export, and what earlier runs have done.
        form: Of its records.
        quota: Of somebody else, who closes it; None for the one that the settings name.
        is_told: Whether there is a report of it, if the settings ask for any.

    Raises:
        QuotaFileError: The quota cannot be shared by what `quota_file` names.
    """
    if not is_told:
        settings = msgspec.structs.replace(settings, report_dir=None)
    if span.bookmark is not None and (notice := choice_notice(settings, span.bookmark)):
        logger.warning("%s", notice)
    endpoint = settings.endpoint
    activity = Activity()

    def on_wait(seconds: float, cause: str) -> None:
        activity.wait(seconds, cause)
        logger.info("waiting %.0f s, %s, for %s", seconds, until(seconds), cause)

    parts, selection = _parts(settings, form), choice_fingerprint(settings)
    context = RunContext(
        endpoint=endpoint,
        limiter=quota or quota_of(settings, on_wait),
        clock=server_clock.ServerClock(),
        parts=parts,
        span=span,
        late_filter=LateFilter(
            span,
            fingerprint(endpoint.project_id, endpoint.region, settings.where),
            timedelta(days=settings.filter_proof_days),
            selection,
        ),
        where=settings.where,
        selection=selection,
        project_timezone=settings.project_timezone,
        concurrency=settings.max_concurrent_queries,
        error_threshold_percent=settings.error_threshold_percent,
        base_filter=EventFilter(excluded=frozenset(settings.exclude_event_names)),
        stop=threading.Event(),
        event_names=EventNames(endpoint.event_names) if endpoint.event_names else None,
        activity=activity,
        survey=None if settings.report_dir is None else _survey(settings),
        workers=_workers(settings, parts),
    )
    return ExportRun(context, _report(settings, context), closes_quota=quota is None)


def quota_of(
    settings: ExportSettings, on_wait: Callable[[float, str], None] | None = None
) -> Quota:
    """Open the project's quota.

    Args:
        settings: Checked.
        on_wait: Called with the seconds and the cause of a longer wait.

    Raises:
        QuotaFileError: It cannot be shared by what `quota_file` names.
    """
    return open_quota(
        settings.quota_file,
        max_per_hour=settings.max_queries_per_hour,
        project=str(settings.project_id or ""),
        on_wait=on_wait,
    )


def _parts(settings: ExportSettings, form: RecordForm) -> ReaderParts:
    """What responses are read with."""
    redaction = settings.redaction
    return ReaderParts(
        RecordMakers(settings.event_columns, settings.zone, settings.time_in_ms, form, redaction),
        partial(form.make_spool, _SPOOLS_BYTES // settings.max_concurrent_queries),
        settings.deduplicate,
        settings.diagnostics_dir,
        redaction,
    )


def _workers(settings: ExportSettings, parts: ReaderParts) -> Workers | None:
    """The run's worker processes, none of which is started yet; None when there can be none."""
    cores, concurrency = usable_cores(), settings.max_concurrent_queries
    most = min(cores, _MOST_WORKERS) if settings.workers is None else settings.workers
    if min(most, cores, concurrency) == 1 or not can_start():
        return None
    return Workers(parts, most, concurrency)


def _survey(settings: ExportSettings) -> Survey:
    columns = {column.path[0] for column in settings.event_columns if column.path}
    redaction = settings.redaction
    return Survey(columns | (frozenset() if redaction is None else redaction.names))


def _report(settings: ExportSettings, context: RunContext) -> RunReport | None:
    """What writes the report of a run; None when there is to be none."""
    if settings.report_dir is None or context.survey is None:
        return None
    endpoint, bookmark = context.endpoint, context.span.bookmark
    project = {
        "id": endpoint.project_id,
        "region": settings.region,
        "timezone": settings.project_timezone or "UTC",
    }
    document = RunDocument(
        project, context.activity, context.survey, None if bookmark is None else bookmark.done
    )
    return RunReport(settings.report_dir, document)
