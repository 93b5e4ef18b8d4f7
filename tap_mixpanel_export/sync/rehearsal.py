"""A run without queries: the real scheduler and planner, on downloads that are only imagined.

Nothing of their rules is said again here. The windows of a forecast are those that they make when
downloads have the sizes, and the quota lets queries through at the times, that are assumed.
"""

from __future__ import annotations

import copy
import logging
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tap_mixpanel_export.api.rate_limit import QueryLimiter
from tap_mixpanel_export.records.response import Counts
from tap_mixpanel_export.records.spool import Spool
from tap_mixpanel_export.sync import server_clock
from tap_mixpanel_export.sync.activity import Activity
from tap_mixpanel_export.sync.context import FinishedWindow
from tap_mixpanel_export.sync.forecast import Forecast, PlannedWindow, Speed, UsualDay
from tap_mixpanel_export.sync.late_filter import FilterNotTrustedError
from tap_mixpanel_export.sync.observed import Observed
from tap_mixpanel_export.sync.scheduler import Scheduler
from tap_mixpanel_export.sync.windows import filter_of
from tap_mixpanel_export.timezones import DAY, from_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from tap_mixpanel_export.sync.context import RunContext
    from tap_mixpanel_export.sync.windows import Window

# Fewer expected events than this, and more often than not there is none.
_LIKELY_EVENTS = 0.7

# What they log of a run is no news of one that is only imagined.
_TALKERS = tuple(
    logging.getLogger(f"tap-mixpanel-export.{name}") for name in ("scheduler", "late_filter")
)


def rehearse(
    context: RunContext,
    *,
    usual: UsualDay | None = None,
    speed: Speed | None = None,
    used_queries: int = 0,
) -> Forecast:
    """Say what a run would do, without a query.

    Args:
        context: That of the run; nothing of it is changed.
        usual: What days hold; without it windows grow as fast as they can, and the queries are the
            fewest that can be.
        speed: How fast answers come; without it they take no time.
        used_queries: Of the hour's quota, spent already.

    Raises:
        StateError: The state is ahead of the clock.
    """
    timeline = _Timeline(context.limiter.max_per_hour, used_queries)
    now = context.clock.present
    imagined = replace(
        context,
        limiter=timeline.limiter,
        clock=server_clock.ServerClock(),
        late_filter=copy.copy(context.late_filter),
        stop=threading.Event(),
        granted=Future(),
        activity=Activity(),
        queries=0,
    )
    downloads = _ImaginedDownloads(imagined, now, timeline, usual, speed or Speed())
    scheduler = Scheduler(imagined, make_pool=lambda: downloads)
    with _silence():
        for finished in scheduler.run():
            finished.spool.close()
    return Forecast(downloads.windows, timeline.waited, timeline.end, downloads.most_disk)


class _Timeline:
    """Time that passes by waiting and downloading only, in seconds.

    Attributes:
        now: Where the scheduler is.
        end: When the last download is over.
        waited: How long queries have waited for the quota.
    """

    def __init__(self, max_per_hour: int, used_queries: int) -> None:
        self.now = self.end = self.waited = 0.0
        self._at = 0.0
        self.limiter = QueryLimiter(
            max_per_hour=max_per_hour, clock=lambda: self._at, wait=self._wait
        )
        for _ in range(min(used_queries, max_per_hour)):
            self.limiter.acquire()
        # They were sent before, in no time of this run.
        self._begin = self.now = self._at
        self.waited = 0.0

    def query(self, earliest: float, seconds: float) -> float:
        """Send a query as soon as the quota lets it through; when its answer is there."""
        self._at = max(self._at, earliest)
        self.limiter.acquire()
        answered = self._at + seconds
        self.end = max(self.end, answered - self._begin)
        return answered

    def _wait(self, seconds: float, _stop: threading.Event) -> None:
        self._at += seconds
        self.waited += seconds


class _Arrival(Future[FinishedWindow]):
    """A download that is imagined as soon as it is asked for; whoever looks at it is at its end."""

    def __init__(self, timeline: _Timeline) -> None:
        super().__init__()
        self._timeline = timeline
        self.at = timeline.now

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What went wrong, if anything."""
        self._timeline.now = max(self._timeline.now, self.at)
        return super().exception(timeout)


class _NoRecords(Spool):
    """A spool that stays empty, and says when it is not needed any more."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        super().__init__(memory_bytes=1)
        self._on_close = on_close

    def close(self) -> None:
        super().close()
        self._on_close()
        self._on_close = lambda: None


@dataclass
class _ImaginedDownloads:
    """Stands for the pool: answers come at once, and hold what is expected.

    Attributes:
        context: Of the imagined run.
        present: The time at its first request.
        timeline: The time that it takes.
        usual: What days hold; None when it is not known.
        speed: How fast answers come.
        windows: What was asked for.
        most_disk: Bytes of temporary files, at most.
    """

    context: RunContext
    present: datetime
    timeline: _Timeline
    usual: UsualDay | None
    speed: Speed
    windows: list[PlannedWindow] = field(default_factory=list)
    most_disk: float = 0.0
    _disk: float = 0.0

    def __post_init__(self) -> None:
        # When each of the downloads that go on side by side is over.
        self._busy_until = [0.0] * self.context.concurrency

    def submit(self, window: Window) -> Future[FinishedWindow]:
        """Imagine the download of a window."""
        arrival = _Arrival(self.timeline)
        try:
            arrival.set_result(self._download(window, arrival))
        except FilterNotTrustedError as error:
            arrival.set_exception(error)
        if not self.context.granted.done():
            self.context.granted.set_result(None)
        return arrival

    def close(self) -> None:
        """Nothing is open."""

    def _download(self, window: Window, arrival: _Arrival) -> FinishedWindow:
        """Ask as a downloader does.

        Raises:
            FilterNotTrustedError: As the filter says.
        """
        late_filter, span = self.context.late_filter, self.context.span
        question = late_filter.question(window) if window.is_filtered else None
        self._tell_time()
        # Of days that were exported before, what came in since then is written.
        since = None if span.bookmark is None else span.bookmark.done
        news = self._days(window, since if window.late_only else None)
        if question is None:
            days = self._days(window)
            answers = [days] if self._is_likely(days) else [0.0, 0.0]
            if window.is_proof:
                answers = [*self._try_filter(window), *answers]
        elif not late_filter.is_trusted:
            # The first answer tells that the proof is too old, and is read no further.
            self._ask(window, arrival, [0.0], 0.0)
            raise FilterNotTrustedError
        else:
            found = self._passing(window, news)
            answers = [found] if question.known or self._is_likely(found) else [0.0, 0.0]
            # It holds what it should.
            observed = Observed(filter_of(window, span), span)
            late_filter.check_answer(window, question, observed)
        self._ask(window, arrival, answers, news)
        return self._finished(window, answers[-1])

    def _tell_time(self) -> None:
        """Take an answer's time; the first one counts."""
        context = self.context
        if not context.clock.is_known:
            context.clock.note(self.present, server_clock.machine_now())
            context.late_filter.check_age(context.clock.first)

    def _days(self, window: Window, since: datetime | None = None) -> float:
        """How many days a window has, from an instant on, and up to the present."""
        span = self.context.span
        begin, end = span.day_start(window.first), span.day_start(window.last + DAY)
        begin = begin if since is None else max(begin, since)
        return max(0.0, (min(end, self.present) - begin) / DAY)

    def _is_likely(self, days: float) -> bool:
        """Whether some time has events: an answer without any is read twice."""
        if self.usual is None:
            return days > 0
        return self.usual.events * days >= _LIKELY_EVENTS

    def _try_filter(self, window: Window) -> list[float]:
        """Try the filter on a day; the days' worth of each answer to the first query."""
        context = self.context
        late_filter, clock = context.late_filter, context.clock
        trial = from_milliseconds(late_filter.trial_ms(window))
        past = self._days(window, trial)
        others = self._days(window) - past
        filtered, whole = (late_filter.start_digest(window, clock.first) for _ in range(2))
        filtered.past = whole.past = int(self._is_likely(past))
        whole.others = int(self._is_likely(others))
        late_filter.conclude(filtered, whole, clock.first)
        found = self._passing(window, past)
        return [found] if self._is_likely(found) else [0.0, 0.0]

    def _passing(self, window: Window, days: float) -> float:
        """How many days' events come through the filter, of so many processed late enough."""
        share = 0.0 if self.usual is None else self.usual.unstamped_share
        return days + share * max(0.0, self._days(window) - days)

    def _ask(self, window: Window, arrival: _Arrival, answers: list[float], written: float) -> None:
        """Send queries, one after the other.

        Args:
            window: The window.
            arrival: Learns when the last answer is there.
            answers: How many days' events each answer holds.
            written: How many days' events are written.
        """
        usual = self.usual or UsualDay()
        worker = self._busy_until.index(min(self._busy_until))
        arrival.at = max(self.timeline.now, self._busy_until[worker])
        for days in answers:
            seconds = self.speed.seconds(usual.received * days)
            arrival.at = self.timeline.query(arrival.at, seconds)
        self._busy_until[worker] = arrival.at
        self.windows.append(
            PlannedWindow(
                window, len(answers), usual.events * written, usual.received * sum(answers)
            )
        )

    def _finished(self, window: Window, days: float) -> FinishedWindow:
        usual = self.usual or UsualDay()
        spooled = usual.spooled * days
        self._disk += spooled
        self.most_disk = max(self.most_disk, self._disk)

        def free() -> None:
            self._disk -= spooled

        counts = Counts(received=int(usual.received * days))
        return FinishedWindow(window, _NoRecords(free), counts)


@contextmanager
def _silence() -> Iterator[None]:
    """Log nothing of what a run would log; other runs of this process still do."""
    me = threading.get_ident()

    def silencer(record: logging.LogRecord) -> bool:
        return record.thread != me

    for talker in _TALKERS:
        talker.addFilter(silencer)
    try:
        yield
    finally:
        for talker in _TALKERS:
            talker.removeFilter(silencer)
