"""Spark, real: a cluster of two executors on this machine, some of which do not live long."""

from __future__ import annotations

import os
import signal
import threading
from bisect import bisect_left
from collections import Counter
from pathlib import Path

import pytest
from cluster import MARKS, NOW, START, load, rows_of, sandbox, truth
from harness import wait_for

from tap_mixpanel_export.sandbox import Fault, Limits, SandboxClock

pytestmark = MARKS

HOUR_SECONDS = 3600


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
    since, until = "TIMESTAMP '2026-01-15 00:00:00Z'", "TIMESTAMP '2026-01-16 00:00:00Z'"
    filters = [
        f"timestamp >= {since} AND timestamp < {until}",
        f"timestamp BETWEEN {since} AND {until} AND event_name IN ('Twice', 'No id')",
        # A day of the session's zone is a part of two of the project's.
        "to_date(timestamp) = DATE '2026-01-15' AND NOT event_name = 'Twice'",
    ]
    with sandbox(limits=Limits(per_hour=60)) as service:
        everything = load(spark, service, tmp_path, max_queries_per_hour=60).cache()
        unpushed = [rows_of(everything.where(where)) for where in filters]
        before = len(service.requests)
        pushing = {"filter_pushdown": "true", "max_queries_per_hour": 60}
        asked = []
        for where, rows in zip(filters, unpushed, strict=True):
            assert rows_of(load(spark, service, tmp_path, **pushing).where(where)) == rows
            asked.append(len(service.requests) - before - sum(asked))
        everything.unpersist()
        assert before == 10
        assert asked == [2, 2, 2]
    assert [len(rows) > 0 for rows in unpushed] == [True] * 3


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
