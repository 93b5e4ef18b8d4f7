"""dlt, real, in an environment of its own: into DuckDB and PostgreSQL, and then once more."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from event_truth import Row, expected_rows, instant_of, parse
from meltano_project import ROOT, environment
from one_environment import make_environment
from private_postgres import postgres_programs, private_postgres

from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dlt"), pytest.mark.timeout(600)]

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
START = datetime(2026, 11, 16, tzinfo=timezone.utc)

EXAMPLE = """
import dlt
from tap_mixpanel_export.dlt import mixpanel

pipeline = dlt.pipeline("mixpanel", destination="duckdb", dataset_name="raw")
pipeline.run(mixpanel())
"""
"""README's."""

BEFORE = """
import json, sys

FORMATS = {"duckdb": None, "postgres": "insert_values"}
"""

AFTER = """
counts = pipeline.last_trace.last_normalize_info.row_counts
with pipeline.sql_client() as client:
    # As text: a driver reads times in the zone of its machine.
    rows = client.execute_sql(
        "SELECT event_id, event_name, CAST(timestamp AS TEXT), properties FROM events"
    )
print(json.dumps({"loaded": counts.get("events", 0), "rows": [list(row) for row in rows]}))
"""

LOAD = BEFORE + EXAMPLE + AFTER
for old, new in {
    '"duckdb", data': "sys.argv[1], data",
    '"raw"': '"raw", pipelines_dir=sys.argv[2]',
    "mixpanel())": "mixpanel(), loader_file_format=FORMATS[sys.argv[1]])",
}.items():
    LOAD = LOAD.replace(old, new)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that has dlt, its two destinations' drivers, and this package."""
    return make_environment(
        tmp_path_factory.mktemp("dlt"), f"{ROOT}[dlt]", "dlt[duckdb,postgres]", "tzdata"
    )


@pytest.fixture(params=["duckdb", "postgres"])
def destination(request, tmp_path):
    """Its name for dlt, and what it needs in the environment."""
    if request.param == "duckdb":
        yield (
            "duckdb",
            {"DESTINATION__DUCKDB__CREDENTIALS": f"duckdb:///{tmp_path}/mixpanel_events.duckdb"},
        )
        return
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian's package `postgresql`)")
    with private_postgres() as server:
        url = f"postgresql://{server.user}:any@127.0.0.1:{server.port}/postgres"
        yield "postgres", {"DESTINATION__POSTGRES__CREDENTIALS": url}


def load(python, sandbox, destination, folder, *, fails=False):
    """Run the pipeline, and return how many rows came and what is there then."""
    name, credentials = destination
    settings = {
        "TAP_MIXPANEL_EXPORT_START_DATE": START.date().isoformat(),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        # Of the session, in which times are shown.
        "TZ": "UTC",
        "PGTZ": "UTC",
        **credentials,
    }
    done = subprocess.run(
        [python, "-c", LOAD, name, folder / "pipelines"],
        check=False,
        cwd=folder,
        env=environment(sandbox, **settings),
        capture_output=True,
        text=True,
    )
    assert sandbox.credentials.service_account_secret not in done.stdout + done.stderr
    if fails:
        assert done.returncode != 0
        return None
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.split("\n")[-2])
    rows = {key: Row(event, instant_of(at), parse(text)) for key, event, at, text in found["rows"]}
    assert len(rows) == len(found["rows"])
    return found["loaded"], rows


def truth(sandbox):
    rows = expected_rows(sandbox.visible())
    return {key: row for key, row in rows.items() if row.instant >= START}


def test_each_run_brings_what_is_new_and_no_event_twice(python, destination, tmp_path):
    clock = SandboxClock.fixed(NOON)
    with Sandbox(clock=clock) as sandbox:
        loaded, rows = load(python, sandbox, destination, made(tmp_path, "first"))
        before = truth(sandbox)
        assert rows == before
        assert loaded == len(before) > 300
        clock.advance(timedelta(hours=3))
        late = NOON - timedelta(days=3)
        sandbox.add([Event.at(late, processed=NOON + timedelta(hours=1), insert_id="late")])
        # Another machine, without the files of the first: the state comes from the destination.
        loaded, rows = load(python, sandbox, destination, made(tmp_path, "second"))
        after = truth(sandbox)
        assert rows == after
        assert len(before) < len(after)
        assert loaded < len(before) / 4


def test_a_run_that_fails_moves_nothing_and_the_next_one_brings_all(python, tmp_path):
    destination = (
        "duckdb",
        {"DESTINATION__DUCKDB__CREDENTIALS": f"duckdb:///{tmp_path}/mixpanel_events.duckdb"},
    )
    fault = Fault("status", status=401, day=(NOON - timedelta(days=2)).date(), times=1)
    with Sandbox(clock=SandboxClock.fixed(NOON), faults=[fault]) as sandbox:
        folder = made(tmp_path, "pipeline")
        load(python, sandbox, destination, folder, fails=True)
        _, rows = load(python, sandbox, destination, folder)
        assert rows == truth(sandbox)


def made(root, name):
    folder = root / name
    folder.mkdir()
    return folder
