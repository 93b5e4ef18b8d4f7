"""A service that behaves otherwise than documented: runs succeed, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from harness import DAY, UTC
from simulated import HOUR, MINUTE, Simulation

from tap_mixpanel_export.sandbox import Behaviour
from tap_mixpanel_export.sandbox.where_modes import WHERE_MODES

EVENING = datetime(2026, 3, 15, 18, 1, tzinfo=UTC)
HONEST = Behaviour()

pytestmark = pytest.mark.slow


def lively(behaviour=HONEST, now=EVENING, **settings):
    """A project with an event every ten minutes for a fortnight, some of them days late."""
    simulation = Simulation(now - 10 * DAY, now, settings, behaviour)
    simulation.add_all(now - 10 * DAY, now + 4 * DAY, 10 * MINUTE)
    for number in range(4 * 24):
        processed = now + (number + simulation.chance.random()) * HOUR
        simulation.add(processed - simulation.chance.random() * 4 * DAY, processed)
    return simulation


def settle(simulation):
    """Let time pass until all that came in is shown, and run once more."""
    simulation.clock.advance(3 * HOUR)
    simulation.run()
    assert simulation.missing() == set()


@pytest.mark.parametrize("mode", sorted(WHERE_MODES))
@pytest.mark.parametrize("step", [HOUR, DAY], ids=["hourly", "daily"])
def test_however_where_is_read(mode, step):
    with lively(Behaviour(where=mode)) as simulation:
        simulation.run()
        # The low 31 bits turn over after the second day.
        for _ in simulation.run_every(step, 10 if step == HOUR else 4):
            pass
        settle(simulation)


def test_where_the_low_31_bits_turn_over():
    """A filter that was right for weeks is wrong from one hour to the next."""
    # The bits turn over at 08:14.
    with lively(
        Behaviour(where="31_bits"), now=datetime(2026, 3, 18, 1, 1, tzinfo=UTC)
    ) as simulation:
        simulation.run()
        for _ in simulation.run_every(HOUR, 12):
            pass
        settle(simulation)


@pytest.mark.parametrize("stamps", ["text", "seconds", "float", "zero", "null", "missing"])
def test_however_processing_is_stamped(stamps):
    with lively(Behaviour(stamps=stamps)) as simulation:
        simulation.run()
        for _ in simulation.run_every(HOUR, 10):
            pass
        settle(simulation)


CLOCKS = {
    "3 h ahead": Behaviour(date="ahead"),
    "20 min ahead": Behaviour(date="ahead", date_minutes=20),
    "3 h behind": Behaviour(date="behind"),
    "2 h to and fro": Behaviour(date="jumping", date_minutes=120),
    "none": Behaviour(date="missing"),
    "no date": Behaviour(date="unreadable"),
    "the year 1": Behaviour(date="year_1"),
}


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("runs", [1, 10])
def test_whatever_the_clock_of_the_service_says(clock, runs):
    """In one run only, or in all of them."""
    with lively() as simulation:
        simulation.run()
        for number, _ in enumerate(simulation.run_every(HOUR, 10)):
            # Of the run after this one.
            is_off = number < 9 if runs > 1 else number == 4
            simulation.sandbox.behaviour = CLOCKS[clock] if is_off else HONEST
        simulation.sandbox.behaviour = HONEST
        settle(simulation)


@pytest.mark.parametrize("minutes", [20, 60])
@pytest.mark.parametrize("jitter", [False, True])
def test_events_that_show_up_late(minutes, jitter):
    behaviour = Behaviour(visible_after_minutes=minutes)
    if jitter:
        behaviour = Behaviour(visible_after_minutes=1, visible_jitter_minutes=minutes - 1)
    with lively(behaviour, processing_delay_minutes=minutes) as simulation:
        simulation.run()
        for _ in simulation.run_every(HOUR, 12):
            pass
        settle(simulation)


# Of what a filter leaves out by chance, and not of what is known to be there, nobody can know.
LATER_LIES = [m for m, mode in WHERE_MODES.items() if mode.leaves_out]


@pytest.mark.parametrize("mode", LATER_LIES)
def test_a_filter_that_begins_to_lie_after_it_has_proven_itself(mode):
    """What was seen before is missed at once: days are read whole from then on."""
    with lively() as simulation:
        simulation.run()
        for _ in simulation.run_every(HOUR, 3):
            pass
        assert "filter_proof" in simulation.entry
        simulation.sandbox.behaviour = replace(HONEST, where=mode)
        for _ in simulation.run_every(HOUR, 8):
            pass
        settle(simulation)


def test_merged_users_are_the_same_rows():
    """The margin and the look-back bring events again, under the user that they have now."""
    with lively() as simulation:
        simulation.run()
        simulation.sandbox.behaviour = Behaviour(merges=(("u1", "merged"),), where="refused")
        for _ in simulation.run_every(HOUR, 6):
            pass
        settle(simulation)
        lines = simulation.sandbox.visible()
        assert len(simulation.rows) == len(lines)


def test_an_honest_service_is_not_suspected():
    with lively() as simulation:
        simulation.run()
        got = list(simulation.run_every(HOUR, 12))
        asked = simulation.requests_since(EVENING + MINUTE)
        # One day was asked both ways; then whole are new days only. An empty answer is read twice.
        whole = [request.from_date for request in asked if request.where is None]
        assert whole[0] == EVENING.date()
        assert set(whole[1:]) == {EVENING.date() + DAY}
        assert len(whole) <= 3
        # Again comes what was processed within the margin: an event or two, and a late one.
        again = sum(simulation.times.values()) - len(simulation.times)
        assert again <= 3 * len(got)
        settle(simulation)
