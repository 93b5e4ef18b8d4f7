"""What it costs to miss nothing, by the log of requests: bytes and queries of weeks of runs."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from harness import DAY, UTC
from simulated import HOUR, MINUTE, Simulation, most_within

# The low 31 bits of stamps turn over once in the 30 days that follow, which costs a proof more.
NOON = datetime(2026, 3, 19, 12, tzinfo=UTC)
FIVE_YEARS = timedelta(days=1826)

pytestmark = pytest.mark.slow


def test_a_week_of_hourly_runs_transfers_little_more_than_what_is_new():
    with Simulation(NOON - 10 * DAY, NOON) as simulation:
        # Of 60 minutes 15 come twice: what was processed within the margin.
        simulation.add_all(NOON - 10 * DAY, NOON + 7 * DAY, 3 * MINUTE)
        simulation.run()
        # Some are late, by up to the look-back.
        for hour in range(7 * 24):
            processed = NOON + (hour + 0.3) * HOUR
            simulation.add(processed - simulation.chance.random() * 4 * DAY, processed)
        simulation.clock.advance(MINUTE)
        begun = simulation.clock.now()
        for _ in simulation.run_every(HOUR, 7 * 24):
            pass
        sent = sum(request.bytes_sent for request in simulation.requests_since(begun))
        new = simulation.new_bytes(since=NOON)
        assert sent <= 1.25 * new + simulation.largest_day()
        assert simulation.missing() == set()


@pytest.fixture
def five_years():
    with Simulation(NOON - FIVE_YEARS, NOON) as simulation:
        # So dense that history, transferred in vain, shows; and an event or two of a margin do not.
        simulation.add_all(NOON - FIVE_YEARS, NOON - 10 * DAY, DAY / 12)
        simulation.add_all(NOON - 10 * DAY, NOON + 30 * DAY, DAY / 72)
        for day in range(30):
            processed = NOON + (day + simulation.chance.random()) * DAY
            simulation.add(processed - simulation.chance.random() * FIVE_YEARS, processed)
        simulation.run()
        simulation.clock.advance(MINUTE)
        yield simulation


def check_sweeps(simulation, begun):
    """All that was processed before the last complete sweep has come out, at a bounded price."""
    sweeps = simulation.sweeps_since(begun)
    assert 0 < most_within((request.time for request in sweeps), 7 * DAY) <= 20
    assert simulation.clock.now() - simulation.oldest_watermark <= 8 * DAY + 15 * MINUTE
    assert simulation.missing(before=simulation.oldest_watermark) == set()
    # And the late ones that came in well before the end were not the only ones there are.
    assert simulation.oldest_watermark > NOON + 20 * DAY


def test_thirty_daily_runs_on_five_years(five_years):
    begun = five_years.clock.now()
    for _ in five_years.run_every(DAY, 30):
        pass
    check_sweeps(five_years, begun)
    sent = sum(request.bytes_sent for request in five_years.requests_since(begun))
    weeks = -(-30 // 7)
    assert sent <= 1.1 * five_years.new_bytes(since=NOON) + weeks * five_years.largest_day()


def test_thirty_days_of_hourly_runs_on_five_years(five_years):
    begun = five_years.clock.now()
    for _ in five_years.run_every(HOUR, 30 * 24):
        pass
    check_sweeps(five_years, begun)
    asked = five_years.requests_since(begun)
    assert most_within((request.time for request in asked), HOUR) <= 60
