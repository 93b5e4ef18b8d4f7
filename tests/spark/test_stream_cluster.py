"""A stream in a cluster: late events, and a driver that dies behind the sink."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import processes
from cluster import CREDENTIALS, MARKS, PYTHON_PATH, SECRET, rows_of, sandbox, truth
from harness import DAY, from_milliseconds, wait_for
from late_arrivals import late, stamped

from tap_mixpanel_export.sandbox import Event, SandboxClock

pytestmark = MARKS

UTC = timezone.utc
SECOND = timedelta(seconds=1)
# By how much the driver's clock may be ahead of the service's.
_CLOCKS_AGREE = timedelta(minutes=2)
DIED = 9


def read_until(folder):
    """Up to which processing time the last planned micro-batch reads."""
    last = max((folder / "checkpoint" / "offsets").glob("[0-9]*"), key=lambda path: int(path.name))
    return from_milliseconds(json.loads(last.read_text().splitlines()[-1])["processed_until"])


def planned(folder, kind="offsets"):
    """The numbers of the micro-batches that were planned, or committed."""
    return sorted(int(path.name) for path in (folder / "checkpoint" / kind).glob("[0-9]*"))


def wait_until_read(at):
    """Wait until a stream that is planned now reads what was processed at a time."""
    wait_for(lambda: datetime.now(UTC) - _CLOCKS_AGREE - 2 * SECOND > at, 60)


def test_rows_of_a_stream_are_the_truth_though_its_driver_dies(spark, tmp_path):
    from dying_driver import available_now  # noqa: PLC0415 - it needs Spark

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - 11 * DAY
    with sandbox(events=stamped(start, 10, each=40), clock=SandboxClock()) as service:
        options = {
            "api_url": service.api_url,
            "start_date": start.date().isoformat(),
            "quota": str(tmp_path / "quota"),
            "partition_days": "6",
            "max_days_per_trigger": "6",
            # All the past is over: in a test an hour cannot pass.
            "watermark_interval": "1",
            "processing_delay_minutes": "0",
        }
        available_now(spark, options, tmp_path)
        assert planned(tmp_path, "commits") == [0, 1]
        seen = read_until(tmp_path)
        service.add(
            [
                late(today - 3 * DAY, seen + SECOND / 4, "three days"),
                late(today - DAY, seen + SECOND / 2, "yesterday"),
                Event.at(seen, processed=seen + SECOND, insert_id="new"),
            ]
        )
        wait_until_read(seen + SECOND)

        (tmp_path / "options.json").write_text(json.dumps(options))
        driver = processes.start(
            [sys.executable, Path(__file__).parent / "dying_driver.py", tmp_path, str(DIED)],
            env={**os.environ, **CREDENTIALS, "PYTHONPATH": PYTHON_PATH},
        )
        assert driver.wait(400) == DIED
        assert planned(tmp_path) == [0, 1, 2]
        assert planned(tmp_path, "commits") == [0, 1]
        rows = tmp_path / "rows"
        written = rows_of(spark.read.parquet(str(rows / "batch=2")))
        assert sum(written.values()) == 3

        seen = read_until(tmp_path)
        service.add([late(today - 2 * DAY, seen + SECOND / 2, "after its death")])
        wait_until_read(seen + SECOND)
        available_now(spark, options, tmp_path)
        assert planned(tmp_path, "commits") == [0, 1, 2, 3]
        assert rows_of(spark.read.parquet(str(rows / "batch=2"))) == written
        assert rows_of(spark.read.parquet(str(rows))) == truth(service)
        # Six days, the rest, the look-back; that again, and once more.
        assert [request.status for request in service.requests] == [200] * 5
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
