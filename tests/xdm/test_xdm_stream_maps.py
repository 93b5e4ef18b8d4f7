from __future__ import annotations

import logging

import pytest
import yaml
from singer_sdk.mapper import PluginMapper
from xdm_samples import SIGN_UP, attribute, line, schema_message

from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.stream_maps import skipped_lines, stream_map, to_yaml

TEXT = {"type": "string"}
LONG = {"type": "integer", "meta:xdmType": "long"}

GOLDEN = """\
stream_maps:
  events:
    distinct_id: distinct_id
    event_name: event_name
    import: bool(_['import']) if _['import'] is not None else None
    insert_id: insert_id
    item_id: item_id
    item_name: item_name
    item_price: item_price
    mp_api_endpoint: mp_api_endpoint
    mp_api_timestamp_ms: mp_api_timestamp_ms
    mp_processing_time_ms: mp_processing_time_ms
    time: time
    __key_properties__: []
    __else__: __NULL__
"""


def run(mapping, record):
    """Return the schema and record that the SDK's own stream map makes."""
    mapper = PluginMapper(
        plugin_config={"stream_maps": stream_map(mapping)}, logger=logging.getLogger("test")
    )
    schema = schema_message(mapping)["schema"]
    mapper.register_raw_stream_schema("events", schema, ["event_id"])
    [found] = mapper.stream_maps["events"]
    return found, found.transform(record)


def test_the_built_in_mapping_gives_exactly_this():
    assert to_yaml(stream_map(load_mapping())) == GOLDEN
    assert yaml.safe_load(GOLDEN) == {"stream_maps": stream_map(load_mapping())}


def test_the_sdk_makes_the_eleven_fields_of_it_and_nothing_else():
    found, record = run(load_mapping(), SIGN_UP)
    expected = {
        name: SIGN_UP[name]
        for name in SIGN_UP
        if name not in {"event_id", "timestamp", "properties"}
    }
    assert record == expected
    assert found.transformed_key_properties == []
    properties = found.transformed_schema["properties"]
    assert properties.keys() == expected.keys()
    assert properties["import"]["type"] == ["boolean", "null"]
    assert properties["item_price"]["type"] == ["string", "null"]
    assert properties["time"]["maximum"] == 9007199254740991


def test_an_event_without_any_property_does_not_fail():
    nothing = dict.fromkeys(SIGN_UP) | {"event_id": "x", "properties": {}}
    _, record = run(load_mapping(), nothing)
    assert set(record.values()) == {None}
    assert len(record) == 11


def test_names_that_python_does_not_take_are_passed_on_typed(files):
    names = ["Plan Name", "class", "record", "config", "d'or", "ﬁn", "$city"]
    lines = [attribute(f"data.{name}", f"_extconndev.f{i}") for i, name in enumerate(names)]
    lines.append(attribute("data.a count", "_extconndev.count"))
    lines.append(attribute("data.a ratio", "_extconndev.ratio"))
    fields = {f"f{i}": TEXT for i in range(len(names))}
    mapping = files.load(lines, {**fields, "count": LONG, "ratio": {"type": "number"}})
    values = {name: name.upper() for name in names}
    found, record = run(mapping, {**values, "a count": 3, "a ratio": 0.5})
    assert record == {
        **{f"f{i}": name.upper() for i, name in enumerate(names)},
        "count": 3,
        "ratio": 0.5,
    }
    types = {n: s["type"] for n, s in found.transformed_schema["properties"].items()}
    assert types["count"] == ["integer", "null"]
    assert types["ratio"] == ["number", "null"]
    _, nulls = run(mapping, dict.fromkeys([*values, "a count", "a ratio"]))
    assert set(nulls.values()) == {None}


def test_static_values_are_typed(files):
    mapping = files.load(
        [
            line("STATIC", "it's \\ a\nvalue", "_extconndev.text"),
            line("STATIC", "true", "_extconndev.flag"),
            line("STATIC", 5, "_extconndev.n"),
        ],
        {"text": TEXT, "flag": {"type": "boolean"}, "n": LONG},
    )
    found, record = run(mapping, {"event_id": "x"})
    assert record == {"text": "it's \\ a\nvalue", "flag": True, "n": 5}
    types = {n: s["type"] for n, s in found.transformed_schema["properties"].items()}
    assert types == {
        "text": ["string", "null"],
        "flag": ["boolean", "null"],
        "n": ["integer", "null"],
    }


def test_nested_destinations_are_flat_and_collisions_are_problems(files):
    nested = {"type": "object", "properties": {"b": TEXT}}
    lines = [attribute("data.x", "_extconndev.a.b"), attribute("data.y", "_extconndev.a_b")]
    fields = {"a": nested, "a_b": TEXT}
    with pytest.raises(MappingError, match="another line gives a field named a_b"):
        stream_map(files.load(lines, fields))
    entries = stream_map(files.load(lines[:1], fields))["events"]
    assert entries["a_b"] == "x"


def test_a_list_under_a_name_that_is_none_is_refused(files):
    fields = {"tags": {"type": "array", "items": TEXT}}
    with pytest.raises(MappingError, match=r"use map-mixpanel-xdm"):
        stream_map(files.load([attribute("data.my tags", "_extconndev.tags")], fields))
    entries = stream_map(files.load([attribute("data.tags", "_extconndev.tags")], fields))["events"]
    assert entries["tags"] == "tags"


def test_expressions_are_left_to_the_mapper(files):
    mapping = files.load(
        [
            line("EXPRESSION", "upper(data.a)", "_extconndev.a"),
            attribute("data.b", "_extconndev.b"),
        ],
        {"a": TEXT, "b": TEXT},
    )
    assert list(stream_map(mapping)["events"]) == ["b", "__key_properties__", "__else__"]
    assert [bound.line.number for bound in skipped_lines(mapping)] == [1]


def test_words_that_yaml_takes_for_values_are_quoted(files):
    names = ["no", "y", "null", "true", "a b", "1"]
    lines = [attribute(f"data.{name}", f"_extconndev.{name}") for name in names]
    maps = stream_map(files.load(lines, dict.fromkeys(names, TEXT)))
    assert yaml.safe_load(to_yaml(maps)) == {"stream_maps": maps}
