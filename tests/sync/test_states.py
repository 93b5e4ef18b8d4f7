"""States as other programs and older versions hand them over."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from harness import DAY, UTC, run_command, truth
from late_arrivals import MARGIN, NOW, late, names, run

from tap_mixpanel_export import errors
from tap_mixpanel_export.sandbox import Event

STATES = {
    "with Z": {
        "replication_key_value": "2026-03-15T12:00:00Z",
        "processed_before": "2026-03-15T11:45:00Z",
    },
    "with another offset": {
        "replication_key_value": "2026-03-15T13:00:00+01:00",
        "processed_before": "2026-03-15T12:45:00+01:00",
    },
    "with fractions": {
        "replication_key_value": "2026-03-15T12:00:00.000000Z",
        "processed_before": "2026-03-15T11:45:00.000Z",
    },
    "without an offset": {
        "replication_key_value": "2026-03-15T12:00:00",
        "processed_before": "2026-03-15T11:45:00",
    },
    "with what other versions keep": {
        "replication_key": "timestamp",
        "replication_key_value": "2026-03-15T12:00:00+00:00",
        "processed_before": "2026-03-15T11:45:00+00:00",
        "columns": ["distinct_id"],
    },
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_states_that_say_the_same_do_the_same(sandbox, clock, state):
    clock.advance(timedelta(hours=1))
    sandbox.add([late(NOW - DAY, NOW, "late")])
    got = run(sandbox, {"bookmarks": {"events": state}})
    assert names(got) == ["late"]


def test_a_state_without_watermark_has_the_lookback_written_whole(sandbox, clock):
    clock.advance(timedelta(hours=1))
    sandbox.add([Event.at(NOW + timedelta(minutes=30), insert_id="new")])
    state = {"bookmarks": {"events": {"replication_key_value": NOW.isoformat()}}}
    got = run(sandbox, state)
    assert got.ids == truth(sandbox, since=datetime(2026, 3, 10, tzinfo=UTC))
    assert got.bookmarks[-1]["processed_before"] == (clock.now() - MARGIN).isoformat()


def test_a_state_of_another_replication_key_starts_anew(sandbox):
    state = {"replication_key": "date", "replication_key_value": "2026-03-14"}
    got = run(sandbox, {"bookmarks": {"events": state}})
    assert got.ids == truth(sandbox)


@pytest.mark.parametrize(
    "value", ["yesterday", "", 5, [], {"at": 1}, "2026-13-01", "0001-01-01T00:00:00+14:00"]
)
@pytest.mark.parametrize("name", ["replication_key_value", "processed_before"])
def test_a_state_that_makes_no_sense_is_refused_before_any_request(sandbox, name, value):
    state = {**STATES["with Z"], name: value}
    got = run(sandbox, {"bookmarks": {"events": state}})
    assert type(got.error) is errors.StateError
    assert name in str(got.error)
    assert sandbox.requests == []


@pytest.mark.slow
def test_the_command_refuses_a_state_that_makes_no_sense(sandbox, tmp_path):
    done = run_command(
        sandbox, tmp_path, {"bookmarks": {"events": {"replication_key_value": "yesterday"}}}
    )
    assert done.returncode == 1
    assert b"replication_key_value" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
def test_the_oldest_of_bookmarks_and_the_longest_of_lookbacks_meet_at_the_epoch(sandbox):
    state = {"replication_key_value": "1970-01-02T00:00:00Z"}
    got = run(
        sandbox,
        {"bookmarks": {"events": state}},
        start_date=None,
        end_date="2011-07-20",
        lookback_days=1_000_000,
    )
    assert got.error is None
    assert sandbox.requests[0].from_date == date(1970, 1, 1)


@pytest.mark.slow
def test_the_state_never_goes_back_when_the_services_clock_does(sandbox, clock):
    first = run(sandbox)
    clock.advance(timedelta(minutes=-10))
    second = run(sandbox, first.state())
    assert second.error is None
    assert second.bookmarks[-1]["replication_key_value"] == NOW.isoformat()
