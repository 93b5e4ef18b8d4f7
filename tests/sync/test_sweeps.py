"""However late an event comes in: it comes out, once, at a bounded price."""

from __future__ import annotations

import gzip
import logging
import random
from datetime import date, timedelta

import pytest
from harness import DAY
from late_arrivals import HOUR, MARGIN, NOW, START, first_runs, late, names, run, stamped

from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock
from tap_mixpanel_export.sandbox.behaviour import Behaviour

FIVE_YEARS = 1826
MOST_DAYS = 366
LONG_AGO = NOW - FIVE_YEARS * DAY
MINUTE = timedelta(minutes=1)


def old_project(days=FIVE_YEARS):
    """An event a week, for years."""
    return [
        Event.at(NOW - n * DAY, insert_id=f"old {n}", text="y" * 100) for n in range(1, days, 7)
    ]


def noise(seed):
    """Text that no compression makes smaller by much."""
    return random.Random(seed).randbytes(400).hex()  # noqa: S311 - no secret


def days_of_news(sandbox, now, name, each=40):
    sandbox.add(
        Event.at(now - n * 30 * MINUTE, insert_id=f"{name} {n}", text=noise(f"{name} {n}"))
        for n in range(each)
    )


@pytest.fixture
def sandbox():
    with Sandbox(old_project(), clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


def sweeps_of(requests, before=None):
    """Queries with the filter that do not reach the last days.

    Args:
        requests: Of all kinds.
        before: The first day of the look-back; six days ago when missing.
    """
    return [
        r
        for r in requests
        if r.where is not None and r.to_date < (before or r.time.date() - 6 * DAY)
    ]


FROM = {"start_date": LONG_AGO.date().isoformat()}


@pytest.mark.slow
def test_thirty_daily_runs_over_five_years_cost_few_queries_and_bytes(sandbox):
    state = run(sandbox, **FROM).state()
    runs, news, expected = [], 0, set()
    asked = len(sandbox.requests)
    for day in range(30):
        sandbox.clock.advance(DAY)
        now = sandbox.clock.now()
        days_of_news(sandbox, now, f"day {day}", each=47)
        if day < 20:
            at = LONG_AGO + (day * 89 % FIVE_YEARS) * DAY
            sandbox.add([late(at, now - HOUR, f"late {day}")])
            expected.add(f"late {day}")
        lines = [line for line in sandbox.visible() if f'"day {day} '.encode() in line]
        news += len(gzip.compress(b"\n".join(lines)))
        runs.append(run(sandbox, state, **FROM))
        state = runs[-1].state(state)
    assert [got.error for got in runs] == [None] * 30
    written = [name for got in runs for name in names(got) if name.startswith("late")]
    assert sorted(written) == sorted(expected)
    requests = sandbox.requests[asked:]
    swept = sweeps_of(requests)
    assert len(swept) > 10
    for day in range(30):
        week = NOW + day * DAY, NOW + (day + 7) * DAY
        assert sum(week[0] <= r.time < week[1] for r in swept) <= 20
    # One day is read whole for a proof, once a week.
    assert sum(r.bytes_sent for r in requests) <= 1.1 * news + 5 * news / 30


@pytest.mark.slow
def test_hourly_runs_cost_no_more_sweeps_than_daily_ones(sandbox):
    state = run(sandbox, **FROM).state()
    asked = len(sandbox.requests)
    hours = 3 * 24
    for hour in range(hours):
        sandbox.clock.advance(HOUR)
        days_of_news(sandbox, sandbox.clock.now(), f"hour {hour}", each=3)
        got = run(sandbox, state, **FROM)
        assert got.error is None
        assert got.waits == [] or max(got.waits) < 2
        state = got.state(state)
    requests = sandbox.requests[asked:]
    swept = sweeps_of(requests)
    # Three sevenths of what a week may cost, and of what there is to ask for.
    assert 2 <= len(swept) <= 20 * 3 / 7
    assert sum((r.to_date - r.from_date).days + 1 for r in swept) >= FIVE_YEARS * 2 / 7
    for hour in range(hours):
        since = NOW + hour * HOUR
        assert sum(since <= r.time < since + HOUR for r in requests) <= 60


@pytest.mark.slow
def test_a_run_after_a_month_sweeps_everything(sandbox):
    first = run(sandbox, **FROM)
    sandbox.clock.advance(30 * DAY)
    now = sandbox.clock.now()
    at = [LONG_AGO + n * 400 * DAY for n in range(5)]
    sandbox.add([late(when, now - HOUR, f"late {n}") for n, when in enumerate(at)])
    sandbox.add([Event.at(NOW - HOUR, insert_id="a"), Event.at(NOW + HOUR, insert_id="b")])
    second = run(sandbox, first.state(), **FROM)
    expected = [f"late {n}" for n in range(5)]
    assert [name for name in names(second) if name.startswith("late")] == expected
    bookmark = second.bookmarks[-1]
    assert "watermarks" not in bookmark or {mark for _, mark in bookmark["watermarks"]} == {
        bookmark["processed_before"]
    }
    third = run(sandbox, second.state(), **FROM)
    assert names(third) == []


def proven(sandbox, **settings):
    """A state with a proof, a week later: all older days are due."""
    _, second = first_runs(sandbox, **settings)
    sandbox.clock.advance(8 * DAY)
    now = sandbox.clock.now()
    # The proof is renewed on the bookmark's day, which has events on both sides of the watermark.
    sandbox.add([Event.at(NOW + 3 * HOUR, insert_id="rest of the day")])
    sandbox.add([Event.at(now - HOUR, insert_id="new")])
    return second.state()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["nothing", "half", "nothing_by_turns", "refused", "failing"])
def test_a_sweep_that_lies_loses_nothing(mode):
    """What is known of the days swept must be in the answer."""
    with Sandbox(stamped(START - 60 * DAY, 74), clock=SandboxClock.fixed(NOW)) as sandbox:
        settings = {"start_date": (START - 60 * DAY).date().isoformat()}
        state = proven(sandbox, **settings)
        at = [START - n * 9 * DAY for n in range(1, 6)]
        now = sandbox.clock.now()
        sandbox.add([late(when, now - 20 * MINUTE, f"late {n}") for n, when in enumerate(at)])
        sandbox.behaviour = Behaviour(where=mode)
        got = [run(sandbox, state, **settings)]
        sandbox.behaviour = Behaviour()
        for _ in range(3):
            days_of_news(sandbox, sandbox.clock.now(), f"{sandbox.clock.now()}", each=3)
            sandbox.clock.advance(8 * DAY)
            state = got[-1].state(state)
            got.append(run(sandbox, state, **settings))
    assert [one.error for one in got] == [None] * 4
    written = {name for one in got for name in names(one)}
    assert {f"late {n}" for n in range(5)} <= written


@pytest.mark.slow
def test_a_sweep_that_fails_is_a_warning_and_keeps_its_watermark(sandbox, caplog):
    state = proven(sandbox, **FROM)
    sandbox.add([late(LONG_AGO + 5 * DAY, sandbox.clock.now() - HOUR, "late")])
    day = (LONG_AGO + 5 * DAY).date()
    sandbox.add_faults(Fault("status", status=403, day=day, times=None))
    caplog.set_level(logging.WARNING)
    got = run(sandbox, state, **FROM)
    assert got.error is None
    assert "new" in names(got)
    assert "late" not in names(got)
    assert "late events were not looked for" in caplog.text
    for marks in (state["bookmarks"]["events"]["watermarks"], got.bookmarks[-1]["watermarks"]):
        *_, mark = (mark for first, mark in marks if first <= day.isoformat())
        assert mark == (NOW - MARGIN).isoformat()
    sandbox.clear_faults()
    assert "late" in names(run(sandbox, got.state(), **FROM))


@pytest.mark.slow
def test_a_sweep_does_not_wait_for_the_quota_of_others(sandbox):
    state = proven(sandbox, **FROM)
    day = (LONG_AGO + 5 * DAY).date()
    sandbox.add_faults(Fault("status", status=429, retry_after=1800, day=day, times=None))
    asked = len(sandbox.requests)
    got = run(sandbox, state, **FROM)
    assert got.error is None
    assert "new" in names(got)
    assert got.waits == [] or max(got.waits) < 2
    assert [r.status for r in sweeps_of(sandbox.requests[asked:], date(2026, 3, 10))] == [429]


@pytest.mark.slow
def test_wide_sweeps_that_are_refused_are_asked_in_halves(sandbox):
    state = proven(sandbox, **FROM)
    sandbox.add([late(LONG_AGO + 5 * DAY, sandbox.clock.now() - HOUR, "late")])
    sandbox.behaviour = Behaviour(widest_days=100)
    asked = len(sandbox.requests)
    got = run(sandbox, state, **FROM)
    assert got.error is None
    assert "late" in names(got)
    assert "filter_proof" in got.bookmarks[-1]
    swept = [r for r in sweeps_of(sandbox.requests[asked:]) if r.status == 200]
    assert max((r.to_date - r.from_date).days + 1 for r in swept) <= 100


def width_told(state):
    return state["bookmarks"]["events"]["filter_proof"].get("days")


@pytest.fixture
def year():
    """A sandbox with a year behind it, and the settings for it."""
    with Sandbox(old_project(365), clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox, {"start_date": (NOW - 365 * DAY).date().isoformat(), "late_sweep_days": 1}


@pytest.mark.slow
def test_a_width_that_is_refused_is_found_out_by_one_run_and_not_by_each(year):
    sandbox, settings = year
    state = proven(sandbox, **settings)
    sandbox.behaviour = Behaviour(widest_days=60)
    refused, swept = [], []
    for n in range(3):
        now = sandbox.clock.now()
        days_of_news(sandbox, now, f"day {n}", each=3)
        at = NOW - (350 - n * 40) * DAY
        sandbox.add([late(at, now - HOUR, f"late {n}")])
        asked = len(sandbox.requests)
        got = run(sandbox, state, **settings)
        state = got.state()
        assert f"late {n}" in names(got)
        requests = sandbox.requests[asked:]
        refused.append(sum(r.status == 400 for r in requests))
        swept.append(len(sweeps_of(requests)) - refused[-1])
        sandbox.clock.advance(DAY)
    assert refused[0] >= 2
    assert refused[1:] == [0, 0]
    assert min(swept) >= 365 // 60
    assert 30 <= width_told(state) <= 60


@pytest.mark.slow
def test_a_width_grows_again_with_each_proof_until_it_fails(year):
    sandbox, settings = year
    state = proven(sandbox, **settings)
    told = []
    for n, widest in enumerate((60, 60, 60, None, None, None)):
        sandbox.behaviour = Behaviour(widest_days=widest)
        state = run(sandbox, state, **settings).state()
        told.append(width_told(state))
        # The next proof is on the bookmark's day, which has events on both sides of the watermark.
        sandbox.add([Event.at(sandbox.clock.now() + 2 * HOUR, insert_id=f"rest {n}")])
        sandbox.clock.advance(8 * DAY)
        sandbox.add([Event.at(sandbox.clock.now() - HOUR, insert_id=f"new {n}")])
    first, second, third, *others = told
    assert second == 2 * first
    # Twice as wide was too wide; what that run has found out the next one starts with.
    assert third <= 60
    assert others == [
        width if width < MOST_DAYS else None for width in (2 * third, 4 * third, 8 * third)
    ]


@pytest.mark.slow
def test_a_day_that_fails_says_nothing_of_the_width(year):
    sandbox, settings = year
    state = proven(sandbox, **settings)
    bad = (NOW - 360 * DAY).date()
    sandbox.add_faults(Fault("status", status=403, day=bad, times=None))
    got = run(sandbox, state, **settings | {"max_window_days": 8})
    assert got.error is None
    asked = [r for r in sandbox.requests if r.status == 403]
    assert asked[-1].from_date == asked[-1].to_date == bad
    # Others could be had, and some of them while it was not known which day it is.
    assert [r for r in sweeps_of(sandbox.requests) if r.status == 200]
    assert width_told(got.state()) is None


@pytest.mark.slow
def test_sweeps_leave_the_last_tenth_of_the_hour_alone(sandbox):
    state = proven(sandbox, **FROM)
    asked = len(sandbox.requests)
    got = run(sandbox, state, max_window_days=30, max_queries_per_hour=20, **FROM)
    assert got.error is None
    assert got.waits == [] or max(got.waits) < 2
    # An answer without events is read twice: there must be room for it.
    assert len(sandbox.requests) - asked in {17, 18}
    # The next run goes on where this one ended.
    marks = [mark for _, mark in got.bookmarks[-1]["watermarks"]]
    assert len(set(marks)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("kill_after", range(1500, 12_000, 1500))
def test_a_run_that_is_killed_in_mid_sweep_keeps_what_was_swept(sandbox, kill_after):
    state = proven(sandbox, **FROM)
    at = [LONG_AGO + n * 360 * DAY for n in range(5)]
    now = sandbox.clock.now()
    sandbox.add([late(when, now - HOUR, f"late {n}") for n, when in enumerate(at)])
    killed = run(sandbox, state, kill_after=kill_after, **FROM)
    state = killed.state(state)
    sandbox.clock.advance(HOUR)
    rest = run(sandbox, state, **FROM)
    written = [name for name in names(killed) + names(rest) if name.startswith("late")]
    assert {f"late {n}" for n in range(5)} == {*written}
    # At most the window under way comes again.
    assert len(written) <= 6


@pytest.mark.slow
def test_without_a_proven_filter_there_is_no_sweep_and_one_line_says_so(sandbox, caplog):
    first = run(sandbox, **FROM)
    sandbox.clock.advance(8 * DAY)
    caplog.set_level(logging.INFO)
    asked = len(sandbox.requests)
    second = run(sandbox, first.state(), **FROM)
    assert second.error is None
    assert sweeps_of(sandbox.requests[asked:], date(2026, 3, 10)) == []
    (line,) = [r.getMessage() for r in caplog.records if "are not looked for" in r.getMessage()]
    assert "2026-03-10" in line


@pytest.mark.slow
def test_sweeps_can_be_turned_off(sandbox):
    state = proven(sandbox, **FROM)
    asked = len(sandbox.requests)
    run(sandbox, state, late_sweep_days=0, **FROM)
    assert sweeps_of(sandbox.requests[asked:], date(2026, 3, 10)) == []


@pytest.mark.slow
def test_sweeps_do_not_reach_before_a_start_that_is_set(sandbox):
    state = proven(sandbox, **FROM)
    asked = len(sandbox.requests)
    later = (NOW - 100 * DAY).date()
    got = run(sandbox, state, start_date=later.isoformat())
    assert min(r.from_date for r in sandbox.requests[asked:]) == later
    # What was seen of the days before stays known.
    assert got.bookmarks[-1]["exported_from"] == LONG_AGO.date().isoformat()
    assert got.bookmarks[-1]["watermarks"][0] == state["bookmarks"]["events"]["watermarks"][0]


class TestEarlierStart:
    @pytest.mark.slow
    def test_the_days_before_come_exactly_once_and_first(self, sandbox):
        later = {"start_date": (NOW - 20 * DAY).date().isoformat()}
        first = run(sandbox, **later)
        assert first.bookmarks[-1]["exported_from"] == later["start_date"]
        sandbox.add([Event.at(NOW + HOUR, insert_id="new")])
        sandbox.clock.advance(2 * HOUR)
        second = run(sandbox, first.state(), **FROM)
        third = run(sandbox, second.state(), **FROM)
        assert second.bookmarks[-1]["exported_from"] == LONG_AGO.date().isoformat()
        written = names(first) + names(second) + names(third)
        assert len(written) == len({*written})
        assert {f"old {n}" for n in range(1, FIVE_YEARS, 7)} | {"new"} == {*written}
        records = [record["insert_id"] for record in second.records]
        assert records[-1] == "new"

    @pytest.mark.slow
    @pytest.mark.parametrize("kill_after", [3_000, 10_000, 20_000, 40_000])
    def test_a_backfill_that_is_killed_goes_on_where_it_ended(self, sandbox, kill_after):
        later = {"start_date": (NOW - 20 * DAY).date().isoformat()}
        first = run(sandbox, **later)
        killed = run(sandbox, first.state(), kill_after=kill_after, **FROM)
        third = run(sandbox, killed.state(first.state()), **FROM)
        written = [*names(first), *names(killed), *names(third)]
        assert {f"old {n}" for n in range(1, FIVE_YEARS, 7)} == {*written}
        begun = killed.state(first.state())["bookmarks"]["events"]["exported_from"]
        done = {r["event_id"] for r in killed.records if r["timestamp"][:10] >= begun}
        assert done.isdisjoint(third.ids)

    @pytest.mark.parametrize("start", ["2026-03-01T06:30:00", "2026-02-27"])
    @pytest.mark.slow
    def test_a_start_in_the_middle_of_a_day(self, start):
        with Sandbox(stamped(START - 3 * DAY, 17), clock=SandboxClock.fixed(NOW)) as sandbox:
            first = run(sandbox, start_date="2026-03-05T13:00:00")
            second = run(sandbox, first.state(), start_date=start)
            direct = run(sandbox, start_date=start)
        assert first.ids + second.ids == direct.ids

    def test_a_state_that_does_not_say_from_when_on_takes_the_start(self, sandbox):
        old = {
            "replication_key": "timestamp",
            "replication_key_value": NOW.isoformat(),
            "processed_before": (NOW - MARGIN).isoformat(),
        }
        sandbox.clock.advance(HOUR)
        got = run(sandbox, {"bookmarks": {"events": old}}, **FROM)
        assert got.records == []
        assert got.bookmarks[-1]["exported_from"] == LONG_AGO.date().isoformat()

    def test_an_end_before_what_was_exported_leaves_no_gap(self, sandbox):
        later = {"start_date": (NOW - 20 * DAY).date().isoformat()}
        first = run(sandbox, **later)
        second = run(sandbox, first.state(), **FROM, end_date="2023-01-01")
        assert second.error is None
        assert second.state(first.state()) == first.state()


@pytest.mark.slow
def test_days_without_known_events_are_swept_a_day_at_a_time(sandbox):
    """No answer of the look-back can be looked at: the filter is held to what is known first."""
    settings = {"filter_proof_days": 90, "max_window_days": 1, **FROM}
    state = run(sandbox, proven(sandbox, **FROM), **FROM).state()
    # Nothing happens on the days of the look-back, and each query is for one day.
    for _ in range(2):
        sandbox.clock.advance(8 * DAY)
        asked = len(sandbox.requests)
        got = run(sandbox, state, **settings)
        state = got.state()
    assert got.error is None
    assert "filter_proof" in got.bookmarks[-1]
    assert len(sweeps_of(sandbox.requests[asked:])) > 20
