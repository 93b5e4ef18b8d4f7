"""The example for Dagster, run by Dagster itself, in an environment of its own."""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import timedelta

import processes
import pytest
from daily_files import NOON, assert_complete, days_in, insert_ids
from meltano_project import ROOT, environment
from one_environment import make_environment

from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock

pytestmark = [
    pytest.mark.orchestrators,
    pytest.mark.slow,
    pytest.mark.xdist_group("dagster"),
    pytest.mark.timeout(600),
]

DAGSTER = "dagster==1.13.29"
EXAMPLE = ROOT / "examples" / "dagster" / "mixpanel_events.py"
# The page's.
COMMAND = (
    "dagster asset materialize -f examples/dagster/mixpanel_events.py"
    " --select mixpanel_events --partition 2026-11-18"
)
# Materializes the days that it is told, and says how that went.
DRIVER = """
import json, runpy, sys
import dagster

example = runpy.run_path(sys.argv[1])
with dagster.DagsterInstance.ephemeral() as instance:
    for line in sys.stdin:
        result = dagster.materialize(
            [example["mixpanel_events"]],
            partition_key=line.strip(),
            instance=instance,
            raise_on_error=False,
        )
        events = result.asset_materializations_for_node("mixpanel_events")
        rows = [event.metadata["dagster/row_count"].value for event in events]
        print("RESULT", json.dumps([result.success, rows]), flush=True)
"""
NIGHT = """
import json, runpy, sys
from datetime import datetime, timezone
import dagster

example = runpy.run_path(sys.argv[1])
night = datetime(2026, 11, 20, 3, 30, tzinfo=timezone.utc)
repository = example["definitions"].get_repository_def()
with dagster.build_schedule_context(
    scheduled_execution_time=night, repository_def=repository
) as context:
    asked = example["every_night"].evaluate_tick(context).run_requests
print("RESULT", json.dumps([request.partition_key for request in asked]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return make_environment(tmp_path_factory.mktemp("dagster"), f"{ROOT}[arrow]", DAGSTER)


@pytest.fixture
def variables(tmp_path):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return {
        "DAGSTER_HOME": str(tmp_path),
        "MIXPANEL_FOLDER": str(tmp_path / "files"),
        "TAP_MIXPANEL_EXPORT_QUOTA_FILE": str(tmp_path / "quota"),
    }


def result_of(line):
    assert line.startswith("RESULT "), line
    return json.loads(line.removeprefix("RESULT "))


def test_a_day_comes_by_the_command_of_the_page(python, variables, tmp_path):
    with Sandbox(clock=SandboxClock.fixed(NOON)) as sandbox:
        _, *arguments = shlex.split(COMMAND)
        done = subprocess.run(
            [python.with_name("dagster"), *arguments],
            check=False,
            cwd=ROOT,
            env=environment(sandbox, **variables),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        assert sandbox.credentials.service_account_secret not in done.stdout + done.stderr
        assert days_in(tmp_path / "files") == ["2026-11-18"]
        assert_complete(tmp_path / "files" / "2026-11-18.parquet", sandbox)


def test_a_day_is_replaced_whole_or_not_at_all(python, variables, tmp_path):
    file = tmp_path / "files" / "2026-11-18.parquet"
    clock = SandboxClock.fixed(NOON)
    with Sandbox(clock=clock) as sandbox:
        driver = processes.start(
            [python, "-c", DRIVER, EXAMPLE],
            env=environment(sandbox, **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def materialize(day):
            driver.stdin.write(f"{day}\n")
            driver.stdin.flush()
            return result_of(driver.stdout.readline())

        succeeded, (rows,) = materialize("2026-11-18")
        assert succeeded
        assert rows > 100
        assert_complete(file, sandbox)
        before = file.read_bytes()
        # Again: the same rows.
        assert materialize("2026-11-18") == [True, [rows]]
        assert_complete(file, sandbox)
        # What came late is there next time; a day that fails has the file that it had.
        clock.advance(timedelta(hours=3))
        at = NOON - timedelta(days=2)
        sandbox.add([Event.at(at, processed=NOON + timedelta(hours=1), insert_id="late")])
        sandbox.add_faults(Fault("status", status=401))
        assert materialize("2026-11-18") == [False, []]
        assert file.read_bytes() == before
        assert days_in(tmp_path / "files") == ["2026-11-18"]
        succeeded, (more,) = materialize("2026-11-18")
        assert succeeded
        assert more > rows
        assert_complete(file, sandbox)
        assert "late" in insert_ids(file)
        # A day without events has a file, too.
        assert materialize("2026-03-01") == [True, [0]]
        assert_complete(file.with_name("2026-03-01.parquet"), sandbox)
        driver.stdin.close()
        assert driver.wait() == 0


def test_the_schedule_asks_for_the_last_days_again(python):
    done = subprocess.run(
        [python, "-c", NIGHT, EXAMPLE],
        check=True,
        env=environment(),
        capture_output=True,
        text=True,
    )
    days = [f"2026-11-{day}" for day in range(14, 20)]
    assert result_of(done.stdout.splitlines()[-1]) == days
