"""`exclude_properties`, `hash_properties` and `hash_salt`, in every mode of output."""

from __future__ import annotations

import gzip
import json
import logging
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from fixtures_unit import WAYS, tap_output
from harness import run_tap

from tap_mixpanel_export.config import check_all, check_settings, json_schema, load_columns
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock, Verbatim

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
SECRET = "ada@example.com"
SALT = "a pinch"
DIGEST = sha256(f"{SALT}{SECRET}".encode()).hexdigest()
HIDDEN = {
    "start_date": "2026-11-19",
    "exclude_properties": ["email", "cart.owner", "mp_api_endpoint", "Full.Name"],
    "hash_properties": ["distinct_id", "friends.email", "mp_api_timestamp_ms", "said"],
    "hash_salt": SALT,
}


@pytest.fixture(scope="module")
def sandbox():
    events = [
        Event.at(
            NOW - number * HOUR,
            insert_id=f"i{number}",
            distinct_id=SECRET,
            email=SECRET,
            cart={"owner": SECRET, "total": 2},
            friends=[{"email": SECRET, "since": 2020}],
            **{
                "$mp_api_endpoint": SECRET,
                "$mp_api_timestamp_ms": 5,
                "mp_api_timestamp_ms": "a customer's own",
                "Full.Name": SECRET,
                "said": odd,
            },
        )
        # The last one goes the slow path.
        for number, odd in enumerate([SECRET, Verbatim('"\\ud800"')], start=1)
    ]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


def records_of(lines):
    return [m["record"] for m in map(json.loads, lines) if m["type"] == "RECORD"]


def assert_is_hidden(record):
    assert record["distinct_id"] == DIGEST
    assert record["mp_api_endpoint"] is None
    assert record["mp_api_timestamp_ms"] == sha256(f"{SALT}5".encode()).hexdigest()
    properties = record["properties"]
    properties = json.loads(properties) if isinstance(properties, str) else properties
    assert not properties.keys() & {"email", "Full.Name", "$mp_api_endpoint"}
    assert properties["distinct_id"] == DIGEST
    assert properties["cart"] == {"total": 2}
    assert properties["friends"] == [{"email": DIGEST, "since": 2020}]
    own = sha256(f"{SALT}a customer's own".encode()).hexdigest()
    assert properties["mp_api_timestamp_ms"] == own


@pytest.mark.parametrize("properties_format", ["object", "string"])
@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_a_record_shows_what_is_hidden(sandbox, way, properties_format):
    lines = tap_output(sandbox, way=way, properties_format=properties_format, **HIDDEN)
    assert SECRET.encode() not in b"".join(lines)
    records = records_of(lines)
    assert len(records) == 2
    for record in records:
        assert_is_hidden(record)
    in_clear = records_of(tap_output(sandbox, way=way, start_date="2026-11-19"))
    assert [r["event_id"] for r in records] == [r["event_id"] for r in in_clear]


def test_stream_maps_and_flattening_see_what_is_left_only(sandbox):
    lines = tap_output(
        sandbox,
        stream_maps={"events": {"who": "distinct_id", "all": "str(properties)"}},
        flattening_enabled=True,
        flattening_max_depth=2,
        **HIDDEN,
    )
    assert SECRET.encode() not in b"".join(lines)
    records = records_of(lines)
    assert [record["who"] for record in records] == [DIGEST] * 2
    assert all(DIGEST in record["all"] for record in records)
    assert not any("email" in record for record in records)


def batch_files(sandbox, folder, encoding):
    lines = tap_output(
        sandbox,
        batch_config={"encoding": encoding, "storage": {"root": folder.as_uri()}},
        **HIDDEN,
    )
    assert SECRET.encode() not in b"".join(lines)
    batches = [m for m in map(json.loads, lines) if m["type"] == "BATCH"]
    return [Path(urlsplit(url).path) for batch in batches for url in batch["manifest"]]


def test_batches_of_json_lines_hide_it(sandbox, tmp_path):
    encoding = {"format": "jsonl", "compression": "gzip"}
    (path,) = batch_files(sandbox, tmp_path, encoding)
    text = gzip.decompress(path.read_bytes())
    assert SECRET.encode() not in text
    for line in text.splitlines():
        assert_is_hidden(json.loads(line))


def test_batches_of_parquet_hide_it(sandbox, tmp_path):
    (path,) = batch_files(sandbox, tmp_path, {"format": "parquet"})
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == 2
    assert SECRET not in str(rows)
    for row in rows:
        assert_is_hidden(row)


def test_nor_do_logs_state_and_report_show_it(sandbox, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    tap_output(sandbox, report_dir=str(tmp_path), **HIDDEN)
    told = caplog.text + "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET not in told
    assert SALT not in told


@pytest.mark.parametrize("properties_format", ["object", "string"])
@pytest.mark.slow
def test_names_that_no_event_has_are_warned_about(sandbox, caplog, properties_format):
    """A wrong case, or a missing $: personal data would go through without a word."""
    settings = {
        "start_date": "2026-11-19",
        "exclude_properties": ["email", "Email", "cart.owner", "cart.Owner", "mp_api_endpoint"],
        "hash_properties": ["friends.email", "distinct_ID", "said"],
        "properties_format": properties_format,
    }
    caplog.set_level(logging.WARNING)
    first = run_tap(sandbox, None, **settings)
    (told,) = [r.getMessage() for r in caplog.records if "no event of these days" in r.getMessage()]
    assert 'has "Email", "cart.Owner", "distinct_ID", so' in told
    assert SECRET not in caplog.text
    # Later runs look for what is new.
    caplog.clear()
    run_tap(sandbox, first.state(), **settings)
    assert "no event of these days" not in caplog.text


def test_columns_say_in_the_schema_that_they_hold_digests(sandbox):
    (schema,) = [
        m["schema"]["properties"]
        for m in map(json.loads, tap_output(sandbox, **HIDDEN))
        if m["type"] == "SCHEMA"
    ]
    assert schema["mp_api_timestamp_ms"]["type"] == ["string", "null"]
    assert schema["time"]["type"] == ["integer", "null"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"exclude_properties": [" "]},
            "exclude_properties has a name that is empty or all blanks",
        ),
        (
            {"hash_properties": ["event_name"]},
            "hash_properties: the column event_name is no property; deselect it in the catalog",
        ),
        (
            {"exclude_properties": ["properties"]},
            "exclude_properties: the column properties is no property; deselect it in the catalog",
        ),
        (
            {"exclude_properties": ["a"], "hash_properties": ["b", "a"]},
            "a is in both exclude_properties and hash_properties",
        ),
        (
            {"hash_properties": ["a"], "hash_salt": ""},
            "hash_salt is empty; leave it out",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(values, problem):
    settings, problems = check_all({"project_secret": "x", **values}, json_schema())
    assert settings is None
    assert problems == [problem]


@pytest.mark.parametrize(
    ("name", "gone", "cart"),
    [
        ("cart.total", {"cart.total"}, {"x": 1}),
        (r"cart\.total", {"cart.total"}, {"total": 2, "x": 1}),
        ("insert_id", {"insert_id", "$insert_id"}, {"total": 2, "x": 1}),
        ("a..b", {"a..b"}, {"total": 2, "x": 1}),
    ],
)
def test_a_name_hides_all_that_it_can_mean(name, gone, cart):
    settings, _ = check_settings({"project_secret": "x", "exclude_properties": [name]})
    everything = {
        "cart": {"total": 2, "x": 1},
        "cart.total": 0,
        "insert_id": "mine",
        "$insert_id": "i",
        "a..b": 3,
    }
    left = json.loads(settings.redaction(json.dumps(everything).encode()))
    assert everything.keys() - left.keys() == gone
    assert left["cart"] == cart


def test_without_these_settings_nothing_looks_at_properties():
    settings, _ = check_settings({"project_secret": "x", "hash_salt": SALT})
    assert settings.redaction is None
    assert load_columns({"hash_salt": SALT}) == load_columns({})
