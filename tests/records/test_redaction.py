from __future__ import annotations

import json
from datetime import timezone
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_texts import numbers, strings

from tap_mixpanel_export.config import load_columns
from tap_mixpanel_export.records.event_filter import EventFilter
from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.records.redaction import Redaction
from tap_mixpanel_export.timezones import Instants
from tap_mixpanel_export.xdm.mapping.columns import Column
from tap_mixpanel_export.xdm.schema.field import XdmField, XdmType

SALT = "pepper é".encode()
COLUMNS, _ = load_columns({})


def parse(text):
    """Every number as its text; but for -0, which a column of integers has as 0."""
    return json.loads(text, parse_float=str, parse_int=lambda t: "0" if t == "-0" else t)


def digest(text):
    """The definition of the README: of a string its UTF-8 text, of anything else its JSON text."""
    value = json.loads(text) if text.startswith('"') else text
    return sha256(SALT + value.encode("utf-8", "surrogatepass")).hexdigest()


# Values as trees: a leaf is its JSON text.
leaves = numbers | strings | st.sampled_from(["true", "null"])
names = st.sampled_from(["a", "b", "c", "$email", "a.b", "\ud800"])
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
paths = st.lists(names, min_size=1, max_size=3).map(tuple)


def render(tree):
    if isinstance(tree, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{render(v)}" for k, v in tree.items()) + "}"
    return "[" + ",".join(map(render, tree)) + "]" if isinstance(tree, list) else tree


def expected(tree, removed, hashed, path=()):
    """The same tree with the paths applied, said as plainly as can be."""
    if isinstance(tree, list):
        return [expected(item, removed, hashed, path) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kept = {}
    for name, value in tree.items():
        inner = (*path, name)
        if inner in removed:
            continue
        if inner in hashed:
            text = render(value)
            kept[name] = text if text == "null" else f'"{digest(text)}"'
        else:
            kept[name] = expected(value, removed, hashed, inner)
    return kept


@pytest.mark.slow
@given(
    st.dictionaries(names, trees, max_size=4),
    st.sets(paths, max_size=2),
    st.sets(paths, max_size=2),
)
@settings(max_examples=400, deadline=None)
def test_what_is_named_is_gone_or_hashed_and_the_rest_stays(tree, removed, hashed):
    text = render(tree).encode()
    redacted = Redaction(removed, hashed, SALT)(text)
    wanted = expected(tree, removed, hashed)
    assert parse(redacted) == parse(render(wanted))
    if wanted == tree:
        # Untouched, escapes and all.
        assert redacted == text


def test_a_digest_is_what_anybody_can_compute():
    redaction = Redaction([], [("email",), ("n",), ("cart", "lines")], b"salt")
    text = '{"email":"\\u00f8@x.no","n":1.50,"cart":{"lines":[1,{"a": 2}]},"nothing":null}'
    assert json.loads(redaction(text.encode())) == {
        "email": sha256("saltø@x.no".encode()).hexdigest(),
        "n": sha256(b"salt1.50").hexdigest(),
        "cart": {"lines": sha256(b'salt[1,{"a": 2}]').hexdigest()},
        "nothing": None,
    }
    without_salt = Redaction([], [("email",)])(b'{"email":"ada@example.com","x":null}')
    # As `printf %s ada@example.com | sha256sum` prints it.
    assert b"b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72" in without_salt


def test_a_null_stays_null_and_an_empty_text_does_not_tell_itself():
    redaction = Redaction([], [("a",), ("b",)], SALT)
    assert json.loads(redaction(b'{"a":null,"b":""}')) == {
        "a": None,
        "b": sha256(SALT).hexdigest(),
    }


def test_of_a_name_that_comes_twice_no_copy_is_left():
    redaction = Redaction([("a",)], [], b"")
    assert redaction(b'{"a":"secret","b":1,"\\u0061":"secret"}') == b'{"b":1}'


def test_what_is_inside_of_lists_is_found():
    redaction = Redaction([("people", "email")], [("people", "name")], SALT)
    text = b'{"people":[{"email":"a@x","n":1.0},[{"email":"b@x","name":"B"}],"c@x"]}'
    assert parse(redaction(text)) == {
        "people": [{"n": "1.0"}, [{"name": digest('"B"')}], "c@x"],
    }


def maker(redaction, columns=COLUMNS, **others):
    columns = columns if redaction is None else [redaction.column(c) for c in columns]
    return RecordMaker(
        columns, Instants(timezone.utc, milliseconds=False), redaction=redaction, **others
    )


def column(name, kind, *path):
    return Column(name, path or (name,), path or (name,), XdmField(kind))


SPECIAL = st.sampled_from(
    ["distinct_id", "$insert_id", "item_id", "item_price", "cart", "time", "mp_processing_time_ms"]
)


@pytest.mark.slow
@given(
    st.dictionaries(SPECIAL | names, trees, max_size=5),
    st.sets(SPECIAL | st.sampled_from(["a", "$email"]), max_size=2),
    st.sets(SPECIAL | st.sampled_from(["b", "$email"]), max_size=2),
    strings,
)
@settings(max_examples=250, deadline=None)
def test_both_paths_to_a_record_redact_alike_and_keep_its_key(properties, removed, hashed, name):
    properties = {**properties, "time": "1652700000"}
    line = f'{{"event":{name},"properties":{render(properties)}}}'.encode()
    columns = [
        *COLUMNS,
        column("cart_total", XdmType.NUMBER, "cart", "a"),
        column("a", XdmType.NUMBER),
        column("b", XdmType.BOOLEAN),
    ]
    redaction = Redaction({(n,) for n in removed}, {(n,) for n in hashed} | {("cart", "b")}, SALT)
    slow = maker(redaction, columns).make_line(line)
    shown = parse(slow.encoded)
    as_is = maker(None, columns).make_line(line)
    assert slow[1:] == as_is[1:]
    for own in ("event_id", "timestamp", "event_name"):
        assert shown[own] == parse(as_is.encoded)[own]
    removed_paths, hashed_paths = {(n,) for n in removed}, {(n,) for n in hashed}
    wanted = expected(properties, removed_paths, hashed_paths | {("cart", "b")})
    assert shown["properties"] == parse(render(wanted))
    for c in columns:
        if c.path and c.path[0] in removed:
            assert shown[c.name] is None
        elif len(c.path) == 1 and c.path[0] in hashed and c.path[0] in properties:
            text = render(properties[c.path[0]])
            assert shown[c.name] == (None if text == "null" else digest(text))

    block = maker(redaction, columns).make_block(line + b"\n" + line)
    if block is not None:
        assert [parse(text) for text in block.encoded.splitlines()] == [shown, shown]
        assert block.keys == [slow.key] * 2


def test_usual_events_are_redacted_at_once():
    lines = [
        b'{"event":"a","properties":{"time":%d,"distinct_id":"u%d","$insert_id":"i","item_id":"%d",'
        b'"item_price":2.50,"email":"a@x"}}' % (n, n, n)
        for n in range(1, 4)
    ]
    redaction = Redaction({("email",), ("item_price",)}, {("distinct_id",)}, SALT)
    block = maker(redaction).make_block(b"\n".join(lines))
    for number, text in enumerate(block.encoded.splitlines(), start=1):
        record = json.loads(text)
        assert b"a@x" not in text
        assert record["item_price"] is None
        assert record["item_id"] == str(number)
        assert record["distinct_id"] == digest(f'"u{number}"')
        assert record["properties"] == {
            "time": number,
            "distinct_id": digest(f'"u{number}"'),
            "$insert_id": "i",
            "item_id": str(number),
        }
        assert record["event_id"] == sha256(f"a|{number}|u{number}|i".encode()).hexdigest()
    nothing_left = maker(redaction, event_filter=EventFilter(lower=10**9))
    assert nothing_left.make_block(b"\n".join(lines)).encoded == b""


@pytest.mark.parametrize("selected", [frozenset(), frozenset({"properties"})])
def test_columns_that_are_deselected_make_no_difference(selected):
    line = b'{"event":"a","properties":{"time":1,"email":"a@x"}}'
    make = maker(Redaction({("email",)}, ()), selected=selected)
    assert b"a@x" not in make.make_line(line).encoded
    assert make.make_block(line).encoded == make.make_line(line).encoded


def test_the_type_of_a_column_is_that_of_a_digest():
    person = XdmField(
        XdmType.OBJECT,
        properties={"email": XdmField(XdmType.STRING, pattern="@"), "n": XdmField(XdmType.LONG)},
    )
    redaction = Redaction([], [("n",), ("p", "n"), ("p", "email"), ("l", "n")], SALT)
    redacted = [
        redaction.column(Column(name, (name,), (name,), field)).field
        for name, field in (
            ("n", XdmField(XdmType.LONG, description="how many", maximum=9)),
            ("p", person),
            ("l", XdmField(XdmType.ARRAY, items=person)),
            ("other", XdmField(XdmType.LONG)),
        )
    ]
    text = XdmField(XdmType.STRING)
    assert redacted[0] == XdmField(XdmType.STRING, description="how many")
    assert redacted[1].properties == {"email": text, "n": text}
    assert redacted[2].items.properties == {**person.properties, "n": text}
    assert redacted[3] == XdmField(XdmType.LONG)
    line = b'{"event":"a","properties":{"time":1,"n":5,"p":{"n":5,"email":"a@x"},"l":[{"n":5}]}}'
    columns = [
        Column("n", ("n",), ("n",), XdmField(XdmType.LONG)),
        Column("p", ("p",), ("p",), person),
        Column("l", ("l",), ("l",), XdmField(XdmType.ARRAY, items=person)),
    ]
    make = maker(redaction, columns)
    record = json.loads(make.make_line(line).encoded)
    assert not make.conversion_warnings
    assert record["n"] == digest("5")
    assert record["p"] == {"n": digest("5"), "email": digest('"a@x"')}
    assert record["l"][0]["n"] == digest("5")
