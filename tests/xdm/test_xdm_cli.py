from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console
from xdm_samples import (
    SIGN_UP,
    attribute,
    field_group,
    line,
    mapping_set,
    raw,
    record_message,
    schema_message,
)

from tap_mixpanel_export.config import load_columns
from tap_mixpanel_export.xdm.cli import commands as cli
from tap_mixpanel_export.xdm.cli import event_source
from tap_mixpanel_export.xdm.cli.commands import main

RAW_EVENT = {"event": "Sign up", "properties": {"time": 1, "plan": "gold", "n": 1.50}}


@pytest.fixture
def singer_file(tmp_path):
    path = tmp_path / "events.singer"
    messages = [schema_message(), *[record_message(SIGN_UP)] * 12]
    path.write_text("".join(raw(message) + "\n" for message in messages), encoding="utf-8")
    return str(path)


def invoke(*arguments: str, code: int = 0):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    if code:
        assert isinstance(result.exception, SystemExit)
    return result


def test_check_is_content_with_the_built_in_mapping():
    assert invoke("check").stdout == "14 lines, 11 columns, no problem.\n"


def test_check_lists_every_problem(files):
    fields = {"a": {"type": "string"}, "b": {"type": "string"}}
    bad = mapping_set(
        attribute("data.x", "_extconndev.plan"), line("EXPRESSION", "now()", "_extconndev.a")
    )
    files.write("bad.json", bad)
    result = invoke(
        "check",
        "--mapping-file",
        files.write("bad.json", bad),
        "--field-group-file",
        files.write("group.json", field_group(**fields)),
        code=1,
    )
    first, second = result.stderr.splitlines()
    assert first == "mapping 1 (_extconndev.plan): no such field in the field group"
    assert second.startswith("mapping 2 (_extconndev.a): ")
    collision = mapping_set(attribute("a_b", "_extconndev.a"), attribute("a.b", "_extconndev.b"))
    result = invoke(
        "check",
        "--mapping-file",
        files.write("collision.json", collision),
        "--field-group-file",
        files.write("group.json", field_group(**fields)),
        code=1,
    )
    assert "would both be the column a_b" in result.stderr


def test_check_says_what_the_mapper_adds(files):
    path = files.write("m.json", mapping_set(attribute("data.time", "_{TENANT_ID}.time")))
    assert invoke("check", "--mapping-file", path).stdout.splitlines() == [
        "Note: no line fills _id; the mapper fills it from the event itself.",
        "Note: no line fills timestamp; the mapper fills it from the event itself.",
        "1 lines, 1 columns, no problem.",
    ]


def test_a_missing_file_is_one_line():
    result = invoke("check", "--mapping-file", "none.json", code=1)
    assert result.stderr == "mapping set none.json: No such file or directory\n"


def test_stream_maps_as_yaml_and_json(files):
    assert invoke("stream-maps").stdout.startswith("stream_maps:\n  events:\n")
    maps = json.loads(invoke("stream-maps", "--json").stdout)
    assert maps["stream_maps"]["events"]["__else__"] == "__NULL__"
    path = files.write("m.json", mapping_set(line("EXPRESSION", "'a'", "_{TENANT_ID}.item_id")))
    assert "use map-mixpanel-xdm" in invoke("stream-maps", "--mapping-file", path).stderr


def test_registry_payloads_are_json():
    group = json.loads(invoke("field-group", "--tenant-id", "acme").stdout)
    assert "_acme" in group["definitions"]["customFields"]["properties"]
    schema = json.loads(invoke("schema", "--title", "T", "--field-group-id", "https://x").stdout)
    assert schema["allOf"][1] == {"$ref": "https://x"}
    assert json.loads(invoke("schema", "--descriptors").stdout) == []


def test_preview_shows_the_schema_and_ten_records(singer_file):
    result = invoke("preview", "--input", singer_file)
    assert "_extconndev.mp_api_timestamp_ms" in result.stdout
    assert "First 10 records" in result.stdout
    assert result.stdout.count("2022-05-16T18:20:00Z") == 10
    found = json.loads(invoke("preview", "--json", "--input", singer_file, "--limit", "3").stdout)
    assert len(found["records"]) == 3
    assert found["records"][0]["_extconndev"]["item_price"] == "12.5"
    assert found["schema"]["required"] == ["_id", "timestamp"]


def test_preview_shows_values_as_they_are(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(raw({**SIGN_UP, "distinct_id": "[/red] [bold]u1"}) + "\n")
    assert "[/red] [bold]u1" in invoke("preview", "--input", str(path)).stdout


def test_preview_cuts_nothing_off_on_a_narrow_terminal(monkeypatch, singer_file):
    monkeypatch.setattr(cli, "_console", lambda: Console(width=80))
    told = invoke("preview", "--input", singer_file, "--limit", "1").stdout
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= 80
    assert re.search(r"timestamp +│ 2022-05-16T18:20:00Z", told)


def test_preview_counts_what_does_not_fit(tmp_path):
    path = tmp_path / "records.jsonl"
    bad = {**SIGN_UP, "time": "x"}
    path.write_text(raw(bad) + "\n\n" + raw({**SIGN_UP, "event_id": None}) + "\n")
    result = invoke("preview", "--input", str(path))
    assert "_extconndev.time: 1 values do not fit its type." in result.stdout
    assert "1 records are rejected: no value for the required field _id." in result.stdout


def test_preview_says_where_a_file_is_wrong(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n')
    result = invoke("preview", "--input", str(path), code=1)
    assert "line 1: is neither a Singer message nor an event" in result.stderr
    assert "No such file" in invoke("preview", "--input", "none", code=1).stderr


def fake_tap(monkeypatch, tmp_path, program: str):
    """Put a program in the place of the interpreter that runs the tap."""
    script = tmp_path / "tap.sh"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setattr(event_source.sys, "executable", str(script))


def test_preview_runs_the_tap_and_stops_it(monkeypatch, tmp_path, singer_file):
    fake_tap(
        monkeypatch, tmp_path, f'echo "$@" > {tmp_path}/args; cat {singer_file}; exec sleep 60'
    )
    found = json.loads(invoke("preview", "--json", "--config", "a.json", "--config=ENV").stdout)
    assert len(found["records"]) == 10
    arguments = (tmp_path / "args").read_text().split()
    assert arguments == ["-m", "tap_mixpanel_export", "--config", "a.json", "--config", "ENV"]


def test_a_tap_that_fails_fails_the_preview(monkeypatch, tmp_path):
    fake_tap(monkeypatch, tmp_path, "exit 3")
    result = invoke("preview", code=1)
    assert "The tap ended with exit code 3" in result.stderr
    assert sys.executable.endswith("tap.sh")


def test_infer_proposes_what_is_not_mapped_and_writes_files_that_work(tmp_path):
    path = tmp_path / "raw.jsonl"
    path.write_text(raw(RAW_EVENT) + "\n" + raw({"event": "x", "properties": {}}) + "\n")
    mapping, group = str(tmp_path / "m.json"), str(tmp_path / "g.json")
    out = ["--mapping-out", mapping, "--field-group-out", group]
    result = invoke("infer", "--input", str(path), *out)
    assert "2 events read, 2 properties not mapped yet." in result.stdout
    assert "50.0%" in result.stdout
    files = ["--mapping-file", mapping, "--field-group-file", group]
    assert "16 lines, 13 columns" in invoke("check", *files).stdout
    assert "0 properties not mapped" in invoke("infer", "--input", str(path), *files).stdout


def test_infer_as_json(tmp_path):
    path = tmp_path / "raw.jsonl"
    path.write_text(raw(RAW_EVENT) + "\n")
    found = json.loads(invoke("infer", "--json", "--input", str(path)).stdout)
    assert found["properties"][0] == {
        "source": "data.n",
        "destination": "_extconndev.n",
        "type": "Number",
        "share": 1.0,
        "types_seen": ["Number"],
    }
    none = json.loads(invoke("infer", "--json", "--min-share", "1.1", "--input", str(path)).stdout)
    assert none == {"events": 1, "properties": []}


def test_infer_prints_the_setting_columns(tmp_path):
    path = tmp_path / "raw.jsonl"
    properties = {
        "time": 1,
        "$city": "Oslo",
        "cart": {"total": 1.5},
        "Plan.Name": "x",
        "n": 1,
        "utm:source": "ad",
        "when": "2026-01-01T00:00:00Z",
        "vip": True,
        "tags": ["a"],
        "timestamp": "not ours",
    }
    path.write_text(raw({"event": "a", "properties": properties}) + "\n")
    entries = json.loads(invoke("infer", "--columns", "--input", str(path)).stdout)
    assert sorted(entries) == sorted(
        [
            *("$city", "cart.total:number", r"Plan\.Name", "n:integer", "utm:source:string"),
            *("when:date-time", "vip:boolean", "tags"),
        ]
    )
    columns, problems = load_columns({"columns": entries})
    assert problems == []
    paths = {column.path for column in columns}
    assert {("$city",), ("cart", "total"), ("Plan.Name",), ("utm:source",)} <= paths


def test_infer_and_check_speak_of_columns_that_databases_take_for_one(tmp_path):
    path = tmp_path / "raw.jsonl"
    event = {"event": "x", "properties": {"time": 1, "Id": 1, "id": 2}}
    path.write_text(raw(event) + "\n")
    mapping, group = str(tmp_path / "m.json"), str(tmp_path / "g.json")
    outputs = ["--mapping-out", mapping, "--field-group-out", group]
    found = invoke("infer", "--input", str(path), *outputs)
    assert "Without a column" in found.stdout
    assert "data.id" in found.stdout
    files = ["--mapping-file", mapping, "--field-group-file", group]
    assert "no problem" in invoke("check", *files).stdout
    document = json.loads(Path(mapping).read_text())
    for mapped in document["mappings"]:
        mapped["sourceType"] = "ATTRIBUTE"
    Path(mapping).write_text(json.dumps(document))
    result = CliRunner().invoke(main, ["check", *files])
    assert result.exit_code == 1
    assert "are one in databases" in result.output


# A title of the terminal, a control sequence of one character, directions that change, a line end.
TITLE = "\x1b]0;gone\x07 \x9b2J \u202e\u200b\x7f\r\n"


def is_harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def test_no_text_of_a_customer_acts_on_the_terminal(tmp_path, files):
    events = tmp_path / "raw.jsonl"
    event = {"event": TITLE, "properties": {"time": 1, TITLE: TITLE, "Id": 1, "id": TITLE}}
    record = {**SIGN_UP, "event_name": TITLE, "distinct_id": TITLE, "item_name": TITLE}
    events.write_text(raw(event) + "\n")
    records = tmp_path / "records.jsonl"
    records.write_text(raw(record) + "\n" + raw({**record, "event_id": None}) + "\n")
    name = f"_extconndev.{TITLE}"
    fields = {TITLE: {"type": "string"}, "e": {"type": "string"}}
    files.write("g.json", {**field_group(**fields), "title": TITLE})
    source = "data.${" + TITLE + "}"
    expression = f"concat({source}, {json.dumps(TITLE)})"
    lines = [attribute(source, name), line("EXPRESSION", expression, "_extconndev.e")]
    files.write("m.json", mapping_set(*lines))
    files.write("bad.json", mapping_set(*lines, line("FORMULA" + TITLE, TITLE, name + ".x")))
    options = ["--field-group-file", str(tmp_path / "g.json"), "--mapping-file"]
    good, bad = [*options, str(tmp_path / "m.json")], [*options, str(tmp_path / "bad.json")]
    for input_file in (str(events), str(records)):
        for form in ([], ["--json"]):
            for command in ("infer", "preview"):
                result = invoke(command, *form, "--input", input_file, *good)
                assert is_harmless(result.output)
                assert form == [] or json.loads(result.stdout)
    for command in ("check", "stream-maps", "field-group", "schema"):
        assert is_harmless(invoke(command, *good).output)
        assert is_harmless(invoke(command, *bad, code=1).output)
    maps = json.loads(invoke("stream-maps", "--json", *good).stdout)
    assert maps == yaml.safe_load(invoke("stream-maps", *good).stdout)
    assert TITLE in maps["stream_maps"]["events"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # What no number or list holds has a text for its field.
        ("[" * 300 + "]" * 300, "String"),
        ("9" * 5000, "String"),
        ("1e999999999", "String"),
        (r'"\ud800"', "String"),
        (r'{"a\ude00": 1}', "Long"),
    ],
    ids=["deep", "digits", "exponent", "half", "name"],
)
def test_infer_and_preview_take_events_that_have_everything(tmp_path, value, expected):
    path = tmp_path / "raw.jsonl"
    event = raw({"event": "x", "properties": {"time": 1, "odd": "@", "plan": "free"}})
    path.write_text(event.replace('"@"', value) + "\n")
    found = json.loads(invoke("infer", "--json", "--input", str(path)).stdout)
    types = {row["source"].split(".")[1]: row["type"] for row in found["properties"]}
    assert types == {"plan": "String", "odd": expected}
    result = invoke("preview", "--input", str(path))
    assert "1 records are rejected: no value for the required field _id." in result.stdout
