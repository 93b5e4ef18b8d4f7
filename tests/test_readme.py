"""README and the pages work: each command and snippet is run, from top to bottom."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timedelta, timezone
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.dataset
import pytest
from meltano_project import BIN, ROOT, environment
from readme import ELSEWHERE, STATE_KEYS, Block, Follower, blocks, code, prose

from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.columns import derive_columns

if TYPE_CHECKING:
    from pathlib import Path

UTC = timezone.utc
# After the state that the README shows, so that time can go on from it.
EVENING = datetime(2026, 11, 22, 20, tzinfo=UTC)
TARGETS = ROOT / "tests" / "targets"
SLICES = (2024, 2025)
ASKING_THE_SERVICE = {"Late events", "Beyond one machine", "Without Singer"}
OF_OTHER_ENVIRONMENTS = ("import dlt", "import pandas")


@pytest.fixture(scope="module")
def loader(tmp_path_factory) -> Path:
    """Programs of an environment with `target-jsonl`, which the README tells to install."""
    venv = tmp_path_factory.mktemp("loader") / "venv"
    for command in (
        ["venv", "--python", BIN / "python", venv],
        ["pip", "install", "--python", venv / "bin" / "python", "target-jsonl==0.1.4"],
    ):
        subprocess.run([BIN / "uv", "--quiet", *command], check=True, env=environment())
    return venv / "bin"


def follow(*chapters: str, folder: Path, sandbox: Sandbox, **settings: str) -> Follower:
    known = {
        "SECRET": "quiet",
        "FIELD_GROUP_ID": "https://x/group",
        "SCHEMA_ID": "https://x/schema",
    }
    follower = Follower(folder / "clone", sandbox, {**known, **settings})
    for chapter in chapters:
        for block in blocks():
            if block.chapter == chapter:
                follower.follow(block)
    return follower


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_mapping_leads_from_a_mapping_set_to_experience_events(tmp_path):
    # No event gets too old between the two runs that are compared.
    start = (datetime.now(UTC) - timedelta(days=29)).date().isoformat()
    with Sandbox() as sandbox:
        settings = {"TAP_MIXPANEL_EXPORT_START_DATE": start}
        done = follow("XDM and Adobe", folder=tmp_path, sandbox=sandbox, **settings)
    flat = json_lines(done.root / "output" / "events.jsonl")
    events = json_lines(done.root / "output" / "mixpanel_experience_events.jsonl")
    assert len(events) == len({event["_id"] for event in events}) > 2000
    # Each command starts a sandbox of its own, in which time goes on.
    assert len(flat) <= len(events) <= len(flat) + 5
    assert all(len(row) == 11 for row in flat)
    assert all(event["_acme"]["origin"] == "mixpanel" for event in events)
    assert {"no/Oslo", "jp/東京都"} <= {event["_acme"].get("place") for event in events}
    assert any(isinstance(event["_acme"].get("cart_total"), float) for event in events)
    inferred = load_mapping(done.root / "mapping.json", done.root / "field_group.json")
    assert "$city" in {column.name for column in derive_columns(inferred)}
    assert done.said.count("no problem") == 2
    assert "First 10 records" in done.said
    assert '"_acme"' in done.said
    assert '{\n      "$ref": "https://x/group"\n    }' in done.said
    assert '"xdm:sourceSchema": "https://x/schema"' in done.said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_install_works_with_meltano_and_without(tmp_path, loader):
    with Sandbox() as sandbox:
        path = f"{loader}:{environment()['PATH']}"
        # Settings has what to add to `meltano.yml`.
        done = follow("Settings", "Install", folder=tmp_path, sandbox=sandbox, PATH=path)
    own = done.root / "own"
    assert "SECRET='quiet'" in (own / ".env").read_text()
    state = json.loads((own / "state.json").read_text())["bookmarks"]["events"]
    assert {"replication_key_value", "processed_before", "exported_from"} <= state.keys()
    assert state.keys() <= STATE_KEYS
    loaded = [json_lines(path) for path in sorted(own.glob("events-*.jsonl"))]
    rows = [row["event_id"] for run in loaded for row in run]
    assert len(set(rows)) > 2000
    # The second run went on from the state of the first one.
    assert len(rows) < 1.1 * len(set(rows))
    assert '"type":"RECORD"' in done.said


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "chapter",
    sorted({block.chapter for block in blocks()} - {"Install", "XDM and Adobe"}),
)
def test_the_other_chapters_work(chapter, tmp_path):
    with Sandbox(clock=SandboxClock.fixed(EVENING)) as sandbox:
        # For the slices of "Beyond one machine".
        sandbox.add([Event.at(datetime(year, 6, 1, tzinfo=UTC)) for year in SLICES])
        done = follow(chapter, folder=tmp_path, sandbox=sandbox)
        statuses = {request.status for request in sandbox.requests}
    assert statuses == ({200} if chapter in ASKING_THE_SERVICE else set())
    if chapter == "Beyond one machine":
        # Side by side, each with its own files.
        for year in SLICES:
            (row,) = json_lines(done.root / "output" / str(year) / "events.jsonl")
            assert row["timestamp"].startswith(f"{year}-06-01T")


def in_environments_of_their_own() -> str:
    """What the tests of dlt, Spark, Airflow and Dagster execute, without indentation."""
    own = ("export/test_dlt.py", "export/test_from_outside.py", "spark/test_examples.py")
    files = [ROOT / "tests" / file for file in own]
    files += (ROOT / "examples").glob("*/*.py")
    return "\n".join(dedent(file.read_text()) for file in files)


def runs_here(block: Block) -> bool:
    """Whether a block is Python that the environment of the tests can execute."""
    is_elsewhere = any(words in block.text for words in OF_OTHER_ENVIRONMENTS)
    return block.language == "python" and block.chapter == "Without Singer" and not is_elsewhere


@pytest.mark.slow
def test_python_of_the_chapter_without_singer_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with Sandbox(clock=SandboxClock.fixed(EVENING)) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        for block in blocks():
            if runs_here(block):
                exec(block.text, names)  # noqa: S102 - the README's own
    total = names["new"].num_rows
    assert total > 1000
    assert names["newer"].num_rows < total / 10
    with duckdb.connect(str(tmp_path / "mixpanel.duckdb")) as database:
        assert database.execute("SELECT count(*) FROM events").fetchone() == (total,)
    assert pyarrow.dataset.dataset(tmp_path / "events").count_rows() == total


def test_no_block_is_of_a_kind_that_is_not_tested():
    of_targets = {path.read_text().strip() for path in TARGETS.rglob("*.*")}
    executed = {"console", "yaml", "json"}
    for block in blocks():
        if block.language == "python":
            # The others are of programs with own environments.
            assert runs_here(block) or block.text.strip() in in_environments_of_their_own(), (
                block.place
            )
        elif block.language in {"sql", "sh"}:
            # tests/test_targets.py runs these files.
            assert block.text.strip() in of_targets, block.place
        else:
            assert block.language in executed, f"{block.place}: {block.language or 'no kind'}"


def test_commands_that_are_not_run_here_are_run_where_the_table_says():
    for file, how in ELSEWHERE.values():
        assert how in (ROOT / file).read_text()
    inline = [snippet for snippet in code(prose()) if snippet.startswith("uv run ")]
    ci = (ROOT / ".ci" / "run").read_text()
    assert [snippet for snippet in inline if snippet not in ci] == []
