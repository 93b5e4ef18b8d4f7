from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from event_lines import event_of_line

from tap_mixpanel_export.sandbox import Event, Verbatim

AT = datetime(2022, 5, 18, 5, 5, 48, tzinfo=timezone.utc)


def test_an_event_of_a_new_project_has_the_true_time():
    event = Event.at(AT, "Signed up", distinct_id="u9", insert_id="a-1")
    assert json.loads(event.line()) == {
        "event": "Signed up",
        "properties": {
            "time": 1652850348,
            "distinct_id": "u9",
            "$insert_id": "a-1",
            "mp_processing_time_ms": 1652850388000,
        },
    }
    assert event.day == date(2022, 5, 18)
    assert event.processed_ms == 1652850388000


def test_an_event_of_an_old_project_has_the_wall_clock_and_the_day_of_it():
    event = Event.at(AT, zone=ZoneInfo("America/Los_Angeles"))
    properties = json.loads(event.line())["properties"]
    assert properties["time"] == 1652825148
    assert properties["mp_processing_time_ms"] == 1652850388000
    assert event.day == date(2022, 5, 17)


def test_milliseconds_are_exported_only_when_asked_for_and_seconds_are_rounded_down():
    event = Event.at(AT + timedelta(milliseconds=999), stamped=False, processed=AT)
    assert b'"time":1652850348,' in event.line()
    assert b'"time":1652850348999,' in event.line(time_in_ms=True)
    assert b"mp_processing_time_ms" not in event.line()
    assert event.processed_ms == 1652850348000


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"x","properties":{"time":1652850348,"n":1.0,"big":12345678901234567890,"e":1e400}}',
        (
            '{"properties":{"a":{"time":1652850348},"s":"\\"time\\":1652850348",'
            '"time": 1652850348 },"event":"x"}'
        ),
        '{"event":"\u2028","properties":{"s":"\\ud800","time":1652850348}}',
        '{"time":1652850348,"event":"x","properties":{"b":[{"time":1652850348}],"time":1652850348}}',
    ],
)
def test_a_line_comes_out_as_it_was_given_but_for_the_time(line):
    event = event_of_line(line)
    assert event.line() == line.encode()
    assert event.time_ms == event.processed_ms == 1652850348000
    changed = event.line(time_in_ms=True)
    assert json.loads(changed)["properties"]["time"] == 1652850348000
    before, after = json.loads(line), json.loads(changed)
    before["properties"]["time"] = after["properties"]["time"]
    assert json.dumps(before) == json.dumps(after)


def test_a_line_tells_its_processing_time():
    line = '{"event":"x","properties":{"time":1,"mp_processing_time_ms":5000}}'
    assert event_of_line(line).processed_ms == 5000
    assert event_of_line(line, processed_ms=7).processed_ms == 7


def test_a_malformed_line_needs_a_day():
    event = event_of_line("not JSON", day=date(2026, 1, 2))
    assert event.line() == event.line(time_in_ms=True) == b"not JSON"
    assert event.day == date(2026, 1, 2)
    with pytest.raises(ValueError, match="day"):
        event_of_line("not JSON")
    with pytest.raises(ValueError, match="line end"):
        event_of_line("a\nb", day=date(2026, 1, 2))
    with pytest.raises(ValueError, match="time"):
        Event.of("x", {})


def test_verbatim_text_stays_as_it_is():
    properties = {"time": 1, "a": Verbatim("1.0"), "b": Verbatim('"\\ud800"'), "c": "ü\u2028"}
    assert Event.of("x", properties).line() == (
        '{"event":"x","properties":{"time":1,"a":1.0,"b":"\\ud800","c":"ü\u2028"}}'.encode()
    )
