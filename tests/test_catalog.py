"""Catalogs as people and programs make them: each column that they do not deselect is written."""

from __future__ import annotations

import gzip
import io
import json
import logging
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from fixtures_unit import quick_taps
from harness import config_for, run_command
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk import Stream, Tap

from tap_mixpanel_export.errors import CatalogError
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.tap import TapMixpanelExport

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
ALWAYS = {"event_id", "timestamp"}


@pytest.fixture(scope="module")
def discovered():
    tap = TapMixpanelExport(config={}, validate_config=False, setup_mapper=False)
    return json.loads(tap.catalog_json_text)["streams"][0]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(
        [Event.at(NOW - timedelta(hours=1), "Sign up", plan="gold")], clock=SandboxClock.fixed(NOW)
    ) as sandbox:
        yield sandbox


def root(**metadata):
    return {"breadcrumb": [], "metadata": metadata}


def column(name, **metadata):
    return {"breadcrumb": ["properties", name], "metadata": metadata}


def run(sandbox, catalog, state=None, **config):
    """All messages of a run with a catalog."""
    stdout = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with quick_taps(), redirect_stdout(stdout):
        tap = TapMixpanelExport(
            config=config_for(sandbox, start_date="2026-11-20", **config),
            catalog=catalog,
            state=state,
        )
        tap.sync_all()
    return [json.loads(line) for line in stdout.buffer.getvalue().split(b"\n")[:-1]]


def record_and_schema(messages):
    (record,) = [m["record"] for m in messages if m["type"] == "RECORD"]
    (schema,) = [m for m in messages if m["type"] == "SCHEMA"]
    return record, schema


MODES = ["record", "map", "batch"]


@pytest.fixture
def written(sandbox, tmp_path):
    """Runs with a catalog; gives the one event's record, and the SCHEMA."""

    def write(catalog, mode):
        if mode != "batch":
            maps = {"stream_maps": {"events": {"extra": "'x'"}}} if mode == "map" else {}
            record, schema = record_and_schema(run(sandbox, catalog, **maps))
            if mode == "map":
                assert record.pop("extra") == "x"
                assert schema["schema"]["properties"].pop("extra")
            return record, schema
        storage = {"root": f"file://{tmp_path}"}
        encoding = {"format": "jsonl", "compression": "gzip"}
        messages = run(sandbox, catalog, batch_config={"encoding": encoding, "storage": storage})
        (batch,) = [m for m in messages if m["type"] == "BATCH"]
        (path,) = batch["manifest"]
        record = json.loads(gzip.decompress(Path(path.removeprefix("file://")).read_bytes()))
        (schema,) = [m for m in messages if m["type"] == "SCHEMA"]
        return record, schema

    return write


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"metadata": None}, set()),
        ({"metadata": []}, set()),
        ({"metadata": [root(selected=True)]}, set()),
        ({"metadata": [root(**{"selected-by-default": True})]}, set()),
        ({"metadata": [root(selected=True), column("time", selected=False)]}, {"time"}),
        ({"metadata": [column("properties", selected=False)]}, {"properties"}),
        # Without its columns, keys and replication a catalog says: as discovered.
        ({"metadata": [root(selected=True)], "schema": None}, set()),
        ({"schema": {}, "key_properties": None, "replication_key": None}, set()),
        # The key and the bookmark's column are in every record.
        ({"metadata": [root(selected=True), column("event_id", selected=False)]}, set()),
        ({"replication_key": "time"}, set()),
        ({"stream": None, "replication_method": None, "metadata": [root(selected=True)]}, set()),
    ],
    ids=str,
)
def test_what_a_catalog_does_not_deselect_is_written(written, discovered, mode, changes, missing):
    entry = {k: v for k, v in {**discovered, **changes}.items() if v is not None}
    record, schema = written({"streams": [entry]}, mode)
    expected = discovered["schema"]["properties"].keys() - missing
    assert record.keys() == expected
    assert schema["schema"]["properties"].keys() == expected
    assert schema["key_properties"] == ["event_id"]
    assert schema["bookmark_properties"] == ["timestamp"]


def test_a_catalog_of_three_words_is_enough(sandbox, discovered):
    record, schema = record_and_schema(run(sandbox, {"streams": [{"stream": "events"}]}))
    assert record.keys() == discovered["schema"]["properties"].keys()
    assert schema["schema"] == discovered["schema"]


# Any metadata: of the stream, and of some of the columns.
SELECTED = st.sampled_from([True, False, None])
COLUMNS = ["time", "distinct_id", "import", "properties", "event_id"]


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(COLUMNS), SELECTED), st.booleans())
@settings(max_examples=30, deadline=None)
def test_selection_is_that_of_a_plain_tap(sandbox, discovered, columns, has_root):
    metadata = [column(name, selected=selected) for name, selected in columns.items()]
    # A plain tap takes columns with metadata for deselected when the stream has none.
    metadata.append(root(selected=True))
    automatic = [column(name, inclusion="automatic") for name in sorted(ALWAYS)]
    whole = {"streams": [{**discovered, "metadata": metadata + automatic}]}
    if not has_root:
        metadata = [one for one in metadata if one["breadcrumb"]]
    given_ = {"streams": [{**discovered, "metadata": metadata}]}
    record, schema = record_and_schema(run(sandbox, given_))
    plain_record, plain_schema = record_and_schema(run_plain(whole, record))
    assert record.keys() == plain_record.keys()
    assert schema == plain_schema


def run_plain(catalog, record):
    """The messages of a tap that does nothing but what the SDK does."""
    everything = {name: record.get(name) for name in catalog["streams"][0]["schema"]["properties"]}

    class Plain(Stream):
        name = "events"
        primary_keys = ("event_id",)
        replication_key = "timestamp"
        schema = catalog["streams"][0]["schema"]

        def get_records(self, _context):
            yield everything

    class PlainTap(Tap):
        name = "plain"
        config_jsonschema = {"properties": {}}  # noqa: RUF012 - the SDK's way

        def discover_streams(self):
            return [Plain(self)]

    with redirect_stdout(io.StringIO()) as out:
        PlainTap(config={}, catalog=catalog).sync_all()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_columns_that_are_not_in_the_catalog_are_not_written(sandbox, discovered, caplog):
    some = {n: discovered["schema"]["properties"][n] for n in ("time", "properties")}
    some["gone"] = {"type": "string"}
    entry = {**discovered, "schema": {"properties": some}, "metadata": []}
    record, schema = record_and_schema(run(sandbox, {"streams": [entry]}))
    assert record.keys() == {*ALWAYS, "time", "properties"}
    assert schema["schema"]["properties"].keys() == record.keys()
    assert schema["schema"]["required"] == ["event_id", "timestamp"]
    assert "there is no column gone, which is left out" in caplog.text


def test_a_type_in_the_catalog_is_the_one_that_is_written(sandbox, discovered):
    columns = discovered["schema"]["properties"] | {"time": {"type": ["number", "null"]}}
    entry = {**discovered, "schema": {**discovered["schema"], "properties": columns}}
    _, schema = record_and_schema(run(sandbox, {"streams": [entry]}))
    assert schema["schema"]["properties"]["time"]["type"] == ["number", "null"]


@pytest.mark.parametrize(
    ("streams", "words"),
    [
        ([], "it has no stream at all, but not the one stream of this tap, events"),
        ([{"tap_stream_id": "export", "stream": "export", "schema": {}}], "it has only export,"),
        ([{"tap_stream_id": "events", "stream": "mp_events"}], "events is renamed to mp_events"),
        ([{"tap_stream_id": "mp_events", "stream": "events"}], "only events, mp_events, but not"),
        ("events", "it is not of the form"),
        (["events"], "it is not of the form"),
        ([{"stream": "events", "replication_method": "LOG_BASED"}], "INCREMENTAL (the default) or"),
        ([{"tap_stream_id": "events", "metadata": {"selected": True}}], "metadata is not a list"),
        ([{"tap_stream_id": "events", "metadata": [{"selected": True}]}], "metadata is not a list"),
        ([{"tap_stream_id": "events", "metadata": [root()], "schema": []}], "its schema is no"),
    ],
    ids=str,
)
def test_a_catalog_that_cannot_be_used_is_refused_in_a_sentence(sandbox, streams, words):
    before = len(sandbox.requests)
    with pytest.raises(CatalogError, match="catalog: ") as caught:
        run(sandbox, {"streams": streams})
    assert words in str(caught.value)
    assert len(sandbox.requests) == before


@pytest.mark.slow
def test_the_command_ends_with_1_for_such_a_catalog(sandbox, tmp_path):
    catalog = tmp_path / "catalog.json"
    catalog.write_text('{"streams": [{"tap_stream_id": "export"}]}')
    program = ("-m", "tap_mixpanel_export", "--catalog", str(catalog))
    done = run_command(sandbox, tmp_path, program=program)
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"catalog: it has only export," in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("metadata", [root(selected=False), root(inclusion="available")])
def test_a_catalog_that_selects_nothing_is_warned_about(sandbox, discovered, caplog, metadata):
    with caplog.at_level(logging.WARNING):
        messages = run(sandbox, {"streams": [{**discovered, "metadata": [metadata]}]})
    assert not [m for m in messages if m["type"] != "STATE"]
    assert "the stream events is not selected: NOTHING IS EXPORTED" in caplog.text
    assert "meltano select tap-mixpanel-export events '*'" in caplog.text


def test_a_catalog_without_a_replication_key_moves_the_state_as_one_with_it(sandbox, discovered):
    entry = {k: discovered[k] for k in ("tap_stream_id", "stream", "schema")}
    states = [m["value"] for m in run(sandbox, {"streams": [entry]}) if m["type"] == "STATE"]
    assert states[-1]["bookmarks"]["events"]["replication_key"] == "timestamp"
    entry["replication_method"] = "FULL_TABLE"
    states = [m["value"] for m in run(sandbox, {"streams": [entry]}) if m["type"] == "STATE"]
    assert "replication_key" not in states[-1].get("bookmarks", {}).get("events", {})
