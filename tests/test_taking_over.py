"""Tables of other programs, loaded by these programs themselves, go on as this tap's."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from event_truth import event_id
from meltano_project import BIN, ROOT, environment
from one_environment import make_environment
from private_postgres import postgres_elsewhere

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from private_postgres import Postgres

UTC = timezone.utc
ZONE = "America/Los_Angeles"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
# The other program has loaded these days, the last of them twice; the tap begins with the last one.
DAYS = ["2026-11-16", "2026-11-17", "2026-11-18"]
FOLDER = ROOT / "examples" / "taking-over"
RUN_TAP = ROOT / "benchmarks" / "peers" / "run_tap_mixpanel.py"
RUN_SOURCE = ROOT / "benchmarks" / "peers" / "run_source_mixpanel.py"
# Of their columns those that the recipes read, those that loaders add, and some more.
KEPT = {
    *("event", "time", "distinct_id", "mp_processing_time_ms", "mp_lib", "mp_country_code"),
    *(f"{prefix}{name}" for prefix in ("", "mp_reserved_") for name in ("insert_id", "city", "os")),
    *("distinct_id_before_identity", "mp_reserved_distinct_id_before_identity"),
    *("_airbyte_raw_id", "_airbyte_extracted_at"),
}
COLUMNS = """distinct_id varchar, event_id varchar PRIMARY KEY, event_name varchar,
    insert_id varchar, mp_processing_time_ms bigint, properties varchar, "time" bigint,
    "timestamp" timestamp"""


@dataclass(frozen=True)
class Project:
    """What Mixpanel has.

    Attributes:
        sandbox: The service.
        zone: The project's zone.
        days: Ids of the events of each of the project's days.
    """

    sandbox: Sandbox
    zone: str
    days: dict[str, set[str]]


def project_of(sandbox: Sandbox, zone: str) -> Project:
    days: dict[str, set[str]] = {}
    for line in sandbox.visible():
        # The exported time is the project's clock on the wall.
        wall = datetime.fromtimestamp(json.loads(line)["properties"]["time"], tz=UTC)
        days.setdefault(wall.date().isoformat(), set()).add(event_id(line))
    return Project(sandbox, zone, days)


@pytest.fixture(scope="module", params=["UTC", ZONE])
def project(request) -> Iterator[Project]:
    zone = None if request.param == "UTC" else request.param
    with Sandbox(clock=SandboxClock.fixed(NOON), timezone=zone) as sandbox:
        yield project_of(sandbox, request.param)


@pytest.fixture(scope="module")
def own(project) -> list[dict[str, Any]]:
    return own_rows(project, first=DAYS[0])


@pytest.fixture(scope="module")
def tap_mixpanel(tmp_path_factory) -> Path:
    return make_environment(tmp_path_factory.mktemp("tap"), "tap-mixpanel==1.8.0").parent


@pytest.fixture(scope="module")
def source_mixpanel(tmp_path_factory) -> Path:
    return make_environment(
        tmp_path_factory.mktemp("source"), "airbyte-source-mixpanel==4.0.2"
    ).parent


def names_of(sandbox: Sandbox) -> list[str]:
    """Names of properties; of those that a database takes for one, the first."""
    found: dict[str, str] = {}
    for line in sandbox.visible():
        for name in json.loads(line)["properties"]:
            found.setdefault(name.casefold(), name)
    return [name for name in found.values() if name]


def exported_by_tap_mixpanel(tap: Path, project: Project) -> list[bytes]:
    """Messages of two runs of the real tap, the second one of the last day."""
    runs = []
    for first in (DAYS[0], DAYS[-1]):
        done = subprocess.run(
            [tap / "python", RUN_TAP, first, DAYS[-1]],
            check=True,
            capture_output=True,
            env=environment(
                project.sandbox,
                BENCHMARK_PROJECT_SECRET=project.sandbox.credentials.project_secret,
                BENCHMARK_PROPERTY_NAMES=json.dumps(names_of(project.sandbox)),
                BENCHMARK_PROJECT_TIMEZONE=project.zone,
            ),
        )
        runs.append(done.stdout)
    return runs


def records_of(messages: bytes) -> list[dict[str, Any]]:
    # Split at line ends only: U+2028 in a text is none.
    found = map(json.loads, messages.decode().split("\n")[:-1])
    return [one["record"] for one in found if one["type"] == "RECORD"]


def exported_by_airbyte(source: Path, project: Project, folder: Path) -> list[dict[str, Any]]:
    """Records of two syncs of the real source, with the columns that a destination adds."""
    account = project.sandbox.credentials
    config, catalog = folder / "config.json", folder / "catalog.json"
    stream = {
        "name": "export",
        "json_schema": {},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": True,
    }
    one = {"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append"}
    catalog.write_text(json.dumps({"streams": [{**one, "cursor_field": ["time"]}]}))
    records = []
    for first in (DAYS[0], DAYS[-1]):
        settings = {
            "credentials": {
                "option_title": "Service Account",
                "username": account.service_account_username,
                "secret": account.service_account_secret,
                "project_id": account.project_id,
            },
            "project_timezone": project.zone,
            "attribution_window": 0,
            "start_date": first,
            "end_date": DAYS[-1],
        }
        config.write_text(json.dumps(settings))
        done = subprocess.run(
            [source / "python", RUN_SOURCE, "read", "--config", config, "--catalog", catalog],
            check=True,
            capture_output=True,
            env=environment(project.sandbox),
        )
        records += [one["data"] for one in records_of(done.stdout)]
    return [
        {**record, "_airbyte_raw_id": str(n), "_airbyte_extracted_at": f"2026-11-19T00:00:{n % 60}"}
        for n, record in enumerate(records)
    ]


def own_rows(project: Project, *, first: str) -> list[dict[str, Any]]:
    """What this tap loads from a day on, as far as it is in `COLUMNS`."""
    done = subprocess.run(
        [BIN / "tap-mixpanel-export", "--config=ENV"],
        check=True,
        capture_output=True,
        env=environment(
            project.sandbox,
            TAP_MIXPANEL_EXPORT_START_DATE=first,
            TAP_MIXPANEL_EXPORT_END_DATE=DAYS[-1],
            TAP_MIXPANEL_EXPORT_PROPERTIES_FORMAT="string",
            **({} if project.zone == "UTC" else {"TAP_MIXPANEL_EXPORT_PROJECT_TIMEZONE": ZONE}),
        ),
    )
    names = [line.split()[0].strip('"') for line in COLUMNS.replace("\n", "").split(",")]
    return [{name: record[name] for name in names} for record in records_of(done.stdout)]


class DuckDatabase:
    """A file of DuckDB's."""

    needs = "duckdb.sql"

    def __init__(self, file: Path) -> None:
        self.file = file

    def run(self, sql: str) -> list[str]:
        with duckdb.connect(self.file) as connection:
            return [str(row[0]) for row in connection.execute(sql).fetchall()]

    def add(self, table: str, rows: list[dict[str, Any]], more: str = "") -> None:
        data = self.file.with_suffix(".jsonl")
        data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        with duckdb.connect(self.file) as connection:
            told = connection.execute(f"DESCRIBE {table}").fetchall()
            connection.execute(
                f"INSERT {more} INTO {table} BY NAME SELECT * FROM read_json(?, columns=?)",  # noqa: S608 - our own
                [str(data), {name: kind for name, kind, *_ in told}],
            )

    def upsert(self, rows: list[dict[str, Any]]) -> None:
        self.add("events", rows, "OR REPLACE")


class PostgresDatabase:
    """A server of PostgreSQL's."""

    needs = "postgres.sql"

    def __init__(self, server: Postgres) -> None:
        self.server = server

    def run(self, sql: str) -> list[str]:
        done = subprocess.run(
            [
                *(self.server.programs / "psql", "--no-psqlrc", "--tuples-only", "--no-align"),
                *("--quiet", "--host=127.0.0.1", f"--port={self.server.port}"),
                *(f"--username={self.server.user}", "--dbname=postgres"),
                "--set=ON_ERROR_STOP=1",
            ],
            check=False,
            input=sql.encode(),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().split("\n")[:-1]

    def add(self, table: str, rows: list[dict[str, Any]], more: str = "") -> None:
        data = json.dumps(rows)
        assert "$rows$" not in data
        self.run(
            f"INSERT INTO {table} SELECT * FROM"  # noqa: S608 - our own
            f" json_populate_recordset(NULL::{table}, $rows${data}$rows$) {more};"
        )

    def upsert(self, rows: list[dict[str, Any]]) -> None:
        latest = {row["event_id"]: row for row in rows}
        self.add(
            "events",
            list(latest.values()),
            "ON CONFLICT (event_id) DO UPDATE SET properties = excluded.properties",
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres | None]:
    with postgres_elsewhere() as running:
        yield running


@pytest.fixture(params=["duckdb", "postgres"])
def database(request, server, tmp_path) -> DuckDatabase | PostgresDatabase:
    if request.param == "duckdb":
        return DuckDatabase(tmp_path / "mixpanel.duckdb")
    if server is None:
        pytest.skip("PostgreSQL is not installed (Debian's package `postgresql`)")
    return PostgresDatabase(server)


def make_export(database: DuckDatabase | PostgresDatabase, records: list[dict[str, Any]]) -> None:
    """The table of the other program: a column for each name, texts."""
    # A database takes names for one that differ in case only, and has none that are empty.
    names = [*dict.fromkeys(name for record in records for name in record if name in KEPT)]
    records = [{k: v for k, v in record.items() if k in KEPT} for record in records]
    columns = ", ".join(f'"{name}" varchar' for name in names)
    database.run(f"DROP TABLE IF EXISTS export; CREATE TABLE export ({columns});")
    texts = [
        {k: v if v is None or isinstance(v, str) else json.dumps(v) for k, v in record.items()}
        for record in records
    ]
    database.add("export", texts)


def take_over(database: DuckDatabase | PostgresDatabase, recipe: str, zone: str) -> None:
    """Follow a recipe: what the database needs, and the zone where it is said to be written."""
    sql = (FOLDER / recipe).read_text()
    place = "to_timestamp(exported_time) AT TIME ZONE 'UTC'\n            AT TIME ZONE 'UTC'\n"
    assert place in sql
    sql = sql.replace(place, f"{place.rpartition(' ')[0]} '{zone}'\n")
    database.run((FOLDER / database.needs).read_text() + sql)


@pytest.fixture(scope="module", params=["tap-mixpanel", "airbyte"])
def recipe(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def theirs(request, recipe, project, tmp_path_factory) -> list[dict[str, Any]]:
    """What the other program itself has exported."""
    if recipe == "airbyte":
        source = request.getfixturevalue("source_mixpanel")
        return exported_by_airbyte(source, project, tmp_path_factory.mktemp("airbyte"))
    runs = exported_by_tap_mixpanel(request.getfixturevalue("tap_mixpanel"), project)
    return [record for run in runs for record in records_of(run)]


@pytest.mark.warehouses
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("taking over")
def test_rows_are_taken_over_once_and_met_again(theirs, own, recipe, project, database):
    database.run(f"DROP TABLE IF EXISTS events; CREATE TABLE events ({COLUMNS});")
    make_export(database, theirs)
    begin = min(row["timestamp"] for row in own if is_of(row, DAYS[-1]))
    database.upsert([row for row in own if row["timestamp"] >= begin])
    take_over(database, f"{recipe}.sql", project.zone)
    loaded = {row["event_id"]: row for row in own}
    ids = database.run("SELECT event_id FROM events")
    # One row for each event: as many of each day as there are.
    assert len(ids) == len(set(ids)) == len(loaded)
    per_day = Counter(database.run('SELECT CAST("timestamp" AS date) FROM events'))
    assert per_day == Counter(row["timestamp"][:10] for row in own)
    # Those of the tap itself are untouched, and of the others exactly these have another key.
    others = set(ids) - loaded.keys()
    assert not others & {key for key, row in loaded.items() if row["timestamp"] >= begin}
    old = {key: kinds_of_another_key(row, recipe) for key, row in loaded.items()}
    old = {key: kinds for key, kinds in old.items() if loaded[key]["timestamp"] < begin}
    assert loaded.keys() - set(ids) == {key for key, kinds in old.items() if kinds}
    assert {kind for kinds in old.values() for kind in kinds} == KINDS[recipe].keys()
    # When the tap loads the old days after all, these double, and no other.
    database.upsert(own)
    assert set(database.run("SELECT event_id FROM events")) == loaded.keys() | others
    # But not when those days are deleted first, as the page says.
    database.run(f"""DELETE FROM events WHERE "timestamp" < '{begin}';""")  # noqa: S608 - our own
    database.upsert(own)
    assert sorted(database.run("SELECT event_id FROM events")) == sorted(loaded)


KINDS: dict[str, dict[str, Any]] = {
    "tap-mixpanel": {
        "no `$insert_id`": lambda _, properties: not properties.get("$insert_id"),
        "a property called `event`": lambda _, properties: "event" in properties,
        "null for a `distinct_id`": lambda _, properties: properties.get("distinct_id", "") is None,
    }
}
KINDS["airbyte"] = {
    **KINDS["tap-mixpanel"],
    "a name or id beyond ASCII": lambda name, properties: not f"{name}{ids(properties)}".isascii(),
}
"""Which events get another key than the tap's, by recipe, in the words of the page."""


def ids(properties: dict[str, Any]) -> str:
    names = ("$insert_id", "distinct_id", "$distinct_id_before_identity")
    return "".join(str(properties.get(name, "")) for name in names)


def kinds_of_another_key(row: dict[str, Any], recipe: str) -> list[str]:
    properties = json.loads(row["properties"])
    return [kind for kind, has in KINDS[recipe].items() if has(row["event_name"], properties)]


@pytest.mark.parametrize("recipe", KINDS)
def test_the_pages_name_the_events_that_double(recipe):
    page = (ROOT / "docs" / "pages" / f"from-{recipe}.md").read_text()
    text = " ".join(page.split())
    assert [kind for kind in KINDS[recipe] if kind not in text] == []
    assert """`DELETE FROM events WHERE "timestamp" < '2026-11-18'`""" in text


def test_the_recipes_differ_in_the_names_of_the_old_columns_only():
    ours = (FOLDER / "tap-mixpanel.sql").read_text().partition("\n")[2]
    airbyte = (FOLDER / "airbyte.sql").read_text().partition("\n")[2]
    assert ours.replace("mp_reserved_", "").replace("'tap-mixpanel|", "'airbyte|") == airbyte


def is_of(row: dict[str, Any], day: str) -> bool:
    """Tell whether a row is of a day of the project."""
    return datetime.fromtimestamp(row["time"], tz=UTC).date().isoformat() == day
