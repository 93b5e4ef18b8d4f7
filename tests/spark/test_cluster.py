"""Spark, real: a cluster of two executors on this machine, some of which do not live long."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from bisect import bisect_left
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from event_truth import expected_rows, parse
from harness import some_days, wait_for
from harness import truth as ids_of

from tap_mixpanel_export.sandbox import Credentials, Fault, Limits, Sandbox, SandboxClock

pytestmark = [
    pytest.mark.spark,
    pytest.mark.xdist_group("spark"),
    pytest.mark.timeout(480),
    # Of Spark's own Python.
    pytest.mark.filterwarnings("ignore"),
]

# All events were processed by then: in a minute of the test no further one shows up.
NOW = datetime(2026, 1, 21, 12, tzinfo=timezone.utc)
START = datetime(2026, 1, 11, tzinfo=timezone.utc)
SECRET = "mp-quiet-secret-of-the-spark-tests"
PER_HOUR = 20
HOUR_SECONDS = 3600
# Of this checkout, and of what tests run on executors.
PYTHON_PATH = (Path(__file__).parents[2], Path(__file__).parent)

EXAMPLE = """
events = (
    spark.read.format("mixpanel_export")
    .option("start_date", "2026-01-11")
    .option("quota", QUOTA)
    .load()
)
"""
"""README's."""


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """Spark's folder of event logs."""
    return tmp_path_factory.mktemp("event-logs")


@pytest.fixture(scope="module")
def spark(events):
    pytest.importorskip("pyspark", reason="the extra `spark` is not installed")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed (Debian's package `openjdk-17-jre-headless`)")
    from pyspark.sql import SparkSession  # noqa: PLC0415 - after the look whether it is there

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    settings = {
        "spark.executorEnv.TAP_MIXPANEL_EXPORT_SERVICE_ACCOUNT_USERNAME": "spark",
        "spark.executorEnv.TAP_MIXPANEL_EXPORT_SERVICE_ACCOUNT_SECRET": SECRET,
        "spark.executorEnv.TAP_MIXPANEL_EXPORT_PROJECT_ID": "1234567",
        "spark.executorEnv.PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH)),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.sql.python.filterPushdown.enabled": "true",
        "spark.sql.session.timeZone": "Asia/Tokyo",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "true",
        "spark.driver.host": "127.0.0.1",
    }
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


def sandbox(*faults, limits=None, clock=None):
    credentials = Credentials(
        project_id=1234567, service_account_username="spark", service_account_secret=SECRET
    )
    return Sandbox(
        some_days(START, 10, each=150),
        # Limits slide on it.
        clock=clock or SandboxClock(NOW),
        faults=faults,
        limits=limits or Limits(per_hour=PER_HOUR),
        credentials=credentials,
    )


def load(spark, sandbox, folder, **options):
    reader = spark.read.format("mixpanel_export").options(
        api_url=sandbox.api_url,
        start_date=START.date().isoformat(),
        end_date="2026-01-20",
        partition_days=1,
        quota=str(folder / "quota"),
        max_queries_per_hour=PER_HOUR,
    )
    return reader.options(**options).load()


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


def statuses(sandbox):
    return Counter(request.status for request in sandbox.requests)


def descendants(pid):
    """Processes that one has started, and those that they have; each with its command line."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents[int(entry.name)] = parent, (entry / "cmdline").read_text()
            except OSError:
                continue
    found, queue = {}, [pid]
    while queue:
        at = queue.pop()
        children = [child for child, (parent, _) in parents.items() if parent == at]
        queue += children
        found |= {child: parents[child][1] for child in children}
    return found


def executors():
    return [p for p, line in descendants(os.getpid()).items() if "CoarseGrainedExecutor" in line]


def workers(executor):
    """Python workers that an executor has: each is forked by a daemon of its own."""
    daemons = [p for p, line in descendants(executor).items() if "pyspark.daemon" in line]
    return [p for p in daemons if not descendants(p)]


def test_loading_and_looking_asks_nothing(spark, tmp_path):
    with sandbox() as service:
        frame = load(spark, service, tmp_path)
        assert frame.rdd.getNumPartitions() == 10
        frame.explain("extended")
        assert service.requests == []
        assert frame.schema["timestamp"].dataType.typeName() == "timestamp"


def test_every_event_arrives_once_with_faults_on_and_within_the_quota(spark, tmp_path):
    faults = [Fault("truncated_gzip", request=1), Fault("status", status=503, request=4, times=1)]
    # An hour of the service's clock passes in less time than one of the executors' quota: however
    # long a query is on its way, it belongs to the hour that it was counted in.
    clock = SandboxClock(NOW, rate=HOUR_SECONDS / 20)
    with sandbox(*faults, limits=Limits(per_hour=8), clock=clock) as service:
        options = {"credentials": "scaled_quota:credentials", "max_queries_per_hour": 8}
        frame = load(spark, service, tmp_path, **options)
        assert rows_of(frame) == truth(service)
        requests = service.requests
    assert Counter(request.status for request in requests) == {200: 11, 503: 1}
    times = sorted(request.time.timestamp() for request in requests)
    in_an_hour = [bisect_left(times, at + HOUR_SECONDS) - n for n, at in enumerate(times)]
    assert max(in_an_hour) <= 8 < len(times)


def test_a_window_of_days_that_fails_is_read_in_halves(spark, tmp_path):
    with sandbox(Fault("status", day=START.date(), times=3)) as service:
        frame = load(spark, service, tmp_path, partition_days=10)
        assert frame.rdd.getNumPartitions() == 1
        assert rows_of(frame) == truth(service)
        assert len(service.requests) >= 5


def test_what_is_killed_is_done_again_and_nothing_comes_twice(spark, tmp_path):
    rows = []
    # Silent for as long as those who have asked live.
    held = [Fault("slow_start", seconds=600, request=number) for number in (0, 1)]
    with sandbox(*held) as service:
        frame = load(spark, service, tmp_path, partition_days=2)
        job = threading.Thread(target=lambda: rows.append(rows_of(frame)))
        job.start()
        # Two at once, each in the midst of its first window.
        wait_for(lambda: len(service.requests) == 2, 240)
        first, second = executors()
        os.kill(first, signal.SIGKILL)
        for worker in workers(second):
            os.kill(worker, signal.SIGKILL)
        job.join(400)
        assert rows == [truth(service)]
        assert [request.index for request in service.requests if not request.status] == [0, 1]
        # The two were asked for once more, and no other window was.
        assert statuses(service) == {0: 2, 200: 5}


def test_a_refusal_costs_one_query_and_not_four_for_each_task(spark, tmp_path):
    with sandbox(Fault("status", status=403, times=None)) as service:
        with pytest.raises(Exception, match=r"asked once|403|access"):
            load(spark, service, tmp_path).count()
        # Two tasks at once may have been on their way.
        assert len(service.requests) <= 2


def test_pushed_filters_find_what_others_find_and_ask_for_less(spark, tmp_path):
    where = (
        "timestamp >= TIMESTAMP '2026-01-15 00:00:00Z' AND "
        "timestamp < TIMESTAMP '2026-01-16 00:00:00Z'"
    )
    with sandbox(limits=Limits(per_hour=60)) as service:
        unpushed = rows_of(load(spark, service, tmp_path, max_queries_per_hour=60).where(where))
        before = len(service.requests)
        pushing = {"filter_pushdown": "true", "max_queries_per_hour": 60}
        pushed = rows_of(load(spark, service, tmp_path, **pushing).where(where))
        asked = len(service.requests) - before
        named = load(spark, service, tmp_path, **pushing).where(f"{where} AND event_name = 'none'")
        assert named.count() == 0
    assert pushed == unpushed
    assert len(pushed) > 100
    assert asked <= 2 < before


def test_the_example_of_the_readme(spark, tmp_path):
    with sandbox(limits=Limits(per_hour=60)) as service:
        here = f'.option("api_url", "{service.api_url}").option("end_date", "2026-01-20").load()'
        names = {"spark": spark, "QUOTA": str(tmp_path / "quota")}
        exec(EXAMPLE.replace(".load()", here), names)  # noqa: S102 - the README's own
        assert names["events"].count() == truth(service).total()


def test_columns_and_sql(spark, tmp_path):
    with sandbox() as service:
        frame = load(spark, service, tmp_path, columns="event_id", partition_days=10)
        assert frame.columns == ["event_id", "timestamp"]
        spark.sql(
            "CREATE OR REPLACE TEMPORARY VIEW raw USING mixpanel_export OPTIONS ("
            f"api_url '{service.api_url}', start_date '2026-01-19', end_date '2026-01-19', "
            f"quota '{tmp_path}/quota')"
        )
        (counted,) = spark.sql("SELECT count(*) FROM raw").collect()
    # 2026-01-19.
    day = [at for _, _, at, _ in truth(service).elements() if at // 86_400_000_000 == 20_472]
    assert counted[0] == len(day)


def test_no_secret_is_in_plans_errors_or_the_event_log(spark, tmp_path, events):
    from pyspark.errors import PySparkException  # noqa: PLC0415 - there when a session is

    with sandbox() as service:
        with pytest.raises(PySparkException) as caught:
            load(spark, service, tmp_path, service_account_secret=SECRET)
        assert "service_account_secret is a secret" in str(caught.value)
        assert SECRET not in str(caught.value)
        frame = load(spark, service, tmp_path)
        plan = frame._jdf.queryExecution().toString()
    assert SECRET not in plan
    logs = [path for path in events.rglob("*") if path.is_file()]
    assert logs
    assert [path for path in logs if SECRET.encode() in path.read_bytes()] == []
