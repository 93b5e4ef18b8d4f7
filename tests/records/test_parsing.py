from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_texts import LAYOUTS, blanks, names, nested, objects_of, strings, values

from tap_mixpanel_export.records.parsing import (
    ABSENT,
    MAX_LEVELS,
    Malformed,
    NotAnEventError,
    _decode_unusual,
    event_decoder,
    items_of,
    members_of,
)
from tap_mixpanel_export.sandbox import Event
from tap_mixpanel_export.sandbox.oddities import HOSTILE, HUGE, NULL_BYTES, ODDITIES

WANTED = ("time", "distinct_id", "$insert_id", "properties", "größe", "")
decode = event_decoder(WANTED)


def parts(event):
    """An event to compare; `ABSENT` is told by identity."""
    return (
        event.name,
        event.properties,
        [None if value is ABSENT else bytes(value) for value in event.values],
    )


@pytest.mark.slow
@given(strings, st.lists(st.tuples(names, values), max_size=6))
@settings(max_examples=200, deadline=None)
def test_each_part_is_the_text_that_was_exported(name, members):
    properties = "{" + ",".join(f"{key}:{value}" for key, value in members) + "}"
    line = f'{{"event":{name},"properties":{properties}}}'.encode()
    # Of a repeated name the last one counts, as for every JSON reader.
    known = {json.loads(key): value.encode() for key, value in members}
    expected = (name.encode(), properties.encode(), [known.get(wanted) for wanted in WANTED])
    assert parts(decode(line)) == expected
    assert parts(_decode_unusual(line, WANTED)) == expected


@pytest.mark.slow
@given(
    values,
    objects_of(values),
    st.lists(st.tuples(strings, values), max_size=2),
    st.permutations(range(4)),
    blanks,
)
@settings(max_examples=200, deadline=None)
def test_other_members_blanks_and_orders_make_no_difference(name, properties, others, order, blank):
    others = [(k, v) for k, v in others if json.loads(k) not in {"event", "properties"}]
    members = [('"event"', name), ('"properties"', properties), *others]
    members = [members[place] for place in order if place < len(members)]
    text = ",".join(f"{blank}{key}{blank}:{blank}{value}{blank}" for key, value in members)
    event = decode(f"{blank}{{{text}}}{blank}".encode())
    usual = decode(f'{{"event":{name},"properties":{properties}}}'.encode())
    assert parts(event) == parts(usual)
    assert (event.name, event.properties) == (name.encode(), properties.encode())


@pytest.mark.parametrize("line", LAYOUTS, ids=lambda line: line.decode())
def test_a_blank_or_another_member_anywhere_changes_nothing(line):
    event = decode(line)
    assert (event.name, event.properties) == (b'"a"', b'{"time":1}')
    assert bytes(event.values[0]) == b"1"


@pytest.mark.parametrize(
    "name",
    [b'{"x":1,"properties":{"time":2}}', b'[{"x":1,"properties":{}}]', b'",\\"properties\\":{"'],
    ids=lambda name: name.decode(),
)
def test_a_name_that_looks_like_the_properties_is_not_taken_for_them(name):
    event = decode(b'{"event":' + name + b',"properties":{"time":1}}')
    assert (event.name, event.properties) == (name, b'{"time":1}')


@pytest.mark.parametrize("oddity", [*ODDITIES, *HOSTILE, *NULL_BYTES, HUGE], ids=lambda o: o.name)
def test_the_oddities_of_the_sandbox_are_usual_lines_or_read_the_same(oddity):
    line = Event.of(oddity.name, {"time": 1, **oddity.properties}).line()
    assert parts(decode(line)) == parts(_decode_unusual(line, WANTED))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"terminated early",
        b"null",
        b"[]",
        b'"event"',
        b"{}",
        b'{"event":"a"}',
        b'{"properties":{"time":1}}',
        b'{"event":"a","properties":null}',
        b'{"event":"a","properties":[]}',
        b'{"event":"a","properties":"{}"}',
        b'{"event":"a","properties":{"time":1}',
        b'{"event":"a","properties":{"time":1}}}',
        b'{"event":"a","properties":{"time":1}} {}',
        b'{"event":"a","properties":{"time":1,}}',
        b'{"event":"a","properties":{"time" 1}}',
        b'{"event":"a","properties":{time:1}}',
        b'{"event":"a" "properties":{"time":1}}',
        b'{,"event":"a","properties":{"time":1}}',
        b'{"event":"a","properties":{"time":01}}',
        b'{"event":"a","properties":{"time":1,"x":NaN}}',
        b'{"event":"a","properties":{"time":1,"x":-Infinity}}',
        b'{"event":"a","properties":{"time":1,"x":"a\x01b"}}',
        b'{"event":"a","properties":{"time":1,"x":"\\x41"}}',
        b'{"event":"\xff", "properties":{"time":1}}',
        b'\xef\xbb\xbf{"event":"a","properties":{"time":1}}',
        b'{"event":"a","properties":{"time":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b"{" * 100_000,
    ],
    ids=lambda line: line[:40],
)
def test_what_is_no_event_is_refused_and_not_quoted(line):
    with pytest.raises(NotAnEventError) as caught:
        decode(line)
    assert str(caught.value) in {reason.value for reason in Malformed}


@pytest.mark.slow
@given(strings, objects_of(values), st.data())
@settings(max_examples=100, deadline=None)
def test_half_an_event_is_no_event(name, properties, data):
    line = f'{{"event":{name},"properties":{properties}}}'.encode()
    cut = data.draw(st.integers(1, len(line) - 1))
    for half in (line[:cut], line[cut:]):
        with pytest.raises(NotAnEventError):
            decode(half)


def test_a_repeated_properties_member_still_gives_one_json_object():
    line = b'{"event":"a","properties":{"time":1},"properties":{"time":2}}'
    event = decode(line)
    assert json.loads(event.properties) == {"time": 2}
    assert bytes(event.values[0]) == b"2"


def test_an_exported_null_is_told_from_an_absent_property():
    event = event_decoder(("a", "b"))(b'{"event":"x","properties":{"a":null}}')
    assert bytes(event.values[0]) == bytes(event.values[1]) == b"null"
    assert event.values[0] is not ABSENT
    assert event.values[1] is ABSENT


@pytest.mark.slow
@given(objects_of(values, max_size=8), blanks)
@settings(max_examples=100, deadline=None)
def test_members_of_are_those_of_json(text, blank):
    members = members_of(f"{blank}{text}{blank}")
    assert list(members) == list(json.loads(text))
    assert {name: json.loads(value) for name, value in members.items()} == json.loads(text)


@pytest.mark.parametrize("name", ["\ud800", 'a"b', "a\\b", "\x01", "\x7f", "ä"])
def test_a_property_of_any_name_may_be_wanted(name):
    line = json.dumps({"event": "x", "properties": {"time": 1, name: "v"}}).encode()
    assert bytes(event_decoder(("time", name))(line).values[1]) == b'"v"'


def test_members_keep_numbers_that_python_does_not_convert():
    digits = "1" * 5000
    assert members_of(f'{{"a":{digits}}}') == {"a": digits}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", Malformed.NOT_JSON),
        (b'[{"event":"a","properties":{"time":1}}]', Malformed.NOT_JSON),
        (b'{"event":"a","properties":{"time":1}', Malformed.NOT_JSON),
        (b'{"event":"a","properties":{"time":1}}}', Malformed.NOT_JSON),
        (b'{"event":"a","properties":{"time":}}', Malformed.NOT_JSON),
        (b'{"properties":{"time":1}}', Malformed.NO_EVENT),
        (b"{}", Malformed.NO_EVENT),
        (b'{"event":"a"}', Malformed.NO_PROPERTIES),
        (b'{"event":"a","properties":null}', Malformed.NO_PROPERTIES),
        (b'{"event":"a","properties":[{"time":1}]}', Malformed.NO_PROPERTIES),
    ],
)
def test_the_reason_why_a_line_is_no_event(line, reason):
    with pytest.raises(NotAnEventError) as caught:
        decode(line)
    assert caught.value.reason is reason


@pytest.mark.parametrize("kind", ["lists", "objects", "both"])
def test_nesting_has_a_bound_that_no_version_of_python_sets(kind):
    assert decode(nested(kind, MAX_LEVELS)).name == b'"a"'
    # Python 3.14 would read the last one, 3.10 not the one before.
    for levels in (MAX_LEVELS + 1, 990, 5_000, 100_000):
        line = nested(kind, levels)
        with pytest.raises(NotAnEventError) as caught:
            decode(line)
        assert caught.value.reason is Malformed.TOO_DEEP
        with pytest.raises(NotAnEventError) as caught:
            decode(line[:-3])
        assert caught.value.reason is Malformed.NOT_JSON


@pytest.mark.slow
@given(st.lists(values, max_size=3).map(lambda items: f"[{','.join(items)}]"), blanks)
@settings(max_examples=100, deadline=None)
def test_items_of_are_those_of_json(text, blank):
    assert [json.loads(item) for item in items_of(f"{blank}{text}{blank}")] == json.loads(text)


@pytest.mark.parametrize("text", ["", "{}", "[1", "[1,]", "[1 2]", "[] 1", "[,1]"])
def test_what_is_no_list_has_no_items(text):
    with pytest.raises(ValueError):  # noqa: PT011 - of any message
        items_of(text)
