from __future__ import annotations

import inspect
import json
import logging
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from event_truth import parse
from fixtures_unit import WAYS, deselect, quick_taps, tap_output
from harness import config_for, run_tap
from hypothesis import given, settings
from json_texts import objects_of, values
from singer_sdk import Stream
from singer_sdk.exceptions import AbortedSyncPausedException
from singer_sdk.singerlib.messages import RecordMessage

from tap_mixpanel_export import streams
from tap_mixpanel_export.output.messages import load_record
from tap_mixpanel_export.output.writer import MessageWriter
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock, Verbatim
from tap_mixpanel_export.tap import TapMixpanelExport

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
START = {"start_date": "2026-11-19"}
CART = Verbatim('{"total":12.50,"n":2}')
SMALL = [
    Event.at(NOW - 2 * HOUR, insert_id="1", plan="gold", cart=CART),
    Event.at(NOW - 26 * HOUR, "Item Sold", insert_id="2", item_price=9.5, item_id=7),
]


@pytest.fixture(scope="module")
def nasty():
    """The bundled data set with everything that JSON allows."""
    with Sandbox(clock=SandboxClock.fixed(NOW), hostile=True, null_bytes=True) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def small():
    with Sandbox(SMALL, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


def messages_of(lines, kind):
    """The messages of a kind, their numbers exact, without what each run has of its own."""
    messages = [parse(line) for line in lines]
    for message in messages:
        message.pop("time_extracted", None)
    return [message for message in messages if message["type"] == kind]


def records_of(lines):
    return [message["record"] for message in messages_of(lines, "RECORD")]


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (Stream, "_sync_records", ["self", "context", "write_messages"]),
        (Stream, "_write_record_message", ["self", "record"]),
        (Stream, "_write_state_message", ["self"]),
        (Stream, "_check_max_record_limit", ["self", "current_record_index"]),
    ],
)
def test_the_private_hooks_of_the_sdk_are_as_they_were(owner, name, parameters):
    assert name in streams.__doc__
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


def test_the_docstring_names_all_private_hooks_that_are_used():
    source = inspect.getsource(streams)
    used = set(re.findall(r"self\.(_[a-z_]+)", source)) & set(dir(Stream))
    used |= {name for name in vars(streams.EventsStream) if name in dir(Stream)}
    private = {name for name in used if name.startswith("_") and not name.startswith("__")}
    hooks = {name for name in private if inspect.isfunction(getattr(Stream, name, None))}
    assert hooks
    assert {name for name in hooks if name not in streams.__doc__} == set()


other_ways = pytest.mark.parametrize("way", list(WAYS)[1:])


@other_ways
def test_all_ways_write_the_same_over_the_nastiest_data(nasty, way):
    plain = tap_output(nasty, **START)
    generic = tap_output(nasty, way=way, **START)
    assert len(records_of(plain)) > 400
    assert records_of(plain) == records_of(generic)
    for kind in ("SCHEMA", "STATE"):
        assert messages_of(plain, kind) == messages_of(generic, kind)
    # Where among the records a STATE comes is what it means.
    assert [parse(line)["type"] for line in plain] == [parse(line)["type"] for line in generic]


@pytest.mark.slow
@pytest.mark.parametrize(
    "others",
    [
        {"properties_format": "string"},
        {"time_in_ms": True},
        {"deduplicate": False},
        {"project_timezone": "Pacific Standard Time"},
    ],
    ids=lambda others: next(iter(others)),
)
def test_all_ways_write_the_same_in_every_mode(nasty, others):
    plain, *generic = (tap_output(nasty, way=way, **START, **others) for way in WAYS)
    assert records_of(plain)
    for other in generic:
        assert records_of(plain) == records_of(other)


@pytest.mark.slow
@given(objects_of(values))
@settings(max_examples=200, deadline=None)
def test_a_record_that_goes_through_the_sdk_keeps_its_values(text):
    record = load_record(text.encode())
    message = MessageWriter().serialize_message(RecordMessage("events", record))
    assert parse(message)["record"] == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1.0,"b":"\\ud800"}',
        '{"a":1e400,"b":"\\udc00"}',
        '{"a":12345678901234567890123,"b":"\\ud800","c":0.1000000000000000055511151231257827}',
        '{"a":-0.0,"b":5e-324,"c":1e-400}',
        '{"a":%s}' % ("9" * 400),
    ],
)
def test_numbers_beside_lone_surrogates_are_kept_too(text):
    message = MessageWriter().serialize_message(RecordMessage("events", load_record(text.encode())))
    assert parse(message)["record"] == parse(text)


def test_deselected_columns_are_in_neither_schema_nor_records(small):
    choose = deselect(("properties", "item_price"), ("properties", "properties"))
    for way in WAYS:
        lines = tap_output(small, choose=choose, way=way, **START)
        (schema,) = messages_of(lines, "SCHEMA")
        columns = set(schema["schema"]["properties"])
        assert not columns & {"item_price", "properties"}
        assert {"event_id", "timestamp", "event_name", "item_id"} <= columns
        for record in records_of(lines):
            assert set(record) == columns


def test_keys_and_timestamp_cannot_be_deselected(small):
    choose = deselect(("properties", "event_id"), ("properties", "timestamp"))
    for record in records_of(tap_output(small, choose=choose, **START)):
        assert record["event_id"]
        assert record["timestamp"]


def test_a_deselected_stream_is_not_asked_for(small):
    before = len(small.requests)
    assert records_of(tap_output(small, choose=deselect(()), **START)) == []
    assert len(small.requests) == before


def without(*path):
    """A choice of everything but what is at a path inside of `properties`."""
    inside = ("properties", *(part for name in path for part in ("properties", name)))
    return deselect(("properties", *inside))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_inside_properties_can_be_deselected(small, way):
    records = records_of(tap_output(small, choose=without("plan"), way=way, **START))
    assert len(records) == 2
    for record in records:
        assert "plan" not in record["properties"]
        assert record["properties"]["distinct_id"] == "u1"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "path", [("$city",), ("cart", "total"), ("nothing", "such"), ("a", "b", "c")]
)
def test_deselection_leaves_the_rest_of_the_nastiest_data_as_it_is(nasty, way, path):
    def removed(record):
        parent = record["properties"]
        for name in path[:-1]:
            parent = parent.get(name) if isinstance(parent, dict) else None
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
        return record

    everything = records_of(tap_output(nasty, **START))
    records = records_of(tap_output(nasty, choose=without(*path), way=way, **START))
    assert records == [removed(record) for record in everything]


def test_stream_maps_see_all_columns_and_exact_numbers(small):
    lines = tap_output(
        small,
        stream_maps={
            "events": {
                "event_id": "event_id",
                "name": "event_name",
                "price": "item_price",
                "imported": "record['import']",
                "__filter__": "event_name != 'Item Sold' or item_id == '7'",
                "__else__": "__NULL__",
                "__alias__": "sales",
            }
        },
        **START,
    )
    (schema,) = messages_of(lines, "SCHEMA")
    assert schema["stream"] == "sales"
    assert {"name", "price", "imported"} <= set(schema["schema"]["properties"])
    by_name = {record["name"]: record for record in records_of(lines)}
    assert by_name["Item Sold"]["price"] == "9.5"
    assert by_name["Signed up"]["price"] is None


def test_a_copy_of_the_stream_is_written_beside_it(small):
    maps = {"events": {}, "events_copy": {"__source__": "events"}}
    lines = tap_output(small, stream_maps=maps, **START)
    streams_of_records = [message["stream"] for message in messages_of(lines, "RECORD")]
    assert sorted(streams_of_records) == ["events"] * 2 + ["events_copy"] * 2


def test_flattening_reaches_into_properties(small):
    lines = tap_output(small, flattening_enabled=True, flattening_max_depth=2, **START)
    records = records_of(lines)
    assert len(records) == 2
    for record in records:
        assert isinstance(record["event_id"], str)
        assert not any(isinstance(value, dict) for value in record.values())


def test_a_full_table_run_starts_anew_and_leaves_no_bookmark(small):
    def choose(stream):
        stream["replication_method"] = "FULL_TABLE"
        for entry in stream["metadata"]:
            if entry["breadcrumb"] == []:
                entry["metadata"]["forced-replication-method"] = "FULL_TABLE"

    bookmark = {
        "replication_key": "timestamp",
        "replication_key_value": NOW.isoformat(),
        "processed_before": NOW.isoformat(),
    }
    state = {"bookmarks": {"events": bookmark}}
    before = len(small.requests)
    lines = tap_output(small, choose=choose, state=state, **START)
    assert len(records_of(lines)) == 2
    assert all(request.where is None for request in small.requests[before:])


def test_state_messages_come_after_the_records_they_speak_of(small):
    lines = tap_output(small, **START)
    assert [json.loads(line)["type"] for line in lines] == [
        "SCHEMA",
        "RECORD",
        "STATE",
        "RECORD",
        "STATE",
    ]
    first, last = messages_of(lines, "STATE")
    said = {
        "replication_key": "timestamp",
        "replication_key_value": "2026-11-20T00:00:00+00:00",
        "processed_before": "2026-11-20T11:45:00+00:00",
        "exported_from": "2026-11-19",
    }
    bookmark = first["value"]["bookmarks"]["events"]
    assert {name: bookmark[name] for name in said} == said
    assert last["value"]["bookmarks"]["events"]["replication_key_value"] == NOW.isoformat()


def test_the_test_mode_of_the_sdk_takes_one_record(small, capsys):
    with quick_taps():
        tap = TapMixpanelExport(config=config_for(small, **START))
        assert tap.run_connection_test()
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [message["type"] for message in written if message["type"] != "STATE"] == [
        "SCHEMA",
        "RECORD",
    ]


def test_a_limit_of_records_ends_the_run_there(small):
    with quick_taps():
        tap = TapMixpanelExport(config=config_for(small, **START))
        stream = tap.streams["events"]
        stream.ABORT_AT_RECORD_COUNT = 1
        written = stream._sync_records(write_messages=False)
        assert next(written)
        with pytest.raises(AbortedSyncPausedException):
            next(written)


def test_the_summary_is_adobes_and_adds_up(nasty, caplog):
    caplog.set_level(logging.INFO)
    run = run_tap(nasty, **START)
    assert run.error is None
    (told,) = [
        json.loads(record.getMessage().partition(": ")[2])
        for record in caplog.records
        if record.getMessage().startswith("run summary: ")
    ]
    assert told["outputRecordCount"] == len(run.records)
    assert told["inputRecordCount"] == (
        told["outputRecordCount"]
        + told["duplicateRecordCount"]
        + told["knownRecordCount"]
        + told["outsideSpanRecordCount"]
    )
    assert told["conversionWarningCount"] > 0
    assert told["failedRecordCount"] == 0


def test_values_that_do_not_fit_are_counted_by_column_and_not_quoted(nasty, caplog):
    run_tap(nasty, **START)
    warnings = [r.getMessage() for r in caplog.records if "do not fit" in r.getMessage()]
    assert [re.search(r"column (\w+)", text)[1] for text in warnings] == [
        "import",
        "mp_api_timestamp_ms",
    ]
    assert "maybe" not in caplog.text


@pytest.mark.slow
def test_a_wrong_zone_is_warned_about(small, caplog):
    run_tap(small, project_timezone="America/Los_Angeles", **START)
    assert "project_timezone looks wrong" in caplog.text
    caplog.clear()
    run_tap(small, **START)
    assert "project_timezone" not in caplog.text


def test_exported_numbers_are_written_as_they_came(small):
    lines = tap_output(small, **START)
    record = next(line for line in lines if b"cart" in line)
    assert b'"cart":{"total":12.50,"n":2}' in record
    assert json.loads(record, parse_float=Decimal)["record"]["properties"]["cart"]["n"] == 2
