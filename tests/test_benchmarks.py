"""The benchmarks run; what they find is not asserted here."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
import requests

from benchmarks import routes
from benchmarks.tls_gate import TlsGate
from tap_mixpanel_export.sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def measure(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.measure")


@pytest.mark.slow
def test_one_command_prints_and_keeps_the_tables(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--sections", "speed", "parts"),
            *("--shapes", "wide"),
            *("--events", "500", "--runs", "2", "--variants", "floor", "plain", "generic", "naive"),
            *("arrow", "arrow-parquet"),
            *("--output", tmp_path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    written = (tmp_path / "results.md").read_text()
    # The slow ones are given fewer.
    rows = [
        line for line in written.splitlines() if re.match(r"\| [^|\d][^|]+ \| (500|250) \|", line)
    ]
    assert len(rows) == 6
    assert "failed" not in written
    assert written in done.stdout
    # Of parts of the day, all or some of the events.
    assert re.search(r"^\| 1 \| 250 \|.*\n\| 4 \| [1-9]\d \|", written, re.MULTILINE)
    picture = ET.fromstring((tmp_path / "results.svg").read_text())  # noqa: S314 - our own
    assert len(picture.findall("{*}rect")) == 1 + len(rows)


@pytest.mark.slow
def test_a_backfill_is_measured_with_one_worker_and_with_more():
    worker_processes = importlib.import_module("benchmarks.worker_processes")
    lines = worker_processes.section(800, 1, 60.0)
    rows = [line for line in lines if re.match(r"\| \d", line)]
    assert [row.split()[1] for row in rows][:2] == ["1", "2"]
    assert all("[1.00, 1.00]" in row for row in rows[:1])


def test_every_way_ends_in_a_kind_of_file_that_the_table_names(monkeypatch):
    # Nothing is installed.
    monkeypatch.setattr(routes, "python_of", lambda _requirement: Path(sys.executable))
    monkeypatch.setattr(routes, "peer", lambda *command: command)
    every = routes.routes()
    assert {Path(route.into).suffix for route in every} == routes.KINDS.keys()


@pytest.mark.slow
def test_whole_ways_are_compared_and_one_that_loses_events_is_told(tmp_path, monkeypatch):
    end_to_end = importlib.import_module("benchmarks.end_to_end")
    monkeypatch.setattr(end_to_end, "CACHE", tmp_path)
    every = routes.routes(frozenset({"parquet", "duckdb", "records"}))
    monkeypatch.setattr(end_to_end, "GOALS", (("parquet", "duckdb", 1e9), ("records", "lossy", 1)))
    (whole,) = [route for route in every if route.key == "records"]

    def lossy(folder, service):
        ((shell, option, script, *more),) = whole.commands(folder, service)
        # Of many events some are lost.
        return [(shell, option, script.replace(">", "| head -n 100 >"), *more)]

    every.append(replace(whole, key="lossy", title="a lossy one", commands=lossy))
    # One that would take minutes is given few events only.
    monkeypatch.setattr(end_to_end, "MOST_OF_THE_SLOW", 100)
    every.append(replace(whole, key="slow", is_slow=True))
    lines = end_to_end.section(every, [500], 1, 60.0)
    table, starts = (
        [line for line in part if line.startswith("|")] for part in split(lines, "Start-up")
    )
    assert len(table) == (2 + 4) + (2 + 1)
    assert len(starts) == 2 + 5
    for kind, row in zip(("Parquet", "DuckDB", "JSON Lines"), table[2:5], strict=True):
        assert re.match(rf"\| .* \| {kind} \| 500 \| [\d.]+ \[", row)
    assert re.search(r"\| 500 \| failed: \d\d events of 500", table[5])
    assert "failed" not in "".join([*table[:5], *starts])
    # What failed is compared with nothing.
    assert re.match(r"\| events per CPU second of parquet / duckdb, 500 .* \| missed \|", table[8])
    assert list((tmp_path / "routes").iterdir()) == []


def split(lines, start):
    (at,) = [number for number, line in enumerate(lines) if line.startswith(start)]
    return lines[:at], lines[at:]


def test_the_gate_shows_the_sandbox_as_the_host_that_is_asked_for():
    with Sandbox() as sandbox, TlsGate(urlsplit(sandbox.api_url).port) as gate:
        day = (sandbox.clock.now() - timedelta(days=2)).date().isoformat()
        account = sandbox.credentials
        for _ in range(2):
            response = requests.get(
                # As ingestr writes it.
                "https://data.mixpanel.com/api/2.0/export/",
                params={"from_date": day, "to_date": day, "project_id": account.project_id},
                auth=(account.service_account_username, account.service_account_secret),
                proxies={"https": gate.environment["HTTPS_PROXY"]},
                verify=gate.environment["SSL_CERT_FILE"],
                timeout=30,
            )
            assert response.status_code == 200
            assert len(response.content.splitlines()) > 50
        assert [request.status for request in sandbox.requests] == [200, 200]


def test_a_run_is_measured(measure):
    command = (sys.executable, "-c", "print('a\\nb'); bytearray(150_000_000)")

    (sample,) = measure.run([command], dict(os.environ), timeout=60)

    assert sample.lines == 2
    assert sample.peak_rss > 150_000_000
    assert sample.cpu > 0


def test_a_pipeline_is_measured_at_each_end(measure):
    writer = (sys.executable, "-c", "print('line\\n' * 9, end='')")
    reader = (sys.executable, "-c", "import sys; print(len(sys.stdin.readlines()))")

    samples = measure.run([writer, reader], dict(os.environ), timeout=60)

    assert [sample.lines for sample in samples] == [1, 1]


def test_a_failing_command_is_told_with_its_last_line(measure):
    command = (sys.executable, "-c", "import sys; sys.exit('no such day')")

    with pytest.raises(measure.FailedError, match="ended with code 1: no such day"):
        measure.run([command], dict(os.environ), timeout=60)


def test_a_command_that_hangs_is_told(measure):
    command = (sys.executable, "-c", "import time; time.sleep(60)")

    with pytest.raises(measure.FailedError, match=r"longer than 0\.2 s"):
        measure.run([command], dict(os.environ), timeout=0.2)


@pytest.mark.slow
def test_a_way_to_load_is_measured_and_its_rows_are_counted(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    loaders = importlib.import_module("benchmarks.loaders")
    keep = ("sh", str(ROOT / "tests" / "targets" / "keep-state.sh"))
    files = loaders.Way(
        "files", "as they are", keep, loaders._batches("jsonl", "none"), is_first=True
    )
    monkeypatch.setattr(loaders, "_without_server", lambda: [files])
    monkeypatch.setattr(loaders, "postgres_programs", lambda: None)

    _, _, row, *_ = loaders.section(events=300, runs=1, timeout=60)

    assert row.startswith("| files | as they are |")
    assert "| 1.0 [1.0, 1.0] |" in row
    lost = loaders.Way("nothing", "at all", keep, is_first=True)
    monkeypatch.setattr(loaders, "_without_server", lambda: [lost])
    with pytest.raises(RuntimeError, match="0 of 1 events loaded"):
        loaders.section(events=300, runs=1, timeout=60)
