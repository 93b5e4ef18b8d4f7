from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from processes import start

from tap_mixpanel_export.sandbox import cli as command
from tap_mixpanel_export.sandbox.fault_kinds import KINDS

pytestmark = pytest.mark.slow

SANDBOX = [sys.executable, "-m", "tap_mixpanel_export.sandbox.cli"]
FETCH = """
import json, os, sys, urllib.request, base64
prefix = "TAP_MIXPANEL_EXPORT_"
e = {k.removeprefix(prefix): v for k, v in os.environ.items() if k.startswith(prefix)}
user = e["SERVICE_ACCOUNT_USERNAME"] + ":" + e["SERVICE_ACCOUNT_SECRET"]
url = e["API_URL"] + "/export?project_id=" + e["PROJECT_ID"] + sys.argv[1]
headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}
with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
    body = answer.read()
no_proxy = os.environ["NO_PROXY"]
print(json.dumps({"lines": body.count(b"\\n"), "environment": e, "no_proxy": no_proxy}))
"""
DAYS = "&from_date=2026-11-01&to_date=2026-11-20"


def run(*arguments, **environment):
    return subprocess.run(
        [*SANDBOX, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.slow
def test_a_command_runs_in_the_sandbox(tmp_path):
    log = tmp_path / "log.jsonl"
    done = run(
        *("--now", "2026-11-20T12:00:00Z", "--clock-rate", "0", "--log-requests", str(log)),
        *("--", sys.executable, "-c", FETCH, DAYS),
        TAP_MIXPANEL_EXPORT_OAUTH_TOKEN="a real one",
        HTTP_PROXY="http://127.0.0.1:9",
        NO_PROXY="example.com",
    )
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["lines"] > 2000
    assert set(told["environment"]) == {
        "API_URL",
        "PROJECT_ID",
        "SERVICE_ACCOUNT_USERNAME",
        "SERVICE_ACCOUNT_SECRET",
    }
    assert told["no_proxy"] == "example.com,127.0.0.1,localhost"
    assert json.loads(log.read_text())["status"] == 200


@pytest.mark.slow
def test_generated_events_and_limits(tmp_path):
    program = tmp_path / "four.py"
    program.write_text(f"import sys\ncode = {FETCH!r}\nfor _ in range(4): exec(code)\n")
    start = ["--now", "2026-11-20T12:00:00+00:00", "--clock-rate", "0", "--generate", "500"]
    rest = ["--shape", "adobe", "--days", "3", "--", sys.executable, str(program), DAYS]
    limited = run(*start, *rest)
    assert limited.returncode == 1
    assert "429" in limited.stderr
    free = run(*start, "--no-limits", *rest)
    assert [json.loads(line)["lines"] for line in free.stdout.splitlines()] == [500] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_the_exit_code_is_the_commands(script, code):
    assert run("--", "sh", "-c", script).returncode == code


def test_a_command_that_does_not_exist_is_127_and_one_line():
    done = run("--", "no-such-command-anywhere", "--", "x")
    assert done.returncode == 127
    assert done.stderr == "mixpanel-sandbox: no-such-command-anywhere: command not found\n"


def test_a_file_that_is_no_program_is_126(tmp_path):
    done = run("--", str(tmp_path))
    assert done.returncode == 126
    assert len(done.stderr.splitlines()) == 1


def test_a_second_double_dash_is_the_commands():
    done = run("--", sys.executable, "-c", "import sys; print(sys.argv[1:])", "--", "a", "--now")
    assert done.stdout == "['--', 'a', '--now']\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_command(number):
    program = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(42))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.01)\n"
    )
    process = start([*SANDBOX, "--", sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.wait() == 42


def test_a_hangup_that_is_ignored_from_the_start_ends_nothing():
    waiting = "import signal; print('ready', flush=True); signal.pause()"
    process = start(
        [
            *("sh", "-c", "trap '' HUP; exec \"$@\"", "sh"),
            *(*SANDBOX, "--", sys.executable, "-c", waiting),
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"ready\n"
    # To the whole group, as a terminal does when it is closed.
    os.killpg(process.pid, signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_a_command_it_serves_until_interrupted(number):
    process = start([*SANDBOX, "--hostile"], stdout=subprocess.PIPE, text=True)
    told = dict(process.stdout.readline().rstrip("\n").split("=", 1) for _ in range(4))
    environment = {**os.environ, **told, "NO_PROXY": "127.0.0.1"}
    day = "&from_date=2020-01-01&to_date=2020-01-01"
    fetched = subprocess.run(
        [sys.executable, "-c", FETCH, day], check=True, capture_output=True, env=environment
    )
    assert json.loads(fetched.stdout)["lines"] == 0
    process.send_signal(number)
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "/nowhere.json"], "mixpanel-sandbox: scenario /nowhere.json: No such file"),
        (["--log-requests", "/nowhere/log"], "/nowhere/log"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, capsys):
    assert command.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--now", "soon"],
        ["--clock-rate", "-1"],
        ["--clock-rate", "nan"],
        ["--generate", "0"],
        ["--timezone", "Mars/Base"],
        ["--timezone", "../etc"],
        ["--timezone", "America"],
        ["--port", "70000"],
        ["--shape", "round"],
        ["stray"],
    ],
)
def test_wrong_usage_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert "usage: mixpanel-sandbox" in capsys.readouterr().err


def test_the_help_names_every_fault(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert all(f"  {kind} " in told for kind in KINDS)
