from __future__ import annotations

import io
import logging
import sys

import pytest

from tap_mixpanel_export.sync import progress
from tap_mixpanel_export.sync.progress import ProgressReport


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="tap-mixpanel-export.progress")
    return caplog


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_a_line_every_half_minute(clock, log):
    with ProgressReport(60) as report:
        for second in range(1, 100):
            clock.now = 1000.0 + second
            report.update(second, 200 - second, 10_000 * second)
            report.tick()
    assert [record.getMessage() for record in log.records] == [
        "30 windows done, 170 to do, 300,000 events, 10,000/s, about 1 h 50 min left",
        "60 windows done, 140 to do, 600,000 events, 10,000/s, about 1 h 20 min left",
        "90 windows done, 110 to do, 900,000 events, 10,000/s, about 50 min 0 s left",
    ]


def test_a_run_that_waits_still_tells(clock, log):
    with ProgressReport(60) as report:
        report.update(1, 1, 500)
        for _ in range(3):
            clock.now += 31
            report.tick()
    assert len(log.records) == 3
    assert log.records[-1].getMessage() == (
        "1 windows done, 1 to do, 500 events, 5/s, about 1 min 33 s left"
    )


def test_the_quota_bounds_the_time_left_from_below(clock, log):
    with ProgressReport(10) as report:
        clock.now += 30
        report.update(30, 20, 1)
    # Ten more queries than an hour has.
    assert log.records[0].getMessage().endswith("about 1 h 0 min left")


def test_before_the_first_and_after_the_last_window_no_time_is_guessed(clock, log):
    with ProgressReport(60) as report:
        clock.now += 40
        report.update(0, 7, 0)
        clock.now += 40
        report.update(7, 0, 800)
    assert [record.getMessage() for record in log.records] == [
        "0 windows done, 7 to do, 0 events, 0/s",
        "7 windows done, 0 to do, 800 events, 10/s",
    ]


def test_a_terminal_gets_a_bar_on_stderr_and_no_log_lines(clock, log, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    with ProgressReport(60) as report:
        clock.now += 31
        report.update(3, 5, 12_345)
    shown = terminal.getvalue()
    assert "windows" in shown
    assert "3/8" in shown
    assert "12,345 events" in shown
    assert not log.records
    assert capsys.readouterr().out == ""


def test_without_a_terminal_nothing_is_drawn(capsys):
    with ProgressReport(60) as report:
        report.update(1, 1, 1)
    assert capsys.readouterr() == ("", "")
