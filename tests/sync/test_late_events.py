"""What comes in after its day was exported: once, cheaply, and nothing else again."""

from __future__ import annotations

import logging
import re
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from harness import DAY, UTC, facts, truth, upsert
from late_arrivals import HOUR, MARGIN, NOW, START, first_runs, late, names, run

from tap_mixpanel_export import errors
from tap_mixpanel_export.sandbox import (
    Event,
    Fault,
    Generated,
    Sandbox,
    SandboxClock,
    generate,
)

CLAUSE = (
    r'\(\(number\(properties\["mp_processing_time_ms"\]\) > (\d+) '
    r'or number\(properties\["mp_processing_time_ms"\]\) > \d+\) '
    r'and not defined\(properties\["never set \w+"\]\)\) '
    r'or not defined\(properties\["mp_processing_time_ms"\]\)'
)


def bound_of(clause):
    """What was processed up to then is not asked for, in milliseconds."""
    return int(re.fullmatch(CLAUSE, clause)[1])


def stamps_between(sandbox, bound_ms, until):
    stamps = (facts(line)[3] for line in sandbox.visible())
    return sum(
        bound_ms < round(stamp.timestamp() * 1000) and stamp <= until for stamp in stamps if stamp
    )


@pytest.mark.slow
def test_late_events_come_out_once_and_nothing_else_again(sandbox, clock):
    first = run(sandbox)
    clock.advance(timedelta(hours=6))
    sandbox.add(
        [
            late(NOW - 4 * DAY, NOW + timedelta(hours=1), "four days"),
            late(NOW - timedelta(hours=1), NOW + timedelta(hours=1), "an hour"),
            late(datetime(2026, 3, 10, tzinfo=UTC), NOW + timedelta(hours=2), "at the border"),
            late(
                datetime(2026, 3, 14, 23, 59, 59, tzinfo=UTC), NOW + timedelta(hours=2), "midnight"
            ),
            Event.at(NOW + timedelta(hours=3), insert_id="new"),
            late(
                datetime(2026, 3, 9, 23, 59, 59, tzinfo=UTC), NOW + timedelta(hours=2), "too late"
            ),
        ]
    )
    second = run(sandbox, first.state())
    assert names(second) == ["an hour", "at the border", "four days", "midnight", "new"]
    clock.advance(timedelta(hours=6))
    assert run(sandbox, second.state()).records == []


def test_only_late_events_are_asked_for(sandbox, clock):
    _, second = first_runs(sandbox)
    clock.advance(2 * DAY)
    asked = len(sandbox.requests)
    run(sandbox, second.state(), late_sweep_days=0)
    lookback, *new = sandbox.requests[asked:]
    # An honest answer holds what is known to be there: the four events that came in last, and what
    # came in within two minutes before them.
    assert stamps_between(sandbox, bound_of(lookback.where), NOW + HOUR) == 4
    assert (lookback.from_date, lookback.to_date) == (date(2026, 3, 10), date(2026, 3, 15))
    assert [r.where for r in new] == [None] * len(new)
    # Windows are downloaded side by side, and may arrive in any order.
    assert min(r.from_date for r in new) == date(2026, 3, 16)


def test_the_clause_is_combined_with_the_users(sandbox, clock):
    where = 'properties["distinct_id"] == "u1" or defined(properties["x"])'
    _, second = first_runs(sandbox, where=where)
    assert sandbox.requests[0].where == where
    other = Event.at(NOW - DAY, processed=NOW + HOUR, distinct_id="u2", insert_id="not asked for")
    sandbox.add(
        [
            late(NOW - DAY, NOW + HOUR, "late"),
            late(NOW, NOW + HOUR - timedelta(minutes=1), "known"),
            other,
        ]
    )
    third = run(sandbox, second.state(), where=where)
    assert names(third) == ["known", "late"]
    clock.advance(HOUR)
    asked = len(sandbox.requests)
    fourth = run(sandbox, third.state(), where=where)
    (request,) = sandbox.requests[asked:]
    assert request.where.startswith(f"({where}) and (")
    bound_ms = bound_of(request.where.removeprefix(f"({where}) and (").removesuffix(")"))
    assert bound_ms <= (NOW + HOUR - MARGIN).timestamp() * 1000
    assert names(fourth) == ["known", "late"]


@pytest.mark.parametrize("where", [None, 'properties["distinct_id"] == "u1"'])
def test_a_refused_clause_is_asked_once_more_without_it(sandbox, clock, where, caplog):
    _, second = first_runs(sandbox, where=where)
    clock.advance(HOUR)
    sandbox.add([late(NOW - 3 * DAY, NOW + HOUR, "late")])
    sandbox.add_faults(Fault("refuse_where", times=None))
    asked = len(sandbox.requests)
    with caplog.at_level(logging.WARNING):
        third = run(
            sandbox,
            second.state(),
            where=where,
            max_window_days=1,
            max_concurrent_queries=1,
            late_sweep_days=0,
        )
    assert third.error is None
    # What was known is told from what is new by the run itself.
    assert names(third) == ["late"]
    refused, *others = sandbox.requests[asked:]
    assert refused.status == 400
    assert [(r.status, r.where) for r in others] == [(200, where)] * 6
    assert sum("refused the filter" in r.getMessage() for r in caplog.records) == 1
    assert "filter_proof" not in third.bookmarks[-1]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Unable to authenticate request", errors.AuthenticationError),
        ("to_date cannot be later than today", errors.DayError),
    ],
)
def test_400_for_another_cause_is_not_asked_again(sandbox, clock, text, kind):
    first = run(sandbox)
    clock.advance(timedelta(hours=1))
    sandbox.add_faults(Fault("status", status=400, text=text, times=None))
    asked = len(sandbox.requests)
    second = run(sandbox, first.state())
    assert type(second.error) is kind
    assert len(sandbox.requests) == asked + 1
    assert second.state() == first.state()


def test_an_expression_of_the_user_that_is_refused_ends_the_run(sandbox, clock):
    first = run(sandbox)
    clock.advance(timedelta(hours=1))
    asked = len(sandbox.requests)
    second = run(sandbox, first.state(), where="this is no expression")
    assert type(second.error) is errors.RejectedQueryError
    assert len(sandbox.requests) == asked + 2
    assert second.state() == first.state()


@pytest.mark.slow
def test_the_watermark_is_the_services_time_at_the_first_request(sandbox, clock, monkeypatch):
    # The run goes on while the service's clock does, and something comes in behind its back.
    feed = sandbox.feed
    steps = []

    def on_request(now):
        steps.append(now)
        if len(steps) == 3:
            sandbox.add([late(START + DAY, clock.now(), "behind its back")])
        clock.advance(timedelta(hours=1))
        feed(now)

    monkeypatch.setattr(sandbox, "feed", on_request)
    first = run(sandbox, lookback_days=30, max_window_days=1)
    assert {b["processed_before"] for b in first.bookmarks} == {(NOW - MARGIN).isoformat()}
    assert first.bookmarks[-1]["replication_key_value"] == NOW.isoformat()
    second = run(sandbox, first.state(), lookback_days=30)
    assert names(second) == ["behind its back"]


@pytest.mark.slow
def test_what_was_processed_within_the_margin_comes_again(sandbox, clock):
    events = [
        late(NOW - DAY, NOW - MARGIN, "before the margin"),
        late(NOW - DAY, NOW - MARGIN + timedelta(milliseconds=1), "within the margin"),
    ]
    sandbox.add(events)
    first = run(sandbox)
    clock.advance(timedelta(hours=1))
    # It was processed before, but shown only now.
    sandbox.add([late(NOW - DAY, NOW - timedelta(minutes=14), "shown late")])
    second = run(sandbox, first.state())
    assert names(second) == ["shown late", "within the margin"]


def test_events_that_do_not_say_when_they_were_processed_come_again(sandbox, clock):
    sandbox.add([Event.at(NOW - DAY, insert_id="unstamped", stamped=False)])
    first = run(sandbox)
    clock.advance(timedelta(hours=1))
    second = run(sandbox, first.state())
    assert names(second) == ["unstamped"]
    assert upsert([first, second]).keys() == truth(sandbox).keys()


@pytest.mark.parametrize("lookback_days", [0, 1])
def test_the_rest_of_the_bookmarks_day_is_exported_whatever_the_lookback(
    sandbox, clock, lookback_days
):
    first = run(sandbox)
    sandbox.add(
        [
            Event.at(NOW - timedelta(seconds=30), insert_id="under way"),
            Event.at(NOW, insert_id="at the bookmark"),
            Event.at(NOW + timedelta(milliseconds=1), insert_id="after it"),
            Event.at(NOW + timedelta(hours=11, minutes=59), insert_id="evening"),
            Event.at(NOW + timedelta(hours=12), insert_id="midnight"),
        ]
    )
    clock.set(NOW + 2 * DAY)
    second = run(sandbox, first.state(), lookback_days=lookback_days)
    expected = ["after it", "at the bookmark", "evening", "midnight", "under way"]
    assert names(second) == expected


def test_without_lookback_nothing_of_the_days_before_is_asked_for(sandbox, clock):
    first = run(sandbox, end_date="2026-03-14")
    asked = len(sandbox.requests)
    clock.advance(DAY)
    run(sandbox, first.state(), lookback_days=0)
    assert min(r.from_date for r in sandbox.requests[asked:]) == date(2026, 3, 15)
    assert {r.where for r in sandbox.requests[asked:]} == {None}


@pytest.mark.parametrize("processed_before", [None, NOW - MARGIN])
def test_an_event_that_lies_in_the_future_is_not_lost(sandbox, clock, processed_before):
    # A device's clock may be ahead, or the project's zone not be what the settings say.
    at_once = NOW - timedelta(minutes=20)
    sandbox.add(
        [
            late(NOW + timedelta(hours=1), at_once, "today"),
            late(NOW + DAY, at_once, "tomorrow"),
            late(NOW - timedelta(minutes=5), at_once, "past the end"),
        ]
    )
    end = (NOW - timedelta(minutes=10)).isoformat()
    first = run(sandbox, end_date=end)
    state = first.state()
    if processed_before is None:
        del state["bookmarks"]["events"]["processed_before"]
    clock.set(NOW + 2 * DAY)
    second = run(sandbox, state)
    assert {"today", "tomorrow", "past the end"} <= {*names(second)}


def test_an_end_in_the_middle_of_a_day_leaves_the_rest_to_the_next_run(sandbox, clock):
    end = datetime(2026, 3, 8, 6, tzinfo=UTC)
    first = run(sandbox, end_date=end.isoformat())
    assert first.bookmarks[-1]["replication_key_value"] == end.isoformat()
    assert first.ids == truth(sandbox) - truth(sandbox, since=end + timedelta(milliseconds=1))
    clock.advance(DAY)
    second = run(sandbox, first.state())
    assert not first.ids & second.ids
    assert first.ids + second.ids == truth(sandbox)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["2026-03-15T18:00:00Z", "2026-03-15", "2026-03-17"])
@pytest.mark.parametrize("late_event_at", [NOW + timedelta(hours=2), NOW + timedelta(hours=7)])
def test_an_end_on_the_bookmarks_own_day_is_not_passed_by_the_state(
    sandbox, clock, end, late_event_at
):
    first = run(sandbox)
    clock.set(NOW + timedelta(hours=11))
    sandbox.add([Event.at(late_event_at, insert_id="later")])
    second = run(sandbox, first.state(), end_date=end)
    clock.advance(timedelta(hours=12))
    third = run(sandbox, second.state())
    assert names(second) + names(third) == ["later"]


@pytest.mark.slow
def test_an_end_before_the_bookmark_leaves_the_state_as_it_is(sandbox, clock):
    first = run(sandbox)
    clock.advance(DAY)
    sandbox.add([late(NOW - 4 * DAY, NOW + timedelta(hours=1), "late")])
    second = run(sandbox, first.state(), end_date="2026-03-12")
    assert names(second) == ["late"]
    assert {*map(str, second.states)} == {str(first.state())}
    # Targets forget a state when a record comes behind it.
    assert second.messages[-1]["type"] == "STATE"
    assert names(run(sandbox, second.state())) == ["late"]


def test_an_end_at_the_bookmark_moves_the_watermark_and_loses_nothing(sandbox, clock):
    # Such a run sees all that is late; what it does not see lies past the bookmark.
    end = datetime(2026, 3, 11, tzinfo=UTC)
    first = run(sandbox, end_date=end.isoformat())
    clock.advance(DAY)
    sandbox.add([late(end + n * DAY / 2, NOW + timedelta(hours=1), f"{n}") for n in (-1, 1)])
    second = run(sandbox, first.state(), end_date=end.isoformat())
    # A bookmark that starts a day says nothing of the events at that very instant.
    assert names(second) == ["-1", "10-0"]
    (bookmark,) = {b["replication_key_value"] for b in first.bookmarks[-1:] + second.bookmarks}
    assert bookmark == end.isoformat()
    assert second.bookmarks[-1]["processed_before"] == (clock.now() - MARGIN).isoformat()
    third = run(sandbox, second.state())
    assert upsert([first, second, third]).keys() == truth(sandbox).keys()
    again = first.ids + second.ids + third.ids - truth(sandbox)
    assert again.keys() <= {record["event_id"] for record in second.records}


@pytest.mark.slow
@pytest.mark.parametrize("windows_done", range(4))
def test_a_run_that_ends_within_the_lookback_is_repeated_from_its_start(
    sandbox, clock, windows_done
):
    _, proven = first_runs(sandbox)
    clock.advance(timedelta(hours=3))
    days = [datetime(2026, 3, day, 11, tzinfo=UTC) for day in range(12, 16)]
    sandbox.add([late(day, NOW + timedelta(hours=2), f"{day.day}") for day in days])
    sandbox.add_faults(Fault("status", status=403, day=days[windows_done].date(), times=None))
    settings = {"lookback_days": 3, "max_window_days": 1}
    first = run(sandbox, proven.state(), **settings)
    assert type(first.error) is errors.AccessError
    assert names(first) == [f"{day.day}" for day in days[:windows_done]]
    assert first.state(proven.state()) == proven.state()
    sandbox.clear_faults()
    second = run(sandbox, first.state(proven.state()), **settings)
    assert names(second) == ["12", "13", "14", "15"]


@pytest.mark.slow
def test_a_second_run_over_a_week_transfers_less_than_a_twentieth():
    what = Generated(events=7000, days=7, last_day=date(2026, 3, 14), late=0.01)
    clock = SandboxClock.fixed(datetime(2026, 3, 15, tzinfo=UTC))
    with Sandbox([], pieces=generate(what), clock=clock) as sandbox:
        first = run(sandbox, start_date="2026-03-08")
        before = sum(r.bytes_sent for r in sandbox.requests)
        asked = len(sandbox.requests)
        clock.advance(5 * DAY)
        second = run(sandbox, first.state(), start_date="2026-03-08", lookback_days=7)
        tried, proof, *others = sandbox.requests[asked:]
        # One day was read whole, to prove the filter.
        assert (proof.from_date, proof.to_date, proof.where) == (date(2026, 3, 14),) * 2 + (None,)
        after = tried.bytes_sent + sum(r.bytes_sent for r in others)
        assert first.ids + second.ids >= truth(sandbox)
        assert 0 < len(set(second.ids) - set(first.ids)) < 70
        assert after < before / 20


ZONES = ["America/Los_Angeles", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata"]


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("season", ["spring", "autumn"])
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 8, 10, 23])
def test_the_hours_when_clocks_change_lose_and_double_nothing(zone, season, hour):
    # 2018: Brazil still changed its clocks, at midnight.
    days = {
        ("America/Los_Angeles", "spring"): (3, 11),
        ("America/Los_Angeles", "autumn"): (11, 4),
        ("America/Sao_Paulo", "spring"): (11, 4),
        ("America/Sao_Paulo", "autumn"): (2, 17),
        ("Australia/Lord_Howe", "spring"): (10, 7),
        ("Australia/Lord_Howe", "autumn"): (4, 1),
    }
    month, day = days.get((zone, season), (6, 1))
    info = ZoneInfo(zone)
    noon = datetime(2018, month, day, 12, tzinfo=info).astimezone(UTC)
    minutes = [noon + timedelta(minutes=10 * n) for n in range(-36 * 6, 24 * 6)]
    events = [
        Event.at(at, zone=info, insert_id=f"{n}", processed=at + timedelta(seconds=5))
        for n, at in enumerate(minutes)
    ]
    clock = SandboxClock.fixed(noon - DAY / 2 + timedelta(hours=hour, minutes=7))
    settings = {
        "start_date": minutes[0].isoformat(),
        "project_timezone": zone,
        "max_window_days": 1,
        "lookback_days": 1,
    }
    with Sandbox(events, clock=clock, timezone=zone) as sandbox:
        runs = [run(sandbox, **settings)]
        for step in (timedelta(hours=1), timedelta(hours=30)):
            clock.advance(step)
            runs.append(run(sandbox, runs[-1].state(), **settings))
        expected = truth(sandbox, zone=info)
    assert [got.error for got in runs] == [None] * 3
    assert upsert(runs).keys() == expected.keys()
    # Again come only those of the margin, and those of the hour that the wall clock shows twice.
    again = sum((got.ids for got in runs[1:]), runs[0].ids) - expected
    assert len(again) <= 12
    for got in runs:
        assert max(got.ids.values(), default=1) == 1
