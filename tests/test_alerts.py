"""README's ways to be told of a failed run and of a day without events, as cron runs them."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from meltano_project import environment
from watched_project import SCRIPTS, watched_project

from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock

if TYPE_CHECKING:
    from meltano_project import MeltanoProject

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("meltano")]


def away_from_midnight(seconds: int) -> None:
    """Have the day not end so soon: what is tested here goes by the real one."""
    now = datetime.now(timezone.utc)
    left = timedelta(days=1) - timedelta(hours=now.hour, minutes=now.minute, seconds=now.second)
    if left.total_seconds() < seconds:
        time.sleep(left.total_seconds() + 1)


def runs(folder, *days: int) -> None:
    """Documents of runs that have found events of these days before today."""
    (folder / "report" / "runs").mkdir(parents=True)
    today = datetime.now(timezone.utc).date()
    for day in days:
        document = {"eventsPerDay": {str(today - timedelta(days=day)): 5}}
        (folder / "report" / "runs" / f"{day}.json").write_text(json.dumps(document))


@pytest.mark.parametrize(("days", "code"), [((1, 2), 0), ((0, 2), 1)])
def test_a_day_without_events_is_a_failure(tmp_path, days, code):
    away_from_midnight(20)
    runs(tmp_path, *days)
    done = subprocess.run(
        ["sh", SCRIPTS / "no-events.sh"], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.returncode == code
    assert ("has come out of Mixpanel" in done.stderr) == bool(code)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> MeltanoProject:
    return watched_project(tmp_path_factory.mktemp("alerts") / "clone")


def cron(project: MeltanoProject, sandbox: Sandbox, **settings: str):
    return subprocess.run(
        [project.root / "cron.sh"],
        check=False,
        env=environment(sandbox, **settings),
        capture_output=True,
        text=True,
    )


def test_cron_is_silent_when_all_is_well_and_says_what_is_not(project):
    away_from_midnight(240)
    now = datetime.now(timezone.utc)
    events = [Event.at(now - timedelta(days=day, hours=1), insert_id=f"{day}") for day in (0, 2)]
    start = {"TAP_MIXPANEL_EXPORT_START_DATE": str(now.date() - timedelta(days=3))}
    with Sandbox(events, clock=SandboxClock.fixed(now)) as sandbox:
        done = cron(project, sandbox, **start)
        assert done.returncode == 1
        assert "has come out of Mixpanel" in done.stdout
        # It comes late, after what the first run has seen.
        processed = now - timedelta(minutes=1)
        sandbox.add([Event.at(now - timedelta(days=1), insert_id="late", processed=processed)])
        done = cron(project, sandbox, **start)
        assert (done.returncode, done.stdout) == (0, "")
        wrong = {"TAP_MIXPANEL_EXPORT_SERVICE_ACCOUNT_SECRET": "wrong"}
        done = cron(project, sandbox, **start, **wrong)
    assert done.returncode == 1
    assert "service account" in done.stdout
    report = json.loads((project.root / "report" / "run.json").read_text())
    assert report["status"] == "failed"
