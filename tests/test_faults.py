"""Every row of "what goes wrong in practice", in the first, a middle and the last window."""

from __future__ import annotations

import logging
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from event_lines import event_of_line
from fault_tables import ENDING, HARMLESS, PASSING, SILENT
from five_days import (
    EACH_WINDOW,
    FIRST,
    NOW,
    WINDOWS,
    assert_resumable,
    bookmark_at,
    five_days,
    lines_of,
    on_day,
    run,
)
from harness import DAY, UTC, run_command, run_tap, some_days, truth

from tap_mixpanel_export import errors
from tap_mixpanel_export.sandbox import Fault, Sandbox, SandboxClock


@pytest.fixture
def sandbox():
    with five_days() as sandbox:
        yield sandbox


@EACH_WINDOW
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_can_pass_loses_and_doubles_nothing(sandbox, fault, day):
    sandbox.add_faults(on_day(fault, day))
    got = run(sandbox)
    assert got.error is None
    assert got.ids == truth(sandbox)
    asked = [r.from_date for r in sandbox.requests]
    assert asked.count(day) == 2
    assert len(asked) == 6


@pytest.mark.slow
@EACH_WINDOW
@pytest.mark.parametrize("fault", SILENT.values(), ids=SILENT)
def test_a_silence_loses_and_doubles_nothing(sandbox, fault, day):
    sandbox.add_faults(on_day(fault, day))
    got = run(sandbox, request_timeout=1)
    assert got.error is None
    assert got.ids == truth(sandbox)
    # On a busy machine other answers may take a second, too.
    assert [r.from_date for r in sandbox.requests].count(day) >= 2


@EACH_WINDOW
@pytest.mark.parametrize("fault", HARMLESS.values(), ids=HARMLESS)
def test_what_is_no_fault_takes_one_request(sandbox, fault, day):
    # An answer without a date takes the time of this machine, which is the sandbox's.
    sandbox.add_faults(on_day(fault, day))
    got = run(sandbox)
    assert got.error is None
    assert got.ids == truth(sandbox)
    assert len(sandbox.requests) == 5
    assert got.bookmarks[-1]["replication_key_value"] == NOW.isoformat()


@EACH_WINDOW
@pytest.mark.parametrize(("fault", "kind", "hint"), ENDING.values(), ids=ENDING)
def test_what_ends_a_run_leaves_the_state_at_the_last_finished_window(
    sandbox, fault, kind, hint, day
):
    sandbox.add_faults(on_day(fault, day, times=None))
    got = run(sandbox)
    assert type(got.error) is kind
    assert hint in str(got.error)
    assert_resumable(sandbox, got, day)


@EACH_WINDOW
@pytest.mark.parametrize("name", ["500", "reset", "truncated gzip", "terminated early"])
@pytest.mark.slow
def test_a_window_whose_tries_are_used_up_ends_the_run(sandbox, name, day):
    sandbox.add_faults(on_day(PASSING[name], day, times=None))
    got = run(sandbox)
    assert type(got.error) is errors.WindowError
    assert f"{day}" in str(got.error)
    assert "5 tries" in str(got.error)
    assert [r.from_date for r in sandbox.requests].count(day) == 5
    assert_resumable(sandbox, got, day)


@pytest.mark.parametrize("fails", range(1, 3))
@pytest.mark.slow
def test_a_wide_window_that_fails_is_asked_for_in_smaller_ones(sandbox, fails):
    middle = WINDOWS["middle"]
    state = bookmark_at(NOW)
    # Two days, one.
    sandbox.add_faults(Fault("status", day=middle, times=3 * fails))
    got = run(sandbox, state, max_window_days=30, lookback_days=4)
    assert got.error is None
    widths = [
        (r.to_date - r.from_date).days + 1
        for r in sandbox.requests
        if r.from_date <= middle <= r.to_date and r.fault
    ]
    assert widths == sorted(widths, reverse=True)
    assert set(got.ids) == {i for i in truth(sandbox) if i in unstamped(sandbox)}
    # The state moves only when the last half is done.
    assert [b["processed_before"] for b in got.bookmarks[:-1]] == [
        state["bookmarks"]["events"]["processed_before"]
    ] * (len(got.bookmarks) - 1)


def test_a_first_request_that_gets_no_answer_at_all_ends_no_run(sandbox):
    # The bookmark's day, asked with the filter for late events, to prove it.
    sandbox.add_faults(Fault("reset", times=3))
    got = run(sandbox, bookmark_at(NOW), max_window_days=30, lookback_days=3)
    assert got.error is None
    asked = [(r.from_date.day, r.where is not None) for r in sandbox.requests]
    assert asked[:4] == [(15, True)] * 3 + [(15, False)]


def test_a_backfill_goes_on_in_narrower_windows_after_a_failure():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with Sandbox(some_days(start, 60, each=3), clock=SandboxClock.fixed(start + 60 * DAY)) as box:
        # Windows of 1, 1, 2, 2 days, then of 4, which fails.
        box.add_faults(*[Fault("status", day=date(2026, 1, 9), times=3)])
        got = run_tap(box, start_date="2026-01-01")
        assert got.error is None
        assert got.ids == truth(box)
        widths = [(r.to_date - r.from_date).days + 1 for r in box.requests]
        failed = next(i for i, r in enumerate(box.requests) if r.fault)
        assert max(widths[failed + 3 :]) <= widths[failed]
        assert_each_day_is_granted_once(box, but=box.clock.now().date())


@pytest.mark.slow
def test_windows_before_one_that_is_refused_are_written_first(sandbox):
    # The first answer comes last.
    sandbox.add_faults(
        Fault("drip", day=FIRST, seconds=0.03),
        Fault("status", status=403, day=FIRST + DAY, times=None),
    )
    got = run(sandbox)
    assert type(got.error) is errors.AccessError
    assert len(got.records) == len(lines_of(sandbox, FIRST)) - 1
    assert got.bookmarks[-1]["replication_key_value"] == "2026-03-12T00:00:00+00:00"


def test_credentials_that_are_refused_cost_one_query(sandbox):
    got = run(sandbox, service_account_secret="another")
    assert type(got.error) is errors.AuthenticationError
    assert len(sandbox.requests) == 1


def test_429_with_retry_after_waits_as_long_and_says_so_in_one_line(sandbox, caplog):
    sandbox.add_faults(Fault("status", status=429, retry_after=7, day=WINDOWS["middle"]))
    with caplog.at_level(logging.WARNING):
        got = run(sandbox)
    assert got.ids == truth(sandbox)
    assert max(got.waits) == pytest.approx(7)
    [line] = [r.getMessage() for r in caplog.records if "429" in r.getMessage()]
    assert "waiting 7.0 s" in line


def test_a_date_in_retry_after_is_read_by_the_clock_of_the_service(sandbox):
    sandbox.add_faults(
        Fault(
            "status", status=429, retry_after="Sun, 15 Mar 2026 12:01:00 GMT", day=WINDOWS["middle"]
        )
    )
    got = run(sandbox)
    assert sum(got.waits) == pytest.approx(60, abs=5)


@pytest.mark.parametrize("retry_after", [None, 0])
def test_429_again_and_again_waits_longer_and_longer(sandbox, retry_after, caplog):
    sandbox.add_faults(
        Fault("status", status=429, retry_after=retry_after, day=WINDOWS["middle"], times=8)
    )
    with caplog.at_level(logging.WARNING):
        got = run(sandbox)
    assert got.ids == truth(sandbox)
    told = [r.args[-1] for r in caplog.records if "429" in r.getMessage()]
    assert told == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60], abs=0.5)


def test_the_days_of_a_project_in_another_zone_end_the_run_with_a_hint():
    zone = ZoneInfo("America/Los_Angeles")
    # Still the day before in Los Angeles.
    now = datetime(2026, 3, 15, 4, tzinfo=UTC)
    start = datetime(2026, 3, 11, tzinfo=zone)
    with Sandbox(
        some_days(start, 5, zone=zone),
        clock=SandboxClock.fixed(now),
        timezone="America/Los_Angeles",
    ) as sandbox:
        wrong = run(sandbox)
        assert type(wrong.error) is errors.DayError
        assert "project_timezone" in str(wrong.error)
        right = run(sandbox, project_timezone="America/Los_Angeles")
        assert right.error is None
        assert right.ids == truth(sandbox, zone=zone)


@pytest.mark.slow
def test_faults_in_all_windows_at_once(sandbox):
    for day in range(11, 16):
        for name in (
            "500",
            "reset in the body",
            "truncated gzip",
            "429",
            "a line that is not JSON",
        ):
            sandbox.add_faults(on_day(PASSING[name], date(2026, 3, day)))
    got = run(sandbox)
    assert got.error is None
    assert got.ids == truth(sandbox)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=401, day=WINDOWS["middle"]),
        Fault("status", status=400, text="to_date cannot be later than today", day=FIRST),
        Fault("malformed_line", day=WINDOWS["last"], times=None),
        Fault("status", status=402, day=WINDOWS["middle"]),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_the_command_ends_with_1_and_a_message(sandbox, tmp_path, fault):
    sandbox.add_faults(fault)
    done = run_command(
        sandbox, tmp_path, start_date=FIRST.isoformat(), max_window_days=1, lookback_days=1
    )
    stderr = done.stderr.decode()
    assert done.returncode == 1
    assert "Traceback" not in stderr
    assert "ResourceWarning" not in stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def unstamped(sandbox):
    lines = [line for line in sandbox.visible() if b"mp_processing_time_ms" not in line]
    with Sandbox([event_of_line(line) for line in lines], clock=SandboxClock.fixed(NOW)) as others:
        return set(truth(others))


def assert_each_day_is_granted_once(sandbox, but):
    """All but one day, of no events: an empty answer is read twice."""
    granted = [r for r in sandbox.requests if r.status == 200 and r.from_date != but]
    days = [
        r.from_date + n * DAY for r in granted for n in range((r.to_date - r.from_date).days + 1)
    ]
    assert len(days) == len(set(days))
