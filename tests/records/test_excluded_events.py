"""`exclude_event_names`, in every mode of output."""

from __future__ import annotations

import gzip
import json
import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fixtures_unit import WAYS, tap_output
from harness import run_tap

from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
NAMES = ["Sign up", "$mp_page_leave", "Sign up", "Søk", "Item Sold", "$mp_page_leave"]
START = {"start_date": "2026-11-19"}
EXCLUDED = ["$mp_page_leave", "Søk", "never sent"]


@pytest.fixture(scope="module")
def sandbox():
    events = [
        Event.at(NOW - number * HOUR, name, insert_id=f"i{number}")
        for number, name in enumerate(NAMES, start=1)
    ]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


def names_in(lines):
    messages = map(json.loads, lines)
    return sorted(m["record"]["event_name"] for m in messages if m["type"] == "RECORD")


@pytest.mark.parametrize("way", WAYS)
def test_events_of_excluded_names_are_not_written_whatever_the_mode(sandbox, way):
    lines = tap_output(sandbox, way=way, exclude_event_names=EXCLUDED, **START)
    assert names_in(lines) == ["Item Sold", "Sign up", "Sign up"]


def test_nor_are_they_in_batch_files(sandbox, tmp_path):
    lines = tap_output(
        sandbox,
        exclude_event_names=EXCLUDED,
        batch_config={
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": tmp_path.as_uri()},
        },
        **START,
    )
    (batch,) = [m for m in map(json.loads, lines) if m["type"] == "BATCH"]
    (path,) = [Path(urlsplit(url).path) for url in batch["manifest"]]
    records = map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
    assert sorted(r["event_name"] for r in records) == ["Item Sold", "Sign up", "Sign up"]


def test_excluded_events_are_counted_and_the_bookmark_passes_them(sandbox, caplog):
    caplog.set_level(logging.INFO)
    run = run_tap(sandbox, exclude_event_names=NAMES, **START)
    assert run.error is None
    assert run.records == []
    everything = run_tap(sandbox, **START)
    bookmark, other = (r.bookmarks[-1]["replication_key_value"] for r in (run, everything))
    assert bookmark == other
    told = [
        json.loads(record.getMessage().partition(": ")[2])
        for record in caplog.records
        if record.getMessage().startswith("run summary: ")
    ]
    assert [(t["inputRecordCount"], t["excludedRecordCount"]) for t in told] == [(6, 6), (6, 0)]


@pytest.mark.parametrize("empty", [None, []])
def test_no_names_exclude_nothing(sandbox, empty):
    run = run_tap(sandbox, exclude_event_names=empty, **START)
    assert len(run.records) == len(NAMES)
