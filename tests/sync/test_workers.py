"""Whoever reads the responses of a run, what it writes and says is the same."""

from __future__ import annotations

import gzip
import json
import logging
import re
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_time import machine_at
from fault_tables import ENDING, HARMLESS, PASSING
from five_days import NOW, WINDOWS, bookmark_at, five_days, on_day, run
from harness import DAY, UTC, config_for, hasty, run_tap
from worker_threads import read_by_processes, read_by_workers

from tap_mixpanel_export.export.api import Export
from tap_mixpanel_export.sandbox import Behaviour, Fault, Sandbox, SandboxClock

pytestmark = pytest.mark.slow

FAULTS = {
    **PASSING,
    **HARMLESS,
    **{name: fault for name, (fault, _, _) in ENDING.items()},
}
# How often it is tried, or what the system says of it, depends on how busy the machine is.
UNSTEADY = {
    "refused",
    "reset",
    "reset in the body",
    "reset before the body",
    "a length that is too short",
    "chunks end before they begin",
}
# What is another one in each run.
OWN = re.compile(r'"durationSeconds":[\d.]+|waiting [\d.]+ s|\d{4}-\d\d-\d\d \d\d:\d\d|\d\d:\d\d')

COLUMNS = ["plan", "cart.total:number", "never:boolean"]
MODES = [
    {"properties_format": "string"},
    {"time_in_ms": True},
    {"deduplicate": False},
    {"project_timezone": "Pacific Standard Time"},
    {"columns": COLUMNS},
    {"exclude_properties": ["$city", "nobody"], "hash_properties": ["distinct_id"]},
    {"event_names": ["Item Sold", "No such event"]},
    {"exclude_event_names": ["Item Sold"]},
    {"stream_maps": {"events": {"day": "timestamp[:10]"}}},
]


@pytest.fixture
def outcome(caplog):
    """Runs, one query after the other: all that they write, say and ask."""

    def run_once(sandbox, by, run_it=run, state=None, **settings):
        caplog.clear()
        asked = len(sandbox.requests)
        with caplog.at_level(logging.INFO), by or nullcontext(), hasty():
            got = run_it(sandbox, state, max_concurrent_queries=1, **settings)
        # The time is that of this machine.
        output = re.sub(rb'"time_extracted":"[^"]*"', b"", got.output)
        said = [
            record.getMessage()
            for record in caplog.records
            if record.name.startswith("tap-mixpanel-export.")
            and not record.name.endswith((".progress", ".workers"))
        ]
        told = [OWN.sub("", text.replace(sandbox.api_url, "")) for text in (str(got.error), *said)]
        requests = [(r.from_date, r.to_date, r.where) for r in sandbox.requests[asked:]]
        return output, type(got.error), told, requests

    return run_once


@pytest.mark.parametrize("name", FAULTS)
def test_a_worker_makes_the_same_of_every_fault(outcome, name):
    results = []
    for by in (None, read_by_workers()):
        with five_days() as sandbox:
            sandbox.add_faults(on_day(FAULTS[name], WINDOWS["middle"]))
            results.append(outcome(sandbox, by)[: 2 if name in UNSTEADY else None])
    assert results[0] == results[1]


@pytest.mark.parametrize("where", ["documented", "half", "nothing", "refused"])
def test_a_worker_makes_the_same_of_the_filter_for_late_events(outcome, where):
    results = []
    for by in (None, read_by_workers()):
        with five_days() as sandbox:
            first = outcome(sandbox, by, state=bookmark_at(NOW - DAY / 4), lookback_days=3)
            state = json.loads(first[0].splitlines()[-1])["value"]
            sandbox.behaviour = Behaviour(where=where)
            results.append((first, outcome(sandbox, by, state=state, lookback_days=3)))
    assert results[0] == results[1]
    assert "it has proven itself now" in " ".join(results[0][0][2])


@pytest.fixture(scope="module")
def nasty():
    clock = SandboxClock.fixed(datetime(2026, 11, 20, 12, tzinfo=UTC))
    with Sandbox(clock=clock, hostile=True, null_bytes=True) as sandbox:
        yield sandbox


@pytest.mark.parametrize("spools_bytes", [0, 2**25], ids=["file", "memory"])
def test_a_worker_makes_the_same_of_the_nastiest_data(nasty, outcome, monkeypatch, spools_bytes):
    monkeypatch.setattr("tap_mixpanel_export.config.run._SPOOLS_BYTES", spools_bytes)
    assert_same(outcome, nasty)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: next(iter(mode)))
def test_a_worker_makes_the_same_in_every_mode(nasty, outcome, mode):
    assert_same(outcome, nasty, **mode)


def assert_same(outcome, sandbox, **settings):
    settings["start_date"] = "2026-11-19"
    expected = outcome(sandbox, None, run_tap, **settings)
    assert outcome(sandbox, read_by_workers(), run_tap, **settings) == expected
    assert expected[0].count(b"RECORD") > 10


def lines_of_parquet(file):
    return [json.dumps(row, default=str) for row in pq.ParquetFile(file).read().to_pylist()]


FILES = {
    "gzip": (
        {"format": "jsonl", "compression": "gzip"},
        lambda file: gzip.decompress(file.read_bytes()),
    ),
    "plain": ({"format": "jsonl"}, Path.read_bytes),
    "parquet": ({"format": "parquet"}, lines_of_parquet),
}


@pytest.mark.parametrize(("encoding", "read"), FILES.values(), ids=FILES)
def test_a_worker_makes_the_same_files(nasty, tmp_path, encoding, read):
    files = {}
    for name, by in {"alone": nullcontext(), "workers": read_by_workers()}.items():
        (tmp_path / name).mkdir()
        storage = {"root": (tmp_path / name).as_uri()}
        config = {"encoding": encoding, "storage": storage, "batch_size": 100}
        with by:
            got = run_tap(nasty, start_date="2026-11-19", batch_config=config)
        assert got.error is None
        written = [path.rpartition("/")[2] for m in got.messages for path in m.get("manifest", ())]
        files[name] = [read(tmp_path / name / file) for file in written]
    assert files["alone"] == files["workers"]
    assert len(files["alone"]) > 3


@pytest.mark.slow
@pytest.mark.parametrize("columns", [None, ["event_name", "properties"]])
def test_a_process_makes_the_same_batches(nasty, columns):
    tables = []
    settings = {**config_for(nasty, start_date="2026-11-19"), "max_concurrent_queries": 2}
    for by in (nullcontext(), read_by_processes()):
        with by, machine_at(nasty.clock.now()):
            tables.append(pa.Table.from_batches(Export(settings, columns=columns).read()))
    assert tables[0].equals(tables[1])
    assert tables[0].num_rows > 100


def test_a_worker_keeps_malformed_lines_and_tells_a_report_the_same(tmp_path):
    kept, told = [], []
    for name, by in {"alone": nullcontext(), "workers": read_by_workers()}.items():
        folder = tmp_path / name
        with five_days() as sandbox, by:
            sandbox.add_faults(Fault("malformed_line", day=WINDOWS["middle"], times=None))
            got = run(
                sandbox,
                max_concurrent_queries=1,
                diagnostics_dir=str(folder / "lines"),
                report_dir=str(folder / "report"),
                error_threshold_percent=100,
            )
        assert got.error is None
        kept.append({path.name: path.read_bytes() for path in (folder / "lines").iterdir()})
        report = json.loads((folder / "report" / "run.json").read_bytes())
        told.append({name: report[name] for name in report.keys() & TOLD})
    assert len(kept[0]) == 1
    assert kept[0] == kept[1]
    assert told[0].keys() == TOLD
    assert told[0] == told[1]


TOLD = {"eventsPerDay", "latePerDay", "eventNames", "unmappedProperties", "sampledEventCount"}


@pytest.mark.slow
def test_a_process_makes_the_same_of_what_is_hard(outcome, nasty):
    expected = outcome(nasty, None, run_tap, start_date="2026-11-19", columns=COLUMNS)
    got = outcome(nasty, read_by_processes(), run_tap, start_date="2026-11-19", columns=COLUMNS)
    assert got == expected
