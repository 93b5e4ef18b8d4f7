from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from harness import run_tap

from tap_mixpanel_export.records.event_names import EventNames
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock


@pytest.mark.parametrize(
    "name", ["Sign up", 'a "quoted" name', "Søk\u2028", "\U0001f600", "back\\slash"]
)
@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " :\t")])
def test_a_name_is_seen_however_it_is_written(name, is_ascii, separators):
    names = EventNames([name, "other"])
    line = json.dumps(
        {"event": name, "properties": {}}, ensure_ascii=is_ascii, separators=separators
    )
    names.look(b"{}\n" + line.encode() + b"\n")
    assert names.unseen == ["other"]


def test_another_case_or_blank_is_another_name():
    names = EventNames(["Sign up", "sign up", "Sign up "])
    names.look(b'{"event":"Sign up","properties":{}}\n' * 3)
    assert names.unseen == ["Sign up ", "sign up"]


def test_lines_that_are_no_events_tell_nothing():
    names = EventNames(["a"])
    names.look(b'{"event":5}\n{"event":"a\n{"event":"\\x"}\n\xff"event":"\xff"\n')
    assert names.unseen == ["a"]


def test_what_is_remembered_is_bounded():
    names = EventNames(["a"])
    for number in range(3000):
        names.look(b'{"event":"b%d"}' % number)
    assert len(names._spellings) == 1000
    names.look(b'{"event":"a"}')
    assert names.unseen == []


def test_what_did_not_occur_is_told_in_bounds_and_without_control_characters():
    names = EventNames(["b\x1b[0m", "a "])
    assert '"a ", "b\\x1b[0m";' in names.warning()
    names = EventNames(f"{number:03}" for number in range(500))
    assert '"019" and 480 more;' in names.warning()
    assert EventNames([]).warning() is None


def test_a_first_run_says_which_named_events_it_did_not_meet(caplog):
    now = datetime(2026, 3, 15, 12, tzinfo=timezone.utc)
    events = [Event.at(now - timedelta(hours=n), "Sign up", insert_id=f"{n}") for n in range(1, 51)]
    with Sandbox(events, clock=SandboxClock.fixed(now)) as sandbox:
        settings = {"start_date": "2026-03-13", "event_names": ["Sign up", "sign up", "Left "]}
        first = run_tap(sandbox, **settings)
        assert len(first.records) == 50
        told = [r.getMessage() for r in caplog.records if "event_names" in r.getMessage()]
        assert len(told) == 1
        assert 'the name "Left ", "sign up"; a wrong case' in told[0]
        caplog.clear()
        run_tap(sandbox, first.state(), **settings)
        run_tap(sandbox, start_date="2026-03-13")
        assert not [r for r in caplog.records if "event_names" in r.getMessage()]
