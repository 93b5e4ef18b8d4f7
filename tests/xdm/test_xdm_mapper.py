from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from processes import start
from singer_sdk.exceptions import ConfigValidationError
from xdm_samples import (
    SIGN_UP,
    STATE,
    Files,
    attribute,
    field_group,
    line,
    mapping_set,
    raw,
    record_message,
    schema_message,
)

from tap_mixpanel_export.xdm.errors import MapperRunError
from tap_mixpanel_export.xdm.mapper.mapper import XdmMapper
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.mapping_set import source_text

TEXT = {"type": "string"}
LONG = {"type": "integer", "meta:xdmType": "long"}


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


class Output:
    """Stands for standard output while a mapper listens."""

    def __init__(self):
        self.buffer = io.BytesIO()


def listen(messages, config=None) -> list[dict]:
    """Run a mapper over messages (dictionaries, or lines as they are) and decode its output."""
    text = "".join((m if isinstance(m, str) else raw(m)) + "\n" for m in messages)
    output = Output()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_mixpanel_export.xdm.mapper.messages.sys.stdout", output)
        XdmMapper(config=dict(config or {})).listen(
            io.BytesIO(text.encode("utf-8", "surrogatepass"))
        )
    return [json.loads(text) for text in output.buffer.getvalue().splitlines()]


def records(messages) -> list[dict]:
    return [message["record"] for message in messages if message["type"] == "RECORD"]


def mapped(record: dict | str, config=None, schema=None) -> dict:
    message = record if isinstance(record, str) else record_message(record)
    [found] = records(listen([schema or schema_message(), message], config))
    return found


def config_of(files: Files, lines, fields) -> dict[str, str]:
    return {
        "mapping_file": files.write("mapping.json", mapping_set(*lines)),
        "field_group_file": files.write("group.json", field_group(**fields)),
    }


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


def test_values_that_do_not_fit_are_counted_by_field_and_summed_up_once(caplog):
    bad = record_message({**SIGN_UP, "time": "secret-value", "import": 5})
    with caplog.at_level(logging.DEBUG):
        out = records(listen([schema_message(), bad, bad]))
    assert "time" not in out[0]["_extconndev"]
    assert "import" not in out[0]["_extconndev"]
    [summary] = [r.getMessage() for r in caplog.records if "MAPPER-3700-400" in r.getMessage()]
    assert "_extconndev.time: 2" in summary
    assert "_extconndev.import: 2" in summary
    assert "secret-value" not in caplog.text


def test_without_a_diagnostics_dir_a_rejected_row_fails_the_run():
    with pytest.raises(MapperRunError, match=r"INGEST-1555-400: .* required field timestamp"):
        listen([schema_message(), record_message({**SIGN_UP, "timestamp": None})])


def test_with_a_diagnostics_dir_rejected_rows_are_kept(tmp_path, caplog):
    config = {"diagnostics_dir": str(tmp_path / "new" / "d"), "error_threshold_percent": 50}
    bad = {**SIGN_UP, "event_id": ""}
    with caplog.at_level(logging.INFO):
        out = listen(
            [schema_message(), record_message(SIGN_UP), record_message(bad), STATE], config
        )
    assert [message["type"] for message in out] == ["SCHEMA", "RECORD", "STATE"]
    [file] = (tmp_path / "new" / "d").iterdir()
    assert json.loads(file.read_text()) == {
        "code": "INGEST-1555-400",
        "field": "_id",
        "record": bad,
    }
    assert "1 records were rejected (INGEST-1555-400 _id: 1)" in caplog.text


def test_too_many_rejected_rows_fail_the_run(tmp_path):
    config = {"diagnostics_dir": str(tmp_path), "error_threshold_percent": 49}
    bad = record_message({**SIGN_UP, "event_id": None})
    with pytest.raises(MapperRunError, match=r"1 of 2 records were rejected"):
        listen([schema_message(), record_message(SIGN_UP), bad], config)


def test_no_state_passes_when_most_of_many_rows_were_rejected(tmp_path):
    bad = record_message({**SIGN_UP, "event_id": None})
    output = Output()
    text = "\n".join([raw(schema_message()), *[raw(bad)] * 1000, raw(STATE)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_mixpanel_export.xdm.mapper.messages.sys.stdout", output)
        mapper = XdmMapper(config={"diagnostics_dir": str(tmp_path)})
        with pytest.raises(MapperRunError):
            mapper.listen(io.BytesIO(text.encode()))
    assert b"STATE" not in output.buffer.getvalue()


def test_required_fields_inside_of_objects_count_too(files):
    cart = {"type": "object", "required": ["id"], "properties": {"id": TEXT, "n": LONG}}
    lines = [attribute("data.n", "_extconndev.cart.n"), attribute("data.i", "_extconndev.cart.id")]
    config = config_of(files, lines, {"cart": cart})
    assert "_extconndev" not in mapped({**SIGN_UP, "properties": {}}, config)
    with pytest.raises(MapperRunError, match=r"required field _extconndev\.cart\.id"):
        listen([schema_message(), record_message({**SIGN_UP, "properties": {"n": 1}})], config)


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


def run(*arguments: str, stdin: str = "", env=None) -> subprocess.CompletedProcess[str]:
    program = "from tap_mixpanel_export.__main__ import map_mixpanel_xdm; map_mixpanel_xdm()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )


@pytest.mark.slow
def test_bad_settings_end_with_all_problems_and_no_traceback(files, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    settings_file = files.write(
        "config.json",
        {
            "mapping_file": files.write(
                "m.json", mapping_set(attribute("data.a", "_extconndev.a"))
            ),
            "error_threshold_percent": 101,
            "diagnostics_dir": str(blocked),
        },
    )
    result = run("--config", settings_file, stdin=raw(schema_message()) + "\n")
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    for part in ("error_threshold_percent: must", "diagnostics_dir: ", "mapping 1 (_extconndev.a)"):
        assert part in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stdin", "part"),
    [
        ("hello\n", "Line 1 of the input is no Singer message"),
        ('{"type": "NEWS"}\n', "unknown type 'NEWS'"),
        (raw(record_message(SIGN_UP)) + "\n", "came before its SCHEMA"),
        (
            raw(schema_message())
            + '\n{"type": "BATCH", "stream": "events", "encoding": {}, "manifest": []}\n',
            "Remove batch_config",
        ),
    ],
)
def test_bad_input_ends_with_a_message_and_no_traceback(stdin, part):
    result = run(stdin=stdin)
    assert result.returncode == 1
    assert part in result.stderr
    assert "Traceback" not in result.stderr
    assert "u1" not in result.stderr


@pytest.mark.slow
def test_a_missing_config_file_ends_with_a_message():
    result = run("--config", "none.json")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "none.json" in result.stderr


@pytest.mark.slow
def test_the_input_option_and_the_environment_work(tmp_path):
    file = tmp_path / "in.singer"
    file.write_text(raw(schema_message()) + "\n" + raw(record_message(SIGN_UP)) + "\n")
    import os  # noqa: PLC0415

    env = {**os.environ, "MAP_MIXPANEL_XDM_ERROR_THRESHOLD_PERCENT": "7.5"}
    result = run("--config=ENV", "--input", str(file), env=env)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 2
    env["MAP_MIXPANEL_XDM_ERROR_THRESHOLD_PERCENT"] = "many"
    assert "'many' is not of type 'number'" in run("--config=ENV", env=env).stderr


@pytest.mark.slow
def test_a_target_that_stops_reading_ends_the_run_without_a_traceback(tmp_path):
    file = tmp_path / "in.singer"
    lines = [raw(schema_message()), *[raw(record_message(SIGN_UP))] * 2000]
    file.write_text("\n".join(lines) + "\n")
    program = "from tap_mixpanel_export.__main__ import map_mixpanel_xdm; map_mixpanel_xdm()"
    with file.open() as stdin:
        process = start(
            [sys.executable, "-c", program],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=60) == 1
    assert "stdout was closed by the program that reads it" in errors
    assert "Traceback" not in errors


def test_the_sample_files_are_where_packages_find_them():
    assert Path(sys.modules["tap_mixpanel_export.xdm"].__file__).parent.joinpath("data").is_dir()


DEEP = "[" * 400 + "]" * 400
DIGITS = "9" * 5000


def poisoned(properties: str, properties_format="object") -> str:
    """A RECORD whose properties have this JSON text; the columns but for the keys are null."""
    record = {**dict.fromkeys(SIGN_UP), "event_id": "ab" * 32, "timestamp": "2022-05-16T18:20:00Z"}
    message = raw(record_message({**record, "properties": "@"}))
    text = properties if properties_format == "object" else json.dumps(properties)
    return message.replace('"@"', text)


@pytest.mark.parametrize("properties_format", ["object", "string"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (r'"a\ud800b"', {"text": "a\ufffdb", "computed": "a\ufffdb!"}),
        (DIGITS, {"text": DIGITS}),
        (f"-{DIGITS}", {"text": f"-{DIGITS}"}),
        ("1e999999999", {"text": "1e999999999"}),
        (DEEP, {"text": DEEP}),
        (f"[{DIGITS}]", {"text": f"[{DIGITS}]", "list": [DIGITS]}),
        ('{"a": ' * 120 + "1" + "}" * 120, {"text": '{"a": ' * 120 + "1" + "}" * 120}),
    ],
)
def test_poison_in_one_property_costs_no_more_than_that_value(
    files, value, expected, properties_format, caplog
):
    lines = [
        attribute("data.poison", "_extconndev.text"),
        attribute("data.poison", "_extconndev.long"),
        attribute("data.poison", "_extconndev.number"),
        attribute("data.poison", "_extconndev.list"),
        line("EXPRESSION", "concat(data.poison, '!')", "_extconndev.computed"),
        line("EXPRESSION", "data.poison + 1", "_extconndev.sum"),
        line("EXPRESSION", "to_string(data.properties)", "_extconndev.all"),
        attribute("data.city", "_extconndev.city"),
    ]
    number = {"type": "number"}
    fields = {"text": TEXT, "long": LONG, "number": number, "computed": TEXT, "sum": number}
    fields |= {"list": {"type": "array", "items": TEXT}, "all": TEXT, "city": TEXT}
    config = config_of(files, lines, fields)
    message = poisoned(f'{{"poison": {value}, "city": "Oslo"}}', properties_format)
    with caplog.at_level(logging.WARNING):
        [found] = records(listen([schema_message(), message, STATE], config))
    found["_extconndev"].pop("all", None)
    assert found["_extconndev"] == {**expected, "city": "Oslo"}
    assert "MAPPER-3700-400" in caplog.text
    assert "999" not in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        poisoned(f'{{"a": {"[" * 100_000 + "]" * 100_000}}}'),
        poisoned('{"a": ' * 600 + "1" + "}" * 600),
        poisoned('{"a": 1', "string"),
        poisoned("1"),
    ],
    ids=["lists", "objects", "cut", "number"],
)
def test_records_that_cannot_be_read_are_rejected_and_the_run_goes_on(files, tmp_path, message):
    config = config_of(files, [attribute("data.a", "_extconndev.a")], {"a": TEXT})
    config |= {"diagnostics_dir": str(tmp_path / "d"), "error_threshold_percent": 60}
    out = listen([schema_message(), message, record_message(SIGN_UP), STATE], config)
    assert len(records(out)) in {1, 2}
    assert out[-1]["type"] == "STATE"
    if len(records(out)) == 1:
        [file] = (tmp_path / "d").iterdir()
        kept = json.loads(file.read_text())
        assert kept == {"code": "UNREADABLE", "field": None, "text": message + "\n"}
        with pytest.raises(
            MapperRunError, match=r"UNREADABLE: a record is rejected, cannot be read\. Set diag"
        ):
            listen([schema_message(), message], {**config, "diagnostics_dir": None})


@pytest.mark.timeout(60)
def test_no_pattern_of_a_mapping_holds_the_mapper(files, caplog):
    lines = [
        line("EXPRESSION", "matches_regex(data.a, '(x+x+)+y')", "_extconndev.matches"),
        attribute("data.a", "_extconndev.checked"),
    ]
    fields = {
        "matches": {"type": "boolean"},
        "checked": {"type": "string", "pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"},
    }
    record = {**SIGN_UP, "properties": {"a": "x" * 50_000}}
    config = config_of(files, lines, fields)
    assert mapped(record, config)["_extconndev"] == {"matches": False}
    assert "_extconndev.checked: 1" in caplog.text
