"""A project's quota: waits are first come, first served, have a reason, and end when told to stop.

`pyrate-limiter` 4.5 does not fit: its waits cannot be stopped or reported, are not first come,
first served, know no `Retry-After`, and never end when the clock was set back far.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tap_mixpanel_export.stopping import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from tap_mixpanel_export.api.lease import Leases

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

PAUSE_CAUSE = "the pause that the service asked for (429)"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` queries in any `window` seconds."""

    count: int
    window: float
    name: str

    def free_at(self, sent: Sequence[float]) -> float:
        """When the next query may be sent, given when the last ones were sent."""
        return sent[-self.count] + self.window if len(sent) >= self.count else 0.0


class Turn(NamedTuple):
    """What came of trying to count a query.

    Attributes:
        now: When it was tried.
        free_at: When there is room; the query was counted if that is not after `now`.
        cause: What there is no room for.
    """

    now: float
    free_at: float
    cause: str


def wait(seconds: float, stop: threading.Event) -> None:
    """Wait some seconds, or until the event is set."""
    stop.wait(seconds)


class Quota(ABC):
    """Mixpanel's limits of a project, by default 60 queries in an hour and 3 in a second.

    The windows slide: whatever the moment, neither the second nor the hour before it holds more
    queries than its limit. All methods may be called from any thread, and raise QuotaFileError when
    what the quota is shared by cannot be used any more.

    Args:
        max_per_hour: Queries in any hour, from 1.
        clock: Gives seconds since the epoch.
        wait: Waits some seconds, or until the event is set.
        on_wait: Called from the waiting thread with the seconds and the cause of a wait of more
            than 1.5 s, once a wait, and again only if it gets longer than was said.

    Raises:
        ValueError: When the limit is below 1.
    """

    PER_SECOND = 3
    """Queries in any second. For a service whose clock is scaled, this and the next two can be
    overridden; the margin against jitter, at least 0.25 s, is not scaled."""

    SECOND_SECONDS = 1.0
    HOUR_SECONDS = 3600.0

    def __init__(
        self,
        max_per_hour: int,
        clock: Callable[[], float] = time.time,
        wait: Callable[[float, threading.Event], object] = wait,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        if max_per_hour < 1:
            raise ValueError("a limit of less than one query lets none through")
        self.max_per_hour = max_per_hour
        """Queries in any hour."""
        self._hour = _with_margin(self.HOUR_SECONDS)
        self._limits = (
            Limit(
                self.PER_SECOND,
                _with_margin(self.SECOND_SECONDS),
                f"the limit of {self.PER_SECOND} queries per second",
            ),
            Limit(max_per_hour, self._hour, f"the limit of {max_per_hour} queries per hour"),
        )
        self._clock = clock
        self._wait = wait
        self._on_wait = on_wait
        self._queue: deque[threading.Event] = deque()
        self._queue_lock = threading.Lock()

    def acquire(self, stop: threading.Event | None = None) -> None:
        """Wait until a query may be sent, and count it. Every request needs it, retries too.

        Args:
            stop: Ends the wait when set.

        Raises:
            StoppedError: When `stop` is set before the query is let through.
        """
        stop = threading.Event() if stop is None else stop
        with self._turn(stop):
            announced = 0.0
            while True:
                if stop.is_set():
                    raise StoppedError("stopped while waiting for the project's query quota")
                now, free_at, cause = self._take(stop)
                if free_at <= now:
                    return
                seconds = free_at - now
                is_news = seconds > _LOGGED_WAIT_SECONDS < free_at - announced
                if self._on_wait and is_news:
                    self._on_wait(seconds, cause)
                    announced = free_at
                self._wait(min(seconds, _RECHECK_SECONDS), stop)

    @abstractmethod
    def penalize(self, seconds: float) -> None:
        """Let no query through for a while, whoever shares the quota.

        Args:
            seconds: From now, as a 429's `Retry-After` has it; an hour at most is taken, and a
                pause that ends later stays.
        """

    @abstractmethod
    def seconds_until_free(self) -> float:
        """How long a query would have to wait now, in seconds; 0 if not at all."""

    @abstractmethod
    def left_in_hour(self) -> int:
        """How many of the hour's queries are left now."""

    @abstractmethod
    def note_server_time(self, server_time: datetime | None) -> None:
        """Take the `Date` of an answer that has just come, the one clock that all machines share.

        Args:
            server_time: None when the answer had none.
        """

    def lease(self, key: str, stop: threading.Event | None = None) -> AbstractContextManager[None]:
        """Hold a key that only one at a time may have, of all that share the quota.

        Args:
            key: Of a window, say.
            stop: Ends the wait for it when set.

        Raises:
            StoppedError: When `stop` is set before the key is free.
        """
        return self._leases.hold(key, threading.Event() if stop is None else stop)

    @abstractmethod
    def close(self) -> None:
        """Close what is open. The quota must not be used afterwards."""

    @property
    @abstractmethod
    def _leases(self) -> Leases:
        """Leases among all that share the quota."""

    @abstractmethod
    def _take(self, stop: threading.Event) -> Turn:
        """Count a query if there is room for it; otherwise say when there will be, and why."""

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
                    raise StoppedError("stopped while waiting for the project's query quota")
            yield
        finally:
            with self._queue_lock:
                self._queue.remove(turn)
                if self._queue:
                    self._queue[0].set()


def _with_margin(window: float) -> float:
    return window + max(_JITTER_SECONDS, window * _DRIFT)
