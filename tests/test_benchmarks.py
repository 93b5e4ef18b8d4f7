"""The benchmarks run; what they find is not asserted here."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def measure(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.measure")


@pytest.mark.slow
def test_one_command_prints_and_keeps_the_tables(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--sections", "speed", "--shapes", "wide"),
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
    rows = [line for line in written.splitlines() if re.match(r"\| [^|]+ \| (500|250) \|", line)]
    assert len(rows) == 6
    assert "failed" not in written
    assert written in done.stdout
    picture = ET.fromstring((tmp_path / "results.svg").read_text())  # noqa: S314 - our own
    assert len(picture.findall("{*}rect")) == 1 + len(rows)


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
