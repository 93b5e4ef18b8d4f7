"""Names of columns fit the warehouses that README speaks of, those that cannot be tried, too."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
import yaml
from harness import run_tap
from meltano_project import ROOT
from readme import read

from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.columns import derive_columns

# BigQuery's rules for a table's columns: characters, length, and prefixes of its own.
BIGQUERY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
BIGQUERY_PREFIXES = (
    *("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__"),
    *("_COLIDENTIFIER", "_CHANGE_SEQUENCE_NUMBER", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP"),
)
# PostgreSQL and Redshift cut names off behind it.
MOST_BYTES = 63

OWN = ("event_id", "timestamp", "properties")


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [*OWN, *(column.name for column in derive_columns(load_mapping()))]


def test_bigquery_takes_every_column(names):
    assert [name for name in names if not BIGQUERY.fullmatch(name)] == []
    assert [name for name in names if name.upper().startswith(BIGQUERY_PREFIXES)] == []


def test_names_differ_without_case_and_within_63_bytes(names):
    assert len({name.casefold().encode()[:MOST_BYTES] for name in names}) == len(names)


def test_the_stream_map_of_the_page_renames_a_column_that_sql_reserves():
    (shown,) = re.findall(r"`(stream_maps: .*was_imported.*)`", read())
    noon = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
    events = [Event.at(noon - timedelta(hours=1), insert_id="sent", **{"$import": True})]
    with Sandbox(events, clock=SandboxClock.fixed(noon)) as sandbox:
        got = run_tap(sandbox, start_date="2026-11-20", **yaml.safe_load(shown))
    assert [record["was_imported"] for record in got.records] == [True]
    assert "import" not in got.records[0]


def test_the_page_tells_the_versions_that_the_job_of_warehouses_tries():
    told = read()
    tried = {
        (name, version)
        for file in (ROOT / "tests" / "warehouses").glob("test_*.py")
        for name, version in re.findall(r'"([\w-]+)(?:\[[\w,]+\])?==([\d.]+)"', file.read_text())
    }
    assert {name for name, _ in tried} >= {"dlt", "fakesnow", "meltanolabs-target-snowflake"}
    # chDB is told by the version of the server that it is.
    assert [name for name, version in tried if version.removesuffix(".0") not in told] == []
