"""The project's quota: 60 queries an hour, 3 a second, for all threads and runs of a machine.

`pyrate-limiter` 4.5 does not fit: its waits cannot be stopped or reported, are not first come,
first served, know no `Retry-After`, and never end when the clock was set back far.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeVar

from tap_mixpanel_export.api.quota_file import Ledger, QuotaFile, QuotaFileBusyError
from tap_mixpanel_export.errors import LongPauseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_Result = TypeVar("_Result")

# The service counts a query when it arrives. Of two queries the first may be on its way longer (a
# new TLS connection, a busy machine), so that they arrive closer together than they were sent.
# Windows that are longer by what the ways can differ keep the service's own from overflowing.
_JITTER_SECONDS = 0.25

# An hour gets 10 s more: lost packets are sent again after 1, 2 and 4 s, and clocks are corrected
# by seconds. The price is 0.3 % of the quota; a 429 costs a query.
_DRIFT = 1 / 360

# Above the longest wait that "3 per second" alone makes, which nobody wants a log line about.
_LOGGED_WAIT_SECONDS = 1.5

# A wait is cut into pieces of this length, so that a clock that was set, a machine that slept, and
# a pause that another process was asked for are noticed.
_RECHECK_SECONDS = 30.0

# How often a thread that waits for its turn looks whether it is to stop.
_STOP_POLL_SECONDS = 0.1

# A run holds the quota file for milliseconds; one that holds it for this long is suspended.
_FILE_TIMEOUT_SECONDS = 60.0

LONGEST_PAUSE_SECONDS = 3600.0
"""The longest pause that a run waits for; past it a run ends, and a later one goes on."""


def until(seconds: float) -> str:
    """When a wait that begins now ends, for people."""
    now = datetime.now(timezone.utc)
    end = now + timedelta(seconds=seconds)
    day = "" if end.date() == now.date() else f"{end:%Y-%m-%d} "
    return f"until {day}{end:%H:%M} UTC"


def check_pause(seconds: float | None) -> float:
    """How long to wait when the service asks for a pause.

    Args:
        seconds: Its `Retry-After`; None when it did not say.

    Returns:
        The seconds, 0 when it did not say.

    Raises:
        LongPauseError: It asks for more than an hour. No later run is kept from trying.
    """
    if seconds is None or seconds <= LONGEST_PAUSE_SECONDS:
        return seconds or 0.0
    # Needed for this message only, and slow to import.
    from pendulum import duration  # noqa: PLC0415

    raise LongPauseError(
        f"Mixpanel asks for a pause of {duration(seconds=round(seconds)).in_words()} "
        f"(Retry-After), {until(seconds)}; a run waits for an hour at most. What is finished is "
        "written, and the state is safe: start the tap again then"
    )


class LimiterStopped(Exception):  # noqa: N818 - as with StopIteration, nothing went wrong
    """The wait for the quota was ended by the caller's `stop`; no query was counted."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """At most `count` queries in any `window` seconds."""

    count: int
    window: float
    name: str

    def free_at(self, sent: list[float]) -> float:
        """When the next query may be sent, given when the last ones were sent."""
        return sent[-self.count] + self.window if len(sent) >= self.count else 0.0


def _with_margin(window: float) -> float:
    return window + max(_JITTER_SECONDS, window * _DRIFT)


def _wait(seconds: float, stop: threading.Event) -> None:
    stop.wait(seconds)


class QueryLimiter:
    """Lets a query through when the quota has room for it, first come, first served.

    The windows slide: whatever the moment, neither the second nor the hour before it holds more
    queries than its limit. Any number of threads may share one limiter. Processes on one machine
    that name the same `quota_file` share one quota, and a run sees the queries of the runs before
    it.

    Args:
        max_per_hour: Queries in any hour, from 1.
        quota_file: The file to share the quota by; without it the quota is this limiter's own.
        project: Whose quota; one file may hold those of several projects.
        clock: Gives seconds since the epoch, the same for all processes that share the file.
        wait: Waits some seconds, or until the event is set.
        on_wait: Called from the waiting thread with the seconds and the cause of a wait of more
            than 1.5 s, once a wait, and again only if it gets longer than was said.

    Raises:
        QuotaFileError: When the quota file cannot be used.
        ValueError: When the limit is below 1.
    """

    PER_SECOND = 3
    """Queries in any second. For a service whose clock is scaled, this and the next two can be
    overridden; the margin against jitter, at least 0.25 s, is not scaled."""

    SECOND_SECONDS = 1.0
    HOUR_SECONDS = 3600.0

    def __init__(  # noqa: PLR0913 - keywords only, each with a default
        self,
        *,
        max_per_hour: int = 60,
        quota_file: Path | None = None,
        project: str = "",
        clock: Callable[[], float] = time.time,
        wait: Callable[[float, threading.Event], object] = _wait,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        if max_per_hour < 1:
            raise ValueError("a limit of less than one query lets none through")
        self.max_per_hour = max_per_hour
        """Queries in any hour."""
        self._hour = _with_margin(self.HOUR_SECONDS)
        self._limits = (
            _Limit(
                self.PER_SECOND,
                _with_margin(self.SECOND_SECONDS),
                f"the limit of {self.PER_SECOND} queries per second",
            ),
            _Limit(max_per_hour, self._hour, f"the limit of {max_per_hour} queries per hour"),
        )
        self._clock = clock
        self._wait = wait
        self._on_wait = on_wait
        self._ledger = Ledger()
        self._ledger_lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()
        self._queue_lock = threading.Lock()
        self._file = None if quota_file is None else QuotaFile(quota_file, project)
        try:
            # A file that cannot be used is a bad setting, to be refused before the first request.
            self.seconds_until_free()
        except BaseException:
            self.close()
            raise

    def acquire(self, stop: threading.Event | None = None) -> None:
        """Wait until a query may be sent, and count it. Every request needs it, retries too.

        Args:
            stop: Ends the wait when set.

        Raises:
            LimiterStopped: When `stop` is set before the query is let through.
            QuotaFileError: When the quota file cannot be used any more.
        """
        stop = threading.Event() if stop is None else stop
        with self._turn(stop):
            announced = 0.0
            while True:
                if stop.is_set():
                    raise LimiterStopped("stopped while waiting for the project's query quota")
                now, free_at, cause = self._locked(self._take, stop)
                if free_at <= now:
                    return
                seconds = free_at - now
                if (
                    self._on_wait
                    and seconds > _LOGGED_WAIT_SECONDS
                    and free_at > announced + _LOGGED_WAIT_SECONDS
                ):
                    self._on_wait(seconds, cause)
                    announced = free_at
                self._wait(min(seconds, _RECHECK_SECONDS), stop)

    def penalize(self, seconds: float) -> None:
        """Let no query through for a while, of any thread or process that shares the quota.

        Args:
            seconds: From now, as a 429's `Retry-After` has it, an hour at most. A pause that ends
                later stays.

        Raises:
            QuotaFileError: When the quota file cannot be used any more.
        """
        bounded = min(seconds, self._hour)

        def pause(ledger: Ledger, now: float) -> None:
            if ledger.pause is None or ledger.pause[1] < now + bounded:
                ledger.pause = (now, now + bounded)

        self._locked(pause)

    def seconds_until_free(self) -> float:
        """Say how long a query would have to wait now, in seconds; 0 if not at all.

        Raises:
            QuotaFileError: When the quota file cannot be used any more.
        """

        def look(ledger: Ledger, now: float) -> float:
            return max(0.0, self._next_free(ledger)[0] - now)

        return self._locked(look)

    def left_in_hour(self) -> int:
        """How many of the hour's queries are left now.

        Raises:
            QuotaFileError: When the quota file cannot be used any more.
        """

        def look(ledger: Ledger, now: float) -> int:
            return self.max_per_hour - sum(sent > now - self._hour for sent in ledger.sent)

        return self._locked(look)

    def close(self) -> None:
        """Close the quota file. The limiter must not be used afterwards."""
        if self._file is not None:
            with self._ledger_lock:
                self._file.close()

    def _take(self, ledger: Ledger, now: float) -> tuple[float, float, str]:
        """Count a query if there is room for it; otherwise say when there will be, and why."""
        free_at, cause = self._next_free(ledger)
        if free_at <= now:
            ledger.sent.append(now)
        return now, free_at, cause

    def _next_free(self, ledger: Ledger) -> tuple[float, str]:
        times = [(limit.free_at(ledger.sent), limit.name) for limit in self._limits]
        if ledger.pause is not None:
            times.append((ledger.pause[1], "the pause that the service asked for (429)"))
        return max(times)

    def _locked(
        self, action: Callable[[Ledger, float], _Result], stop: threading.Event | None = None
    ) -> _Result:
        """Run `action` on the ledger while no other thread or process can."""
        give_up = time.monotonic() + _FILE_TIMEOUT_SECONDS
        while True:
            try:
                with (
                    self._ledger_lock,
                    self._file.exclusive() if self._file else nullcontext(self._ledger) as ledger,
                ):
                    # Only now: time spent waiting for the lock must not make a query look older.
                    now = self._clock()
                    if self._file:
                        ledger.drop_impossible(now, self._hour)
                    ledger.settle(now, self._hour)
                    return action(ledger, now)
            except QuotaFileBusyError:
                if stop is not None and stop.is_set():
                    raise LimiterStopped("stopped while waiting for the quota file") from None
                if time.monotonic() > give_up:
                    raise

    @contextmanager
    def _turn(self, stop: threading.Event) -> Iterator[None]:
        """Wait until all threads that came before have been let through."""
        # A plain lock would let a thread that comes late overtake those that wait.
        turn = threading.Event()
        with self._queue_lock:
            self._queue.append(turn)
            self._queue[0].set()
        try:
            while not turn.wait(_STOP_POLL_SECONDS):
                if stop.is_set():
                    raise LimiterStopped("stopped while waiting for the project's query quota")
            yield
        finally:
            with self._queue_lock:
                self._queue.remove(turn)
                if self._queue:
                    self._queue[0].set()
