"""Runs against a service that counts: its clock runs fast, and the quota's windows with it."""

from __future__ import annotations

from datetime import datetime

import pytest
from harness import DAY, UTC, Run, some_days, start_command, truth

from tap_mixpanel_export.sandbox import Limits, Sandbox, SandboxClock

# An hour of the service takes three seconds.
RATE = 1200
PER_HOUR = 12
START = datetime(2024, 1, 1, tzinfo=UTC)

# The ways of queries differ by what they do on a busy machine, however fast the clock runs.
JITTER = 0.5
SCALED = f"""
from tap_mixpanel_export.__main__ import main
from tap_mixpanel_export.api.rate_limit import QueryLimiter
QueryLimiter.HOUR_SECONDS = {3600 / RATE + JITTER}
QueryLimiter.SECOND_SECONDS = {1 / RATE}
main()
"""
# Somebody else uses most of the quota just before the run.
AFTER_OTHERS = f"""
import json, requests, sys
from pathlib import Path
config = json.loads(Path(sys.argv[2]).read_text())
for _ in range({PER_HOUR - 2}):
    requests.get(
        config["api_url"] + "/export",
        params={{
            "project_id": config["project_id"],
            "from_date": "2024-01-01",
            "to_date": "2024-01-01",
        }},
        auth=(config["service_account_username"], config["service_account_secret"]),
        timeout=20,
    )
"""

SETTINGS = {
    "start_date": START.date().isoformat(),
    "max_queries_per_hour": PER_HOUR,
    # Wider windows would need too few queries to meet a limit.
    "max_window_days": 30,
}


def project(days, limits=None, rate=RATE):
    events = [event for event in some_days(START, days, each=1) if event.time_ms % 3 == 0]
    clock = SandboxClock(START + days * DAY, rate=rate)
    return Sandbox(events, clock=clock, limits=limits or Limits(per_hour=PER_HOUR))


def finish(process):
    output, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr.decode()
    return Run(output)


def refused(sandbox):
    return [request for request in sandbox.requests if request.status == 429]


@pytest.mark.slow
def test_a_backfill_of_two_years_is_never_refused(tmp_path):
    with project(730) as sandbox:
        got = finish(start_command(sandbox, tmp_path, program=("-c", SCALED), **SETTINGS))
        assert got.ids == truth(sandbox)
        assert len(refused(sandbox)) <= 1
        # More than the quota of two hours.
        assert 2 * PER_HOUR < len(sandbox.requests) < 60


@pytest.mark.slow
def test_two_runs_that_share_a_quota_file_are_never_refused(tmp_path):
    quota = str(tmp_path / "quota.db")
    with project(365) as sandbox:
        processes = []
        for name in ("one", "other"):
            folder = tmp_path / name
            folder.mkdir()
            processes.append(
                start_command(sandbox, folder, program=("-c", SCALED), quota_file=quota, **SETTINGS)
            )
        for got in [finish(process) for process in processes]:
            assert got.ids == truth(sandbox)
        assert refused(sandbox) == []
        assert len(sandbox.requests) > 3 * PER_HOUR


@pytest.mark.slow
@pytest.mark.parametrize("retry_after", [True, False])
def test_a_quota_that_others_use_too_makes_a_run_wait_and_go_on(tmp_path, retry_after):
    limits = Limits(per_hour=PER_HOUR, retry_after=retry_after)
    with project(120, limits) as sandbox:
        program = SCALED.replace("main()", AFTER_OTHERS + "main()")
        got = finish(start_command(sandbox, tmp_path, program=("-c", program), **SETTINGS))
        assert got.ids == truth(sandbox)
        assert refused(sandbox)


@pytest.mark.slow
def test_no_second_holds_more_than_three_queries(tmp_path):
    with project(16, Limits(), rate=1) as sandbox:
        got = finish(
            start_command(
                sandbox, tmp_path, **{**SETTINGS, "max_queries_per_hour": 60, "max_window_days": 1}
            )
        )
        assert got.ids == truth(sandbox)
        assert refused(sandbox) == []
        # The last day has no events yet: such an answer is read twice.
        assert len(sandbox.requests) == 18
