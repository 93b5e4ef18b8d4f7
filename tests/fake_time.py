"""Clocks that tests move: that of the quota, and this machine's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from hypothesis import strategies as st

from tap_mixpanel_export.api.rate_limit import QueryLimiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

SECOND = 1.25  # with the margin against jitter
HOUR = 3610.0  # with the margin against drift
START = 1_800_000_000.0

# Of callers who ask at once, within a second, within a minute or two, and after the hour.
PAUSES = st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.4, 0.9, 1.2, 5.0, 130.0, 3700.0])


def machine_at(now: datetime | Callable[[], datetime]) -> Any:
    """A context, or a decorator, in which it is now that time on this machine.

    However long a busy machine takes, no time passes for a run but what passes by `now`.

    Args:
        now: The time; or what gives it, such as the `now` of a service's clock.
    """
    tell = now if callable(now) else lambda: now
    return mock.patch.multiple(
        "tap_mixpanel_export.sync.server_clock",
        machine_now=tell,
        time=SimpleNamespace(monotonic=lambda: 0.0),
    )


class FakeTime:
    """A clock that only waiting and `pass_` move; `offset` is by how much it is wrong."""

    def __init__(self):
        self.true = START
        self.offset = 0.0
        self.waits = []

    def clock(self):
        return self.true + self.offset

    def wait(self, seconds, _stop):
        assert seconds > 0
        assert len(self.waits) < 50_000, "it waits for ever"
        self.waits.append(seconds)
        self.true += seconds

    def pass_(self, seconds):
        self.true += seconds


def scaled(**limits):
    """The limiter of a service with other limits, or another clock."""
    return type("Scaled", (QueryLimiter,), {name.upper(): value for name, value in limits.items()})


def limiter_on(time, *, per_second=3, **arguments):
    kind = scaled(per_second=per_second)
    return kind(clock=time.clock, wait=time.wait, **arguments)


def send_times(limiter, time, pauses):
    """When each query is let through, if the caller takes its time before each."""
    times = []
    for pause in pauses:
        time.pass_(pause)
        limiter.acquire()
        times.append(time.true)
    return times


def assert_never_more_than(count, window, times):
    times = sorted(times)
    for first, beyond in zip(times, times[count:], strict=False):
        # 1e-6: what a float of this size can tell apart.
        assert beyond - first >= window - 1e-6
