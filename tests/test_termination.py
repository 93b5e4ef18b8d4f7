"""What a signal does to the work of a process, between messages and within one."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from commands import by_signal

from tap_mixpanel_export import termination
from tap_mixpanel_export.termination import SIGNALS, WholeMessage, end_in_order


@pytest.fixture
def _keep_handlers():
    hook = sys.unraisablehook
    # Under `nohup` one of them is ignored, and would stay so.
    handlers = {
        number: signal.signal(number, signal.SIG_DFL) for number in (*SIGNALS, signal.SIGALRM)
    }
    yield
    sys.unraisablehook = hook
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    termination._state.__init__()


@pytest.mark.usefixtures("_keep_handlers")
@by_signal
def test_between_messages_a_signal_ends_the_work_at_once(number):
    end_in_order()
    with pytest.raises(SystemExit) as caught:
        signal.raise_signal(number)
    assert caught.value.code == 128 + number


def for_ever():
    # `signal.pause` would not notice a signal that comes just before it.
    while True:
        time.sleep(0.01)


def write_message(*steps):
    with WholeMessage():
        for step in steps:
            step()


@pytest.mark.usefixtures("_keep_handlers")
def test_a_signal_waits_for_the_end_of_the_message():
    end_in_order()
    written = []
    with pytest.raises(SystemExit) as caught:
        write_message(lambda: signal.raise_signal(signal.SIGTERM), lambda: written.append("all"))
    assert caught.value.code == 143
    assert written == ["all"]


@pytest.mark.usefixtures("_keep_handlers")
def test_a_signal_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(termination, "_MESSAGE_SECONDS", 0.01)
    end_in_order()
    with pytest.raises(SystemExit) as caught:
        write_message(lambda: signal.raise_signal(signal.SIGINT), for_ever)
    assert caught.value.code == 130


class OnTheSpotError(Exception):
    pass


@pytest.mark.usefixtures("_keep_handlers")
@pytest.mark.parametrize("again", ["a second signal", "tidying up that does not end"])
def test_what_does_not_end_in_order_ends_on_the_spot(monkeypatch, again):
    def leave(code):
        raise OnTheSpotError(code)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(termination, "_TIDY_SECONDS", 0.01)
    end_in_order()
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)
    wait = for_ever if again != "a second signal" else lambda: signal.raise_signal(2)
    with pytest.raises(OnTheSpotError, match="143"):
        wait()


def fail():
    raise OSError("full")


@pytest.mark.usefixtures("_keep_handlers")
def test_a_write_that_fails_is_told_although_a_signal_waits():
    end_in_order()
    with pytest.raises(OSError, match="full"):
        write_message(lambda: signal.raise_signal(signal.SIGTERM), fail)
