"""The setting `columns`: columns without any file."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from fixtures_unit import tap_output
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.config import check_settings, json_schema, load_columns
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock, Verbatim
from tap_mixpanel_export.xdm.mapper.mapper import XdmMapper
from tap_mixpanel_export.xdm.mapping.further_columns import COLUMN_TYPES, add_columns
from tap_mixpanel_export.xdm.schema.field import XdmField, XdmType

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
BUILT_IN, _ = load_columns({})
COLUMNS = [
    "$city",
    "plan",
    "cart.total:number",
    "Signed Up:date-time",
    "visits:integer",
    "vip:boolean",
]


def added(*entries):
    columns, problems = add_columns(BUILT_IN, entries)
    assert columns[: len(BUILT_IN)] == BUILT_IN
    assert problems == []
    return columns[len(BUILT_IN) :]


def problems_of(*entries):
    columns, problems = add_columns(BUILT_IN, entries)
    assert columns == BUILT_IN or len(problems) < len(entries)
    return problems


@pytest.mark.parametrize(
    ("entry", "name", "path", "kind"),
    [
        ("$city", "city", ("$city",), XdmType.STRING),
        ("plan", "plan", ("plan",), XdmType.STRING),
        ("cart.total:number", "cart_total", ("cart", "total"), XdmType.NUMBER),
        (r"Plan\.Name", "plan_name", ("Plan.Name",), XdmType.STRING),
        ("Item Count:integer", "item_count", ("Item Count",), XdmType.LONG),
        ("2FA:boolean", "_2fa", ("2FA",), XdmType.BOOLEAN),
        ("größe:date", "größe", ("größe",), XdmType.DATE),
        ("utm:source:string", "utm_source", ("utm:source",), XdmType.STRING),
        ("$$", "column", ("$$",), XdmType.STRING),
        # Of the names that are taken, in any case.
        ("Item_ID", "item_id_2", ("Item_ID",), XdmType.STRING),
        ("$insert-id", "insert_id_2", ("$insert-id",), XdmType.STRING),
        ("Timestamp", "timestamp_2", ("Timestamp",), XdmType.STRING),
    ],
)
def test_an_entry_is_a_column_named_for_databases(entry, name, path, kind):
    (column,) = added(entry)
    assert (column.name, column.source, column.path) == (name, path, path)
    assert column.field.type is kind


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=8))
@settings(max_examples=200, deadline=None)
def test_names_are_unique_without_case_and_within_63_bytes(names):
    escaped = [name.replace("\\", r"\\").replace(".", r"\.") + ":string" for name in names]
    columns, _ = add_columns(BUILT_IN, escaped)
    short = [column.name.encode()[:63].decode(errors="ignore").casefold() for column in columns]
    assert len(set(short)) == len(short)
    assert all(len(column.name.encode()) <= 63 for column in columns)
    assert [c for c in columns if c.path == ()] == [c for c in BUILT_IN if c.path == ()]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("", "the name of a property is missing"),
        (" :string", "the name of a property is missing"),
        ("price:nummer", "the type is none of string, integer, number, boolean, date, date-time"),
        ("a..b", "an attribute path needs a name on both sides of each dot"),
        ("timestamp", "every record has this column"),
        ("properties:string", "every record has this column"),
    ],
)
def test_what_is_no_column_is_a_problem_by_name(entry, problem):
    (told,) = problems_of(entry)
    assert told.startswith(f"columns: {entry!r}: {problem}")
    found, problems = check_settings({"project_secret": "x", "columns": [entry]})
    assert found is None
    assert problems == [told]


def test_all_problems_come_at_once():
    types = ", ".join(COLUMN_TYPES)
    assert problems_of("a:b", "plan", "plan:number", "") == [
        f"columns: 'a:b': the type is none of {types} (a name that has a colon needs a type)",
        "columns: 'plan:number': the property is there twice",
        "columns: '': the name of a property is missing",
    ]


def test_a_column_that_is_there_gets_the_type_and_no_second_one():
    columns, problems = add_columns(BUILT_IN, ["item_price:number", "time", "$insert_id"])
    assert problems == []
    assert [column.name for column in columns] == [column.name for column in BUILT_IN]
    changed = {c.name: c.field for c, old in zip(columns, BUILT_IN, strict=True) if c != old}
    assert changed == {"item_price": XdmField(XdmType.NUMBER)}


@pytest.fixture(scope="module")
def sandbox():
    events = [
        Event.at(
            NOW - timedelta(hours=2),
            insert_id="1",
            plan="gold",
            cart={"total": Verbatim("12.50")},
            visits="7",
            vip="yes",
            **{"$city": "Oslo", "city": "a customer's own", "Signed Up": "2026-11-01T10:00:00Z"},
        ),
        Event.at(NOW - timedelta(hours=1), insert_id="2", plan=5, visits="many"),
    ]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


def run(sandbox, **others):
    lines = tap_output(sandbox, start_date="2026-11-19", columns=COLUMNS, **others)
    messages = [json.loads(line, parse_float=Decimal) for line in lines]
    (schema,) = [m["schema"]["properties"] for m in messages if m["type"] == "SCHEMA"]
    return lines, schema, [m["record"] for m in messages if m["type"] == "RECORD"]


def test_the_columns_are_filled_and_typed(sandbox):
    _, schema, records = run(sandbox)
    names = ["city", "plan", "cart_total", "signed_up", "visits", "vip"]
    first, second = sorted(records, key=lambda record: record["insert_id"])
    assert [first[name] for name in names] == [
        *("Oslo", "gold", Decimal("12.50"), "2026-11-01T10:00:00Z", 7, True)
    ]
    assert [second[name] for name in names] == [None, "5", None, None, None, None]
    kinds = ["string", "string", "number", "string", "integer", "boolean"]
    assert [schema[name]["type"] for name in names] == [[kind, "null"] for kind in kinds]
    assert schema["signed_up"]["format"] == "date-time"
    assert schema["city"]["description"] == "The event's property `$city`."
    assert schema["city"]["title"] == "data.$city"
    assert "title" not in schema["plan"]
    assert first["properties"]["city"] == "a customer's own"


def test_hotshard_events_can_be_told_by_their_own_name_or_left_out():
    hot = {"distinct_id": "", "mp_original_event_name": "Tick", "mp_original_distinct_id": "bot"}
    with Sandbox(
        [
            Event.at(NOW - timedelta(hours=1), "$hotshard_events", insert_id="1", **hot),
            Event.at(NOW - timedelta(hours=1), "Signed up", insert_id="2"),
        ],
        clock=SandboxClock.fixed(NOW),
    ) as hot_sandbox:
        names = {"columns": ["mp_original_event_name"], "start_date": "2026-11-19"}
        lines = tap_output(hot_sandbox, **names)
        left = tap_output(hot_sandbox, exclude_event_names=["$hotshard_events"], **names)
    told, rest = (
        [m["record"] for m in map(json.loads, some) if m["type"] == "RECORD"]
        for some in (lines, left)
    )
    own = {record["mp_original_event_name"] or record["event_name"] for record in told}
    assert own == {"Tick", "Signed up"}
    assert [record["event_name"] for record in rest] == ["Signed up"]


def test_they_are_in_parquet_files_too(sandbox, tmp_path):
    batch = {"encoding": {"format": "parquet"}, "storage": {"root": tmp_path.as_uri()}}
    run(sandbox, batch_config=batch)
    (path,) = tmp_path.iterdir()
    rows = sorted(pq.read_table(path).to_pylist(), key=lambda row: row["insert_id"])
    assert (rows[0]["city"], rows[0]["cart_total"], rows[0]["visits"]) == ("Oslo", 12.5, 7)


def test_the_mapper_does_not_take_a_column_for_the_property_of_its_name(sandbox, tmp_path):
    mapping = tmp_path / "mapping.json"
    lines = [
        {"sourceType": "ATTRIBUTE", "source": f"data.{name}", "destination": f"_extconndev.{field}"}
        for name, field in (("city", "own"), ("$city", "city"), ("plan", "plan"))
    ]
    mapping.write_text(json.dumps({"mappings": lines}))
    group = tmp_path / "group.json"
    fields = {name: {"type": "string"} for name in ("own", "city", "plan")}
    group.write_text(
        json.dumps({"properties": {"_extconndev": {"type": "object", "properties": fields}}})
    )
    config = {"mapping_file": str(mapping), "field_group_file": str(group)}
    given_lines, _, _ = run(sandbox)
    binary = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(binary, encoding="utf-8")) as stdout:
        XdmMapper(config=config).listen(io.BytesIO(b"\n".join(given_lines) + b"\n"))
        stdout.flush()
        out = binary.getvalue()
    events = [
        m["record"]["_extconndev"]
        for m in map(json.loads, out.splitlines())
        if m["type"] == "RECORD"
    ]
    assert {"own": "a customer's own", "city": "Oslo", "plan": "gold"} in events


def test_the_types_are_those_of_the_description():
    description = json_schema()["properties"]["columns"]["description"]
    assert description.endswith(
        f"Types: {', '.join(['string (default)', *list(COLUMN_TYPES)[1:]])}."
    )
