"""The loader of BATCH files in `examples/loading`: rows by `event_id`, and states after them."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from event_truth import Row, instant_of, parse
from harness import run_tap
from loaded_week import NOON, START, late_event, truth_of
from meltano_project import BIN, ROOT, environment
from private_postgres import postgres_programs, private_postgres

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCRIPT = ROOT / "examples" / "loading" / "load_batches.py"
PARQUET = {"format": "parquet"}
GZIPPED = {"format": "jsonl", "compression": "gzip"}
SCHEMA = {
    "type": "SCHEMA",
    "stream": "events",
    "schema": {
        "properties": {
            "event_id": {"type": "string"},
            "time": {"type": ["integer", "null"], "maximum": 2**53 - 1},
        }
    },
}


@pytest.fixture
def load(monkeypatch, tmp_path, capsys) -> Callable[[bytes], list[Any]]:
    """Load messages into DuckDB, in this process; returns the states that came out."""
    spec = importlib.util.spec_from_file_location("load_batches", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("LOAD_BATCHES_INTO", str(tmp_path / "events.duckdb"))

    def into_duckdb(messages: bytes) -> list[Any]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(messages)))
        module.main()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return into_duckdb


def ask(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(tmp_path / "events.duckdb")) as database:
        return database.execute(sql).fetchall()


def duckdb_rows(tmp_path: Path) -> dict[str, Row]:
    found = ask(tmp_path, "SELECT event_id, event_name, timestamp::VARCHAR, properties FROM events")
    return {key: Row(name, instant_of(at), parse(text)) for key, name, at, text in found}


def export(
    sandbox: Sandbox, folder: Path, encoding: dict[str, Any], state: Any, **more: Any
) -> Any:
    folder.mkdir(exist_ok=True)
    batches = {"encoding": encoding, "storage": {"root": folder.as_uri()}, "batch_size": 700}
    settings = {"start_date": START.date().isoformat(), "batch_config": batches, **more}
    return run_tap(sandbox, state, **settings)


@pytest.mark.slow
def test_duckdb_holds_every_event_once_late_ones_too(load, tmp_path):
    clock = SandboxClock.fixed(NOON)
    folder = tmp_path / "files"
    with Sandbox(clock=clock) as sandbox:
        first = export(sandbox, folder, PARQUET, None)
        states = load(first.output)
        assert duckdb_rows(tmp_path) == truth_of(sandbox)
        clock.advance(timedelta(days=2))
        sandbox.add([late_event(minutes) for minutes in range(50)])
        before = truth_of(sandbox)
        load(export(sandbox, folder, PARQUET, states[-1]).output)
    rows = duckdb_rows(tmp_path)
    assert sum(message["type"] == "BATCH" for message in first.messages) > 1
    assert states == first.states
    assert rows == before
    assert ask(tmp_path, "SELECT count(*) FROM events") == [(len(rows),)]
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_properties_that_json_allows_and_databases_refuse_arrive_in_duckdb(load, tmp_path):
    with Sandbox(clock=SandboxClock.fixed(NOON), hostile=True, null_bytes=True) as sandbox:
        load(export(sandbox, tmp_path / "files", PARQUET, None).output)
        assert duckdb_rows(tmp_path) == truth_of(sandbox)


def test_the_last_copy_of_an_event_counts(load, tmp_path):
    file = tmp_path / "rows.parquet"
    keys = ["a", "b", "a", "b"] * 3000
    pq.write_table(pa.table({"event_id": keys, "time": range(len(keys))}), file)
    batch = {"type": "BATCH", "manifest": [file.as_uri()]}
    load(b"\n".join(json.dumps(message).encode() for message in (SCHEMA, batch)))
    rows = ask(tmp_path, "SELECT event_id, time FROM events ORDER BY event_id")
    assert rows == [("a", 11_998), ("b", 11_999)]


def test_a_column_that_came_later_is_added(load, tmp_path):
    wider = json.loads(json.dumps(SCHEMA))
    wider["schema"]["properties"]["a \"b'"] = {"type": ["number", "null"]}
    load(json.dumps(SCHEMA).encode())
    load(json.dumps(wider).encode())
    types = dict(ask(tmp_path, "SELECT column_name, column_type FROM (DESCRIBE events)"))
    assert types == {"event_id": "VARCHAR", "time": "BIGINT", "a \"b'": "DOUBLE"}


def test_no_state_passes_a_file_that_is_not_loaded(load, tmp_path, capsys):
    lost = {"type": "BATCH", "manifest": [(tmp_path / "lost.parquet").as_uri()]}
    state = {"type": "STATE", "value": {}}
    with pytest.raises(duckdb.IOException, match="lost"):
        load(b"\n".join(json.dumps(message).encode() for message in (SCHEMA, lost, state)))
    assert capsys.readouterr().out == ""


def test_records_are_refused_not_dropped(load):
    with pytest.raises(SystemExit, match="batch_config"):
        load(b'{"type":"RECORD","stream":"events","record":{}}')


@pytest.mark.slow
@pytest.mark.skipif(postgres_programs() is None, reason="PostgreSQL is not installed")
@pytest.mark.parametrize("kind", ["object", "string"])
def test_postgres_holds_every_event_once_late_ones_too(kind, tmp_path):
    clock = SandboxClock.fixed(NOON)
    # jsonb refuses what `hostile` is about: for such data the page tells to load text.
    is_text = kind == "string"
    with (
        private_postgres() as server,
        Sandbox(clock=clock, hostile=is_text, null_bytes=is_text) as sandbox,
    ):
        # Most servers are not in UTC.
        server.query("ALTER SYSTEM SET timezone = 'Asia/Tokyo'")
        server.query("SELECT pg_reload_conf()")
        into = f"postgresql://{server.user}@127.0.0.1:{server.port}/postgres"

        def run(state: Any) -> Any:
            exported = export(
                sandbox, tmp_path / "files", GZIPPED, state, properties_format=kind
            ).output
            loaded = subprocess.run(
                # With the packages that it names.
                [BIN / "uv", "run", "--quiet", "--script", SCRIPT],
                input=exported,
                check=True,
                env=environment(LOAD_BATCHES_INTO=into),
                stdout=subprocess.PIPE,
            ).stdout
            return json.loads(loaded.splitlines()[-1])

        def rows() -> dict[str, Row]:
            found = server.query(
                "SELECT json_build_array(event_id, event_name, timestamp, properties)"
                " FROM mixpanel.events"
            )
            parsed = map(parse, found)
            return {
                key: Row(name, instant_of(at), parse(whole) if is_text else whole)
                for key, name, at, whole in parsed
            }

        state = run(None)
        assert rows() == truth_of(sandbox)
        clock.advance(timedelta(days=2))
        sandbox.add([late_event(minutes) for minutes in range(50)])
        run(state)
        assert rows() == truth_of(sandbox)
        assert list((tmp_path / "files").iterdir()) == []
