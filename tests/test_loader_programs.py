"""What Fast loading tells of real loaders, each in an environment of its own, without Meltano."""

from __future__ import annotations

import csv
import json
import runpy
import subprocess
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from event_truth import Row, expected_rows, instant_of, parse
from harness import run_tap
from meltano_project import ROOT, environment
from one_environment import make_environment
from private_postgres import postgres_programs, private_postgres

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from private_postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("loader programs")]

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
START = datetime(2026, 11, 16, tzinfo=timezone.utc)
LOADER_OF_BATCHES = ROOT / "examples" / "loading" / "load_batches.py"
PACKAGES = {
    "jsonl": "target-jsonl==0.1.4",
    "csv": "meltanolabs-target-csv==0.5.0",
    "duckdb": "target-duckdb==0.8.0",
    "postgres": "meltanolabs-target-postgres==0.8.1",
}


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Callable[[str, str], Path]:
    """Finds a program of a loader's environment, which is made when it is asked for first."""
    folders: dict[str, Path] = {}

    def find(loader: str, name: str) -> Path:
        if loader not in folders:
            folder = tmp_path_factory.mktemp(loader)
            folders[loader] = make_environment(folder, PACKAGES[loader]).parent
        return folders[loader] / name

    return find


@pytest.fixture
def server() -> Iterator[Postgres]:
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian's package `postgresql`)")
    with private_postgres() as running:
        yield running


def run_loader(loader: Path, config: dict[str, object], messages: bytes, folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    subprocess.run(
        [loader, "--config", folder / "config.json"],
        input=messages,
        check=True,
        cwd=folder,
        env=environment(PGTZ="UTC"),
        stdout=subprocess.DEVNULL,
    )


def export_files(folder: Path) -> tuple[bytes, dict[str, Row]]:
    """The messages of a run that writes files, and what is in them."""
    files = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": folder.as_uri()},
    }
    with Sandbox(clock=SandboxClock.fixed(NOON)) as sandbox:
        run = run_tap(
            sandbox,
            start_date=START.date().isoformat(),
            batch_config=files,
            properties_format="string",
        )
        rows = expected_rows(sandbox.visible())
    return run.output, {key: row for key, row in rows.items() if row.instant >= START}


def test_target_jsonl_writes_the_same_when_it_does_not_look_for_the_folder(program, tmp_path):
    (tmp_path / "output").mkdir()
    with Sandbox(clock=SandboxClock.fixed(NOON)) as sandbox:
        exported = run_tap(sandbox, start_date=START.date().isoformat()).output
    for where in (
        {"destination_path": "output", "custom_name": "usual"},
        {"destination_path": "", "custom_name": "output/fast"},
    ):
        config = {"do_timestamp_file": False, **where}
        run_loader(program("jsonl", "target-jsonl"), config, exported, tmp_path)
    usual, fast = (
        (tmp_path / "output" / name).read_bytes() for name in ("usual.jsonl", "fast.jsonl")
    )
    assert fast == usual
    assert len(fast.splitlines()) > 500


def test_target_postgres_takes_files(program, server, tmp_path):
    messages, truth = export_files(tmp_path)
    config = {
        "host": "127.0.0.1",
        "port": server.port,
        "database": "postgres",
        "user": server.user,
        "password": "any",
        "default_target_schema": "mixpanel",
        "use_copy": True,
        "validate_records": False,
    }
    run_loader(program("postgres", "target-postgres"), config, messages, tmp_path)
    found = server.query(
        "SELECT json_build_array(event_id, event_name, timestamp, properties) FROM mixpanel.events"
    )
    rows = [
        (key, Row(name, instant_of(at), parse(text))) for key, name, at, text in map(parse, found)
    ]
    assert len(rows) == len(truth)
    assert dict(rows) == truth


def test_target_csv_takes_files(program, tmp_path):
    messages, truth = export_files(tmp_path)
    config = {"output_path": str(tmp_path), "validate_records": False}
    run_loader(program("csv", "target-csv"), config, messages, tmp_path)
    csv.field_size_limit(2**31 - 1)
    with (tmp_path / "events.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            (
                r["event_id"],
                Row(r["event_name"], instant_of(r["timestamp"]), parse(r["properties"])),
            )
            for r in csv.DictReader(file)
        ]
    assert len(rows) == len(truth)
    assert dict(rows) == truth


# Runs in a loader's environment: the types that it makes columns of, one a line.
KINDS = {
    "duckdb": """
from target_duckdb.db_sync import column_type
kind = column_type
""",
    "postgres": """
from sqlalchemy.dialects.postgresql import dialect
from target_postgres.connector import PostgresConnector
settings = {"sqlalchemy_url": "postgresql+psycopg://x:y@z/z", "interpret_content_encoding": False}
types = PostgresConnector(settings)
kind = lambda schema: types.to_sql_type(schema).compile(dialect=dialect())
""",
}
COLUMNS = [
    {"type": "string"},
    {"type": ["string", "null"]},
    {"type": "string", "format": "date-time"},
    {"type": ["string", "null"], "format": "date"},
    {"type": ["boolean", "null"]},
    {"type": ["number", "null"], "minimum": 0},
    *({"type": ["integer", "null"], "minimum": -(2**n), "maximum": 2**n - 1} for n in (7, 15, 31)),
    {"type": ["integer", "null"], "minimum": -(2**53) + 1, "maximum": 2**53 - 1},
    {"type": ["array", "null"], "items": {"type": "string"}},
    {"type": ["array", "null"], "items": {"type": "object", "properties": {}}},
    {"type": ["object", "null"]},
]


@pytest.mark.parametrize(("name", "class_name"), [("duckdb", "DuckDb"), ("postgres", "Postgres")])
def test_tables_for_files_are_those_that_the_loader_would_make(program, name, class_name):
    loader = runpy.run_path(str(LOADER_OF_BATCHES))[class_name]
    code = KINDS[name] + "import json, sys\nfor line in sys.stdin: print(kind(json.loads(line)))"
    done = subprocess.run(
        [program(name, "python"), "-c", code],
        input="".join(json.dumps(schema) + "\n" for schema in COLUMNS),
        check=True,
        capture_output=True,
        text=True,
        env=environment(),
    )
    # `timestamp` is what SQL says in more words.
    theirs = [kind.lower().removesuffix(" without time zone") for kind in done.stdout.splitlines()]
    assert [loader._kind(schema).lower() for schema in COLUMNS] == theirs
