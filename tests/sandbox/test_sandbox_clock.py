from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tap_mixpanel_export.sandbox import SandboxClock
from tap_mixpanel_export.sandbox.clock import epoch_milliseconds

AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def test_a_fixed_clock_stands_still_until_it_is_moved():
    clock = SandboxClock.fixed(AT)
    assert clock.now() == clock.now() == AT
    clock.advance(90)
    assert clock.now() == AT + timedelta(seconds=90)
    clock.advance(timedelta(days=1))
    assert clock.now() == AT + timedelta(days=1, seconds=90)
    clock.set(AT)
    assert clock.now() == AT


def test_a_clock_shows_utc_whatever_zone_it_was_set_in():
    clock = SandboxClock.fixed(datetime(2026, 3, 1, 4, tzinfo=timezone(timedelta(hours=-8))))
    assert clock.now() == AT
    assert clock.now().tzinfo is timezone.utc
    assert epoch_milliseconds(clock.now()) == 1772366400000


def test_a_scaled_clock_runs_ahead_of_real_time():
    clock = SandboxClock(AT, rate=1e9)
    first = clock.now()
    assert clock.now() - first > timedelta(0)
    assert clock.now() > AT


def test_without_a_start_it_is_now():
    before = datetime.now(tz=timezone.utc)
    assert before - timedelta(seconds=1) <= SandboxClock().now()


def test_what_no_clock_can_be_is_refused():
    with pytest.raises(ValueError, match="backwards"):
        SandboxClock(rate=-1)
    with pytest.raises(ValueError, match="no zone"):
        SandboxClock(AT.replace(tzinfo=None))
