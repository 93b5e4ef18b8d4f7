"""`meltano config test` starts the tap as for a run, and ends it at its first record."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from harness import DAY, UTC, run_tap, some_days, truth

from tap_mixpanel_export import streams
from tap_mixpanel_export.output import writer
from tap_mixpanel_export.sandbox import Sandbox, SandboxClock
from tap_mixpanel_export.stdout import is_mixed_with_log

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
# Four years without an event, and then a week.
START = "2022-01-01"


@pytest.fixture
def sandbox():
    with Sandbox(some_days(NOW - 7 * DAY, 8), clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


@pytest.fixture
def waits(monkeypatch):
    """Stdout and stderr are one pipe, to a reader who ends nothing."""
    waits = []
    monkeypatch.setattr(writer, "is_mixed_with_log", lambda: True)
    monkeypatch.setattr(streams, "time", SimpleNamespace(sleep=waits.append))
    return waits


@pytest.mark.slow
def test_the_first_record_takes_one_query_of_one_day(sandbox, waits, monkeypatch):
    asked = []

    def sleep(seconds):
        waits.append(seconds)
        asked.extend(sandbox.requests)

    monkeypatch.setattr(streams, "time", SimpleNamespace(sleep=sleep))
    got = run_tap(sandbox, start_date=START)
    assert [(r.from_date, r.to_date) for r in asked] == [((NOW - DAY).date(),) * 2]
    assert waits == [streams._END_OF_TEST_SECONDS]
    # Who reads on gets everything, and that day's twice.
    kinds = [message["type"] for message in got.messages]
    assert kinds.index("RECORD") < kinds.index("STATE")
    day = NOW.replace(hour=0) - DAY
    twice = truth(sandbox, since=day) - truth(sandbox, since=day + DAY)
    assert got.ids == truth(sandbox) + twice


@pytest.mark.slow
def test_a_day_without_events_is_no_reason_to_wait(waits):
    quiet = some_days(NOW - 9 * DAY, 3)
    with Sandbox(quiet, clock=SandboxClock.fixed(NOW)) as sandbox:
        got = run_tap(sandbox, start_date="2026-03-01")
        assert got.ids == truth(sandbox)
    assert waits == []


@pytest.mark.slow
def test_a_run_that_goes_on_writes_nothing_twice(sandbox, waits):
    state = run_tap(sandbox, start_date="2026-03-08").state()
    waits.clear()
    sandbox.clock.advance(timedelta(hours=1))
    got = run_tap(sandbox, state, start_date="2026-03-08")
    assert waits == []
    assert all(count == 1 for count in got.ids.values())


@pytest.mark.parametrize("kind", ["one pipe", "two pipes", "one file", "no files"])
def test_what_one_pipe_is(monkeypatch, tmp_path, kind):
    first, second = os.pipe(), os.pipe()
    with (tmp_path / "log").open("w") as file:
        out, err = {
            "one pipe": (first[1], first[1]),
            "two pipes": (first[1], second[1]),
            "one file": (file.fileno(), file.fileno()),
            "no files": (None, None),
        }[kind]
        monkeypatch.setattr("sys.stdout", out and SimpleNamespace(fileno=lambda: out))
        monkeypatch.setattr("sys.stderr", err and SimpleNamespace(fileno=lambda: err))
        assert is_mixed_with_log() == (kind == "one pipe")
        monkeypatch.undo()
    for descriptor in (*first, *second):
        os.close(descriptor)
