"""The examples for Airflow, run by Airflow itself, in an environment of its own."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from daily_files import NOON, assert_complete, days_in, insert_ids
from meltano_project import ROOT, environment
from one_environment import make_environment
from watched_project import watched_project

from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock

pytestmark = [
    pytest.mark.orchestrators,
    pytest.mark.slow,
    pytest.mark.xdist_group("airflow"),
    pytest.mark.timeout(900),
]

AIRFLOW = "apache-airflow==3.3.2"
# The page's.
NIGHT = "airflow dags test mixpanel_events 2026-11-20"
SOME_DAYS = (
    "airflow dags test mixpanel_events "
    """--conf '{"first": "2026-11-17", "last": "2026-11-19"}'"""
)
WATCHED = "airflow dags test mixpanel_watched"


class Airflow:
    """Airflow's commands, with a home and a database of their own.

    Args:
        python: Of the environment that has Airflow.
        home: An empty folder.
    """

    def __init__(self, python, home):
        self.programs = python.parent
        self.settings = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "examples" / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        assert self.run("airflow db migrate")[0] == 0

    def run(self, command, sandbox=None, **settings):
        """Run a command, and return its exit code and what it said."""
        program, *arguments = shlex.split(command)
        done = subprocess.run(
            [self.programs / program, *arguments],
            check=False,
            env=environment(sandbox, **self.settings, **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if sandbox is not None:
            assert sandbox.credentials.service_account_secret not in done.stdout
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("airflow")
    python = make_environment(folder, f"{ROOT}[arrow]", AIRFLOW)
    return Airflow(python, folder / "home")


def test_days_are_replaced_whole_or_not_at_all(airflow, tmp_path):
    files = tmp_path / "files"
    settings = {
        "MIXPANEL_FOLDER": str(files),
        "TAP_MIXPANEL_EXPORT_QUOTA_FILE": str(tmp_path / "quota"),
    }
    clock = SandboxClock.fixed(NOON)
    with Sandbox(clock=clock) as sandbox:
        code, said = airflow.run(NIGHT, sandbox, **settings)
        assert code == 0, said[-4000:]
        assert days_in(files) == [f"2026-11-{day}" for day in range(14, 20)]
        for file in files.iterdir():
            assert_complete(file, sandbox)
        before = {file.stem: file.read_bytes() for file in files.iterdir()}
        # What came late is there the next time; a day that fails has the file that it had.
        clock.advance(timedelta(hours=3))
        at = NOON - timedelta(days=2)
        sandbox.add([Event.at(at, processed=NOON + timedelta(hours=1), insert_id="late")])
        sandbox.add_faults(Fault("status", status=401, day=(NOON - timedelta(days=1)).date()))
        code, said = airflow.run(SOME_DAYS, sandbox, **settings)
        assert code != 0
        assert "service account" in said
        assert days_in(files) == sorted(before)
        for day in ("2026-11-17", "2026-11-18"):
            assert_complete(files / f"{day}.parquet", sandbox)
        assert "late" in insert_ids(files / "2026-11-18.parquet")
        for day in ("2026-11-14", "2026-11-15", "2026-11-16", "2026-11-19"):
            assert (files / f"{day}.parquet").read_bytes() == before[day]


@pytest.fixture
def chat():
    """A chat's webhook: its address, and what was posted there."""
    posted = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self):
            size = int(self.headers["Content-Length"])
            posted.append(json.loads(self.rfile.read(size))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments):
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", posted
        server.shutdown()
        thread.join()


def test_a_run_that_failed_is_told_of_with_what_to_do(airflow, chat, tmp_path):
    project = watched_project(tmp_path / "clone")
    url, posted = chat
    now = datetime.now(timezone.utc)
    settings = {
        "MIXPANEL_PROJECT": str(project.root),
        "MIXPANEL_ALERTS_URL": url,
        "TAP_MIXPANEL_EXPORT_START_DATE": str(now.date() - timedelta(days=3)),
    }
    # No event of yesterday.
    events = [Event.at(now - timedelta(days=2), insert_id="2")]
    with Sandbox(events, clock=SandboxClock.fixed(now)) as sandbox:
        wrong = {"TAP_MIXPANEL_EXPORT_SERVICE_ACCOUNT_SECRET": "wrong"}
        code, said = airflow.run(WATCHED, sandbox, **settings, **wrong)
        assert code != 0
        assert len(posted) == 1, said[-4000:]
        assert posted[0].startswith("mixpanel_watched failed")
        assert "service account" in posted[0]
        code, said = airflow.run(WATCHED, sandbox, **settings)
        assert code != 0
        assert "has come out of Mixpanel" in said
        assert len(posted) == 2, said[-4000:]
        assert "It ended well" in posted[1]
