"""What the downloads of a run share, and what each of them gives."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_mixpanel_export.records.event_filter import EventFilter
from tap_mixpanel_export.sync.activity import Activity
from tap_mixpanel_export.sync.lags import Lags
from tap_mixpanel_export.sync.observed import SeenLate

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from datetime import date, datetime

    from tap_mixpanel_export.api.client import Transfer
    from tap_mixpanel_export.api.connection import Endpoint
    from tap_mixpanel_export.api.quota import Quota
    from tap_mixpanel_export.records.event_names import EventNames
    from tap_mixpanel_export.records.response import Counts
    from tap_mixpanel_export.records.spool import WindowSpool
    from tap_mixpanel_export.records.survey import Survey, WindowTally
    from tap_mixpanel_export.sync.late_filter import LateFilter
    from tap_mixpanel_export.sync.reading import ReaderParts
    from tap_mixpanel_export.sync.server_clock import ServerClock
    from tap_mixpanel_export.sync.windows import Bookmark, Span, Window
    from tap_mixpanel_export.sync.workers import Workers


@dataclass(slots=True)
class FinishedWindow:
    """A verified window.

    Attributes:
        window: Its days.
        spool: Its records; the receiver closes it.
        counts: What it brought.
        seen: Days and processing stamps of its newest events.
        lags: How long after their timestamp its events were processed.
        seen_late: Events that showed up later than was thought possible.
        tally: Names and days of its events, for a report; None without one.
        bookmark: What the state is to say when the records are written; None when it stays.
    """

    window: Window
    spool: WindowSpool
    counts: Counts
    seen: AbstractSet[tuple[date, int]] = frozenset()
    lags: Lags = field(default_factory=Lags)
    seen_late: SeenLate = field(default_factory=SeenLate)
    tally: WindowTally | None = None
    bookmark: Bookmark | None = None


@dataclass(slots=True)
class RunContext:
    """What a run knows, and all of its downloads share.

    Attributes:
        endpoint: Where and as whom to ask.
        limiter: The project's quota.
        clock: Learns the service's time.
        parts: What responses are read with.
        span: What the run is asked for.
        late_filter: The service's filter for late events.
        where: The user's expression.
        selection: Fingerprint of the settings that say which events are exported.
        project_timezone: How the user has named the project's zone.
        concurrency: Downloads under way at once, the finished ones that wait for their turn
            included: it bounds the disk space.
        error_threshold_percent: How many of the lines may be malformed.
        stop: Set when the run ends early.
        base_filter: Events that are not written whatever the window.
        event_names: Looks for the events that were asked for by name.
        granted: Done when the service has granted a first export.
        activity: Is told what the run is doing.
        survey: Looks at what is read, for a report; None without one.
        workers: Processes that read responses; None when this one does it all.
        queries: Requests sent, failed tries included.
    """

    endpoint: Endpoint
    limiter: Quota
    clock: ServerClock
    parts: ReaderParts
    span: Span
    late_filter: LateFilter
    where: str | None
    selection: str | None
    project_timezone: str | None
    concurrency: int
    error_threshold_percent: float
    stop: threading.Event
    base_filter: EventFilter = field(default_factory=EventFilter)
    event_names: EventNames | None = None
    granted: Future[None] = field(default_factory=Future)
    activity: Activity = field(default_factory=Activity)
    survey: Survey | None = None
    workers: Workers | None = None
    queries: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count_query(self) -> None:
        """Count a request, which is sent now."""
        self.activity.sent()
        with self._lock:
            self.queries += 1

    def note_response(self, transfer: Transfer, sent: datetime) -> None:
        """Take the headers of a response, and this machine's time when it was asked for."""
        self.activity.answered(transfer)
        self.clock.note(transfer.server_time, sent)
        self.late_filter.check_age(self.clock.first)
        if transfer.granted:
            with self._lock:
                if not self.granted.done():
                    self.granted.set_result(None)
