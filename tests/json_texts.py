"""Hypothesis strategies for JSON text as customers send it; Python writes only some of it."""

from __future__ import annotations

import json

from hypothesis import strategies as st

numbers = st.one_of(
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["1e400", "-0", "-0.0", "1.0", "12345678901234567890123", "5e-324"]),
)
strings = st.one_of(
    # `text()` without surrogates, as UTF-8; with lone ones only as escapes.
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(
        lambda text: json.dumps(text, ensure_ascii=False)
    ),
    st.text(st.characters(), max_size=12).map(json.dumps),
    st.sampled_from(
        [
            '"\\ud800"',
            '"a\\/b"',
            '"\\u0041"',
            '"a\u2028b\u2029c\u0085d"',
            '"}}"',
            '",\\"properties\\":{"',
        ]
    ),
)
names = strings | st.sampled_from(
    ['"time"', '"$insert_id"', '"distinct_id"', '"properties"', '"event"', '""', '"\\u0074ime"']
)
blanks = st.sampled_from(["", "", "", " ", "\t", "\r"])


def json_values(keys, *more):
    """Any JSON value, whose objects often have some of these keys."""
    return st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(), *more),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(keys) | st.text(), inner, max_size=3)
        ),
        max_leaves=8,
    )


def objects_of(values, keys=names, max_size=5):
    """Texts of objects, repeated names included."""
    member = st.tuples(keys, blanks, blanks, values).map(lambda m: f"{m[0]}{m[1]}:{m[2]}{m[3]}")
    return st.lists(member, max_size=max_size).map(lambda members: f"{{{','.join(members)}}}")


values = st.recursive(
    numbers | strings | st.sampled_from(["true", "false", "null"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        objects_of(inner),
    ),
    max_leaves=8,
)

# One event, as JSON may lay it out; the first one is Mixpanel's way.
LAYOUTS = [
    b'{"event":"a","properties":{"time":1}}',
    b'{"event": "a","properties":{"time":1}}',
    b'{"event":"a" ,"properties":{"time":1}}',
    b'{"event":"a", "properties":{"time":1}}',
    b'{"event":"a","properties" :{"time":1}}',
    b'{"event":"a","properties": {"time":1}}',
    b'{"event":"a","properties":{"time":1} }',
    b' {"event":"a","properties":{"time":1}}',
    b'{"properties":{"time":1},"event":"a"}',
    b'{"event":"a","properties":{"time":1},"x":{}}',
    b'{"x":{"y":1,"properties":{}},"event":"a","properties":{"time":1}}',
]


def nested(kind, levels):
    """An event in which so many objects or lists are in each other, and an even closing of each."""
    begin, end = {"lists": ("[", "]"), "objects": ('{"a":', "}"), "both": ('[{"a":', "}]")}[kind]
    # The line, and its properties.
    inner = levels - 2
    text = "1"
    if kind == "both":
        text, inner = ("[1]", inner - 1) if inner % 2 else (text, inner)
        inner //= 2
    text = begin * inner + text + end * inner
    return f'{{"event":"a","properties":{{"time":1,"x":{text},"y":"[[[{{{{"}}}}'.encode()
