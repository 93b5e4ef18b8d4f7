"""What becomes of events in the mapper."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from mapper_runs import LONG, TEXT, Output, config_of, listen, mapped
from singer_sdk.exceptions import ConfigValidationError
from xdm_samples import (
    SIGN_UP,
    STATE,
    attribute,
    line,
    mapping_set,
    raw,
    record_message,
    schema_message,
)

from tap_mixpanel_export.xdm.mapper.mapper import XdmMapper
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.mapping_set import source_text


def test_the_sign_up_event_becomes_exactly_this():
    assert mapped(SIGN_UP) == {
        "_id": "ab" * 32,
        "timestamp": "2022-05-16T18:20:00Z",
        "eventType": "Sign up",
        "_extconndev": {
            "distinct_id": "u1",
            "event_name": "Sign up",
            "import": True,
            "insert_id": "a-1",
            "item_price": "12.5",
            "time": 1652700000,
        },
    }


def test_the_schema_says_what_comes_out():
    [schema] = listen([schema_message()])
    assert schema["stream"] == "mixpanel_experience_events"
    assert schema["key_properties"] == ["_id"]
    assert schema["schema"]["required"] == ["_id", "timestamp"]
    tenant = schema["schema"]["properties"]["_extconndev"]
    assert tenant["properties"]["time"]["type"] == "integer"
    assert tenant["properties"]["time"]["maximum"] == 9007199254740991
    assert schema["schema"]["properties"].keys() == {
        "_id",
        "timestamp",
        "eventType",
        "_extconndev",
    }
    Draft202012Validator.check_schema(schema["schema"])


values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                name: values
                for name in SIGN_UP
                if name not in ("event_id", "timestamp", "properties")
            }
        ),
        max_size=4,
    )
)
def test_every_record_validates_against_the_closed_schema(rows):
    messages = [record_message({**SIGN_UP, **row}) for row in rows]
    schema, *out = listen([schema_message(), *messages])
    validator = Draft202012Validator(schema["schema"], format_checker=FormatChecker())
    assert len(out) == len(rows)
    for message in out:
        validator.validate(message["record"])
        flat = [*message["record"].values(), *message["record"].get("_extconndev", {}).values()]
        assert None not in flat
        assert "" not in flat


def test_other_messages_and_streams_go_through_to_the_byte():
    other = '{"type": "RECORD",  "stream": "other", "record": {"a": 1.10, "b": null}}'
    batch = '{"type": "BATCH", "stream": "other", "encoding": {}, "manifest": []}'
    text = "\n".join([other, raw(STATE), batch])
    output = Output()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_mixpanel_export.xdm.mapper.messages.sys.stdout", output)
        XdmMapper(config={}).listen(io.BytesIO(text.encode()))
    assert output.buffer.getvalue().decode() == text + "\n"


def test_what_the_tap_says_of_a_record_goes_along():
    activate = {"type": "ACTIVATE_VERSION", "stream": "events", "version": 7}
    time = "2026-11-23T00:00:00.5+00:00"
    record = record_message(SIGN_UP, version=7, time_extracted=time)
    _, found, activated = listen([schema_message(), record, activate])
    assert (found["version"], found["time_extracted"]) == (7, time)
    assert activated == {**activate, "stream": "mixpanel_experience_events"}


def test_a_custom_property_with_a_new_leaf_comes_out_typed(files):
    lines = [attribute("data.Plan Name", "_extconndev.plan"), attribute("data.n", "_extconndev.n")]
    config = config_of(files, lines, {"plan": TEXT, "n": LONG})
    record = {**SIGN_UP, "properties": {"Plan Name": 1.50, "n": "12"}}
    [schema, found] = listen([schema_message(), record_message(record)], config)
    assert found["record"]["_extconndev"] == {"plan": "1.5", "n": 12}
    assert schema["schema"]["properties"]["_extconndev"]["properties"]["n"]["type"] == "integer"


def test_the_same_line_without_the_leaf_stops_before_the_first_record(files):
    config = config_of(files, [attribute("data.plan", "_extconndev.plan")], {"n": LONG})
    with pytest.raises(
        ConfigValidationError, match=r"mapping 1 \(_extconndev\.plan\): no such field"
    ):
        listen([schema_message(), record_message(SIGN_UP)], config)


def test_a_null_column_is_looked_for_in_properties(files):
    # The tap's column is a Long that did not fit; here the field is a text.
    config = config_of(files, [attribute("data.time", "_extconndev.time")], {"time": TEXT})
    record = {**SIGN_UP, "time": None, "properties": {"time": "noon"}}
    assert mapped(record, config)["_extconndev"] == {"time": "noon"}
    as_text = {**record, "properties": '{"time": 1.50}'}
    assert mapped(as_text, config)["_extconndev"] == {"time": "1.50"}


def test_what_the_tap_could_not_convert_is_counted_here_too(caplog):
    record = {**SIGN_UP, "import": None, "properties": {"$import": 7, "import": True}}
    with caplog.at_level(logging.WARNING):
        assert "import" not in mapped(record)["_extconndev"]
    assert "_extconndev.import: 1" in caplog.text


def test_sources_that_are_no_columns_come_from_properties(files):
    lines = [
        attribute("data.insert_id", "_extconndev.insert_id"),
        attribute("data.$city", "_extconndev.city"),
        attribute("data.cart.total", "_extconndev.total"),
        attribute("data.event_name", "_extconndev.name"),
    ]
    fields = dict.fromkeys(["insert_id", "city", "total", "name"], TEXT)
    # The tap's catalog had no column selected but its key.
    schema = {
        **schema_message(),
        "schema": {"type": "object", "properties": {"event_id": {}, "properties": {}}},
    }
    properties = {
        "$insert_id": "i",
        "insert_id": "mine",
        "$city": "Oslo",
        "cart": {"total": 1},
        "event_name": "no",
    }
    record = {"event_id": "e", "timestamp": "2022-05-16T18:20:00Z", "properties": properties}
    config = config_of(files, lines, fields)
    expected = {"insert_id": "i", "city": "Oslo", "total": "1"}
    assert mapped(record, config, schema)["_extconndev"] == expected
    as_text = {**record, "properties": json.dumps(properties)}
    assert mapped(as_text, config, schema)["_extconndev"] == expected


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(names, min_size=1, max_size=3, unique=True), st.booleans())
def test_any_name_of_a_customers_property_can_be_mapped(files, names, as_columns):
    own = {*SIGN_UP, "insert_id", "import", "data"}
    names = [name for name in names if name not in own] or ["x"]
    lines = [
        attribute(source_text((name,)), f"_extconndev.f{index}") for index, name in enumerate(names)
    ]
    config = config_of(files, lines, {f"f{index}": TEXT for index in range(len(names))})
    values = {name: f"v{index}" for index, name in enumerate(names)}
    schema = schema_message()
    record = {**SIGN_UP, "properties": {} if as_columns else values}
    if as_columns:
        schema["schema"]["properties"] |= {name: {} for name in values}
        record |= values
    expected = {f"f{index}": f"v{index}" for index in range(len(names))}
    assert mapped(record, config, schema)["_extconndev"] == expected


def test_numbers_come_out_with_their_digits(files):
    lines = [attribute(f"data.{name}", f"_extconndev.{name}") for name in ("price", "text", "big")]
    config = config_of(files, lines, {"price": {"type": "number"}, "text": TEXT, "big": TEXT})
    digits = '"price": 0.10000000000000000001, "text": 1.50, "big": 12345678901234567890'
    line = raw(record_message({**SIGN_UP, "properties": "@"})).replace('"@"', "{" + digits + "}")
    output = Output()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_mixpanel_export.xdm.mapper.messages.sys.stdout", output)
        XdmMapper(config=config).listen(io.BytesIO(f"{raw(schema_message())}\n{line}\n".encode()))
    text = output.buffer.getvalue().decode()
    assert '"price":0.10000000000000000001' in text
    assert '"text":"1.50"' in text
    assert '"big":"12345678901234567890"' in text


def test_statics_expressions_and_nested_destinations(files):
    lines = [
        line("STATIC", "mixpanel", "_extconndev.meta.origin"),
        line("EXPRESSION", "concat(data.event_name, '/', data.city)", "_extconndev.label"),
        line("EXPRESSION", "data.item_price", "_extconndev.meta.price"),
        line("EXPRESSION", "nullify()", "_extconndev.none"),
    ]
    meta = {"type": "object", "properties": {"origin": TEXT, "price": {"type": "number"}}}
    config = config_of(files, lines, {"meta": meta, "label": TEXT, "none": TEXT})
    record = {**SIGN_UP, "properties": {"city": "Oslo"}}
    assert mapped(record, config)["_extconndev"] == {
        "label": "Sign up/Oslo",
        "meta": {"origin": "mixpanel", "price": 12.5},
    }


def test_nulls_and_empty_values_are_left_out_everywhere(files):
    nested = {"type": "object", "properties": {"x": TEXT, "y": TEXT}}
    lines = [attribute(f"data.{name}", f"_extconndev.{name}") for name in ("a", "l", "e")]
    fields = {"a": nested, "l": {"type": "array", "items": TEXT}, "e": TEXT}
    config = config_of(files, lines, fields)
    record = {**SIGN_UP, "properties": {"a": {"x": "", "y": None}, "l": [None, "", "b"], "e": ""}}
    assert mapped(record, config)["_extconndev"] == {"l": ["b"]}
    empty = mapped({**SIGN_UP, "properties": {"a": {}, "l": []}}, config)
    assert "_extconndev" not in empty


def test_a_lone_surrogate_does_not_stop_a_run():
    line = raw(record_message({**SIGN_UP, "distinct_id": "@"})).replace(
        '"@"', r'"a\ud800b\\ud800 \ud83d\ude00"'
    )
    assert mapped(line)["_extconndev"]["distinct_id"] == "a\ufffdb\\ud800 \U0001f600"


def test_the_mapping_set_of_adobes_source_alone_gives_complete_records(files):
    eleven = load_mapping().mapping_set.form.mappings[:11]
    config = {"mapping_file": files.write("eleven.json", mapping_set(*eleven))}
    found = mapped(SIGN_UP, config)
    assert found.keys() == {"_id", "timestamp", "_extconndev"}


def test_the_sdks_hooks_map_plain_messages_too():
    mapper = XdmMapper(config={})
    [schema] = mapper.map_schema_message(schema_message())
    assert schema.stream == "mixpanel_experience_events"
    [record] = mapper.map_record_message(record_message(SIGN_UP))
    assert record.record["eventType"] == "Sign up"
    [state] = mapper.map_state_message(STATE)
    assert state.value == STATE["value"]
    [version] = mapper.map_activate_version_message({"stream": "events", "version": 3})
    assert version.version == 3


def test_the_sample_files_are_where_packages_find_them():
    assert Path(sys.modules["tap_mixpanel_export.xdm"].__file__).parent.joinpath("data").is_dir()
