"""Runs that are cut off: what they leave behind, and what the next one does."""

from __future__ import annotations

import json
import random
import signal
from datetime import date, datetime
from typing import TYPE_CHECKING

import pytest
from harness import DAY, UTC, Run, run_tap, some_days, start_command, truth, upsert, wait_for

from tap_mixpanel_export.sandbox import Fault, Sandbox, SandboxClock

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 60
NOW = START + DAYS * DAY
KILLS = 10
MOST_READ = 40_000
IN_FLIGHT = 4

# The quota would make each of these runs take half a minute.
QUICKLY = """
from tap_mixpanel_export import termination
from tap_mixpanel_export.__main__ import main
from tap_mixpanel_export.api.rate_limit import QueryLimiter
QueryLimiter.HOUR_SECONDS = QueryLimiter.SECOND_SECONDS = 0.01
QueryLimiter.PER_SECOND = 1000
# On a busy machine the end takes longer.
termination._MESSAGE_SECONDS = termination._TIDY_SECONDS = 60
main()
"""
QUICK = ("-c", QUICKLY)

SETTINGS = {
    "start_date": START.date().isoformat(),
    "end_date": (NOW - DAY).date().isoformat(),
    "max_window_days": 1,
    "max_concurrent_queries": IN_FLIGHT,
    "lookback_days": 0,
}


@pytest.fixture(scope="module")
def events():
    return some_days(START, DAYS)


@pytest.fixture
def sandbox(events):
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


@pytest.mark.slow
def test_killed_ten_times_a_backfill_loses_nothing_and_asks_for_little_again(tmp_path):
    # So many that none of the runs is done when it is killed, however much its pipe holds.
    days = 120
    clock = SandboxClock.fixed(START + days * DAY)
    with Sandbox(some_days(START, days), clock=clock) as sandbox:
        kill_ten_times(sandbox, tmp_path, (START + (days - 1) * DAY).date().isoformat())


def kill_ten_times(sandbox, folder, end_date):
    settings = {**SETTINGS, "end_date": end_date}
    # Any seed would do; one that stays makes a failure repeatable.
    pick = random.Random(60)  # noqa: S311
    state, runs, asked = None, [], []
    for _ in range(KILLS):
        process = start_command(sandbox, folder, state, program=QUICK, **settings)
        output = read(process, pick.randrange(3000, MOST_READ))
        process.send_signal(signal.SIGKILL)
        rest, _stderr = process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert list((folder / "tmp").iterdir()) == []
        runs.append(Run(output + rest))
        state = runs[-1].state(state)
        asked.append(days_asked(sandbox, sum(map(len, asked))))
    runs.append(run_tap(sandbox, state, **settings))
    asked.append(days_asked(sandbox, sum(map(len, asked))))
    assert runs[-1].error is None
    assert upsert(runs).keys() == truth(sandbox).keys()
    assert any(got.states for got in runs[:-1])
    for number, days in enumerate(asked[1:], start=1):
        again = {day for earlier in asked[:number] for day in earlier} & set(days)
        # Those that were being downloaded, and the one that was being written.
        assert len(again) <= IN_FLIGHT + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name
)
@pytest.mark.parametrize(
    "moment", ["at work", "in a silence", "before the first answer", "in a wait"]
)
def test_a_signal_ends_a_run_in_order(sandbox, tmp_path, number, moment):
    faults = {
        "at work": [],
        "in a silence": [Fault("stall", day=date(2026, 1, 6), seconds=280, times=None)],
        "before the first answer": [Fault("slow_start", seconds=280)],
        "in a wait": [Fault("status", status=429, day=date(2026, 1, 6), retry_after=280)],
    }
    sandbox.add_faults(*faults[moment])
    # A shorter hour would cut short the pause that the service asks for.
    program = {} if moment == "in a wait" else {"program": QUICK}
    process = start_command(sandbox, tmp_path, **program, **SETTINGS)
    output = b""
    if moment == "before the first answer":
        wait_for(lambda: sandbox.requests != [])
    elif moment == "at work":
        output = read(process, 5000)
    else:
        while output.count(b'"STATE"') < 5 and (line := process.stdout.readline()):
            output += line
    process.send_signal(number)
    rest, stderr = process.communicate()
    got = Run(output + rest)
    assert_ended_in_order(process, stderr, tmp_path)
    assert process.returncode == 128 + number
    assert got.output.endswith(b"\n")
    if moment in {"in a silence", "in a wait"}:
        assert got.bookmarks[-1]["replication_key_value"] == "2026-01-06T00:00:00+00:00"
    assert_resumable(sandbox, got)


@pytest.mark.slow
@pytest.mark.parametrize("lines", [0, 1, 100])
def test_a_closed_stdout_ends_a_run_in_order(sandbox, tmp_path, lines):
    process = start_command(sandbox, tmp_path, program=QUICK, **SETTINGS)
    output = b"".join(process.stdout.readline() for _ in range(lines))
    process.stdout.close()
    process.stdout = None
    _, stderr = process.communicate()
    assert_ended_in_order(process, stderr, tmp_path)
    assert_resumable(sandbox, Run(output))


@pytest.mark.slow
def test_a_run_that_ends_while_downloads_hang_does_not_wait_for_them(sandbox, tmp_path):
    sandbox.add_faults(
        Fault("stall", day=date(2026, 1, 6), seconds=280),
        Fault("stall", day=date(2026, 1, 7), seconds=280),
        Fault("stall", day=date(2026, 1, 8), seconds=280),
        Fault("status", status=403, day=date(2026, 1, 5)),
    )
    process = start_command(sandbox, tmp_path, program=QUICK, **SETTINGS)
    output, stderr = process.communicate()
    assert process.returncode == 1
    assert_ended_in_order(process, stderr, tmp_path)
    assert_resumable(sandbox, Run(output))


def read(process, count):
    output = b""
    while len(output) < count and (piece := process.stdout.read(count - len(output))):
        output += piece
    return output


def days_asked(sandbox, skip):
    return [request.from_date for request in sandbox.requests][skip:]


def assert_ended_in_order(process, stderr, folder: Path):
    text = stderr.decode()
    assert process.returncode != 0
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    assert "ResourceWarning" not in text
    assert list((folder / "tmp").iterdir()) == []


def assert_resumable(sandbox, got):
    """What stands before the last STATE is all that happened before its bookmark."""
    state = got.state()
    if state is not None:
        done = datetime.fromisoformat(got.bookmarks[-1]["replication_key_value"])
        *_, last = (n for n, m in enumerate(got.messages) if m["type"] == "STATE")
        ids = Run(b"".join(json.dumps(m).encode() + b"\n" for m in got.messages[:last])).ids
        assert ids == truth(sandbox) - truth(sandbox, since=done)
    sandbox.clear_faults()
    rest = run_tap(sandbox, state, **SETTINGS)
    assert rest.error is None
    assert upsert([got, rest]).keys() == truth(sandbox).keys()
