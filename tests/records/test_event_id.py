"""What the key of an event is made of."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_texts import strings, values
from record_makers import BEFORE, contracts_event_id, line_of, maker, record_of


@pytest.mark.slow
@given(
    strings,
    st.integers(-(10**10), 10**11).map(str),
    st.none() | values,
    st.none() | values | st.sampled_from(['""', "null", '"\\u0061"', '" "', "[]", "0", "false"]),
    st.dictionaries(
        st.sampled_from(
            ["insert_id", "x", "$distinct_id", "distinct_id_before_identity"]
            + 3 * ["$distinct_id_before_identity"]
        ),
        values | strings | st.sampled_from(['""', "null", '"u0"']),
    ),
)
@settings(max_examples=200, deadline=None)
def test_the_event_id_is_the_contracts(name, time, distinct_id, insert_id, others):
    properties = {"time": time, "distinct_id": distinct_id, "$insert_id": insert_id, **others}
    properties = {key: text for key, text in properties.items() if text is not None}
    expected = contracts_event_id(name, properties)
    record = maker()(line_of(properties, name))
    assert json.loads(record.encoded)["event_id"] == expected
    if insert_id in {None, "null", '""'}:
        assert record.key is None
    else:
        assert record.key == bytes.fromhex(expected)


@pytest.mark.parametrize(
    ("properties", "identity"),
    [
        ({"distinct_id": '"u1"', "$insert_id": '"i"'}, b"Signed up|1|u1|i"),
        ({"distinct_id": '""', "$insert_id": '"i"'}, b"Signed up|1||i"),
        ({"$insert_id": '"i"'}, b"Signed up|1||i"),
        ({"distinct_id": "null", "$insert_id": '"i"'}, b"Signed up|1|null|i"),
        ({"distinct_id": "1.0", "$insert_id": "77"}, b"Signed up|1|1.0|77"),
        ({"distinct_id": '"\\u00f8"', "$insert_id": '"i"'}, b"Signed up|1|\xc3\xb8|i"),
        ({"distinct_id": '"u1"', BEFORE: '"u0"', "$insert_id": '"i"'}, b"Signed up|1|u0|i"),
        ({BEFORE: '"u0"', "$insert_id": '"i"'}, b"Signed up|1|u0|i"),
        ({"distinct_id": '"u1"', BEFORE: "1.0", "$insert_id": '"i"'}, b"Signed up|1|1.0|i"),
        ({"distinct_id": '"u1"', BEFORE: '""', "$insert_id": '"i"'}, b"Signed up|1|u1|i"),
        ({"distinct_id": '"u1"', BEFORE: "null", "$insert_id": '"i"'}, b"Signed up|1|u1|i"),
        # A customer's property of the plain name is no identity.
        ({"$insert_id": '"i"', "insert_id": '"mine"'}, b"Signed up|1||i"),
    ],
)
def test_what_the_event_id_is_made_of(properties, identity):
    record = record_of(line_of({"time": "1", **properties}))
    assert record["event_id"] == sha256(identity).hexdigest()


@pytest.mark.parametrize("insert_id", [None, '""', "null"])
def test_without_an_insert_id_the_properties_stand_in_its_place(insert_id):
    text = '{"time":1,"x":1.0}' if insert_id is None else f'{{"time":1,"$insert_id":{insert_id}}}'
    record = maker()(f'{{"event":"a","properties":{text}}}'.encode())
    stand_in = sha256(text.encode()).hexdigest()
    assert json.loads(record.encoded)["event_id"] == sha256(f"a|1||{stand_in}".encode()).hexdigest()
    assert record.key is None
