"""Names of columns fit the warehouses that README speaks of, those that cannot be tried, too."""

from __future__ import annotations

import re

import pytest

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
