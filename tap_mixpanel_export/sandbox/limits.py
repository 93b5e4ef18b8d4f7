"""The query limits of a project: sliding windows of an hour and a second, and downloads at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.sandbox.clock import SandboxClock


_HOUR = 3600.0
_SECOND = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a project may ask for; the defaults are Mixpanel's.

    Attributes:
        per_hour: Queries in any 3600 seconds of the sandbox's clock.
        per_second: Queries in any second of the sandbox's clock.
        concurrent: Queries under way at once.
        retry_after: Whether a 429 says how long to wait; the service does so only sometimes.
    """

    per_hour: int = 60
    per_second: int = 3
    concurrent: int = 100
    retry_after: bool = True


class Refusal(NamedTuple):
    """Why a query is answered with 429.

    Attributes:
        text: The `error` of the answer.
        wait: Seconds of the sandbox's clock until a query would be taken.
    """

    text: str
    wait: float


class Limiter:
    """Counts the queries of one project against its limits.

    A query that is refused takes nothing from the quota. Who waits as told is let through: while
    the clock stands still, the windows slide with the real time.

    Args:
        limits: The limits; `None` takes every query.
        clock: The clock that the windows slide on.
        real_seconds: The real time, from some point on; that of this machine when missing.
    """

    def __init__(
        self,
        limits: Limits | None,
        clock: SandboxClock,
        real_seconds: Callable[[], float] | None = None,
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._real_seconds = real_seconds or time.monotonic
        self._lock = threading.Lock()
        self._taken: deque[float] = deque()
        self._under_way = 0

    def take(self) -> Refusal | None:
        """Count a query, to be given back with `done`; or say why it is refused."""
        limits = self.limits
        with self._lock:
            if limits is not None:
                now = self._clock.now().timestamp()
                if not self._clock.rate:
                    now += self._real_seconds()
                refusal = self._refusal(limits, now)
                if refusal is not None:
                    return refusal
                self._taken.append(now)
            self._under_way += 1
            return None

    def done(self) -> None:
        """Say that a query that was taken is over."""
        with self._lock:
            self._under_way -= 1

    def _refusal(self, limits: Limits, now: float) -> Refusal | None:
        taken = self._taken
        # A clock that was set back leaves entries of the future behind: they count until their time
        # has passed.
        while taken and taken[0] <= now - _HOUR:
            taken.popleft()
        if len(taken) >= limits.per_hour:
            return Refusal(
                "too many export requests in the last hour",
                taken[-limits.per_hour] + _HOUR - now,
            )
        if len(taken) >= limits.per_second and taken[-limits.per_second] > now - _SECOND:
            return Refusal(
                f"Project exceeded rate limits: {limits.per_second} queries per second",
                taken[-limits.per_second] + _SECOND - now,
            )
        if self._under_way >= limits.concurrent:
            return Refusal(
                f"Project exceeded rate limits: {limits.concurrent} concurrent queries",
                _SECOND,
            )
        return None
