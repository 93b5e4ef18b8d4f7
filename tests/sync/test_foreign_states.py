"""States of other programs, and wrapped ones: taken over or refused, never taken for none."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone

import pytest
from harness import run_command, run_tap
from hypothesis import given, settings
from json_texts import json_values

from tap_mixpanel_export.errors import StateError
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.sync.foreign_states import take_over

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
OURS = {
    "bookmarks": {
        "events": {"replication_key": "timestamp", "replication_key_value": "2026-11-15T00:00:00Z"}
    }
}
# As tap-mixpanel 1.8.0 writes it, and as singer-python's own helper would.
TAP_MIXPANEL = {
    "currently_syncing": "funnels",
    "bookmarks": {"export": "2026-11-15T00:00:00Z", "funnels": "2026-11-01T00:00:00Z"},
}
# As the source's versions write it, and as Airbyte's platform and command line show it.
STREAM_STATE = {
    "stream_descriptor": {"name": "export", "namespace": None},
    "stream_state": {"time": "2026-11-15T00:00:00"},
}
COHORTS = {"stream_descriptor": {"name": "cohorts"}, "stream_state": {"created": "2026-11-01"}}


@pytest.fixture
def sandbox():
    events = [Event.at(NOW - n * DAY - timedelta(hours=1), insert_id=f"{n}") for n in range(12)]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("state", "program"),
    [
        (TAP_MIXPANEL, "tap-mixpanel"),
        ({"bookmarks": {"export": {"time": "2026-11-15T00:00:00Z"}}}, "tap-mixpanel"),
        ({"bookmarks": {"export": {"replication_key_value": "2026-11-15"}}}, "tap-mixpanel"),
        ({"bookmarks": {"export": {"last": "2026-11-15T00:00:00+00:00"}}}, "tap-mixpanel"),
        ({"export": {"date": "2026-11-15T00:00:00"}}, "Airbyte"),
        ({"export": {"time": "2026-11-15"}, "funnels": {"date": "2026-11-01"}}, "Airbyte"),
        (STREAM_STATE, "Airbyte"),
        ([COHORTS, STREAM_STATE], "Airbyte"),
        ([{"type": "STREAM", "stream": one} for one in (COHORTS, STREAM_STATE)], "Airbyte"),
        ({"type": "STATE", "state": {"type": "STREAM", "stream": STREAM_STATE}}, "Airbyte"),
    ],
    ids=json.dumps,
)
def test_a_state_of_another_program_is_where_this_one_goes_on(sandbox, caplog, state, program):
    caplog.set_level(logging.INFO)
    got = run_tap(sandbox, state, lookback_days=2, start_date=None)
    assert got.error is None
    # From 13 November on: the bookmark, less the look-back; each once.
    assert set(got.ids.values()) == {1}
    assert min(record["timestamp"] for record in got.records) == "2026-11-13T11:00:00Z"
    assert len(got.records) == 8
    assert list(got.states[-1]["bookmarks"]) == ["events"]
    (line,) = [r.message for r in caplog.records if "taken over" in r.message]
    assert program in line
    assert "2026-11-15" in line
    assert "less the look-back of 2 days" in line


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"singer_state": OURS}, "`meltano state get` prints it; pass what stands in its `singer_"),
        ({"completed": {"singer_state": OURS}}, "`singer_state` of its `completed`"),
        ({"partial": {"singer_state": OURS}}, "`singer_state` of its `partial`"),
        (
            {"type": "STATE", "value": OURS},
            "a whole STATE message; pass what stands in its `value`",
        ),
        ({"value": OURS}, "it has a `value` around it"),
        ({"bookmarks": {"users": {"id": 5}}}, "no bookmark of the stream events"),
        ({"bookmarks": {"funnels": "2026-11-01"}}, "no bookmark of the stream events"),
        ({"bookmarks": {"export": {"a": "x", "b": "y"}}}, "no bookmark of the stream events"),
        ({"bookmarks": {"events": "2026-11-01"}}, "it is not of the form"),
        ({"bookmarks": []}, "it is not of the form"),
        ({"bookmarks": None}, "it is not of the form"),
        ({"events": {"replication_key_value": "2026-11-01"}}, "it is not of the form"),
        ([COHORTS], "it is not of the form"),
        ({"export": {"time": 5}}, "it is not of the form"),
    ],
    ids=json.dumps,
)
def test_a_state_of_another_shape_is_named_and_nothing_is_asked(sandbox, state, words):
    got = run_tap(sandbox, state)
    assert isinstance(got.error, StateError)
    assert str(got.error).startswith("state: ")
    assert words in str(got.error)
    assert got.output == b""
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "state",
    [{}, {"bookmarks": {}}, {"currently_syncing": None}, {"bookmarks": {"events": {}}}, OURS],
)
def test_a_state_of_ours_or_none_is_taken_as_it_is(state):
    taken = take_over(state)
    assert taken.state == state
    assert taken.program is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(OURS) + "\n" + json.dumps(OURS), "keep the last one (tail -n 1)"),
        ("", "may leave an empty one: use that before it"),
    ],
)
def test_a_state_file_that_is_none_says_what_to_do(sandbox, tmp_path, text, words):
    state = tmp_path / "mine.json"
    state.write_text(text)
    program = ("-m", "tap_mixpanel_export", "--state", str(state))
    done = run_command(sandbox, tmp_path, program=program)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert sandbox.requests == []


@pytest.mark.slow
def test_the_command_takes_a_list_of_airbytes(sandbox, tmp_path):
    state = tmp_path / "mine.json"
    state.write_text(json.dumps([COHORTS, STREAM_STATE]))
    program = ("-m", "tap_mixpanel_export", "--state", str(state))
    done = run_command(sandbox, tmp_path, program=program)
    assert done.returncode == 0
    assert b"taken over from Airbyte" in done.stderr


KEYS = ["bookmarks", "events", "export", "stream", "state", "stream_state", "time", "type"]
JSON = json_values(KEYS)


@pytest.mark.slow
@given(JSON)
@settings(max_examples=300, deadline=None)
def test_whatever_is_passed_as_state_is_never_taken_for_none(state):
    try:
        taken = take_over(state)
    except StateError:
        return
    bookmarks = taken.state.get("bookmarks", {})
    assert "events" in bookmarks or not bookmarks
    assert "events" in bookmarks or state.keys() <= {"bookmarks", "currently_syncing"}
