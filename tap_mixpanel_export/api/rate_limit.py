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
from typing import TYPE_CHECKING, TypeVar

from tap_mixpanel_export.api.quota_file import Ledger, QuotaFile, QuotaFileBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_Result = TypeVar("_Result")

# s. The service counts a query when it arrives. Of two queries the first may be on its way longer
# (a new TLS connection, a busy machine), so that they arrive closer together than they were sent.
# Windows that are longer by what the ways can differ keep the service's own from overflowing.
_JITTER = 0.25

# An hour gets 10 s more: lost packets are sent again after 1, 2 and 4 s, and clocks are corrected
# by seconds. The price is 0.3 % of the quota; a 429 costs a query.
_DRIFT = 1 / 360

# s. Above the longest wait that "3 per second" alone makes, which nobody wants a log line about.
_WORTH_TELLING = 1.5

# s. A wait is cut into pieces of this length, so that a clock that was set, a machine that slept,
# and a pause that another process was asked for are noticed.
_LOOK_AGAIN = 30.0

# s. How often a thread that waits for its turn looks whether it has been told to stop.
_LOOK_FOR_STOP = 0.1

# s. A run holds the quota file for milliseconds; one that holds it for this long is suspended.
_FILE_PATIENCE = 60.0


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
    return window + max(_JITTER, window * _DRIFT)


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
        per_second: Queries in any second, from 1.
        quota_file: The file to share the quota by; without it the quota is this limiter's own.
        project: Whose quota; one file may hold those of several projects.
        clock: Gives seconds since the epoch, the same for all processes that share the file.
        wait: Waits some seconds, or until the event is set.
        on_wait: Called from the waiting thread with the seconds and the cause of a wait of more
            than 1.5 s, once a wait, and again only if it gets longer than was said.
        hour: Length of "an hour" in seconds, for a service whose clock is scaled.
        second: Length of "a second" in seconds, likewise. Both windows get a margin against jitter
            of at least 0.25 s, which is not scaled.

    Raises:
        QuotaFileError: When the quota file cannot be used.
        ValueError: When a limit is below 1.
    """

    def __init__(  # noqa: PLR0913 - keywords only, each with a default
        self,
        *,
        max_per_hour: int = 60,
        per_second: int = 3,
        quota_file: Path | None = None,
        project: str = "",
        clock: Callable[[], float] = time.time,
        wait: Callable[[float, threading.Event], object] = _wait,
        on_wait: Callable[[float, str], None] | None = None,
        hour: float = 3600.0,
        second: float = 1.0,
    ) -> None:
        if min(max_per_hour, per_second) < 1:
            raise ValueError("a limit of less than one query lets none through")
        self._hour = _with_margin(hour)
        self._limits = (
            _Limit(
                per_second, _with_margin(second), f"the limit of {per_second} queries per second"
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
            told = 0.0
            while True:
                if stop.is_set():
                    raise LimiterStopped("stopped while waiting for the project's query quota")
                now, free_at, cause = self._locked(self._take, stop)
                if free_at <= now:
                    return
                seconds = free_at - now
                if self._on_wait and seconds > _WORTH_TELLING and free_at > told + _WORTH_TELLING:
                    self._on_wait(seconds, cause)
                    told = free_at
                self._wait(min(seconds, _LOOK_AGAIN), stop)

    def penalize(self, seconds: float) -> None:
        """Let no query through for a while, of any thread or process that shares the quota.

        Args:
            seconds: From now, as a 429's `Retry-After` has it. A pause that ends later stays.

        Raises:
            QuotaFileError: When the quota file cannot be used any more.
        """

        def pause(ledger: Ledger, now: float) -> None:
            if ledger.pause is None or ledger.pause[1] < now + seconds:
                ledger.pause = (now, now + seconds)

        self._locked(pause)

    def seconds_until_free(self) -> float:
        """Say how long a query would have to wait now, in seconds; 0 if not at all.

        Raises:
            QuotaFileError: When the quota file cannot be used any more.
        """

        def look(ledger: Ledger, now: float) -> float:
            return max(0.0, self._next_free(ledger)[0] - now)

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
        give_up = time.monotonic() + _FILE_PATIENCE
        while True:
            try:
                with (
                    self._ledger_lock,
                    self._file.exclusive() if self._file else nullcontext(self._ledger) as ledger,
                ):
                    # Only now: time spent waiting for the lock must not make a query look older.
                    now = self._clock()
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
            while not turn.wait(_LOOK_FOR_STOP):
                if stop.is_set():
                    raise LimiterStopped("stopped while waiting for the project's query quota")
            yield
        finally:
            with self._queue_lock:
                self._queue.remove(turn)
                if self._queue:
                    self._queue[0].set()
