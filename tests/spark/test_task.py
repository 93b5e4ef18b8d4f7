"""What one task does, in this process: one query for a window, whoever asks for it how often."""

from __future__ import annotations

import threading
from datetime import date, datetime, timezone

import pyarrow as pa
import pytest
from event_truth import expected_rows

from tap_mixpanel_export.api.waiting import Quota
from tap_mixpanel_export.errors import RequestError, SettingsError
from tap_mixpanel_export.sandbox import Fault, Sandbox, SandboxClock
from tap_mixpanel_export.spark.options import read_options
from tap_mixpanel_export.spark.task import Task, read_task

NOW = datetime(2026, 1, 20, 12, tzinfo=timezone.utc)


@pytest.fixture
def sandbox(request):
    faults = getattr(request, "param", [])
    with Sandbox(clock=SandboxClock.fixed(NOW), faults=faults) as sandbox:
        yield sandbox


@pytest.fixture
def options(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr(Quota, "PER_SECOND", 1000)
    monkeypatch.setattr("backoff.full_jitter", lambda _: 0.05)
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    return read_options(
        {
            "api_url": sandbox.api_url,
            "start_date": "2026-01-18",
            "partition_days": "1",
            "quota": str(tmp_path / "quota"),
        }
    )


def tasks(options):
    windows = options.export_for_planning().plan(days=options.partition_days, now=NOW)
    return [Task("a job", window) for window in windows]


def ids(options, task):
    return pa.Table.from_batches(read_task(options, task)).column("event_id").to_pylist()


def test_tasks_read_all_and_planning_asks_nothing(sandbox, options) -> None:
    found = [key for task in tasks(options) for key in ids(options, task)]
    since = datetime(2026, 1, 18, tzinfo=timezone.utc)
    rows = expected_rows(sandbox.visible()).items()
    assert sorted(found) == sorted(key for key, row in rows if row.instant >= since)
    assert len(sandbox.requests) == len(tasks(options)) == 3


@pytest.mark.parametrize("sandbox", [[Fault("status", status=403, times=None)]], indirect=True)
def test_what_was_refused_once_is_not_asked_for_again(sandbox, options) -> None:
    first, second, _ = tasks(options)
    with pytest.raises(RequestError) as caught:
        ids(options, first)
    for task in (first, first, second):
        with pytest.raises(RequestError, match="asked once; load again") as again:
            ids(options, task)
        assert str(caught.value) in str(again.value)
    assert len(sandbox.requests) == 1
    # Another load asks.
    with pytest.raises(RequestError):
        ids(options, Task("another job", first.window))
    assert len(sandbox.requests) == 2


@pytest.mark.slow
def test_of_copies_of_a_task_one_asks_at_a_time(sandbox, options, monkeypatch) -> None:
    monkeypatch.setattr("tap_mixpanel_export.api.lease.Leases.POLL_SECONDS", 0.05)
    task = tasks(options)[0]
    running = read_task(options, task)
    next(running)
    waiting = threading.Thread(target=ids, args=(options, task))
    waiting.start()
    waiting.join(0.3)
    assert len(sandbox.requests) == 1
    running.close()
    waiting.join(120)
    assert not waiting.is_alive()
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize(
    "sandbox", [[Fault("status", day=date(2026, 1, 19), times=3)]], indirect=True
)
def test_a_window_that_fails_is_halved_inside_of_the_task(sandbox, options) -> None:
    (window,) = options.export_for_planning().plan(days=3, now=NOW)
    found = ids(options, Task("a job", window))
    assert len(sandbox.requests) > 3
    assert sorted(found) == sorted(key for task in tasks(options) for key in ids(options, task))


def test_without_credentials_nothing_is_asked_for(sandbox, options, monkeypatch) -> None:
    monkeypatch.delenv("TAP_MIXPANEL_EXPORT_SERVICE_ACCOUNT_SECRET")
    with pytest.raises(SettingsError, match="service_account_secret"):
        ids(options, tasks(options)[0])
    assert sandbox.requests == []
