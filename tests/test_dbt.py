"""Fivetran's table out of ours: the dbt project of `examples/`, run on real loads by the tap."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml
from event_truth import Row, expected_rows, parse
from meltano_project import BIN, ROOT, environment
from one_environment import make_environment
from private_postgres import postgres_programs, private_postgres

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from private_postgres import Postgres

pytestmark = [
    pytest.mark.warehouses,
    pytest.mark.slow,
    pytest.mark.xdist_group("dbt"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="dbt-core 1.11 does not start on 3.14"),
]

PROJECT = ROOT / "examples" / "dbt"
# From dbt 1.12 on, its parser is a program of its own that is not on PyPI for every platform.
DBT = "dbt-core<1.12"

TEXT = (
    "_fivetran_id",
    "ae_session_length",
    "app_build_number",
    "app_version_string",
    "bluetooth_version",
    "brand",
    "browser",
    "carrier",
    "city",
    "current_url",
    "device",
    "device_id",
    "distinct_id",
    "distinct_id_before_identity",
    "google_play_services",
    "initial_referrer",
    "initial_referring_domain",
    "insert_id",
    "lib_version",
    "manufacturer",
    "model",
    "mp_country_code",
    "mp_keyword",
    "mp_lib",
    "name",
    "os",
    "os_version",
    "properties",
    "radio",
    "referrer",
    "referring_domain",
    "region",
    "search_engine",
)
WHOLE = ("browser_version", "mp_processing_time_ms", "screen_dpi", "screen_height", "screen_width")
FLAGS = ("bluetooth_enabled", "has_nfc", "has_telephone", "wifi")
TIMES = ("_fivetran_synced", "time")
COLUMNS = {
    **dict.fromkeys(TEXT, "text"),
    **dict.fromkeys(WHOLE, "whole number"),
    **dict.fromkeys(FLAGS, "flag"),
    **dict.fromkeys(TIMES, "time without zone"),
}
"""What dbt_mixpanel 0.17.1 looks for in its source, and what it takes it for."""

KINDS = {
    "VARCHAR": "text",
    "text": "text",
    "character varying": "text",
    "BIGINT": "whole number",
    "bigint": "whole number",
    "BOOLEAN": "flag",
    "boolean": "flag",
    "TIMESTAMP": "time without zone",
    "timestamp without time zone": "time without zone",
}


@dataclass(frozen=True)
class Warehouse:
    """A warehouse with the events in it.

    Attributes:
        name: A target of the project's profiles.
        settings: Environment variables of the profile.
        variables: Of the dbt project.
        query: Returns rows as lists of JSON values.
        execute: Runs a statement.
        older: Makes what was loaded two days older.
        truth: What was loaded.
    """

    name: str
    settings: dict[str, str]
    variables: dict[str, Any]
    query: Callable[[str], list[list[Any]]]
    execute: Callable[[str], object]
    older: str
    truth: dict[str, Row]


@pytest.fixture(scope="module")
def dbt(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("dbt")
    shutil.copytree(PROJECT, root / "project")
    return make_environment(root, DBT, "dbt-duckdb", "dbt-postgres").parent


RUN = """
import json, sys
from dbt.cli.main import dbtRunner
told = []
for command in json.loads(sys.argv[1]):
    done = dbtRunner().invoke(command)
    results = getattr(done.result, "results", ())
    bad = [r.node.name for r in results if r.status not in ("pass", "success")]
    told.append([done.success, sorted(bad), str(done.exception or "")])
print("\\n" + json.dumps(told))
"""


def run_dbt(dbt: Path, warehouse: Warehouse, *commands: list[str]) -> list[list[Any]]:
    """Run commands of dbt, and return whether each went well, and what did not."""
    options = ["--target", warehouse.name, "--vars", json.dumps(warehouse.variables)]
    return invoke(
        dbt, dbt.parents[1] / "project", [[*c, *options] for c in commands], **warehouse.settings
    )


def invoke(
    programs: Path, project: Path, commands: list[list[str]], **settings: str
) -> list[list[Any]]:
    """Run commands of dbt in one process: most of the time of each is its start."""
    done = subprocess.run(
        [programs / "python", "-c", RUN, json.dumps(commands)],
        check=True,
        cwd=project,
        env={**environment(**settings), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert all(not exception for _, _, exception in told), told
    return [[success, bad] for success, bad, _ in told]


def load(sandbox: Sandbox, loader: Path, config: Path, **settings: str) -> None:
    """Export everything into a loader."""
    exported = subprocess.run(
        [BIN / "tap-mixpanel-export", "--config=ENV"],
        check=True,
        env=environment(sandbox, **settings),
        stdout=subprocess.PIPE,
    ).stdout
    subprocess.run(
        [loader, "--config", config],
        check=True,
        input=exported,
        env={**environment(), "PGTZ": "UTC"},
        stdout=subprocess.DEVNULL,
    )


def duckdb_warehouse(folder: Path, sandbox: Sandbox) -> Warehouse:
    file = folder / "warehouse.duckdb"
    config = folder / "config.json"
    config.write_text(
        json.dumps(
            {
                "filepath": str(file),
                "default_target_schema": "mixpanel",
            }
        )
    )
    loader = make_environment(folder, pip_url("target-duckdb")).with_name("target-duckdb")
    plugin = plugin_of("extractors", "tap-mixpanel-export-duckdb")["config"]
    load(
        sandbox,
        loader,
        config,
        TAP_MIXPANEL_EXPORT_PROPERTIES_FORMAT=plugin["properties_format"],
        TAP_MIXPANEL_EXPORT_STREAM_MAPS=json.dumps(plugin["stream_maps"]),
    )

    def query(sql: str) -> list[list[Any]]:
        with duckdb.connect(str(file)) as connection:
            return [list(row) for row in connection.execute(sql).fetchall()]

    return Warehouse(
        "duckdb",
        {"DBT_DUCKDB_PATH": str(file)},
        {
            "mixpanel_properties_are_text": True,
            "mixpanel_events_loaded_at": (
                "coalesce(make_timestamp(mp_processing_time_ms * 1000), timestamp)"
            ),
        },
        query,
        query,
        "UPDATE mixpanel.events SET timestamp = timestamp - INTERVAL 2 DAY,"
        " mp_processing_time_ms = mp_processing_time_ms - 2 * 86400000",
        expected_rows(sandbox.visible()),
    )


def postgres_warehouse(folder: Path, sandbox: Sandbox, server: Postgres) -> Warehouse:
    config = folder / "config.json"
    where = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "password": "any: the server trusts its own machine",
        "database": "postgres",
    }
    config.write_text(json.dumps({**where, "default_target_schema": "mixpanel"}))
    loader = make_environment(folder, pip_url("target-postgres")).with_name("target-postgres")
    load(sandbox, loader, config)

    def query(sql: str) -> list[list[Any]]:
        told = server.query(f"SELECT row_to_json(found) FROM ({sql}) AS found")  # noqa: S608 - the test's own
        return [list(json.loads(row).values()) for row in told]

    return Warehouse(
        "postgres",
        {f"DBT_POSTGRES_{name.upper()}": str(value) for name, value in where.items()},
        {},
        query,
        server.query,
        "UPDATE mixpanel.events SET _sdc_batched_at = _sdc_batched_at - INTERVAL '2' DAY",
        expected_rows(sandbox.visible()),
    )


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def warehouse(request, tmp_path_factory) -> Iterator[Warehouse]:
    folder = tmp_path_factory.mktemp(request.param)
    # The load is fresh, and nothing happens behind it.
    with Sandbox(clock=SandboxClock.fixed(datetime.now(timezone.utc))) as sandbox:
        if request.param == "duckdb":
            yield duckdb_warehouse(folder, sandbox)
        elif postgres_programs() is None:
            pytest.skip("PostgreSQL is not installed (Debian's package `postgresql`)")
        else:
            with private_postgres() as server:
                yield postgres_warehouse(folder, sandbox, server)


@pytest.fixture(scope="module")
def built(dbt, warehouse) -> Warehouse:
    """The view is made, its tests and those of the source have passed, what came is fresh."""
    assert run_dbt(dbt, warehouse, ["build"], ["source", "freshness"]) == [[True, []], [True, []]]
    return warehouse


def test_the_view_has_every_column_of_the_package_and_its_type(built):
    rows = built.query(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'mixpanel' AND table_name = 'event'"
    )
    assert {name: KINDS[kind] for name, kind in rows} == COLUMNS


def test_the_view_holds_the_events(built):
    rows = built.query(
        "SELECT _fivetran_id, name, time, properties, distinct_id, insert_id,"
        " mp_processing_time_ms, city, mp_country_code, os, browser_version, screen_height,"
        " device_id FROM mixpanel.event"
    )
    assert {row[0] for row in rows} == set(built.truth)
    assert len(rows) == len(built.truth)
    for key, name, at, text, user, insert_id, processed, *own in rows:
        event = built.truth[key]
        properties = event.properties
        assert name == event.event_name
        instant = at if isinstance(at, datetime) else datetime.fromisoformat(at)
        assert instant == event.instant.replace(tzinfo=None)
        assert parse(text) == properties
        # DuckDB's loader cannot tell an empty text from none.
        assert (insert_id or "") == (as_text(properties, "$insert_id") or "")
        assert (user or "") == (as_text(properties, "distinct_id") or "")
        assert processed == as_whole(properties, "mp_processing_time_ms")
        assert own == [
            *(as_text(properties, name) for name in ("$city", "mp_country_code", "$os")),
            *(as_whole(properties, name) for name in ("$browser_version", "$screen_height")),
            as_text(properties, "$device_id"),
        ]
    # Some of each are there to be compared.
    assert all(any(values) for values in zip(*rows, strict=True))


def test_a_day_that_is_missing_and_a_load_that_is_late_are_told(dbt, built):
    (day,) = built.query(
        "SELECT DISTINCT CAST(CAST(timestamp AS date) AS varchar) AS day FROM mixpanel.events"
        " ORDER BY day OFFSET 3 LIMIT 1"
    )
    built.execute(f"DELETE FROM mixpanel.events WHERE CAST(timestamp AS date) = '{day[0]}'")  # noqa: S608 - our own
    built.execute(built.older)
    assert run_dbt(dbt, built, ["test"], ["source", "freshness"]) == [
        [False, ["no_day_is_missing"]],
        [False, ["events"]],
    ]


PROFILES = {
    "snowflake": {
        "type": "snowflake",
        "account": "none",
        "user": "none",
        "password": "none",
        "database": "analytics",
        "warehouse": "none",
        "schema": "mixpanel",
    },
    "bigquery": {
        "type": "bigquery",
        "method": "oauth-secrets",
        "token": "none",
        "project": "analytics",
        "dataset": "mixpanel",
    },
}


@pytest.mark.parametrize("are_text", [False, True])
@pytest.mark.parametrize("dialect", sorted(PROFILES))
def test_it_compiles_where_no_server_can_be_had(compiled, dialect, are_text):
    sqlglot = pytest.importorskip("sqlglot")
    (statement,) = sqlglot.parse(compiled[dialect, are_text], dialect=dialect)
    assert {column.alias_or_name for column in statement.selects} == set(COLUMNS)
    # What it does not know it keeps as it is.
    unknown = {node.name for node in statement.find_all(sqlglot.expressions.Anonymous)}
    assert unknown <= {"GET", "TO_JSON"}
    (table,) = statement.find_all(sqlglot.expressions.Table)
    assert (table.catalog, table.db, table.name) == ("analytics", "mixpanel", "events")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> dict[tuple[str, bool], str]:
    """The view's statement, by dialect and by whether `properties` is text."""
    root = tmp_path_factory.mktemp("compiled")
    project = root / "project"
    shutil.copytree(PROJECT, project)
    (project / "profiles.yml").write_text(
        yaml.safe_dump({"mixpanel_events": {"target": "snowflake", "outputs": PROFILES}})
    )
    programs = make_environment(root, DBT, "dbt-snowflake", "dbt-bigquery").parent
    ways = [(dialect, are_text) for dialect in PROFILES for are_text in (False, True)]
    invoke(
        programs,
        project,
        [
            [
                # Nothing is asked of a server with these.
                *("compile", "--no-introspect", "--no-populate-cache", "--target", dialect),
                *("--vars", json.dumps({"mixpanel_properties_are_text": are_text})),
                *("--target-path", f"{dialect} {are_text}"),
            ]
            for dialect, are_text in ways
        ],
    )
    view = Path("compiled", "mixpanel_events", "models", "event.sql")
    return {(d, text): (project / f"{d} {text}" / view).read_text() for d, text in ways}


def as_text(properties: dict[str, Any], name: str) -> str | None:
    value = properties.get(name)
    return value if value is None or isinstance(value, str) else value.text


def as_whole(properties: dict[str, Any], name: str) -> int | None:
    value = properties.get(name)
    return None if value is None else int(value.value)


def pip_url(loader: str) -> str:
    url: str = plugin_of("loaders", loader)["pip_url"]
    return url


def plugin_of(kind: str, name: str) -> dict[str, Any]:
    project = yaml.safe_load((ROOT / "tests" / "targets" / "meltano.yml").read_text())
    (plugin,) = [p for p in project["plugins"][kind] if p["name"] == name]
    return plugin
