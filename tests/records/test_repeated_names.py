"""Names that are repeated, or written with escapes: of each the last one counts, on either path.

Held against Python's own reader: the two paths share the short cut to the text of `properties`.
"""

from __future__ import annotations

import json
from datetime import timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_texts import strings, values

from tap_mixpanel_export.config import load_columns
from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.records.redaction import Redaction
from tap_mixpanel_export.timezones import Instants

COLUMNS, _ = load_columns({})


def maker(redaction=None, *, as_text=False):
    return RecordMaker(
        COLUMNS,
        Instants(timezone.utc, milliseconds=False),
        redaction=redaction,
        properties_as_text=as_text,
    )


def read(text):
    """What JSON says, numbers as they are written."""
    return json.loads(text, parse_int=str, parse_float=str)


@st.composite
def written(draw, name):
    """The JSON text of a name, mostly as it is, else with some letters as escapes."""
    letters = draw(st.sets(st.integers(0, len(name) - 1), max_size=3))
    return "".join(
        ['"', *(f"\\u{ord(c):04x}" if at in letters else c for at, c in enumerate(name)), '"']
    )


def members(*kinds, most):
    member = st.one_of(st.tuples(written(name), value).map(":".join) for name, value in kinds)
    return st.lists(member, min_size=1, max_size=most).map(",".join)


instants = st.integers(1, 2_000_000_000).map(str)
texts = st.sampled_from(['"a"', '"b"', '"\\u0061"', '""', '"\\""', "null", "7"])
properties = st.tuples(
    instants,
    members(
        ("time", instants),
        ("$insert_id", texts),
        ("distinct_id", texts),
        ("mp_processing_time_ms", instants),
        ("item_id", strings | values),
        ("properties", values),
        ("event", values),
        most=6,
    ),
).map(lambda parts: f'{{"time":{parts[0]},{parts[1]}}}')
rest = members(("event", strings), ("properties", properties), most=2)
lines = st.tuples(strings, properties, st.just("") | rest.map(lambda text: "," + text)).map(
    lambda parts: f'{{"event":{parts[0]},"properties":{parts[1]}{parts[2]}}}'.encode()
)


MAKERS = {as_text: maker(as_text=as_text) for as_text in (False, True)}


def check(line):
    event = read(line)
    for as_text, make in MAKERS.items():
        slow = make.make_line(line)
        record = read(slow.encoded)
        assert record["event_name"] == event["event"]
        found = record["properties"]
        # What is no single value would be no text of one.
        assert (read(found) if as_text else found) == event["properties"]
        assert slow.instant == int(event["properties"]["time"]) * 1000
        made = make.make_block(line)
        if made is not None:
            assert read(made.encoded) == record
            assert [slow.key] == made.keys
            assert (slow.instant, slow.processed) == (*made.instants, *made.processed)


@pytest.mark.slow
@given(lines)
@settings(max_examples=150, deadline=None)
def test_both_paths_read_a_line_as_every_reader_of_json_does(line):
    check(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"a","properties":{"time":1,"x":{"y":1}},"\\u0070roperties":{"time":2}}',
        b'{"event":"a","properties":{"time":1},"propertie\\u0073":{"time":2,"x":{"y":1}}}',
        b'{"event":"a","properties":{"time":1},"properties":{"time":2},"\\u0070roperties":{"time":3}}',
        b'{"event":"a","\\u0065vent":"b","properties":{"time":1}}',
        b'{"event":"a","event":"b","properties":{"time":1}}',
        b'{"event":"a","properties":{"time":1,"\\u0074ime":2,"x":{}}}',
        b'{"event":"a","properties":{"time":1,"x":{"properties":{},"\\u0070roperties":1}}}',
    ],
)
def test_such_lines(line):
    check(line)


def test_usual_lines_with_escapes_still_take_the_fast_path():
    line = b'{"event":"a","properties":{"time":1,"x":{"y":"\\u00e9"}}}'
    assert maker().make_block(line) is not None
    check(line)


@pytest.mark.parametrize("value", ["null", "{}", '{"email":null}', "[]"])
@pytest.mark.parametrize("name", ['"user"', '"\\u0075ser"'])
def test_nothing_hidden_is_left_in_a_name_that_is_repeated(name, value):
    redaction = Redaction([("user", "email")], [("user",)] if value == "null" else [])
    properties = f'{{"time":1,"user":{{"email":"ann"}},{name}:{value}}}'
    line = f'{{"event":"a","properties":{properties}}}'.encode()
    slow = maker(redaction).make_line(line)
    assert b"ann" not in slow.encoded
    assert maker(redaction).make_block(line).encoded == slow.encoded
