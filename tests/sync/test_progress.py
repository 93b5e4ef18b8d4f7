from __future__ import annotations

import io
import logging
import sys
from datetime import date, datetime, timedelta, timezone

import pytest

from tap_mixpanel_export.api.client import Transfer
from tap_mixpanel_export.sync.activity import Activity, WindowState
from tap_mixpanel_export.sync.progress import ProgressReport, Standing
from tap_mixpanel_export.sync.windows import Purpose, Window

STARTED = datetime(2026, 11, 25, 15, 37, 30, tzinfo=timezone.utc)


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def window(number=0, purpose=Purpose.NEW, **changes) -> Window:
    day = date(2026, 1, 1) + timedelta(days=number)
    end = datetime(2026, 12, 1, tzinfo=timezone.utc)
    return Window(day, day, purpose, None, None, end, **changes)


class Run:
    """A run that does what a test says."""

    def __init__(self, per_hour: int = 60) -> None:
        self.clock = Clock()
        self.activity = Activity(self.clock, STARTED)
        self.standing = Standing(0, 0, 0, 0)
        self.report = ProgressReport(per_hour, self.activity, lambda: self.standing)

    def begin(self, *windows: Window) -> None:
        for one in windows:
            self.activity.begin(one)
            self.activity.sent()

    def write(self, *windows: Window, events: int = 100) -> None:
        for one in windows:
            self.begin(one)
            self.activity.downloaded()
            self.activity.written(one, events)

    @property
    def told(self) -> str:
        return self.report.sentence(self.standing)


@pytest.fixture
def run():
    return Run()


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="tap-mixpanel-export.progress")
    return caplog


def test_a_log_gets_a_line_every_half_minute(run, log):
    with run.report:
        for second in range(1, 100):
            run.clock.now = 1000.0 + second
            run.write(window(second))
            run.standing = Standing(second, 200 - second, 10_000 * second, 5000 * second)
            run.report.tick()
            run.report.tick()
    assert [record.getMessage().split(", ", 2)[2] for record in log.records] == [
        "170 to do, 300,000 events, 10,000/s, 150.0 kB, about 2 h 59 min left",
        "140 to do, 600,000 events, 10,000/s, 300.0 kB, about 2 h 59 min left",
        "110 to do, 900,000 events, 10,000/s, 450.0 kB, about 1 h 59 min left",
    ]


def test_a_window_under_way_is_told_before_the_first_one_is_written(run):
    # It once said "0 windows done, 0 to do".
    run.begin(window())
    run.activity.answered(Transfer(granted=True, server_time=None, has_end=True, received=2_500))
    run.clock.now += 40
    assert run.told == ("new days: 0 windows done, 1 under way, 1 to do, 0 events, 0/s, 2.5 kB")


@pytest.mark.parametrize(
    ("one", "phase"),
    [
        (window(purpose=Purpose.LOOKBACK, is_proof=True), "proof"),
        (window(purpose=Purpose.LOOKBACK), "look-back"),
        (window(purpose=Purpose.SWEEP), "sweep"),
        (window(), "new days"),
        (window(purpose=Purpose.BACKFILL), "new days"),
    ],
)
def test_says_which_phase_the_run_is_in(run, one, phase):
    run.begin(one)
    assert run.told.startswith(f"{phase}: ")


def test_the_last_window_behind_a_spent_quota_takes_as_long_as_the_quota(run):
    # It once said "about 0 min 4 s left" with 59 minutes to wait.
    run.write(*map(window, range(60)))
    run.clock.now += 60
    run.activity.begin(window(60))
    run.activity.wait(3540, "the limit of 60 queries per hour")
    run.clock.now += 1
    run.standing = Standing(60, 1, 6000, 0)
    assert "waiting until 16:37 UTC for the limit of 60 queries per hour" in run.told
    assert run.told.endswith("about 59 min 0 s left")


def test_a_quota_that_will_be_spent_counts_before_it_is(run):
    run.write(*map(window, range(30)))
    run.clock.now += 60
    run.standing = Standing(30, 151, 3000, 0)
    # Thirty more now; sixty in 59 minutes, when the first ones are an hour old; 61 later, the last
    # one in the hour after.
    assert run.told.endswith("about 2 h 59 min left")


def test_requests_that_are_under_way_need_no_more_quota():
    run = Run(per_hour=2)
    run.write(window())
    run.begin(window(1))
    run.clock.now += 10
    run.standing = Standing(1, 1, 100, 0)
    assert run.told.endswith("about 10 s left")


def test_a_slow_loader_counts_where_the_quota_does_not(run):
    run.write(window())
    run.clock.now += 600
    run.standing = Standing(1, 3, 100, 0)
    assert run.told.endswith("about 30 min 0 s left")


def test_waits_are_no_measure_of_the_speed(run):
    run.write(window())
    run.clock.now += 10
    run.activity.begin(window(1))
    run.activity.wait(300, "the pause that the service asked for (429)")
    run.clock.now += 300
    run.activity.sent()
    run.standing = Standing(1, 5, 100, 0)
    assert run.told.endswith("/s, 0 B, about 50 s left")


def test_a_wait_ends_when_the_request_goes_out_or_the_window_fails(run):
    run.activity.begin(window())
    run.activity.wait(100, "one")
    # The quota has heard of a longer pause: it is the same wait.
    run.activity.wait(200, "another")
    assert run.activity.current_wait().reason == "one"
    assert run.activity.current_wait().until == 200
    run.activity.sent()
    assert run.activity.current_wait() is None
    run.activity.wait(50, "the next try")
    run.activity.ended(WindowState.FAILED)
    assert run.activity.current_wait() is None
    assert [wait.reason for wait in run.activity.waits] == ["one", "the next try"]


def test_a_wait_into_the_next_day_names_the_day(run):
    run.activity.wait(9 * 3600, "the limit of 60 queries per hour")
    assert "waiting until 2026-11-26 00:37 UTC for" in run.told


def test_nothing_grows_with_the_length_of_a_run(run):
    for number in range(5000):
        run.write(window(number))
        run.activity.wait(1, "the next try")
        run.activity.end_wait()
    activity = run.activity
    assert len(activity.windows) + activity.other_windows == 5000
    assert len(activity.windows) == len(activity.waits) == 2000
    assert activity.under_way() == []


def test_without_a_window_left_no_time_is_guessed(run):
    run.clock.now += 40
    run.standing = Standing(7, 0, 800, 0)
    assert run.told == "7 windows done, 0 under way, 0 to do, 800 events, 20/s, 0 B"


def test_a_terminal_gets_a_bar_on_stderr_and_no_log_lines(run, log, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    with run.report:
        run.clock.now += 31
        run.standing = Standing(3, 5, 12_345, 0)
        run.report.tick()
    shown = terminal.getvalue()
    assert "windows" in shown
    assert "3/8" in shown
    assert "12,345 events" in shown
    assert not log.records
    assert capsys.readouterr().out == ""


def test_the_bar_does_not_freeze_in_a_wait(run, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    with run.report:
        run.begin(window())
        run.activity.wait(60, "the pause that the service asked for (429)")
        run.clock.now += 1
        run.report.tick()
    assert "until 15:38 UTC for the pause that the service asked for (429)" in terminal.getvalue()


def test_without_a_terminal_nothing_is_drawn(run, capsys):
    with run.report:
        run.report.tick()
    assert capsys.readouterr() == ("", "")
