"""What does not fit, is missing or cannot be read: counted, kept aside, or the end of a run."""

from __future__ import annotations

import io
import json
import logging

import pytest
from mapper_runs import LONG, TEXT, Output, config_of, listen, mapped, records
from xdm_samples import SIGN_UP, STATE, attribute, line, raw, record_message, schema_message

from tap_mixpanel_export.xdm.errors import MapperRunError
from tap_mixpanel_export.xdm.mapper.mapper import XdmMapper


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


def test_required_fields_of_objects_in_lists_count_too(files):
    item = {"type": "object", "required": ["id"], "properties": {"id": TEXT, "n": LONG}}
    config = config_of(
        files,
        [attribute("data.items", "_extconndev.items")],
        {"items": {"type": "array", "items": item}},
    )
    whole = {**SIGN_UP, "properties": {"items": [{"id": "a"}, {"id": "b", "n": 1}]}}
    assert mapped(whole, config)["_extconndev"] == {"items": [{"id": "a"}, {"id": "b", "n": 1}]}
    bare = {**SIGN_UP, "properties": {"items": [{"id": "a"}, {"n": 1}]}}
    with pytest.raises(MapperRunError, match=r"required field _extconndev\.items\.id"):
        listen([schema_message(), record_message(bare)], config)


def test_of_several_missing_fields_the_first_by_name_is_told_always(files):
    names = [f"f{number:02}" for number in range(20)]
    inner = {
        "type": "object",
        "required": names,
        "properties": {"n": LONG} | dict.fromkeys(names, TEXT),
    }
    config = config_of(files, [attribute("data.n", "_extconndev.o.n")], {"o": inner})
    with pytest.raises(MapperRunError, match=r"required field _extconndev\.o\.f00"):
        listen([schema_message(), record_message({**SIGN_UP, "properties": {"n": 1}})], config)
    with pytest.raises(MapperRunError, match="required field _id"):
        listen([schema_message(), record_message({"properties": {}})], config)


def test_a_date_that_is_in_no_year_of_utc_is_left_out_and_rejects_no_record(files):
    day = {"type": "string", "format": "date-time"}
    config = config_of(files, [attribute("data.d", "_extconndev.d")], {"d": day})
    # Clocks of Berlin were 53 minutes and 28 seconds ahead, which RFC 3339 can write in UTC only.
    record = {**SIGN_UP, "properties": {"d": "0001-01-01T00:00:00 Europe/Berlin"}}
    assert "_extconndev" not in mapped(record, config)


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
