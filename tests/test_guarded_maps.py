"""Stream maps that fail: a sentence before the run where it can be known, and never a value."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from harness import run_command, run_tap
from hypothesis import given, settings
from hypothesis import strategies as st
from json_texts import json_values
from simpleeval import DEFAULT_FUNCTIONS, DEFAULT_NAMES
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.mapper import CustomStreamMap

from tap_mixpanel_export.config.map_checks import MAP_FUNCTIONS, MAP_NAMES, map_problems
from tap_mixpanel_export.errors import MapError, SettingsError
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
MARK = "Q7x@example.com"
COLUMNS = ["event_id", "timestamp", "distinct_id", "properties", "time"]


@pytest.fixture(scope="module")
def sandbox():
    event = Event.at(NOW - timedelta(hours=1), "Sign up", email=MARK, other={"a": [MARK]})
    with Sandbox([event], clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


def run(sandbox, maps, **others):
    return run_tap(sandbox, start_date="2026-11-20", stream_maps=maps, **others)


FAILING = {
    "float(properties['email'])": "ValueError",
    "int(properties['email'], 2)": "ValueError",
    "json.loads(properties['email'])": "JSONDecodeError",
    "datetime.datetime.strptime(properties['email'], '%Y')": "ValueError",
    "properties['email'] + 1": "TypeError",
    "properties[properties['email']]": "KeyError",
    "properties['email'].nothing": "AttributeDoesNotExist",
    "{1: 2}[properties['email']]": "KeyError",
    "1 / (time - time)": "ZeroDivisionError",
    "float": "TypeError",
    "lambda: properties['email']": "FeatureNotAvailable",
}
PLACES = ["distinct_id", "__filter__", "new", "alias", "flattened"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "place"),
    [*((one, "new") for one in FAILING), *((next(iter(FAILING)), place) for place in PLACES)],
)
def test_an_expression_that_fails_is_named_without_a_value(sandbox, logged, expression, place):
    stream, column, others = "events", place, {}
    if place == "alias":
        stream, column = "renamed", "x"
        maps = {"renamed": {"__source__": "events", "x": expression}}
    elif place == "flattened":
        column = "x"
        maps = {"events": {"x": expression}}
        others = {"flattening_enabled": True, "flattening_max_depth": 2}
    else:
        maps = {"events": {column: expression}}
    got = run(sandbox, maps, **others)
    text = str(got.error)
    assert isinstance(got.error, MapError)
    assert f"stream {stream}, column {column}: the expression `{expression}` failed" in text
    assert f"({FAILING[expression]})" in text
    assert got.error.__cause__ is None
    assert "Q7x" not in text + logged()


def test_what_a_filter_gives_is_not_logged(sandbox, logged):
    got = run(sandbox, {"events": {"__filter__": "properties['email']"}})
    assert len(got.records) == 1
    assert "Filter result" in logged()
    assert "Q7x" not in logged()


def test_what_json_cannot_hold_is_one_sentence(sandbox):
    got = run(sandbox, {"events": {"x": "[float]"}})
    assert isinstance(got.error, MapError)
    assert "an expression gives what JSON cannot hold" in str(got.error)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--test"]])
def test_the_command_says_one_sentence(sandbox, tmp_path, monkeypatch, arguments):
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_LOGLEVEL", "DEBUG")
    done = run_command(
        sandbox,
        tmp_path,
        program=("-m", "tap_mixpanel_export", *arguments),
        start_date="2026-11-20",
        # The day that a test of the settings asks for, whatever the day is on this machine.
        end_date="2026-11-20",
        stream_maps={"events": {"distinct_id": "float(properties['email'])"}},
    )
    assert done.returncode == 1
    assert b"column distinct_id: the expression" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Q7x" not in done.stderr


@pytest.mark.parametrize(
    ("maps", "problem"),
    [
        ({"export": {"a": "'x'"}}, "stream_maps: export: there is no stream export"),
        ({"event": {"a": "'x'"}}, "stream_maps: event: there is no stream event"),
        ({"export": None}, "stream_maps: export: there is no stream export"),
        ({"Events": "__NULL__"}, "stream_maps: Events: there is no stream Events"),
        ({"mine": {"__source__": "export"}}, "stream_maps: mine: there is no stream export"),
        ({"mine": {"__source__": 5}}, "stream_maps: mine: there is no stream 5"),
        ({"events": "x"}, 'stream_maps: events is neither an object of columns nor "__NULL__"'),
        ({"events": []}, "stream_maps: events is neither"),
        ({"__else__": "x"}, 'stream_maps: __else__ can be "__NULL__" only'),
        ({"__all__": {}}, "stream_maps: __all__ is no option; __else__ is"),
        ({"events": {"__else__": {}}}, "stream_maps: events.__else__ is not what"),
        ({"events": {"__alias__": 5}}, "stream_maps: events.__alias__ is not what"),
        ({"events": {"__key_properties__": "time"}}, "stream_maps: events.__key_properties__ is"),
        ({"events": {"__keys__": []}}, "stream_maps: events.__keys__ is no option; there are"),
        ({"events": {"__filter__": 5}}, "stream_maps: events.__filter__ is not what this option"),
        ({"events": {"a": 5}}, "stream_maps: events.a is neither an expression (a text) nor"),
        ({"events": {"a": ""}}, "stream_maps: events.a: this is no expression (syntax error"),
        ({"events": {"a": "x = 1"}}, "stream_maps: events.a: this is no expression"),
        ({"events": {"a": "sha265(time)"}}, "no column or function sha265 (sha256 is probably"),
        ({"events": {"a": "distinctid"}}, "no column or function distinctid (distinct_id is"),
        ({"events": {"a": "email"}}, "stream_maps: events.a: there is no column or function email"),
        ({"events": {"__filter__": "no"}}, "stream_maps: events.__filter__: there is no column"),
        ([], "stream_maps is not of type object"),
        ("events", "stream_maps is not of type object"),
    ],
    ids=str,
)
def test_a_map_that_would_do_nothing_or_fail_is_refused_before_any_request(sandbox, maps, problem):
    before = len(sandbox.requests)
    with pytest.raises(ConfigValidationError) as caught:
        run(sandbox, maps)
    (text,) = caught.value.errors
    assert text.startswith("Settings refused:\n")
    assert problem in text
    assert len(sandbox.requests) == before


def test_keys_that_no_record_has_are_refused(sandbox):
    before = len(sandbox.requests)
    got = run(sandbox, {"events": {"__key_properties__": ["nothing"]}})
    assert isinstance(got.error, SettingsError)
    assert "Property 'nothing' was not detected" in str(got.error)
    assert len(sandbox.requests) == before


@pytest.mark.parametrize(
    "maps",
    [
        {"events": {"a": "'x'", "time": "__NULL__", "__alias__": "raw"}},
        {"mine": {"__source__": "events", "__else__": "__NULL__", "event_id": "_['event_id']"}},
        {"ev*": {"a": "[c for c in distinct_id]"}},
        {"*": None, "__else__": "__NULL__"},
        {"events": {"a": "str(config.get('salt')) + md5(__stream_name__)", "time": "self"}},
        {"events": {"__filter__": "bool(time > 5)", "__key_properties__": ["time"]}},
        {"events": {"a": "datetime.date.today().isoformat()", "b": "json.dumps(record)"}},
    ],
    ids=str,
)
def test_maps_that_work_are_not_refused(sandbox, maps):
    assert run(sandbox, maps, stream_map_config={"salt": "x"}).error is None


def test_a_map_that_removes_the_stream_is_warned_about(sandbox, caplog):
    run(sandbox, {"events": "__NULL__"})
    assert "stream_maps remove the stream events: NOTHING IS EXPORTED" in caplog.text


def test_the_names_that_expressions_have_are_the_sdks():
    evaluated = []

    class Map(CustomStreamMap):
        def _eval(self, **others):
            evaluated.append(super()._eval(**others))
            return evaluated[-1]

    schema = {"type": "object", "properties": {"x": {"type": "string"}}}
    stream_map = Map("events", {"c": 1}, {}, schema, None, {"x": "x"}, None, stream_name="events")
    assert stream_map.transform({"x": "y"}) == {"x": "y"}
    assert evaluated == ["y"]
    assert set(stream_map.functions) | set(DEFAULT_FUNCTIONS) == MAP_FUNCTIONS
    names = set(stream_map.expr_evaluator.names) - {"x", "fake"}
    assert names | set(DEFAULT_NAMES) == MAP_NAMES


JSON = json_values(["events", "__else__", "__filter__", "a", "__source__"], st.floats())


@pytest.mark.slow
@given(JSON)
@settings(max_examples=200, deadline=None)
def test_any_value_of_stream_maps_is_taken_or_refused(maps):
    problems = map_problems(json.loads(json.dumps(maps)), COLUMNS)
    assert all(problem.startswith("stream_maps") for problem in problems)
    assert all(problem.isprintable() for problem in problems)
