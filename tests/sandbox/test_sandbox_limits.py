from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.sandbox import Limits, SandboxClock
from tap_mixpanel_export.sandbox.limits import Limiter

AT = datetime(2026, 3, 1, tzinfo=timezone.utc)


def limiter_on(clock, limits):
    """A limiter for which no real time passes, however busy the machine is."""
    return Limiter(limits, clock, real_seconds=lambda: 0.0)


def test_three_in_a_second_then_one_more_after_it():
    clock = SandboxClock.fixed(AT)
    limiter = limiter_on(clock, Limits())
    assert [limiter.take() for _ in range(3)] == [None] * 3
    refusal = limiter.take()
    assert refusal.text.startswith("Project exceeded rate limits")
    assert refusal.wait == pytest.approx(1.0)
    clock.advance(1)
    assert limiter.take() is None


def test_sixty_in_an_hour():
    clock = SandboxClock.fixed(AT)
    limiter = limiter_on(clock, Limits())
    for _ in range(60):
        assert limiter.take() is None
        limiter.done()
        clock.advance(2)
    refusal = limiter.take()
    assert refusal.text == "too many export requests in the last hour"
    assert refusal.wait == pytest.approx(3600 - 120)
    clock.advance(refusal.wait)
    assert limiter.take() is None
    assert limiter.take() is not None


def test_a_hundred_at_once():
    clock = SandboxClock.fixed(AT)
    limiter = limiter_on(clock, Limits(per_hour=1000, per_second=1000))
    assert [limiter.take() for _ in range(100)] == [None] * 100
    clock.advance(60)
    assert "concurrent" in limiter.take().text
    limiter.done()
    assert limiter.take() is None


def test_who_waits_as_told_is_let_through_while_the_clock_stands_still():
    real = 5.0
    limiter = Limiter(Limits(), SandboxClock.fixed(AT), real_seconds=lambda: real)
    assert [limiter.take() for _ in range(3)] == [None] * 3
    real += limiter.take().wait / 2
    assert limiter.take() is not None
    real += limiter.take().wait
    assert limiter.take() is None


def test_a_clock_that_runs_is_the_only_one_that_counts():
    real = 0.0
    clock = SandboxClock(AT, rate=1e-9)
    limiter = Limiter(Limits(), clock, real_seconds=lambda: real)
    assert [limiter.take() for _ in range(3)] == [None] * 3
    real = 1e6
    assert limiter.take() is not None


def test_without_limits_everything_goes():
    limiter = Limiter(None, SandboxClock.fixed(AT))
    assert all(limiter.take() is None for _ in range(500))


@settings(max_examples=50)
@given(st.lists(st.floats(0, 900), min_size=1, max_size=120))
def test_no_window_ever_holds_more_than_the_limits(steps):
    clock = SandboxClock.fixed(AT)
    limiter = limiter_on(clock, Limits(per_hour=10, per_second=2))
    taken = []
    for step in steps:
        clock.advance(timedelta(milliseconds=round(step * 10) * 100))
        if limiter.take() is None:
            limiter.done()
            taken.append(clock.now())
    for number, at in enumerate(taken):
        recent = taken[: number + 1]
        assert sum(at - other < timedelta(hours=1) for other in recent) <= 10
        assert sum(at - other < timedelta(seconds=1) for other in recent) <= 2
