"""The service's filter for late events is used when it has proven itself, and loses nothing."""

from __future__ import annotations

import gzip
import json
import logging
from datetime import date, timedelta

import pytest
from event_truth import event_id
from harness import DAY
from hypothesis import given, settings
from hypothesis import strategies as st
from late_arrivals import HOUR, MARGIN, NOW, first_runs, late, names, run, stamped

from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock
from tap_mixpanel_export.sandbox.behaviour import STAMP_MODES, Behaviour
from tap_mixpanel_export.sandbox.where_modes import WHERE_MODES
from tap_mixpanel_export.sync.filter_proof import EventDigest, judge

MINUTE = timedelta(minutes=1)


def hourly(sandbox, runs, state, *, each=lambda _number: None, **settings):
    """Runs an hour apart, with new and late events in between.

    Returns:
        The runs, and the last state.
    """
    done = []
    for number in range(runs):
        now = sandbox.clock.now()
        sandbox.add(Event.at(now + n * 12 * MINUTE, insert_id=f"{now:%d %H} {n}") for n in range(5))
        sandbox.add(
            [
                late(now - 2 * DAY, now + 20 * MINUTE, f"late {now:%d %H}"),
                Event.at(now + 30 * MINUTE, insert_id=f"unstamped {now:%d %H}", stamped=False),
            ]
        )
        sandbox.clock.advance(HOUR)
        each(number)
        got = run(sandbox, state, **settings)
        state = got.state(state)
        done.append(got)
    return done, state


def lost(sandbox, runs):
    written = {name for got in runs for name in got.ids}
    return {event_id(line) for line in sandbox.visible()} - written


@pytest.mark.slow
@pytest.mark.parametrize("mode", WHERE_MODES)
def test_nothing_is_lost_whatever_the_filter_does(sandbox, mode):
    """From the first run on, or after it has proven itself."""
    for is_honest_first in (False, True):
        first, state = hourly(sandbox, 3 if is_honest_first else 0, None)
        sandbox.behaviour = Behaviour(where=mode)
        second, state = hourly(sandbox, 4, state)
        sandbox.behaviour = Behaviour()
        third, _ = hourly(sandbox, 2, state)
        runs = first + second + third
        assert [got.error for got in runs] == [None] * len(runs)
        assert lost(sandbox, runs) == set()


@pytest.mark.slow
@pytest.mark.parametrize("mode", STAMP_MODES)
def test_nothing_is_lost_whatever_the_stamps_say(sandbox, mode):
    sandbox.behaviour = Behaviour(stamps=mode)
    runs, _ = hourly(sandbox, 4, None)
    assert [got.error for got in runs] == [None] * 4
    assert lost(sandbox, runs) == set()


@pytest.mark.slow
def test_unproven_days_are_read_whole_and_chosen_from_here(sandbox):
    first = run(sandbox)
    # A day without events past the watermark proves nothing.
    sandbox.clock.advance(HOUR)
    sandbox.add([late(NOW - 3 * DAY, NOW + 30 * MINUTE, "late")])
    asked = len(sandbox.requests)
    second = run(sandbox, first.state())
    assert names(second) == ["late"]
    tried, *others = sandbox.requests[asked:]
    assert tried.where is not None
    assert [r.where for r in others if r.where is not None] in ([], [tried.where])
    days = {r.from_date for r in others if r.where is None}
    assert days >= {date(2026, 3, day) for day in (10, 15)}
    assert "filter_proof" not in second.bookmarks[-1]


def test_a_day_that_was_over_proves_the_filter_too(sandbox):
    """Runs that end with a day have no events of that day past the watermark."""
    first = run(sandbox, end_date="2026-03-14")
    sandbox.clock.advance(DAY)
    sandbox.add([late(NOW - 3 * DAY, NOW + HOUR, "late")])
    second = run(sandbox, first.state(), end_date="2026-03-15")
    assert "filter_proof" in second.bookmarks[-1]
    assert names(second) == ["late"]


def test_one_line_says_which_way_a_run_goes_and_why(sandbox, caplog):
    caplog.set_level(logging.INFO)

    def told():
        lines = [r.getMessage() for r in caplog.records if "filter for late" in r.getMessage()]
        caplog.clear()
        return lines

    def summary():
        (line,) = [r.getMessage() for r in caplog.records if "run summary" in r.getMessage()]
        return json.loads(line.partition(": ")[2])

    _, state = hourly(sandbox, 1, None)
    assert summary()["filterProof"].startswith("not needed")
    assert summary()["clock"].startswith("the service's (this machine's agrees)")
    assert told() == []
    _, state = hourly(sandbox, 1, state)
    (line,) = told()
    assert "used: it has proven itself now" in line
    _, state = hourly(sandbox, 1, state)
    (line,) = told()
    assert "used: it has proven itself at 2026-03-15T14:00:00" in line
    sandbox.behaviour = Behaviour(where="nothing")
    _, state = hourly(sandbox, 1, state)
    warned, line = told()
    assert "lacked" in warned
    assert "not used any more" in line or "not used" in line
    assert "days are read whole" in line


@pytest.mark.slow
def test_a_proof_is_renewed_when_it_is_old_or_of_another_filter(sandbox):
    def asked_both_ways(before):
        asked = sandbox.requests[before:]
        return len({"number(" in (r.where or "") for r in asked if r.from_date == r.to_date}) == 2

    _, state = hourly(sandbox, 2, None)
    proof = state["bookmarks"]["events"]["filter_proof"]
    before = len(sandbox.requests)
    _, state = hourly(sandbox, 1, state)
    assert state["bookmarks"]["events"]["filter_proof"] == proof
    assert not asked_both_ways(before)
    # Another project, region or expression.
    before = len(sandbox.requests)
    _, other = hourly(sandbox, 1, state, where='defined(properties["distinct_id"])')
    assert other["bookmarks"]["events"]["filter_proof"]["of"] != proof["of"]
    assert asked_both_ways(before)
    sandbox.clock.advance(8 * DAY)
    before = len(sandbox.requests)
    _, state = hourly(sandbox, 1, state, filter_proof_days=7)
    assert asked_both_ways(before)


@pytest.mark.slow
def test_a_proof_of_the_future_or_that_cannot_be_read_is_none(sandbox):
    _, second = first_runs(sandbox)
    for proof in ({"at": "2099-01-01T00:00:00+00:00", "of": "x"}, {"at": 5}, "yes", None):
        state = second.state()
        if isinstance(proof, dict) and "of" in proof:
            proof["of"] = state["bookmarks"]["events"]["filter_proof"]["of"]
        state["bookmarks"]["events"]["filter_proof"] = proof
        got = run(sandbox, state)
        assert got.error is None
        assert lost(sandbox, [second, got]) <= lost(sandbox, [second])


@pytest.mark.slow
def test_two_days_of_hourly_runs_transfer_little_more_than_what_is_new():
    clock = SandboxClock.fixed(NOW)
    with Sandbox(stamped(NOW - 7 * DAY, 7), clock=clock) as sandbox:
        state = run(sandbox).state()
        before = len(sandbox.requests)
        runs = []
        for hour in range(48):
            now = clock.now()
            sandbox.add(
                Event.at(now + n * MINUTE, insert_id=f"{hour}-{n}", text="x" * 200)
                for n in range(60)
            )
            clock.advance(HOUR)
            runs.append(run(sandbox, state, late_sweep_days=0))
            state = runs[-1].state(state)
        transferred = sum(r.bytes_sent for r in sandbox.requests[before:])
        new_lines = [line for line in sandbox.visible() if b"xxx" in line]
        # As the service would send each once, an hour at a time.
        hour_bytes = len(gzip.compress(b"\n".join(new_lines[:60]) + b"\n"))
    # Of a week's proof the share of two days.
    # One whole day a week is for the proof, and these days hold one.
    assert transferred <= 1.25 * hour_bytes * 48 + hour_bytes * 24


@pytest.mark.parametrize("fault", ["status", "reset_in_body"])
def test_a_filter_whose_queries_all_fail_fails_no_run(sandbox, fault):
    _, second = first_runs(sandbox)
    sandbox.clock.advance(HOUR)
    sandbox.add([late(NOW - 3 * DAY, NOW + 90 * MINUTE, "late")])
    sandbox.add_faults(Fault(fault, where="with", times=None))
    third = run(sandbox, second.state())
    assert third.error is None
    assert "late" in names(third)
    # It may have been the service's bad hour: the proof holds.
    assert "filter_proof" in third.bookmarks[-1]


lines = st.lists(st.tuples(st.none() | st.integers(1, 60), st.integers(0, 3)), max_size=12)


def digest_of(events):
    digest = EventDigest(watermark_ms=20, until_ms=40)
    for stamp, number in events:
        properties = {"time": 1, "n": number}
        if stamp is not None:
            properties["mp_processing_time_ms"] = stamp
        digest.take(json.dumps({"event": "a", "properties": properties}).encode() + b"\n")
    return digest


@pytest.mark.slow
@given(lines, lines, st.randoms())
@settings(max_examples=200, deadline=None)
def test_a_filter_is_proven_only_by_answers_that_hold_the_same(first, second, random):
    """The law of the proof, said once more over the events themselves."""
    asked = lambda event: event[0] is None or event[0] > 20  # noqa: E731
    compared = lambda events: sorted(  # noqa: E731
        (str(stamp), n) for stamp, n in events if stamp is None or 20 < stamp <= 40
    )
    shuffled = random.sample(first, len(first))
    verdict = judge(digest_of(filter(asked, shuffled)), digest_of(first))
    both_sides = any(s and s <= 20 for s, _ in first) and any(s and 20 < s <= 40 for s, _ in first)
    assert verdict.is_proven == both_sides
    other = judge(digest_of(second), digest_of(first))
    if other.is_proven:
        assert compared(second) == compared(first)
        assert all(map(asked, second))


@pytest.mark.parametrize(
    ("filtered", "whole", "is_lie"),
    [
        ([(30, 1)], [(10, 0), (30, 1), (31, 2)], True),
        ([(30, 1)], [(10, 0), (30, 1), (None, 2)], True),
        # As many, and others.
        ([(30, 2)], [(10, 0), (30, 1)], True),
        # Deleted between the two answers.
        ([(30, 1), (31, 2)], [(10, 0), (30, 1)], False),
        # It gives too much, which loses nothing.
        ([(10, 0), (30, 1)], [(10, 0), (30, 1)], False),
    ],
)
def test_a_filter_has_lied_when_it_left_out_something(filtered, whole, is_lie):
    verdict = judge(digest_of(filtered), digest_of(whole))
    assert not verdict.is_proven
    assert verdict.has_left_out is is_lie


def test_what_shows_up_later_than_thought_is_counted_and_said(sandbox, caplog):
    """The newest that was seen is known: what was stamped later is new, whatever the watermark."""
    _, state = hourly(sandbox, 2, None)
    sandbox.clock.advance(4 * HOUR)
    quiet = run(sandbox, state)
    # Processed before the watermark, and shown only now.
    stamp = sandbox.clock.now() - MARGIN - 10 * MINUTE
    shown = late(NOW - HOUR, stamp, "shown late")
    sandbox.clock.advance(HOUR)
    sandbox.add([shown])
    caplog.set_level(logging.WARNING)
    caplog.clear()
    got = run(sandbox, quiet.state())
    assert "shown late" in names(got)
    assert "seen late: 1 events, at most 85 min after their stamp; raise" in caplog.text
