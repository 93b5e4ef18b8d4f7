"""A project of two weeks, into which events come late."""

from __future__ import annotations

from datetime import datetime, timedelta

from harness import UTC, run_tap, some_days

from tap_mixpanel_export.sandbox import Event

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MARGIN = timedelta(minutes=15)


def run(sandbox, state=None, **settings):
    return run_tap(sandbox, state, **{"start_date": START.date().isoformat(), **settings})


def first_runs(sandbox, **settings):
    """Two runs an hour apart: the second one has the filter for late events prove itself."""
    clock = sandbox.clock
    sandbox.add([Event.at(clock.now() - MARGIN - timedelta(minutes=5), insert_id="before")])
    first = run(sandbox, **settings)
    sandbox.add([Event.at(clock.now() + timedelta(minutes=5), insert_id="after")])
    clock.advance(timedelta(hours=1))
    second = run(sandbox, first.state(), **settings)
    assert "filter_proof" in second.bookmarks[-1]
    return first, second


def late(at, processed, name):
    return Event.at(at, "Late", processed=processed, insert_id=name)


def stamped(start, days, **others):
    """Events that all say when they were processed."""
    events = some_days(start, days, **others)
    return [e for e in events if e.tail is not None and b"mp_processing_time_ms" in e.tail]


def names(got):
    return sorted(f"{record['insert_id']}" for record in got.records)
