from __future__ import annotations

import json

import pytest
from adobe_columns import ADOBE_COLUMNS
from xdm_samples import attribute, field_group, line, mapping_set, mapping_set_of

from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.mapping.binding import bind, load_mapping, with_required_lines
from tap_mixpanel_export.xdm.mapping.columns import derive_columns, event_schema
from tap_mixpanel_export.xdm.schema.field_group import FieldGroup

TEXT = {"type": "string"}


def test_the_built_in_mapping_gives_the_eleven_columns_typed_bounded_and_nullable():
    schema = event_schema(derive_columns(load_mapping()))
    columns = {
        name: column["type"]
        for name, column in schema["properties"].items()
        if name not in {"event_id", "timestamp", "properties"}
    }
    assert list(columns) == sorted(columns)
    types = {"String": "string", "Boolean": "boolean", "Long": "integer"}
    assert columns == {name: [types[kind], "null"] for name, kind in ADOBE_COLUMNS.items()}
    for name in ("mp_api_timestamp_ms", "mp_processing_time_ms", "time"):
        assert schema["properties"][name]["minimum"] == -9007199254740991
        assert schema["properties"][name]["maximum"] == 9007199254740991
    assert schema["properties"]["event_id"]["type"] == "string"
    assert schema["properties"]["timestamp"]["type"] == "string"
    assert schema["properties"]["timestamp"]["format"] == "date-time"
    assert all(column["description"] for column in schema["properties"].values())


def test_properties_are_an_object_or_text_as_the_setting_says():
    columns = derive_columns(load_mapping())
    assert event_schema(columns)["properties"]["properties"]["type"] == "object"
    as_text = event_schema(columns, properties_format="string")
    assert as_text["properties"]["properties"]["type"] == "string"
    milliseconds = event_schema(columns, time_in_ms=True)["properties"]["time"]
    assert "in milliseconds" in milliseconds["description"]


def test_mixpanels_own_properties_are_found_under_their_dollar_names():
    paths = {column.name: column.path for column in derive_columns(load_mapping())}
    assert paths["insert_id"] == ("$insert_id",)
    assert paths["import"] == ("$import",)
    assert paths["mp_api_endpoint"] == ("$mp_api_endpoint",)
    assert paths["mp_api_timestamp_ms"] == ("$mp_api_timestamp_ms",)
    assert paths["mp_processing_time_ms"] == ("mp_processing_time_ms",)
    assert paths["event_name"] == ()


def test_columns_are_named_after_sources_and_typed_by_the_first_line(files):
    mapping = files.load(
        [
            attribute("data.cart.total", "_extconndev.total"),
            attribute("data.plan", "_extconndev.plan"),
            attribute("plan", "_extconndev.plan_text"),
            attribute("data.Plan Name", "_extconndev.name"),
            attribute("data.event_id", "_id"),
            attribute("data.properties", "_extconndev.all"),
            line("STATIC", "mixpanel", "_extconndev.origin"),
            line("EXPRESSION", "upper(data.city)", "_extconndev.city"),
        ],
        {
            "total": {"type": "number"},
            "plan": {"type": "boolean"},
            **dict.fromkeys(["plan_text", "name", "all", "origin", "city"], TEXT),
        },
    )
    columns = {column.name: column for column in derive_columns(mapping)}
    assert list(columns) == ["cart_total", "plan", "Plan Name"]
    assert columns["cart_total"].path == ("cart", "total")
    assert columns["plan"].field.label == "Boolean"


def test_names_that_collide_are_problems(files):
    mapping = files.load(
        [
            attribute("data.cart_total", "_extconndev.a"),
            attribute("data.cart.total", "_extconndev.b"),
            attribute("data.event.id", "_extconndev.c"),
        ],
        dict.fromkeys("abc", TEXT),
    )
    with pytest.raises(MappingError) as caught:
        derive_columns(mapping)
    assert caught.value.problems == [
        (
            "mapping 2 (_extconndev.b): its source data.cart.total and data.cart_total of "
            "mapping 1 would both be the column cart_total"
        ),
        (
            "mapping 3 (_extconndev.c): its source data.event.id would need the name of the "
            "column event_id"
        ),
    ]


def test_all_problems_of_all_lines_are_told_at_once(files):
    with pytest.raises(MappingError) as caught:
        files.load(
            [
                attribute("data.plan", "_extconndev.plan"),
                attribute("data.x", "_extconndev.x"),
                attribute("data.y", "_extconndev.x"),
                line("STATIC", "twelve", "_extconndev.n"),
                line("EXPRESSION", "uuid()", "_extconndev.u"),
                line("EXPRESSION", "upper(", "_extconndev.none"),
                attribute("data.z", "_extconndev.x.z"),
            ],
            {"x": TEXT, "n": {"type": "integer"}, "u": TEXT},
        )
    problems = caught.value.problems
    assert problems[0] == "mapping 1 (_extconndev.plan): no such field in the field group"
    assert problems[1] == "mapping 3 (_extconndev.x): mapping 2 has the same destination"
    assert problems[2].startswith("mapping 4 (_extconndev.n): a text does not fit the type Long")
    assert problems[3].startswith("mapping 5 (_extconndev.u): ")
    assert "uuid" in problems[3]
    assert problems[4] == "mapping 6 (_extconndev.none): no such field in the field group"
    assert problems[5].startswith("mapping 6 (_extconndev.none): ")
    assert problems[6].startswith("mapping 7 (_extconndev.x.z): mapping 2 (_extconndev.x) fills")


def test_the_problems_of_both_files_are_told_at_once(tmp_path):
    with pytest.raises(MappingError) as caught:
        load_mapping(tmp_path / "a.json", tmp_path / "b.json")
    assert [problem.split()[0] for problem in caught.value.problems] == ["mapping", "field"]


@pytest.mark.parametrize(
    ("destination", "tenant_field", "tenant_id", "expected"),
    [
        ("_{TENANT_ID}.a", "_{TENANT_ID}", None, "extconndev"),
        ("_{TENANT_ID}.a", "_{TENANT_ID}", "acme", "acme"),
        ("_{TENANT_ID}.a", "_acme", None, "acme"),
        ("_acme.a", "_{TENANT_ID}", None, "acme"),
        ("_acme.a", "_acme", "acme", "acme"),
    ],
)
def test_the_tenant_is_the_one_that_a_file_names(destination, tenant_field, tenant_id, expected):
    mapping = bind(
        mapping_set_of(json.dumps(mapping_set(attribute("data.a", destination)))),
        FieldGroup.of(field_group(tenant_field, a=TEXT)),
        tenant_id,
    )
    assert mapping.tenant_id == expected
    assert mapping.lines[0].destination == (f"_{expected}", "a")


def test_adobes_own_lines_are_completed_with_what_the_platform_requires(files):
    mapping = files.load([attribute("data.a", "_extconndev.a")], {"a": TEXT})
    complete = with_required_lines(mapping)
    assert [bound.destination for bound in complete.lines[1:]] == [("_id",), ("timestamp",)]
    assert with_required_lines(complete).lines == complete.lines
    assert with_required_lines(load_mapping()).lines == load_mapping().lines
