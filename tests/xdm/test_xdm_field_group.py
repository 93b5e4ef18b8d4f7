from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from adobe_columns import ADOBE_COLUMNS
from jsonschema import Draft202012Validator

from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.schema.documents import parse_json
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmField, XdmType
from tap_mixpanel_export.xdm.schema.field_group import FieldGroup, tenant_of


def group_of(**fields: object) -> FieldGroup:
    return FieldGroup.of({"properties": {"_t": {"type": "object", "properties": fields}}})


def one(schema: dict[str, object]) -> XdmField:
    found = group_of(x=schema).root.at(("_t", "x"))
    assert found is not None
    return found


def test_both_spellings_of_the_built_in_group_give_the_same_fields():
    legacy = Path(__file__).with_name("field_group_legacy.json")
    old, new = (FieldGroup.load(file).with_tenant("extconndev") for file in (legacy, None))
    assert old.root == new.root
    tenant = new.root.properties["_extconndev"]
    labels = {name: child.type.label for name, child in tenant.properties.items()}
    assert labels == ADOBE_COLUMNS


def test_the_class_brings_its_own_fields_and_requires_two():
    root = FieldGroup.load().root
    assert root.required == {"_id", "timestamp"}
    assert root.at(("timestamp",)).type is XdmType.DATE_TIME
    assert root.at(("identityMap", "Email")).type is XdmType.ARRAY
    assert {"eventType", "producedBy", "eventMergeId"} <= root.properties.keys()


@pytest.mark.parametrize(
    ("schema", "xdm_type"),
    [
        ({"type": "string"}, XdmType.STRING),
        ({"type": "string", "meta:xdmType": "string"}, XdmType.STRING),
        ({"type": "string", "format": "uri"}, XdmType.URI),
        ({"type": "string", "format": "uri", "meta:xdmType": "string"}, XdmType.URI),
        ({"type": "string", "enum": ["a"]}, XdmType.STRING),
        ({"type": "number"}, XdmType.NUMBER),
        ({"type": "number", "meta:xdmType": "double"}, XdmType.NUMBER),
        ({"type": "integer", "meta:xdmType": "long"}, XdmType.LONG),
        ({"type": "integer", "meta:xdmType": "int"}, XdmType.INTEGER),
        ({"type": "integer", "meta:xdmType": "short"}, XdmType.SHORT),
        ({"type": "integer", "meta:xdmType": "byte"}, XdmType.BYTE),
        ({"type": "integer"}, XdmType.LONG),
        ({"type": "integer", "minimum": -128, "maximum": 127}, XdmType.BYTE),
        ({"type": "integer", "minimum": 0, "maximum": 300}, XdmType.SHORT),
        ({"type": "integer", "minimum": -2147483648, "maximum": 2147483647}, XdmType.INTEGER),
        ({"type": "boolean"}, XdmType.BOOLEAN),
        ({"type": "string", "format": "date"}, XdmType.DATE),
        ({"type": "string", "format": "date-time"}, XdmType.DATE_TIME),
        ({"type": "string", "format": "date-time", "meta:xdmType": "date-time"}, XdmType.DATE_TIME),
        ({"type": "array", "items": {"type": "string"}}, XdmType.ARRAY),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, XdmType.OBJECT),
        ({"type": "object", "additionalProperties": {"type": "string"}}, XdmType.MAP),
        ({"type": ["integer", "null"]}, XdmType.LONG),
    ],
)
def test_every_type_is_known_with_and_without_its_own_name(schema, xdm_type):
    assert one(schema).type is xdm_type


def test_integers_are_bounded_by_type_and_field():
    assert (one({"type": "integer"}).minimum, one({"type": "integer"}).maximum) == (
        -9007199254740991,
        9007199254740991,
    )
    narrowed = one({"type": "integer", "meta:xdmType": "int", "minimum": 0, "maximum": 10**12})
    assert (narrowed.minimum, narrowed.maximum) == (0, 2147483647)
    assert INTEGER_BOUNDS[XdmType.BYTE] == (-128, 127)


def test_split_definitions_of_one_tenant_are_put_together():
    group = FieldGroup.of(
        {
            "definitions": {
                "a": {
                    "properties": {
                        "_t": {"type": "object", "properties": {"x": {"type": "string"}}}
                    }
                },
                "b": {
                    "properties": {
                        "_t": {
                            "type": "object",
                            "properties": {"y": {"$ref": "#/definitions/leaf"}},
                            "required": ["y"],
                        }
                    }
                },
                "leaf": {"type": "boolean"},
            },
            "allOf": [
                {"$ref": "https://ns.adobe.com/xdm/context/experienceevent"},
                {"$ref": "#/definitions/a"},
                {"$ref": "#/definitions/b"},
            ],
        }
    )
    tenant = group.root.properties["_t"]
    assert sorted(tenant.properties) == ["x", "y"]
    assert tenant.required == {"y"}
    assert tenant_of(group.root.properties) == "t"


def test_all_problems_of_a_group_are_told():
    with pytest.raises(MappingError) as caught:
        group_of(
            a={"type": "decimal"},
            b={"type": "integer", "minimum": "0"},
            c={"$ref": "#/definitions/none"},
            d=[],
            e={"type": "object", "properties": {}, "required": "x"},
        )
    assert caught.value.problems == [
        "field group (_t.a): unknown type 'decimal'",
        "field group (_t.b): minimum is no number",
        "field group (_t.c): refers to #/definitions/none, which is not in the file",
        "field group (_t.d): is no JSON object",
        "field group (_t.e): required is no list of names",
    ]


def test_a_definition_inside_of_itself_ends_with_a_message():
    document = {
        "definitions": {"a": {"type": "object", "properties": {"a": {"$ref": "#/definitions/a"}}}},
        "properties": {"_t": {"$ref": "#/definitions/a"}},
    }
    with pytest.raises(MappingError, match="contain themselves"):
        FieldGroup.of(document)
    with pytest.raises(MappingError, match="contain themselves"):
        FieldGroup.of({"definitions": {}, "allOf": [{"$ref": "#"}]})


@pytest.mark.parametrize("times", [2, 9])
def test_a_definition_many_times_inside_of_itself_takes_no_longer(times):
    inner = {f"x{number}": {"$ref": "#/definitions/a"} for number in range(times)}
    document = {
        "definitions": {"a": {"type": "object", "properties": inner}},
        "properties": {"_t": {"$ref": "#/definitions/a"}},
    }
    document["properties"]["_u"] = {"type": "odd"}
    with pytest.raises(MappingError) as caught:
        FieldGroup.of(document)
    assert caught.value.problems == [
        "field group (_t.x0): its definitions contain themselves",
        "field group (_u): unknown type 'odd'",
    ]
    with pytest.raises(MappingError, match="contain themselves"):
        FieldGroup.of({"allOf": [{"$ref": "#"}] * times})


@pytest.mark.parametrize(
    "twice",
    [
        lambda part: {"type": "object", "properties": {"x": part, "y": part}},
        lambda part: {"type": "object", "allOf": [part, part]},
    ],
)
def test_definitions_that_double_with_each_level_are_refused(twice):
    chain = {f"d{n}": twice({"$ref": f"#/definitions/d{n + 1}"}) for n in range(25)}
    document = {
        "definitions": {**chain, "d25": {"type": "string"}},
        "properties": {"_t": {"$ref": "#/definitions/d0"}},
        "allOf": [],
    }
    with pytest.raises(MappingError, match="refer to each other more than 10000 times"):
        FieldGroup.of(document)


def test_no_field_is_nested_deeper_than_any_real_one():
    schema = {"type": "string"}
    for _ in range(40):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(MappingError, match="is nested too deeply"):
        FieldGroup.of(schema)


KEYWORDS = (
    "$ref allOf definitions enum format items maximum meta:xdmType minLength pattern properties "
    "required title type additionalProperties"
)
ODD_VALUES = [None, True, 5, -1.5, "x", "#", [], [1], ["a"], [{}], [["a"]], {}, {"a": 1}, {"a": {}}]


@pytest.mark.parametrize("keyword", KEYWORDS.split())
def test_whatever_a_keyword_has_it_is_a_group_or_refused_in_words(keyword):
    for kind, value in itertools.product(["string", "integer", "array", "object"], ODD_VALUES):
        odd = {"type": kind, keyword: value}
        for document in (
            {"properties": {"_t": {"type": "string"}}, **odd},
            {"properties": {"a": odd}},
        ):
            try:
                FieldGroup.of(document).root.json_schema()
            except MappingError as error:
                assert error.problems[0].startswith("field group")  # noqa: PT017 - either is right


def test_a_group_without_fields_is_none():
    with pytest.raises(MappingError, match="has no fields"):
        FieldGroup.of({"title": "x"})


def test_the_json_schema_is_closed_and_valid():
    field = one(
        {
            "type": "object",
            "required": ["n"],
            "properties": {
                "n": {"type": "integer", "meta:xdmType": "byte"},
                "list": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
                "map": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
        }
    )
    schema = field.json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid({"n": 1, "list": ["a"], "map": {"x": 1}})
    for wrong in ({}, {"n": 128}, {"n": 1, "list": ["c"]}, {"n": 1, "z": 1}, {"n": None}):
        assert not validator.is_valid(wrong), wrong
    nullable = Draft202012Validator(field.json_schema(nullable=True))
    for right in (None, {}, {"n": None}, {"list": [None, "a"]}):
        assert nullable.is_valid(right), right
    json.dumps(schema)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "string", "pattern": "(a"}, "pattern: the regular expression cannot be read"),
        ({"type": "string", "pattern": "^(?!x)"}, "remove it, the platform will check it"),
        ({"type": "string", "pattern": 5}, "pattern is no text"),
        ({"type": "string", "minLength": "x"}, "minLength is no number"),
        ({"type": "string", "maxLength": 1.5}, "maxLength is no whole number from 0 up"),
        ({"type": "string", "maxLength": -1}, "maxLength is no whole number from 0 up"),
        ({"type": "string", "enum": "ab"}, "enum is no list"),
        ({"type": "string", "enum": 5}, "enum is no list"),
    ],
)
def test_constraints_that_cannot_be_checked_are_named(schema, problem):
    with pytest.raises(MappingError) as caught:
        group_of(x=schema)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("field group (_t.x): ")
    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (r'{"title": "\ud800"}', "holds half a character"),
        (r'{"\ude00x": 1}', "holds half a character"),
        ('{"title": ' + "9" * 5000 + "}", "holds a number of too many digits"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_files_that_no_other_program_could_read_are_refused(text, problem):
    with pytest.raises(MappingError, match=problem):
        parse_json(text, "field group")
