"""Runs over five days of events, one window each."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone

import pytest
from harness import DAY, UTC, run_tap, some_days, truth, upsert

from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
FIRST = date(2026, 3, 11)
# One window a day, the last one today.
WINDOWS = {"first": FIRST, "middle": FIRST + 2 * DAY, "last": NOW.date()}
# The middle one tells most; the others are left to the whole suite.
EACH_WINDOW = pytest.mark.parametrize(
    "day",
    [
        pytest.param(day, id=name, marks=[] if name == "middle" else [pytest.mark.slow])
        for name, day in WINDOWS.items()
    ],
)


def five_days():
    """A sandbox with some events a day."""
    events = some_days(datetime(2026, 3, 11, tzinfo=UTC), 5)
    return Sandbox(events, clock=SandboxClock.fixed(NOW))


def run(sandbox, state=None, **settings):
    settings = {
        "start_date": FIRST.isoformat(),
        "max_window_days": 1,
        **settings,
    }
    return run_tap(sandbox, state, **settings)


def on_day(fault, day, times=1):
    """The fault, of requests for one day."""
    values = {name: getattr(fault, name) for name in fault.__slots__}
    return Fault(**{**values, "day": day, "times": times})


def bookmark_at(at):
    return {
        "bookmarks": {
            "events": {
                "replication_key": "timestamp",
                "replication_key_value": at.isoformat(),
                "processed_before": (at - timedelta(minutes=15)).isoformat(),
            }
        }
    }


def lines_of(sandbox, day):
    start = datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp()
    times = (json.loads(line)["properties"]["time"] for line in sandbox.visible())
    return [time for time in times if start <= time < start + DAY.total_seconds()]


def assert_resumable(sandbox, got, day):
    """Everything before the day was written and checkpointed, and the next run does the rest."""
    day_start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert got.ids == (truth(sandbox) - truth(sandbox, since=day_start))
    if day == FIRST:
        assert got.states == []
    else:
        assert got.bookmarks[-1]["replication_key_value"] == day_start.isoformat()
    sandbox.clear_faults()
    sandbox.clock.advance(timedelta(hours=1))
    sandbox.add([Event.at(sandbox.clock.now() - timedelta(minutes=5), insert_id="new")])
    rest = run(sandbox, got.state(), lookback_days=0)
    assert rest.error is None
    assert not got.ids & rest.ids
    assert upsert([got, rest]).keys() == truth(sandbox).keys()
    assert rest.ids == truth(sandbox) - got.ids
