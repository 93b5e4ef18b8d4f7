"""What the examples for orchestrators leave: a Parquet file a day, compared with the sandbox."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from event_truth import Row, expected_rows, parse
from harness import truth as ids_of

if TYPE_CHECKING:
    from pathlib import Path

    from tap_mixpanel_export.sandbox import Sandbox

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
"""The sandbox's present: the days before it are over."""


def days_in(folder: Path) -> list[str]:
    """The days that have a file; what is not complete has another name."""
    return sorted(file.stem for file in folder.glob("[!.]*"))


def assert_complete(file: Path, sandbox: Sandbox) -> None:
    """A day's file has each event of the day as often as it occurred, and nothing else."""
    truth, counts = expected_rows(sandbox.visible()), ids_of(sandbox)
    of_the_day = {k: row for k, row in truth.items() if str(row.instant.date()) == file.stem}
    table = pq.read_table(file, columns=["event_id", "event_name", "timestamp", "properties"])
    found = table.to_pylist()
    assert Counter(row["event_id"] for row in found) == {key: counts[key] for key in of_the_day}
    rows = {
        row["event_id"]: Row(row["event_name"], row["timestamp"], parse(row["properties"]))
        for row in found
    }
    assert rows == of_the_day


def insert_ids(file: Path) -> set[str]:
    """`$insert_id` of each event of a day's file, as far as it has one."""
    texts = pq.read_table(file, columns=["properties"])["properties"].to_pylist()
    return {found for text in texts if (found := json.loads(text).get("$insert_id"))}
