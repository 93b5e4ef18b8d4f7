"""A clock is used when another one, or the events themselves, agree with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from event_truth import event_id
from harness import DAY, UTC, run_tap
from late_arrivals import HOUR, MARGIN, NOW, late, run

from tap_mixpanel_export import errors
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.sandbox.behaviour import Behaviour

MINUTE = timedelta(minutes=1)


def lost(sandbox, runs):
    written = {name for got in runs for name in got.ids}
    return {event_id(line) for line in sandbox.visible()} - written


@pytest.mark.slow
@pytest.mark.parametrize(
    "behaviour",
    [
        *({"date": "ahead", "date_minutes": minutes} for minutes in (1, 20, 180, 3 * 24 * 60)),
        *({"date": "behind", "date_minutes": minutes} for minutes in (20, 180)),
        {"date": "jumping", "date_minutes": 120},
        {"date": "missing"},
        {"date": "unreadable"},
        {"date": "year_1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("machine_off", [timedelta(), timedelta(hours=-3), timedelta(hours=5)])
def test_nothing_is_lost_whatever_the_clocks_say(sandbox, behaviour, machine_off):
    runs, state = [], None
    for number in range(6):
        now = sandbox.clock.now()
        sandbox.add(Event.at(now + n * 13 * MINUTE, insert_id=f"{number}-{n}") for n in range(5))
        sandbox.add([late(now - 2 * DAY, now + 7 * MINUTE, f"late {number}")])
        sandbox.clock.advance(HOUR)
        is_odd = number in {2, 3}
        sandbox.behaviour = Behaviour(**behaviour) if is_odd else Behaviour()
        got = run(sandbox, state, machine_off=machine_off if is_odd else timedelta())
        state = got.state(state)
        runs.append(got)
    assert [got.error for got in runs if got.error and not is_day(got.error)] == []
    assert lost(sandbox, runs) == set()


def is_day(error):
    """Both clocks were ahead: the service refuses days that it has not come to."""
    return isinstance(error, (errors.DayError, errors.StateError))


def test_a_watermark_that_no_clock_vouches_for_rests_on_what_was_seen(sandbox):
    sandbox.add([Event.at(NOW - 30 * MINUTE, insert_id="newest")])
    sandbox.behaviour = Behaviour(date="ahead", date_minutes=180)
    got = run(sandbox, machine_off=timedelta(hours=2))
    newest = NOW - 30 * MINUTE + timedelta(seconds=40)
    assert got.bookmarks[-1]["processed_before"] == (newest - MARGIN).isoformat()
    # The earlier of the two is the present.
    assert got.bookmarks[-1]["replication_key_value"] == (NOW + 2 * HOUR).isoformat()


def test_the_delay_is_a_setting(sandbox):
    got = run(sandbox, processing_delay_minutes=90)
    assert got.bookmarks[-1]["processed_before"] == (NOW - 90 * MINUTE).isoformat()


@pytest.mark.parametrize("year", ["0001-01-01", "9999-12-31", "2200-01-01", "1969-12-31"])
@pytest.mark.parametrize("name", ["replication_key_value", "processed_before"])
def test_years_that_cannot_be_end_in_a_sentence_or_in_a_run(sandbox, year, name):
    state = {
        "replication_key_value": NOW.isoformat(),
        "processed_before": (NOW - MARGIN).isoformat(),
        name: f"{year}T00:00:00+00:00",
    }
    got = run(sandbox, {"bookmarks": {"events": state}})
    if year > "2100":
        assert type(got.error) is errors.StateError
        assert "ahead of" in str(got.error)
        assert "project_timezone" not in str(got.error)
        # What is ahead of every clock takes none to tell.
        assert len(sandbox.requests) == (0 if year > "9000" else len(sandbox.requests))
    else:
        assert got.error is None


@pytest.mark.slow
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "1969-12-31"])
@pytest.mark.parametrize(
    "name",
    ["exported_from", "watermarks", "certain", "lookback_from", "at", "known_stamps", "stamps"],
)
def test_no_year_in_the_rest_of_a_state_is_a_traceback(sandbox, name, day, zone):
    at = f"{day}T00:00:00+00:00"
    marks = [["2026-03-01", (NOW - DAY).isoformat()], [day, at]]
    values = {
        "exported_from": day,
        "watermarks": marks,
        "certain": {"lookback_from": day, "watermarks": marks},
        "lookback_from": day,
        "at": None,
        "known_stamps": [[day, 1], ["2026-03-15", 10**12]],
        "stamps": [["2026-03-15", 10**30 if day > "9000" else -(10**15)]],
    }
    state = {
        "replication_key_value": NOW.isoformat(),
        "processed_before": (NOW - MARGIN).isoformat(),
        # A zone that is not the project's any more moves days.
        "zone": zone,
        "filter_proof": {"at": at, "of": "x"},
        name: values[name],
    }
    state["known_stamps"] = state.pop("stamps", state.get("known_stamps"))
    got = run(sandbox, {"bookmarks": {"events": state}})
    assert got.error is None or type(got.error) is errors.StateError


ZONES = {
    "west": ("America/New_York", "America/Los_Angeles"),
    "east": ("America/Los_Angeles", "Europe/Berlin"),
    "to UTC": ("America/Los_Angeles", None),
    "from UTC": (None, "Asia/Tokyo"),
}


@pytest.mark.parametrize(("before", "after"), ZONES.values(), ids=ZONES)
@pytest.mark.slow
def test_the_event_of_the_midnight_when_a_zone_changes_is_not_lost(before, after):
    old, new = (None if name is None else ZoneInfo(name) for name in (before, after))
    midnight = datetime(2026, 3, 20, tzinfo=old or UTC).astimezone(UTC)
    hours = range(-30, 0)
    events = [Event.at(midnight + n * HOUR, zone=old, insert_id=f"old {n}") for n in hours] + [
        Event.at(midnight + n * HOUR, zone=new, insert_id=f"new {n}") for n in range(30)
    ]
    clock = SandboxClock.fixed(midnight + 40 * HOUR)
    start = (midnight - 3 * DAY).date().isoformat()
    with Sandbox(events, clock=clock, timezone=before) as sandbox:
        first = run_tap(sandbox, start_date=start, end_date="2026-03-19", project_timezone=before)
    with Sandbox(events, clock=clock, timezone=after) as sandbox:
        second = run_tap(sandbox, first.state(), start_date=start, project_timezone=after)
        clock.advance(HOUR)
        third = run_tap(sandbox, second.state(), start_date=start, project_timezone=after)
    assert [got.error for got in (first, second, third)] == [None] * 3
    names = {r["insert_id"] for got in (first, second, third) for r in got.records}
    assert {f"new {n}" for n in range(30)} | {f"old {n}" for n in hours} == names
    assert {r["insert_id"] for r in third.records} <= {"new 0"} | names


@pytest.mark.parametrize(
    ("real", "setting", "told"),
    [
        ("America/Los_Angeles", None, "project_timezone looks missing"),
        ("Asia/Kolkata", None, "project_timezone looks missing"),
        ("America/Los_Angeles", "America/New_York", "project_timezone looks wrong"),
        (None, "America/Los_Angeles", "not needed"),
        ("America/Los_Angeles", "America/Los_Angeles", None),
        (None, None, None),
    ],
)
@pytest.mark.slow
def test_the_zone_proves_itself(real, setting, told, caplog):
    zone = None if real is None else ZoneInfo(real)
    events = [
        Event.at(NOW - n * 47 * MINUTE - 2 * DAY, zone=zone, insert_id=f"{n}") for n in range(60)
    ]
    # A device whose clock is ahead says nothing of the zone.
    events.append(
        Event.at(NOW - 2 * DAY, zone=zone, processed=NOW - 2 * DAY - 3 * HOUR, insert_id="ahead")
    )
    with Sandbox(events, clock=SandboxClock.fixed(NOW), timezone=real) as sandbox:
        got = run(sandbox, start_date="2026-03-01", project_timezone=setting)
    assert got.error is None
    if told is None:
        assert "project_timezone" not in caplog.text
    else:
        assert told in caplog.text


@pytest.mark.slow
def test_a_days_imports_say_nothing_of_the_zone(caplog):
    """What is uploaded each night took any number of hours."""
    night = datetime(2026, 3, 14, tzinfo=UTC)
    events = [
        Event.at(night - n * 10 * MINUTE, processed=night + 5 * MINUTE, insert_id=f"{n}")
        for n in range(144)
    ]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        run(sandbox)
    assert "project_timezone" not in caplog.text
