"""Blocks of records as messages: framed, projectd, mapped."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from event_truth import parse
from fixtures_unit import tap_output
from harness import DAY, UTC
from hypothesis import given, settings
from hypothesis import strategies as st
from json_texts import objects_of, values

from tap_mixpanel_export.output.messages import PlainSerializer, load_record, reads_properties
from tap_mixpanel_export.output.selection import Projection
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock, Verbatim

START = datetime(2026, 3, 1, tzinfo=UTC)


def block(*records):
    return b"".join(record.encode() + b"\n" for record in records)


@pytest.mark.parametrize("version", [None, 7])
def test_a_frame_changes_nothing_of_a_record(version):
    records = ['{"a":1.0,"b":"\\ud800"}', '{"a":1e400}', "{}"]
    lines = b"".join(PlainSerializer("events", version)(block(*records))).split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == 3
    for line, record in zip(lines, records, strict=True):
        assert record.encode() in line
        message = json.loads(line)
        assert (message["type"], message["stream"]) == ("RECORD", "events")
        assert message.get("version") == version
        assert message["time_extracted"].endswith("+00:00")


@pytest.mark.slow
@given(
    st.lists(objects_of(values), min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "b", "a b", "é"]), min_size=1, max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_pruning_takes_out_what_is_deselected_and_nothing_else(objects, path):
    def projectd(value, names):
        if not isinstance(value, dict) or names[0] not in value:
            return value
        if len(names) == 1:
            return {name: inner for name, inner in value.items() if name != names[0]}
        return {
            name: projectd(inner, names[1:]) if name == names[0] else inner
            for name, inner in value.items()
        }

    records = [f'{{"event_id":"{n}","properties":{text}}}' for n, text in enumerate(objects)]
    project = Projection([["properties", *path]])
    lines = project.of_lines(block(*records)).decode().split("\n")[:-1]
    assert [parse(line) for line in lines] == [
        projectd(parse(record), ["properties", *path]) for record in records
    ]


def test_what_is_not_deselected_stays_the_text_that_it_is():
    record = '{"event_id":"1","properties":{"a":{"x":1.50,"y":2},"b":12345678901234567890123}}'
    project = Projection([["properties", "a", "y"]])
    assert project.of_lines(block(record)) == block(record.replace(',"y":2', ""))


@pytest.mark.parametrize(
    "inner", ["null", "5", '"x"', "[1]", '{"x":null}', '{"x":[{"y":1}]}', '{"\\udc00":1,"x":{}}']
)
def test_what_is_no_object_has_no_members_to_take_out(inner):
    record = f'{{"event_id":"1","properties":{{"a":{inner}}}}}'
    project = Projection([["properties", "a", "x", "y"]])
    assert [load_record(line) for line in project.of_lines(block(record)).splitlines()] == [
        load_record(record.encode())
    ]


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        (None, False),
        ({}, False),
        ({"events": {"day": "timestamp[:10]", "properties": "__NULL__"}}, False),
        ({"events": {"plan": "properties['plan']"}}, True),
        ({"events": {"plan": "record['properties']['plan']"}}, True),
        ({"events": {"plan": "_['import']"}}, True),
        ({"events": {"properties": "json.dumps(self)"}}, True),
        ({"events": {"a": "my_properties", "b": "a_record or recorded"}}, False),
        ({"events": {"__filter__": "len(properties) > 3"}}, True),
        ({"other": "events", "events": None}, False),
    ],
)
def test_properties_stay_text_when_no_expression_can_look_at_them(maps, expected):
    assert reads_properties(maps) is expected


def test_maps_that_look_into_properties_find_an_object():
    cart = Verbatim('{"total":12.50}')
    clock = SandboxClock.fixed(START + DAY)
    with Sandbox([Event.at(START + DAY / 2, insert_id="1", cart=cart)], clock=clock) as sandbox:
        (record,) = (
            message["record"]
            for message in map(
                json.loads,
                tap_output(
                    sandbox,
                    start_date=START.isoformat(),
                    stream_maps={"events": {"total": "float(properties['cart']['total'])"}},
                ),
            )
            if message["type"] == "RECORD"
        )
    assert record["total"] == 12.5
    assert record["properties"]["cart"] == {"total": 12.5}
