"""The sandbox's clock: real time, or a time that a test sets, moves on and speeds up."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone

_SECOND = timedelta(seconds=1)


class SandboxClock:
    """A clock that can be set, moved on and scaled.

    It drives everything of the sandbox that depends on the time: the `Date` header, today, which
    events Mixpanel has processed yet, and the windows of the query limits.

    Args:
        start: Time that the clock shows first; the real time when missing. It needs a zone.
        rate: Seconds that pass on this clock per real second. 0 makes it stand still.

    Raises:
        ValueError: `start` has no zone, or `rate` is negative.
    """

    def __init__(self, start: datetime | None = None, *, rate: float = 1.0) -> None:
        if rate < 0:
            raise ValueError(f"a clock can't run backwards: rate {rate}")
        self._rate = rate
        self._lock = threading.Lock()
        self._anchor = time.monotonic()
        self._shown = _in_utc(start) if start is not None else datetime.now(tz=timezone.utc)

    @classmethod
    def fixed(cls, at: datetime) -> SandboxClock:
        """Return a clock that stands still until it is set or advanced."""
        return cls(at, rate=0.0)

    @property
    def rate(self) -> float:
        """Seconds on this clock per real second."""
        return self._rate

    def now(self) -> datetime:
        """Return the time, in UTC."""
        with self._lock:
            return self._read()

    def set(self, at: datetime) -> None:
        """Show another time from now on.

        Raises:
            ValueError: `at` has no zone.
        """
        with self._lock:
            self._shown = _in_utc(at)
            self._anchor = time.monotonic()

    def advance(self, step: timedelta | float) -> None:
        """Move the clock on, by a time span or by seconds."""
        span = step if isinstance(step, timedelta) else step * _SECOND
        with self._lock:
            self._shown = self._read() + span
            self._anchor = time.monotonic()

    def _read(self) -> datetime:
        return self._shown + (time.monotonic() - self._anchor) * self._rate * _SECOND


def epoch_milliseconds(at: datetime) -> int:
    """Return an instant as whole milliseconds since 1970-01-01T00:00:00Z, rounded down.

    Raises:
        ValueError: `at` has no zone.
    """
    return (_in_utc(at) - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"the time {at.isoformat()} has no zone")
    return at.astimezone(timezone.utc)
