"""States of other versions and other taps, and a start that is moved."""

from __future__ import annotations

from datetime import datetime

import pytest
from harness import DAY, UTC, facts, instant
from simulated import HOUR, MINUTE, Simulation

from tap_mixpanel_export.sandbox import Behaviour

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)

pytestmark = pytest.mark.slow


@pytest.fixture
def simulation():
    with Simulation(NOON - 100 * DAY, NOON) as simulation:
        simulation.add_all(NOON - 100 * DAY, NOON + 20 * DAY, DAY / 6)
        yield simulation


def days_of(simulation, got):
    days = {facts(line)[0]: facts(line)[2] for line in simulation.sandbox.visible()}
    return [days[name] for name in got.ids]


def sweep(simulation):
    """Run for some days, late events of any age coming in."""
    late = []
    for age in (1, 4, 20, 80):
        at = simulation.clock.now() - age * DAY
        simulation.add(at, simulation.clock.now() + MINUTE)
        late.append(at)
    for _ in simulation.run_every(DAY, 12):
        pass


def test_a_state_of_the_version_before_is_taken_over(simulation):
    simulation.run()
    simulation.state = {
        "bookmarks": {
            "events": {
                "replication_key": "timestamp",
                "replication_key_value": NOON.isoformat(),
                "processed_before": (NOON - 15 * MINUTE).isoformat(),
            }
        }
    }
    simulation.clock.advance(HOUR)
    got = simulation.run()
    assert all(at > NOON - HOUR for at in days_of(simulation, got))
    sweep(simulation)
    assert simulation.missing(before=simulation.oldest_watermark) == set()
    assert simulation.oldest_watermark > NOON + 2 * HOUR


def test_a_foreign_state_is_taken_over(simulation):
    foreign = {"bookmarks": {"events": {"replication_key_value": (NOON - 2 * DAY).isoformat()}}}
    simulation.state = foreign
    first = simulation.run()
    # Nothing says what was seen of the look-back: it is written, and all after the bookmark.
    assert min(days_of(simulation, first)) >= NOON - 8 * DAY
    assert max(days_of(simulation, first)) >= NOON - DAY / 6
    simulation.clock.advance(HOUR)
    second = simulation.run()
    assert len(second.ids) <= 2
    sweep(simulation)
    in_time = [name for name in simulation.missing() if name]
    lines = {facts(line)[0]: facts(line)[2] for line in simulation.sandbox.visible()}
    # What lies before the look-back was the other tap's affair.
    assert all(lines[name] < NOON - 7 * DAY for name in in_time)


def test_an_earlier_start_brings_the_days_before_exactly_once(simulation):
    simulation.run(start_date=(NOON - 40 * DAY).date().isoformat())
    assert len(simulation.rows) == sum(simulation.times.values())
    simulation.clock.advance(DAY)
    got = simulation.run(start_date=(NOON - 100 * DAY).isoformat())
    assert min(days_of(simulation, got)) < NOON - 99 * DAY
    assert simulation.missing() == set()
    between = [at for at in days_of(simulation, got) if NOON - 39 * DAY < at < NOON - HOUR]
    assert between == []
    simulation.clock.advance(DAY)
    again = simulation.run(start_date=(NOON - 100 * DAY).isoformat())
    assert min(days_of(simulation, again)) > NOON
    begun = simulation.entry["exported_from"]
    assert instant(begun if "T" in begun else f"{begun}T00:00:00+00:00") <= NOON - 100 * DAY


def test_a_later_start_has_nothing_come_again_when_it_is_taken_back(simulation):
    simulation.run()
    simulation.clock.advance(DAY)
    simulation.run(start_date=(NOON - 10 * DAY).isoformat())
    simulation.clock.advance(DAY)
    got = simulation.run()
    assert min(days_of(simulation, got)) > NOON
    assert simulation.missing() == set()


def test_a_first_run_that_cannot_tell_the_time_promises_nothing():
    """It found no event, and no clock to trust: what comes in on those days later is late."""
    with Simulation(NOON - 100 * DAY, NOON, behaviour=Behaviour(date="behind")) as simulation:
        simulation.run()
        simulation.sandbox.behaviour = Behaviour()
        simulation.add(NOON - 50 * DAY, NOON + MINUTE)
        simulation.add_all(NOON, NOON + 20 * DAY, DAY / 6)
        for _ in simulation.run_every(DAY, 12):
            pass
        assert simulation.missing(before=simulation.oldest_watermark) == set()
        assert simulation.oldest_watermark > NOON + MINUTE
