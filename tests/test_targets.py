"""Real loaders, through Meltano: what arrives is compared with the truth, row by row."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import yaml
from event_truth import Row, instant_of, parse
from loaded_week import NOON, START, late_event, truth_of
from meltano_project import MeltanoProject, environment
from private_postgres import postgres_elsewhere
from readme import read

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from private_postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("targets")]

FOLDER = Path(__file__).with_name("targets")
QUERIES = FOLDER / "events-per-day"
LOADER_OF_BATCHES = FOLDER.parents[1] / "examples" / "loading" / "load_batches.py"
TAP = "tap-mixpanel-export"

Arrived = tuple[str, Row]
"""`event_id`, and what is compared."""


@dataclass(frozen=True)
class Loader:
    """How one loader is run and read.

    Attributes:
        blocks: What `meltano run` is given.
        rows: Reads all that has arrived so far.
        per_day: Runs the query of the README.
        replaces: Whether a row takes the place of an older one with its `event_id`; otherwise it
            comes after it.
    """

    blocks: tuple[str, str]
    rows: Callable[[], list[Arrived]]
    per_day: Callable[[], list[str]]
    replaces: bool = False


@dataclass(frozen=True)
class Loaded:
    """What had arrived after a run, and what should have.

    Attributes:
        truth: All events that exist.
        rows: By loader.
        per_day: Answer of the README's query, by loader.
    """

    truth: dict[str, Row]
    rows: dict[str, list[Arrived]]
    per_day: dict[str, list[str]]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres | None]:
    with postgres_elsewhere() as running:
        yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory, server) -> MeltanoProject:
    """A project with every loader; what a rerun needs again is in uv's own cache."""
    root = tmp_path_factory.mktemp("loaders") / "project"
    shutil.copytree(FOLDER, root)
    shutil.copy2(LOADER_OF_BATCHES, root)
    for folder in ("parquet", "batches"):
        (root / "output" / folder).mkdir(parents=True)
    MeltanoProject(root).run("install")
    settings = {
        "MELTANO_AUTO_INSTALL": "false",
        "TAP_MIXPANEL_EXPORT_START_DATE": START.date().isoformat(),
    }
    if server is not None:
        settings |= {
            "TARGET_POSTGRES_HOST": "127.0.0.1",
            "TARGET_POSTGRES_PORT": str(server.port),
            "TARGET_POSTGRES_USER": server.user,
            "TARGET_POSTGRES_PASSWORD": "any: the server trusts its own machine",
            "TARGET_POSTGRES_DATABASE": "postgres",
        }
    return MeltanoProject(root, settings)


@pytest.fixture(scope="module")
def loaders(project, server) -> dict[str, Loader]:
    found = {
        "jsonl": jsonl_loader(project),
        "csv": csv_loader(project),
        "duckdb": duckdb_loader(project),
        "parquet": parquet_loader(project),
    }
    return found if server is None else {**found, "postgres": postgres_loader(server)}


@pytest.fixture(scope="module")
def runs(project, loaders) -> tuple[Loaded, Loaded]:
    """Two runs of every loader: the second one finds late events and events processed again."""
    clock = SandboxClock.fixed(NOON)
    # One command for all of them: most of the time of a short run is Meltano's own start.
    blocks = [block for loader in loaders.values() for block in loader.blocks]

    def run() -> Loaded:
        project.run("run", *blocks, sandbox=sandbox)
        return Loaded(
            truth_of(sandbox),
            {name: loader.rows() for name, loader in loaders.items()},
            {name: loader.per_day() for name, loader in loaders.items()},
        )

    with Sandbox(clock=clock) as sandbox:
        first = run()
        clock.advance(timedelta(days=2))
        sandbox.add([late_event(minutes) for minutes in range(50)])
        return first, run()


@pytest.fixture(params=["jsonl", "csv", "duckdb", "parquet", "postgres"])
def loader(request, loaders) -> str:
    if request.param not in loaders:
        pytest.skip("PostgreSQL is not installed (Debian's package `postgresql`)")
    return request.param


def test_the_second_run_has_something_to_find(runs):
    first, later = (loaded.truth for loaded in runs)
    assert set(first) < set(later)
    assert any(later[key] != row for key, row in first.items())


def test_every_event_arrives_once(loader, runs):
    first, _ = runs
    assert_same(dict(first.rows[loader]), first.truth)
    assert len(first.rows[loader]) == len(first.truth)


def test_late_events_arrive_and_take_the_place_of_older_ones(loader, loaders, runs):
    first, later = runs
    # In a loader that only appends, the newer row of an event comes later.
    assert_same(dict(later.rows[loader]), later.truth)
    if loaders[loader].replaces:
        assert len(later.rows[loader]) == len(later.truth)
    else:
        before = first.rows[loader]
        assert later.rows[loader][: len(before)] == before


def test_the_query_of_the_readme_counts_events_per_day(loader, runs):
    for loaded in runs:
        counts = Counter(row.instant.date().isoformat() for row in loaded.truth.values())
        assert loaded.per_day[loader] == [f"{day} {n}" for day, n in sorted(counts.items())]


def test_a_property_is_read_as_the_readme_says(project, runs):
    cities = Counter(row.properties.get("$city") for row in runs[1].truth.values())
    found = ask_duckdb(project, (FOLDER / "property.sql").read_text())
    assert {city: int(count) for city, count in found} == cities


@pytest.mark.parametrize("query", sorted(QUERIES.iterdir()), ids=lambda path: path.name)
def test_the_readme_shows_the_queries(query):
    assert query.read_text().strip() in read()


def test_the_plugins_of_the_readme_are_the_tested_ones():
    told = read()
    tested = plugins_of((FOLDER / "meltano.yml").read_text())
    shown: dict[str, Any] = {}
    for block in re.findall(r"```yaml\n(.*?)```", told, re.DOTALL):
        shown |= plugins_of(block)
    # The tap itself, and the loader of the main job, are in the project file of this repository.
    special = tested.keys() - {TAP, "target-jsonl"}
    assert {name: shown.get(name) for name in special} == {n: tested[n] for n in special}
    assert (FOLDER / "keep-state.sh").read_text() in told


def test_the_readme_names_the_loaders_with_their_versions():
    told = read()
    plugins = yaml.safe_load((FOLDER / "meltano.yml").read_text())["plugins"]
    for loader in plugins["loaders"]:
        package, _, version = loader.get("pip_url", "").partition(" ")[0].partition("==")
        assert package in told
        assert version in told


def test_text_carries_what_json_allows_and_loaders_refuse(project, server):
    """The advice for customers who send such values: `properties_format: string`."""
    if server is None:
        pytest.skip("PostgreSQL is not installed (Debian's package `postgresql`)")
    with Sandbox(clock=SandboxClock.fixed(NOON), hostile=True, null_bytes=True) as sandbox:
        project.run(
            *("run", "--full-refresh", f"{TAP}-text", "target-postgres"),
            sandbox=sandbox,
            TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA="hostile",
        )
        truth = truth_of(sandbox)
    rows = server.query(
        "SELECT json_build_array(event_id, event_name, timestamp, properties) FROM hostile.events"
    )
    loaded = [(key, name, at, parse(text)) for key, name, at, text in map(parse, rows)]
    assert len(loaded) == len(truth)
    assert_same(dict(arrived(*row) for row in loaded), truth)


@pytest.mark.usefixtures("runs")
def test_files_are_loaded_into_the_tables_that_the_loaders_have_made(project, loaders, server):
    if server is None:
        pytest.skip("PostgreSQL is not installed (Debian's package `postgresql`)")
    server.query("UPDATE mixpanel.events SET event_name = 'older', properties = '{}'")
    ask_duckdb(project, "UPDATE events SET event_name = 'older', properties = '{}'")
    with Sandbox(clock=SandboxClock.fixed(NOON + timedelta(days=2))) as sandbox:
        project.run(
            *("run", "--full-refresh", f"{TAP}-parquet", "load-duckdb"),
            *(f"{TAP}-batches", "load-postgres"),
            sandbox=sandbox,
            PGHOST="127.0.0.1",
            PGPORT=str(server.port),
            PGUSER=server.user,
            PGDATABASE="postgres",
        )
        truth = truth_of(sandbox)
    for name in ("duckdb", "postgres"):
        rows = dict(loaders[name].rows())
        assert_same({key: rows[key] for key in truth}, truth)


def jsonl_loader(project: MeltanoProject) -> Loader:
    def rows() -> list[Arrived]:
        # Split at line ends only: U+2028 in a text is none.
        lines = (project.root / "output" / "events.jsonl").read_bytes().split(b"\n")[:-1]
        return [
            arrived(r["event_id"], r["event_name"], r["timestamp"], r["properties"])
            for r in map(parse, lines)
        ]

    return Loader((TAP, "target-jsonl"), rows, shell(project, "target-jsonl.sh"))


def csv_loader(project: MeltanoProject) -> Loader:
    def rows() -> list[Arrived]:
        csv.field_size_limit(2**31 - 1)
        found: list[Arrived] = []
        for path in sorted((project.root / "output").glob("events-*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                found += [
                    arrived(r["event_id"], r["event_name"], r["timestamp"], parse(r["properties"]))
                    for r in csv.DictReader(file)
                ]
        return found

    return Loader((f"{TAP}-text", "target-csv"), rows, shell(project, "target-csv.sh"))


def duckdb_loader(project: MeltanoProject) -> Loader:
    def rows() -> list[Arrived]:
        found = ask_duckdb(
            project, "SELECT event_id, event_name, timestamp, properties FROM events"
        )
        # It cannot tell an empty text from none.
        return [arrived(r[0], r[1] or "", r[2], parse(r[3])) for r in found]

    def per_day() -> list[str]:
        return days(ask_duckdb(project, (QUERIES / "target-duckdb.sql").read_text()))

    return Loader((f"{TAP}-duckdb", "target-duckdb"), rows, per_day, replaces=True)


def postgres_loader(server: Postgres) -> Loader:
    def rows() -> list[Arrived]:
        found = server.query(
            "SELECT json_build_array(event_id, event_name, timestamp, properties)"
            " FROM mixpanel.events"
        )
        return [arrived(*parse(row)) for row in found]

    def per_day() -> list[str]:
        return [
            row.replace("|", " ")
            for row in server.query((QUERIES / "target-postgres.sql").read_text())
        ]

    return Loader((TAP, "target-postgres"), rows, per_day, replaces=True)


def parquet_loader(project: MeltanoProject) -> Loader:
    def rows() -> list[Arrived]:
        folder = project.root / "output" / "parquet"
        # Their names are arbitrary: runs come in the order of their files' times.
        files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return [
            arrived(
                r["event_id"], r["event_name"], r["timestamp"].isoformat(), parse(r["properties"])
            )
            for file in files
            for r in pq.read_table(file).to_pylist()
        ]

    def per_day() -> list[str]:
        return days(ask_duckdb(project, (QUERIES / "parquet.sql").read_text()))

    return Loader((f"{TAP}-parquet", "keep-state"), rows, per_day)


def arrived(key: str, name: str, timestamp: str, properties: dict[str, object]) -> Arrived:
    return key, Row(name, instant_of(timestamp), properties)


def assert_same(rows: dict[str, Row], truth: dict[str, Row]) -> None:
    """Compare so that a failure names a few events, not thousands."""
    assert sorted(set(truth) - set(rows))[:3] == [], "lost"
    assert sorted(set(rows) - set(truth))[:3] == [], "invented"
    for key, row in truth.items():
        assert rows[key] == row


def shell(project: MeltanoProject, name: str) -> Callable[[], list[str]]:
    def per_day() -> list[str]:
        done = subprocess.run(
            ["sh", QUERIES / name],
            check=True,
            cwd=project.root,
            env=environment(),
            capture_output=True,
            text=True,
        )
        return done.stdout.splitlines()

    return per_day


def ask_duckdb(project: MeltanoProject, sql: str) -> list[list[str]]:
    """Ask the database, or files beside it, with the DuckDB of the loader."""
    program = (
        "import duckdb, json, sys\n"
        "rows = duckdb.connect('output/mixpanel.duckdb').execute(sys.argv[1]).fetchall()\n"
        "print(json.dumps([[None if v is None else str(v) for v in row] for row in rows]))\n"
    )
    done = subprocess.run(
        [
            *(project.root / ".meltano/loaders/target-duckdb/venv/bin/python", "-c"),
            *(program, sql),
        ],
        check=True,
        cwd=project.root,
        capture_output=True,
        text=True,
        # In a zone where the days of UTC are not the days of the session.
        env={**environment(), "TZ": "Asia/Tokyo"},
    )
    return json.loads(done.stdout)


def plugins_of(text: str) -> dict[str, Any]:
    kinds = (yaml.safe_load(text) or {}).get("plugins", {})
    return {plugin["name"]: plugin for plugins in kinds.values() for plugin in plugins}


def days(rows: list[list[str]]) -> list[str]:
    return [" ".join(row) for row in rows]
