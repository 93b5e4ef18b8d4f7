from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdm_samples import mapping_set_of

from tap_mixpanel_export.xdm.cli.infer import extended_field_group, extended_mapping_set, propose
from tap_mixpanel_export.xdm.mapping.binding import bind, load_mapping
from tap_mixpanel_export.xdm.mapping.column_names import column_problems
from tap_mixpanel_export.xdm.mapping.columns import derive_columns
from tap_mixpanel_export.xdm.schema.convert import converter, json_text
from tap_mixpanel_export.xdm.schema.field_group import FieldGroup


def proposed(*events):
    count, proposals = propose(load_mapping(), events)
    assert count == len(events)
    return {".".join(p.source): p for p in proposals}


def extended(proposals):
    mapping = load_mapping()
    return bind(
        mapping_set_of(extended_mapping_set(mapping, proposals).dump()),
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
    fields = {bound.destination: bound.field for bound in mapping.lines}
    for proposal in proposals:
        convert = converter(fields[proposal.destination])
        for event in events:
            value = event
            for name in proposal.source:
                value = value.get(name) if isinstance(value, dict) else None
            text = json_text(value)
            convert(value, lambda text=text: text)


LONG_NAMES = ["x" * 70 + "a", "x" * 70 + "b", "y" * 63]
SAME_IN_DATABASES = {"Id": 1, "id": 2, "ID": 3, "Timestamp": 4, **dict.fromkeys(LONG_NAMES, 5)}


@pytest.mark.parametrize("form", ["json", "api", "old", "csv"])
def test_what_databases_would_take_for_one_column_gets_one_column(form):
    lines = {
        "json": {"mappings": [{"sourceType": "ATTRIBUTE", "source": "a", "destination": "_t.a"}]},
        "api": [{"sourceType": "text/x.schema-path", "source": "a", "destination": "_t.a"}],
        "old": {"mappings": [{"sourceAttribute": "a", "destinationXdmPath": "_t.a"}]},
    }
    text = "source,destination\na,_t.a\n" if form == "csv" else json.dumps(lines[form])
    fields = {"a": {"type": "string"}}
    group = FieldGroup.of({"properties": {"_t": {"type": "object", "properties": fields}}})
    mapping = bind(mapping_set_of(text), group)
    _, proposals = propose(mapping, [SAME_IN_DATABASES])
    # Each has a field, and those that databases can tell apart a column.
    assert {p.source[0] for p in proposals} == SAME_IN_DATABASES.keys()
    assert {p.source[0] for p in proposals if p.has_column} == {"ID", "y" * 63}
    flat = ["_".join(p.destination[1:]) for p in proposals]
    assert len({name.lower() for name in flat}) == len(flat)
    assert all(len(name.encode()) <= 63 for name in flat)
    wider = bind(
        mapping_set_of(extended_mapping_set(mapping, proposals).dump()),
        FieldGroup.of(extended_field_group(mapping, proposals)),
    )
    assert column_problems(wider) == []
    columns = [column.name for column in derive_columns(wider)]
    assert columns == ["a", *(p.source[0] for p in proposals if p.has_column)]
    # Nothing is proposed twice.
    assert propose(wider, [SAME_IN_DATABASES])[1] == []


def test_check_names_the_columns_that_databases_would_take_for_one():
    names = ["Id", "id", "a.B", "a_b", "Event_ID", "x" * 64, "y" * 63, "straße", "STRASSE"]
    lines = [
        {"sourceType": "ATTRIBUTE", "source": f"data.{name}", "destination": f"_t.f{number}"}
        for number, name in enumerate(names)
    ]
    fields = {f"f{number}": {"type": "string"} for number in range(len(names))}
    group = FieldGroup.of({"properties": {"_t": {"type": "object", "properties": fields}}})
    problems = column_problems(bind(mapping_set_of(json.dumps(lines)), group))
    assert [problem.split(":")[0] for problem in problems] == [
        "mapping 2 (_t.f1)",
        "mapping 4 (_t.f3)",
        "mapping 5 (_t.f4)",
        "mapping 6 (_t.f5)",
        "mapping 9 (_t.f8)",
    ]
    assert "'id' and 'Id' of mapping 1 are one in databases" in problems[0]
    assert "'Event_ID' and 'event_id' of the tap itself" in problems[2]
    assert "longer than 63 bytes" in problems[3]
    assert all("makes no column" in problem for problem in problems)
