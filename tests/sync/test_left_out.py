"""A filter that begins to leave out events after it has proven itself, and is found out later."""

from __future__ import annotations

import logging
from datetime import timedelta
from zlib import crc32

import pytest
from event_lines import event_of_line
from event_truth import event_id
from harness import DAY, facts
from late_arrivals import HOUR, START, first_runs, run
from promises import assert_small

from tap_mixpanel_export.sandbox import Behaviour, Event, Sandbox

MINUTE = timedelta(minutes=1)
HALF = Behaviour(where="half")


def event(at, processed, name, *, is_given):
    """An event that the sandbox's filter `half` gives, or leaves out."""
    for number in range(100):
        insert_id = f"{name} {number}"
        identity = f"{insert_id}{at.timestamp():.0f}"
        if (crc32(identity.encode()) % 2 == 0) == is_given:
            return Event.at(at, processed=processed, insert_id=insert_id)
    raise AssertionError("the hash is none")


class Runs:
    """Runs one after the other, and what they wrote."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        first, second = first_runs(sandbox)
        self.state = second.state()
        self.written = {*first.ids, *second.ids}
        assert "filter_proof" in self.entry
        self.lies = 0

    @property
    def entry(self):
        return self.state["bookmarks"]["events"]

    def lie(self):
        """An hour of which the filter gives what will be known, and not all the rest."""
        self.lies += 1
        now = self.sandbox.clock.now()
        given = [
            event(now + at * MINUTE, now + at * MINUTE, f"known {self.lies}", is_given=True)
            for at in range(30, 60)
        ]
        left_out = [
            event(now + 10 * MINUTE, now + 10 * MINUTE, f"today {self.lies}", is_given=False),
            event(now - 2 * DAY, now + 10 * MINUTE, f"late {self.lies}", is_given=False),
        ]
        self.sandbox.add([*given, *left_out])
        self.sandbox.clock.advance(HOUR)
        self.sandbox.behaviour = HALF
        got = self.run()
        assert self.lost() >= {event_id(e.line()) for e in left_out}
        return got

    def run(self, **settings):
        got = run(self.sandbox, self.state, **settings)
        assert got.error is None
        self.state = got.state(self.state)
        self.written |= got.ids.keys()
        assert_small(self.state)
        return got

    def lost(self):
        return {event_id(line) for line in self.sandbox.visible()} - self.written


@pytest.fixture
def runs(sandbox):
    # What is known before the filter lies is what it gives.
    now = sandbox.clock.now()
    sandbox.add(
        event(now + at * MINUTE, now + at * MINUTE, "before", is_given=True) for at in range(30, 60)
    )
    return Runs(sandbox)


def add_known_that_is_left_out(runs):
    """Seen by an honest run, and then no more."""
    now = runs.sandbox.clock.now()
    runs.sandbox.behaviour = Behaviour()
    runs.sandbox.add([event(now, now + 30 * MINUTE, "gone", is_given=False)])
    runs.sandbox.clock.advance(HOUR)
    runs.run()
    runs.sandbox.behaviour = HALF
    runs.sandbox.clock.advance(HOUR)


@pytest.mark.slow
def test_all_that_was_left_out_since_the_proof_comes_once_a_known_event_is_missed(runs, caplog):
    """The days are read whole, and hold the event: the filter has lied, since nobody knows when."""
    for _ in range(2):
        runs.lie()
    add_known_that_is_left_out(runs)
    caplog.set_level(logging.WARNING)
    runs.run()
    assert "Mixpanel's filter has left out events" in caplog.text
    assert runs.lost() != set()
    caplog.clear()
    runs.run()
    assert runs.lost() == set()
    # Once, and no run after it.
    again = runs.run()
    assert sum(again.ids.values()) < 12
    assert "has left out" not in caplog.text
    assert "lookback_from" not in runs.entry


@pytest.mark.slow
def test_a_proof_that_fails_tells_of_lies_since_the_last_one(runs):
    """Days that are older than the look-back by then are read again, too."""
    runs.lie()
    runs.sandbox.clock.advance(8 * DAY)
    now = runs.sandbox.clock.now()
    # The bookmark's day is old: what came in on it since then is given, or not.
    done = now - 8 * DAY
    runs.sandbox.add(
        [event(done, now - DAY, "since", is_given=is_given) for is_given in (True, False)]
    )
    runs.run(late_sweep_days=0)
    assert "filter_proof" not in runs.entry
    assert runs.entry["lookback_from"] < (now - 10 * DAY).date().isoformat()
    runs.run(late_sweep_days=0)
    assert runs.lost() == set()


@pytest.mark.slow
def test_older_days_are_swept_again_when_the_filter_is_honest(runs):
    """What a sweep was not given is found by the next one that is."""
    now = runs.sandbox.clock.now()
    old = event(START + DAY, now + DAY, "old", is_given=False)
    runs.sandbox.add([old])
    runs.sandbox.behaviour = HALF
    for _ in range(2):
        now = runs.sandbox.clock.now()
        runs.sandbox.add(
            event(now + at * MINUTE, now + at * MINUTE, "quiet", is_given=True)
            for at in range(30, 60)
        )
        runs.sandbox.clock.advance(2 * DAY)
        runs.run(late_sweep_days=1)
    assert event_id(old.line()) in runs.lost()
    add_known_that_is_left_out(runs)
    runs.run(late_sweep_days=1)
    runs.sandbox.behaviour = Behaviour()
    for _ in range(3):
        now = runs.sandbox.clock.now()
        runs.sandbox.add([Event.at(now + MINUTE * at, insert_id=f"{now} {at}") for at in range(60)])
        runs.sandbox.clock.advance(HOUR)
        runs.run(late_sweep_days=1)
    assert runs.lost() == set()


def test_a_known_event_that_was_deleted_makes_nothing_come_again(runs):
    """The whole answer lacks it, too."""
    now = runs.sandbox.clock.now()
    newest = max(runs.sandbox.visible(), key=lambda line: facts(line)[3])
    runs.sandbox.clock.advance(HOUR)
    with Sandbox(
        [event_of_line(line) for line in runs.sandbox.visible() if line != newest],
        clock=runs.sandbox.clock,
    ) as without:
        runs.sandbox = without
        without.add([Event.at(now + 30 * MINUTE, insert_id="new")])
        got = runs.run()
        assert "filter_proof" not in runs.entry or got.ids
        assert "lookback_from" not in runs.entry
        assert sum(got.ids.values()) < 40


def test_a_doubt_that_the_next_proof_removes_leaves_nothing(runs):
    runs.sandbox.clock.advance(HOUR)
    runs.run()
    assert "certain" in runs.entry
    for _ in range(2):
        now = runs.sandbox.clock.now()
        runs.sandbox.add([Event.at(now + MINUTE * at, insert_id=f"{now} {at}") for at in range(60)])
        runs.sandbox.clock.advance(8 * DAY)
    runs.run()
    assert "lookback_from" not in runs.entry


def test_the_first_event_without_a_processing_time_is_not_left_out(runs, caplog):
    """By a filter that takes every property for set, when no such event was known before."""
    assert 0 not in {stamp for _, stamp in runs.entry["known_stamps"]}
    now = runs.sandbox.clock.now()
    runs.sandbox.behaviour = Behaviour(where="defined")
    runs.sandbox.add(
        [
            Event.at(now - 2 * DAY, insert_id="unstamped", stamped=False),
            Event.at(now + MINUTE, insert_id="stamped"),
        ]
    )
    runs.sandbox.clock.advance(HOUR)
    caplog.set_level(logging.WARNING)
    runs.run()
    assert "events known to exist" in caplog.text
    assert runs.lost() == set()
