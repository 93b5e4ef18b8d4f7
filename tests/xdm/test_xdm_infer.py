from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.xdm.cli.infer import extended_field_group, extended_mapping_set, propose
from tap_mixpanel_export.xdm.mapping.binding import bind, load_mapping
from tap_mixpanel_export.xdm.mapping.columns import derive_columns
from tap_mixpanel_export.xdm.mapping.mapping_set import MappingSet
from tap_mixpanel_export.xdm.schema.convert import converter, json_text
from tap_mixpanel_export.xdm.schema.field_group import FieldGroup


def proposed(*events):
    count, proposals = propose(load_mapping(), events)
    assert count == len(events)
    return {".".join(p.source): p for p in proposals}


def extended(proposals):
    mapping = load_mapping()
    return bind(
        MappingSet.loads(extended_mapping_set(mapping, proposals).dump()),
        FieldGroup.of(extended_field_group(mapping, proposals)),
    )


def test_types_and_shares_are_those_of_the_values():
    found = proposed(
        {"n": 1, "x": 1, "ok": True, "day": "2026-01-01", "at": "2026-01-01T10:00:00", "s": "a"},
        {"n": 2, "x": 1.5, "day": "2026-01-02", "at": "2026-01-01", "s": 3, "none": None},
        {"n": 2**60, "tags": ["a", "b"], "ids": [1, 2], "cart": {"total": 1.5, "more": {}}},
        {"n": 1, "rows": [{"a": 1}], "cart": "gone"},
    )
    types = {name: proposal.field.label for name, proposal in found.items()}
    assert types == {
        "n": "String",
        "x": "Number",
        "ok": "Boolean",
        "day": "Date",
        "at": "DateTime",
        "s": "String",
        "tags": "Array",
        "ids": "Array",
        "rows": "Array",
        "cart": "String",
        "cart.total": "Number",
        "cart.more": "String",
    }
    assert found["n"].share == 1
    assert found["x"].share == 0.5
    assert found["n"].types == ("Long", "String")
    assert found["ids"].field.items.label == "Long"
    assert found["rows"].field.items.label == "String"
    assert next(iter(found)) == "n"


def test_a_property_that_is_an_object_in_some_events_becomes_text():
    found = proposed({"cart": [1]}, {"cart": {"n": 1}}, {"cart": {"n": 2}})
    assert {name: p.field.label for name, p in found.items()} == {
        "cart": "String",
        "cart.n": "Long",
    }
    assert found["cart"].share == 1 / 3


def test_what_is_mapped_is_not_proposed_again():
    assert proposed({"time": 1, "distinct_id": "u", "$insert_id": "i", "$import": True}) == {}
    # These names mean what the tap computes.
    assert proposed({"event_id": 1, "timestamp": 2, "event_name": 3, "insert_id": 4}) == {}


def test_names_are_those_that_xdm_allows_and_free():
    found = proposed({"Plan Name": 1, "plan-name": 1, "$city": 1, "2nd": 1, "日": 1, "time ": 1})
    names = {source: proposal.destination for source, proposal in found.items()}
    assert names == {
        "$city": ("_extconndev", "city"),
        "2nd": ("_extconndev", "property_2nd"),
        "Plan Name": ("_extconndev", "plan_name"),
        "plan-name": ("_extconndev", "plan_name_2"),
        "time ": ("_extconndev", "time_2"),
        "日": ("_extconndev", "property"),
    }


keys = st.sampled_from(["a", "b", "a b"]) | st.text(max_size=4)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["2026-01-01", "2026-01-01T10:00:00Z"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(keys, children, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.lists(st.dictionaries(keys, json_values, max_size=4), max_size=4))
def test_the_extended_files_fit_and_take_every_value_seen(events):
    _, proposals = propose(load_mapping(), events)
    mapping = extended(proposals)
    derive_columns(mapping)
    fields = {bound.line.source_path: bound.field for bound in mapping.lines}
    for proposal in proposals:
        convert = converter(fields[proposal.source])
        for event in events:
            value = event
            for name in proposal.source:
                value = value.get(name) if isinstance(value, dict) else None
            text = json_text(value)
            convert(value, lambda text=text: text)
