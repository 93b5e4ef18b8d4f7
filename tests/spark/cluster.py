"""A Spark cluster of two executors on this machine: its session, and what it should give."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections import Counter
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from event_truth import expected_rows, parse
from harness import some_days
from harness import truth as ids_of

from tap_mixpanel_export.sandbox import Credentials, Limits, Sandbox, SandboxClock

MARKS = [
    pytest.mark.spark,
    pytest.mark.xdist_group("spark"),
    # A minute where nothing else runs.
    pytest.mark.timeout(900),
    # Of Spark's own Python.
    pytest.mark.filterwarnings("ignore"),
]

# All events were processed by then: in a minute of the test no further one shows up.
NOW = datetime(2026, 1, 21, 12, tzinfo=timezone.utc)
START = datetime(2026, 1, 11, tzinfo=timezone.utc)
SECRET = "mp-quiet-secret-of-the-spark-tests"
PER_HOUR = 20

_PREFIX = "TAP_MIXPANEL_EXPORT_"
CREDENTIALS = {
    f"{_PREFIX}SERVICE_ACCOUNT_USERNAME": "spark",
    f"{_PREFIX}SERVICE_ACCOUNT_SECRET": SECRET,
    f"{_PREFIX}PROJECT_ID": "1234567",
}

# Of this checkout, and of what tests run on executors.
PYTHON_PATH = os.pathsep.join(map(str, (Path(__file__).parents[2], Path(__file__).parent)))


@contextmanager
def session(event_logs, warehouse, connect_port):
    """A session of a cluster, which Spark Connect can be used with, too."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    settings = {
        **{f"spark.executorEnv.{name}": value for name, value in CREDENTIALS.items()},
        "spark.executorEnv.PYTHONPATH": PYTHON_PATH,
        "spark.eventLog.enabled": "true",
        # To be read.
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": event_logs.as_uri(),
        "spark.sql.warehouse.dir": warehouse.as_uri(),
        "spark.sql.python.filterPushdown.enabled": "true",
        "spark.sql.session.timeZone": "Asia/Tokyo",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "true",
        "spark.ui.port": "0",
        "spark.driver.host": "127.0.0.1",
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(connect_port),
    }
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()


def skip_without_spark():
    """Skip the test, with the reason, where there is no Spark."""
    pytest.importorskip("pyspark", reason="the extra `spark` is not installed")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed (Debian's package `openjdk-17-jre-headless`)")


def free_port():
    """A port that nothing listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def sandbox(*faults, limits=None, clock=None, events=None):
    """The service, with ten days that are hard."""
    credentials = Credentials(
        project_id=1234567, service_account_username="spark", service_account_secret=SECRET
    )
    return Sandbox(
        some_days(START, 10, each=150) if events is None else events,
        # Limits slide on it.
        clock=clock or SandboxClock(NOW),
        faults=faults,
        limits=limits or Limits(per_hour=PER_HOUR),
        credentials=credentials,
    )


def load(spark, sandbox, folder, **options):
    """A load of all, a day a task."""
    reader = spark.read.format("mixpanel_export")
    return reader.options(**load_options(sandbox, folder, **options)).load()


def load_options(sandbox, folder, **options):
    """Options of such a load."""
    return {
        "api_url": sandbox.api_url,
        "start_date": START.date().isoformat(),
        "end_date": "2026-01-20",
        "partition_days": 1,
        "quota": str(folder / "quota"),
        "max_queries_per_hour": PER_HOUR,
        **options,
    }


def rows_of(frame):
    """All that Spark has of each event, so that a difference of one digit shows."""
    columns = "event_id", "event_name", "CAST(unix_micros(timestamp) AS STRING) at", "properties"
    return Counter(
        (row[0], row[1], int(row[2]), repr(parse(row[3])))
        for row in frame.selectExpr(*columns).collect()
    )


def truth(sandbox):
    """The same of all events; copies without an insert id are events of their own."""
    rows, count = expected_rows(sandbox.visible()), ids_of(sandbox)
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return Counter(
        {
            (
                key,
                row.event_name,
                (row.instant - epoch) // timedelta(microseconds=1),
                repr(row.properties),
            ): count[key]
            for key, row in rows.items()
        }
    )
