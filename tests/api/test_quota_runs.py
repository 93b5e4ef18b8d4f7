"""Runs against a service that counts, and whose time goes on with their waits."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime

import pytest
import requests
from harness import DAY, UTC, run_tap, some_days, truth, waits_of

from tap_mixpanel_export.sandbox import Limits, Sandbox, SandboxClock

PER_HOUR = 12
START = datetime(2024, 1, 1, tzinfo=UTC)

SETTINGS = {
    "start_date": START.date().isoformat(),
    "max_queries_per_hour": PER_HOUR,
    # Wider windows would need too few queries to meet a limit.
    "max_window_days": 30,
    "max_concurrent_queries": 1,
}


@contextmanager
def project(days, limits=None):
    events = [event for event in some_days(START, days, each=1) if event.time_ms % 3 == 0]
    clock = SandboxClock.fixed(START + days * DAY)
    limits = limits or Limits(per_hour=PER_HOUR)
    with Sandbox(events, clock=clock, limits=limits) as sandbox, waits_of(clock):
        yield sandbox


def run(sandbox, **settings):
    got = run_tap(sandbox, **{**SETTINGS, **settings})
    assert got.error is None
    assert got.ids == truth(sandbox)


def refused(sandbox):
    return [request for request in sandbox.requests if request.status == 429]


@pytest.mark.slow
def test_a_backfill_of_two_years_is_never_refused():
    with project(730) as sandbox:
        run(sandbox)
        assert refused(sandbox) == []
        # More than the quota of two hours.
        assert 2 * PER_HOUR < len(sandbox.requests) < 60


def test_two_runs_that_share_a_quota_file_are_never_refused(tmp_path):
    with project(365) as sandbox:
        for _ in range(2):
            run(sandbox, quota_file=str(tmp_path / "quota.db"))
        assert refused(sandbox) == []
        assert len(sandbox.requests) > 2 * PER_HOUR


def test_two_runs_with_quotas_of_their_own_are_refused():
    with project(365) as sandbox:
        for _ in range(2):
            run(sandbox)
        assert refused(sandbox)


@pytest.mark.parametrize("retry_after", [True, False])
def test_a_quota_that_others_use_too_makes_a_run_wait_and_go_on(retry_after):
    with project(120, Limits(per_hour=PER_HOUR, retry_after=retry_after)) as sandbox:
        # Somebody else uses most of it just before the run.
        for _ in range(PER_HOUR - 2):
            sandbox.clock.advance(1)
            ask(sandbox)
        run(sandbox)
        assert refused(sandbox)


def ask(sandbox):
    known = sandbox.credentials
    day = START.date().isoformat()
    with requests.Session() as session:
        session.trust_env = False
        session.get(
            f"{sandbox.api_url}/export",
            params={"project_id": known.project_id, "from_date": day, "to_date": day},
            auth=(known.service_account_username, known.service_account_secret),
            timeout=60,
        ).raise_for_status()


def test_no_second_holds_more_than_three_queries():
    with project(16, Limits()) as sandbox:
        run(sandbox, max_queries_per_hour=60, max_window_days=1)
        assert refused(sandbox) == []
        # The last day has no events yet: such an answer is read twice.
        assert len(sandbox.requests) == 18
