"""What a line of the export becomes."""

from __future__ import annotations

import json
from decimal import Decimal
from hashlib import sha256
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from json_texts import LAYOUTS, objects_of, strings, values
from record_makers import (
    COLUMNS,
    NAMES,
    Maker,
    column,
    contracts_event_id,
    line_of,
    maker,
    record_of,
)

from tap_mixpanel_export.records.event_filter import EventFilter, Skip
from tap_mixpanel_export.records.parsing import NotAnEventError
from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.xdm.schema.field import XdmType


def test_the_columns_are_those_of_the_built_in_mapping():
    assert [column.name for column in COLUMNS] == NAMES


def test_a_whole_event():
    line = line_of(
        {
            "time": "1652700000",
            "distinct_id": '"u1"',
            "$insert_id": '"a-1"',
            "$import": "true",
            "$mp_api_endpoint": '"api.mixpanel.com"',
            "$mp_api_timestamp_ms": "1652725200000",
            "mp_processing_time_ms": "1652725201000",
            "item_id": '"A-1"',
            "item_name": '"Mug"',
            "item_price": "12.50",
        },
        '"Sign up"',
    )
    record = maker(zone=ZoneInfo("America/Los_Angeles"))(line)
    assert json.loads(record.encoded, parse_float=Decimal) == {
        "event_id": sha256(b"Sign up|1652700000|u1|a-1").hexdigest(),
        "timestamp": "2022-05-16T18:20:00Z",
        "distinct_id": "u1",
        "event_name": "Sign up",
        "import": True,
        "insert_id": "a-1",
        "item_id": "A-1",
        "item_name": "Mug",
        "item_price": "12.50",
        "mp_api_endpoint": "api.mixpanel.com",
        "mp_api_timestamp_ms": 1652725200000,
        "mp_processing_time_ms": 1652725201000,
        "time": 1652700000,
        "properties": {
            "time": 1652700000,
            "distinct_id": "u1",
            "$insert_id": "a-1",
            "$import": True,
            "$mp_api_endpoint": "api.mixpanel.com",
            "$mp_api_timestamp_ms": 1652725200000,
            "mp_processing_time_ms": 1652725201000,
            "item_id": "A-1",
            "item_name": "Mug",
            "item_price": Decimal("12.50"),
        },
    }
    assert record.instant == 1652725200000
    assert record.processed == 1652725201000
    assert record.encoded.count(b"\n") == 1


@pytest.mark.slow
@given(
    strings | values,
    st.dictionaries(
        st.sampled_from(
            [
                *("time", "distinct_id", "$insert_id", "mp_processing_time_ms", "$import"),
                "$distinct_id_before_identity",
                *("item_id", "$mp_api_timestamp_ms", "cart", "score", "x"),
            ]
        ),
        values | st.integers(-(10**17), 10**17).map(str) | st.sampled_from(["1.0", '"yes"', "-0"]),
    ),
    st.integers(0, 2 * 10**9).map(str),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_the_fast_path_and_the_slow_path_make_the_same_record(name, properties, time, with_time):
    if with_time:
        properties["time"] = time
    columns = [
        *COLUMNS,
        column("score", XdmType.NUMBER),
        column("cart_total", XdmType.INTEGER, "cart", "total"),
        column("x", XdmType.DATE_TIME),
    ]
    line = line_of(properties, name)
    quick, slow = maker(columns), maker(columns)
    try:
        expected = slow.make_line(line)
    except NotAnEventError:
        with pytest.raises(NotAnEventError):
            quick(line)
        return
    record = quick(line)
    assert json.loads(record.encoded, parse_float=Decimal) == json.loads(
        expected.encoded, parse_float=Decimal
    )
    assert record[1:] == expected[1:]
    assert record.encoded.endswith(expected.encoded.split(b',"properties":{', 1)[1])
    assert quick.conversion_warnings == slow.conversion_warnings


@pytest.mark.slow
@given(strings, objects_of(values))
@settings(max_examples=150, deadline=None)
def test_properties_are_untouched_and_all_columns_there(name, properties):
    properties = '{"time":1642000000' + ("}" if properties == "{}" else "," + properties[1:])
    assume(b'"time"' not in json.dumps(list(json.loads(properties))[1:]).encode())
    assume('"\\u0074ime"' not in properties)
    assume(properties.count('"time"') == 1)
    text = maker()(f'{{"event":{name},"properties":{properties}}}'.encode()).encoded
    assert text.endswith(b',"properties":' + properties.encode() + b"}\n")
    assert list(json.loads(text)) == ["event_id", "timestamp", *NAMES, "properties"]

    as_text = maker(properties_as_text=True)(
        f'{{"event":{name},"properties":{properties}}}'.encode()
    ).encoded
    assert json.loads(as_text)["properties"] == properties
    assert as_text.split(b',"properties":')[0] == text.split(b',"properties":')[0]


@pytest.mark.parametrize("line", LAYOUTS, ids=lambda line: line.decode())
def test_the_layout_of_a_line_makes_no_difference_to_its_record(line):
    assert maker()(line).encoded == maker()(LAYOUTS[0]).encoded


def test_absent_properties_and_exported_nulls_are_null_columns():
    for properties in (
        {"time": "1"},
        {"time": "1", **{f"item_{x}": "null" for x in ("id", "name")}},
    ):
        make = maker()
        record = json.loads(make(line_of(properties)).encoded)
        nulls = [name for name in NAMES if record[name] is None]
        assert nulls == [name for name in NAMES if name not in {"event_name", "time"}]
        assert not make.conversion_warnings


def test_a_customers_plain_names_are_not_mixpanels_own():
    plain_names = {
        "insert_id": '"mine"',
        "import": '"mine"',
        "mp_api_endpoint": '"mine"',
        "mp_api_timestamp_ms": "5",
        "event_name": '"mine"',
        "event": '"mine"',
        "event_id": '"mine"',
        "timestamp": '"mine"',
        "properties": '"mine"',
    }
    make = maker()
    record = json.loads(make(line_of({"time": "1", **plain_names})).encoded)
    for name in ("insert_id", "import", "mp_api_endpoint", "mp_api_timestamp_ms"):
        assert record[name] is None
    assert record["event_name"] == "Signed up"
    assert record["timestamp"] == "1970-01-01T00:00:01Z"
    assert record["properties"]["event_id"] == "mine"
    assert not make.conversion_warnings


def test_plain_names_and_dollar_names_beside_each_other():
    record = record_of(
        line_of(
            {"time": "1", "insert_id": '"a"', "$insert_id": '"b"', "$distinct_id": '"c"'},
        )
    )
    assert record["insert_id"] == "b"
    assert record["distinct_id"] is None


def test_a_value_that_does_not_fit_is_null_counted_and_kept_in_properties():
    make = maker()
    line = line_of({"time": "1", "$import": '"maybe"', "$mp_api_timestamp_ms": '"12 o\'clock"'})
    for _ in range(2):
        record = json.loads(make(line).encoded)
    assert record["import"] is None
    assert record["mp_api_timestamp_ms"] is None
    assert record["properties"]["$import"] == "maybe"
    assert make.conversion_warnings == {"import": 2, "mp_api_timestamp_ms": 2}


@pytest.mark.parametrize(
    ("time", "timestamp"),
    [
        ("1642000000", "2022-01-12T15:06:40Z"),
        ("-1", "1969-12-31T23:59:59Z"),
        ("0", "1970-01-01T00:00:00Z"),
        ("1642000000.0", "2022-01-12T15:06:40Z"),
        ("1642000000.999", "2022-01-12T15:06:40Z"),
        ("1.642e9", "2022-01-12T15:06:40Z"),
        ("-0", "1970-01-01T00:00:00Z"),
        ("16420e5", "2022-01-12T15:06:40Z"),
        ("-0.5", "1969-12-31T23:59:59Z"),
        ("1e-400", "1970-01-01T00:00:00Z"),
    ],
)
def test_any_number_of_seconds_is_a_time(time, timestamp):
    record = record_of(line_of({"time": time}))
    assert record["timestamp"] == timestamp
    assert record["event_id"] == contracts_event_id('"Signed up"', {"time": time})


@pytest.mark.parametrize(
    "time",
    [
        None,
        "null",
        '"1642000000"',
        "true",
        "[1]",
        "{}",
        "1e400",
        "-1e400",
        "1e999999999999999999999",
        "1e18",
        "253402300800",
        "9" * 5000,
    ],
    ids=lambda time: str(time)[:30],
)
def test_an_event_without_a_usable_time_is_malformed(time):
    line = line_of({"x": "1"} if time is None else {"time": time})
    with pytest.raises(NotAnEventError) as caught:
        maker()(line)
    assert str(caught.value) == "no usable `time`"


def test_time_in_milliseconds():
    record = maker(milliseconds=True)(line_of({"time": "1642000000007", "$insert_id": '"i"'}))
    text = json.loads(record.encoded)
    assert text["timestamp"] == "2022-01-12T15:06:40.007Z"
    assert text["time"] == 1642000000007
    assert record.instant == 1642000000007
    assert text["event_id"] == sha256(b"Signed up|1642000000007||i").hexdigest()


@pytest.mark.parametrize(
    ("text", "processed"),
    [
        ("1652725201000", 1652725201000),
        ('"1652725201000"', None),
        ("null", None),
        ("1e12", None),
        ("-5", -5),
        (str(2**63 - 1), 2**63 - 1),
        # More than the file of `Duplicates` holds, and no time of any clock.
        ("12345678901234567890", None),
        ("9" * 5000, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_processing_time_is_a_number_of_milliseconds_or_unknown(text, processed):
    line = line_of({"time": "1", "mp_processing_time_ms": text})
    assert maker()(line).processed == processed
    assert maker().make_line(line).processed == processed


@pytest.mark.parametrize("name", ['"a"', '"\\u0061"', "5", '"\\ud800"'])
@pytest.mark.parametrize("way", [Maker.__call__, RecordMaker.make_line])
def test_events_that_are_not_written_become_no_records(name, way):
    make = maker(
        event_filter=EventFilter(
            lower=2000,
            watermarks=((0, 7),),
            unread_from=9000,
            excluded=frozenset(["a", "5", "\ud800"]),
        )
    )

    def made(time, processed="null", called='"b"'):
        properties = {"time": time, "mp_processing_time_ms": processed, "$import": '"maybe"'}
        return way(make, line_of(properties, called))

    assert made("1", called=name) is Skip.OUTSIDE_SPAN
    assert made("2", called=name) is Skip.EXCLUDED
    assert made("2", "7") is Skip.SEEN_BEFORE
    assert not make.conversion_warnings
    for time, processed in (("2", "8"), ("2", "null"), ("9", "7")):
        assert made(time, processed).instant == int(time) * 1000


def test_deselected_columns_are_left_out():
    line = line_of({"time": "1", "distinct_id": '"u1"', "$import": '"maybe"'})
    make = maker(selected=frozenset({"distinct_id", "time"}))
    assert json.loads(make(line).encoded) == {
        "event_id": json.loads(maker()(line).encoded)["event_id"],
        "timestamp": "1970-01-01T00:00:01Z",
        "distinct_id": "u1",
        "time": 1,
    }
    assert not make.conversion_warnings
    only_keys = json.loads(maker(selected=frozenset())(line).encoded)
    assert list(only_keys) == ["event_id", "timestamp"]


def test_a_path_into_a_nested_property_is_a_column():
    columns = [
        column("cart_total", XdmType.NUMBER, "cart", "total"),
        column("cart_lines_count", XdmType.INTEGER, "cart", "lines", "count"),
    ]
    cart = '{"total":12.50,"lines":{"count":2}}'
    line = line_of({"time": "1", "cart": cart, "cart.total": "9", "cart_total": "8"})
    record = record_of(line, columns=columns)
    assert record["cart_total"] == Decimal("12.50")
    assert record["cart_lines_count"] == 2
    for other in ("5", "[]", "null", '{"lines":3}'):
        record = record_of(line_of({"time": "1", "cart": other}), columns=columns)
        assert (record["cart_total"], record["cart_lines_count"]) == (None, None)


@pytest.mark.parametrize("name", ["100%", "%s %b %", 'say "hi"', "größe 🎉", "a.b", "\\"])
def test_names_of_columns_are_of_any_characters(name):
    record = record_of(line_of({"time": "1", name: '"x"'}), columns=[column(name, XdmType.STRING)])
    assert record[name] == "x"


def test_a_source_may_be_one_of_the_properties_that_every_record_needs():
    columns = [column("time", XdmType.STRING), column("$insert_id", XdmType.STRING)]
    record = record_of(line_of({"time": "7", "$insert_id": '"i"'}), columns=columns)
    assert (record["time"], record["$insert_id"]) == ("7", "i")
