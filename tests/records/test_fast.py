"""The fast path to a record and the slow one give the same."""

from __future__ import annotations

import json
from datetime import timezone
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_texts import LAYOUTS, names, nested, strings, values

from tap_mixpanel_export.config import load_columns
from tap_mixpanel_export.records.event_filter import EventFilter, Skip
from tap_mixpanel_export.records.parsing import MAX_LEVELS
from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.sandbox import Event
from tap_mixpanel_export.sandbox.oddities import HOSTILE, NULL_BYTES, ODDITIES
from tap_mixpanel_export.timezones import Instants

COLUMNS, _ = load_columns({})
NOW = 10**12


def maker(**arguments):
    return RecordMaker(COLUMNS, Instants(timezone.utc, milliseconds=False), **arguments)


def fast_path(make, block):
    """The records of a block, as tuples of parts; None when it is left to the slow path."""
    made = make.make_block(block)
    if made is None:
        return None
    texts = made.encoded.split(b"\n")
    assert texts.pop() == b""
    keys = list(made.keys)
    return [
        (parse(text), *rest)
        for text, *rest in zip(texts, keys, made.instants, made.processed, strict=True)
    ]


def slow_path(make, lines):
    records = [make.make_line(line) for line in lines]
    return [
        (parse(text), *rest)
        for text, *rest in (record for record in records if not isinstance(record, Skip))
    ]


def parse(record):
    """Numbers as text: but for -0, of a column of integers, which is 0."""
    columns = json.loads(record, parse_int=lambda text: "0" if text == "-0" else text)
    # Byte for byte.
    return columns, record[record.index(b',"properties":') :].removesuffix(b"\n")


usual = st.sampled_from(['"time":1', '"time":1652700000', '"time":1652700060,"distinct_id":"u1"'])
events = st.builds(
    lambda name, head, tail: f'{{"event":{name},"properties":{{{head}{tail}}}}}'.encode(),
    strings,
    usual,
    st.lists(
        st.tuples(
            names
            | st.sampled_from(
                [
                    f'"{name}"'
                    for name in (
                        *("$insert_id", "item_price", "item_id", "$import"),
                        "$distinct_id_before_identity",
                    )
                ]
            ),
            values | strings,
        ).map(lambda member: f",{member[0]}:{member[1]}"),
        max_size=4,
    ).map("".join),
)


@pytest.mark.slow
@given(st.lists(events | st.sampled_from(LAYOUTS), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_block_that_is_made_at_once_is_made_as_line_by_line(lines):
    quick, slow = maker(), maker()
    made = fast_path(quick, b"\n".join(lines))
    if made is not None:
        assert made == slow_path(slow, lines)
        assert quick.conversion_warnings == slow.conversion_warnings
    else:
        assert not quick.conversion_warnings


def test_usual_lines_are_made_at_once():
    lines = [
        b'{"event":"a","properties":{"time":%d,"distinct_id":"u","$insert_id":"i%d",'
        b'"item_price":12.50,"$import":true,"mp_processing_time_ms":%d}}' % (number, number, NOW)
        for number in range(1, 50)
    ]
    made = fast_path(maker(), b"\n".join(lines) + b"\n")
    assert made == slow_path(maker(), lines)
    assert made[0][0][0]["item_price"] == "12.50"


@pytest.mark.parametrize(
    "prices",
    [
        ["1", "-0", "1.50", "1e400", "12E-3"],
        ["1", None, "1.50"],
        ["1", "null", None],
        [None, None, "2"],
        ["1", '"2"', "3"],
        ["1", "true", "[3]", None],
        ["1", '"null"'],
    ],
)
def test_numbers_are_text_as_exported_whatever_is_between_them(prices):
    lines = [
        b'{"event":"a","properties":{"time":1%b}}'
        % (b"" if price is None else b',"item_price":' + price.encode())
        for price in prices
    ]
    make = maker()
    # The first block tells that they are not all strings.
    for _ in range(2):
        made = fast_path(make, b"\n".join(lines))
        assert made == slow_path(maker(), lines)
    for (record, _), price in zip([row[0] for row in made], prices, strict=True):
        if price is None or price == "null":
            assert record["item_price"] is None
        else:
            assert record["item_price"] == price.strip('"')


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"a","properties":{"time":-0}}',
        b'{"event":"a","properties":{"time":1,"distinct_id":-0}}',
        b'{"event":"a","properties":{"time":1.0}}',
        b'{"event":"a","properties":{"time":1,"distinct_id":null}}',
        b'{"event":"a","properties":{"time":1,"$insert_id":7}}',
        b'{"event":"a","properties":{"time":1},"properties":{"time":2}}',
        b'{"event":"a","properties":{"time":1}}{"event":"b","properties":{"time":1}}',
        b'{"event":"a","properties":{"time":1,"b":"\\ud800"}}',
        b'{"event":"a","properties":{}}',
        b"not json",
        b"",
    ],
)
def test_one_unusual_line_leaves_the_block_to_the_slow_path(line):
    good = b'{"event":"a","properties":{"time":1}}'
    for block in ([line], [good, line], [line, good], [good, line, b"", good]):
        assert maker().make_block(b"\n".join(block) + b"\n") is None


@pytest.mark.parametrize("oddity", [*ODDITIES, *HOSTILE, *NULL_BYTES], ids=lambda o: o.name)
def test_the_oddities_of_the_sandbox_are_the_same_both_ways(oddity):
    line = Event.of(oddity.name, {"time": 1, **oddity.properties}).line()
    (expected,) = slow_path(maker(), [line])
    made = fast_path(maker(), line + b"\n" + line)
    assert made is None or made == [expected, expected]
    # As an answer takes a line that is alone.
    assert (fast_path(maker(), line) or slow_path(maker(), [line])) == [expected]


@pytest.mark.parametrize("kind", ["lists", "objects", "both"])
def test_what_is_nested_too_deeply_is_left_to_the_slow_path(kind):
    good = b'{"event":"a","properties":{"time":1}}'
    deepest = nested(kind, MAX_LEVELS)
    for line in (
        deepest,
        nested("lists", 3).replace(b'"y"', b'"y":' + b"[" + b"{}," * 300 + b'[]],"z"'),
    ):
        assert fast_path(maker(), b"\n".join([good, line])) == slow_path(maker(), [good, line])
    for levels in (MAX_LEVELS + 1, 990, 100_000):
        assert maker().make_block(b"\n".join([good, nested(kind, levels), good])) is None


def test_two_events_on_a_line_are_not_taken_for_those_of_a_blank_one():
    good = b'{"event":"a","properties":{"time":1}}'
    for block in ([good * 2, b""], [b"", good * 2], [good * 2, b"", good]):
        assert maker().make_block(b"\n".join(block) + b"\n") is None


def test_only_events_to_write_of_a_block_become_records():
    lines = [b'{"event":"a","properties":{"time":%d}}' % time for time in range(1, 9)]
    some = EventFilter(lower=3000, upper=6000)
    made = fast_path(maker(event_filter=some), b"\n".join(lines))
    assert [instant for _, _, instant, _ in made] == [3000, 4000, 5000]
    assert made == slow_path(maker(event_filter=some), lines)
    assert maker(event_filter=some).make_block(b"\n".join(lines)).skipped == {Skip.OUTSIDE_SPAN: 5}
    assert fast_path(maker(event_filter=EventFilter(lower=9000)), b"\n".join(lines)) == []


def test_an_identity_of_before_a_merge_needs_no_slow_path():
    lines = [
        b'{"event":"a","properties":{"time":%d,"distinct_id":"u","$insert_id":"i"%b}}' % (n, before)
        for n, before in enumerate(
            (b"", b',"$distinct_id_before_identity":"u0"', b',"$distinct_id_before_identity":""'), 1
        )
    ]
    made = fast_path(maker(), b"\n".join(lines))
    assert made == slow_path(maker(), lines)
    assert [record[0][0]["distinct_id"] for record in made] == ["u", "u", "u"]
    assert made[1][1] == sha256(b"a|2|u0|i").digest()
