"""All commands: how they end on signals, and what they say instead of a traceback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
from commands import PROGRAMS, by_signal, command, start, tap_config, unread, wait_until_blocked
from harness import Run, truth, wait_for

from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
CLOSED = "stdout was closed by the program that reads it; the run ends"


@pytest.fixture(scope="module")
def sandbox():
    events = [
        Event.at(NOW - timedelta(minutes=n + 20), insert_id=str(n), text="x" * 500)
        for n in range(500)
    ]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


def shell(program, *arguments, redirect="", folder):
    """Run a command with what a shell does to its descriptors."""
    line = 'exec "$@" ' + redirect
    with start(["sh", "-c", line, "sh", *command(program, *arguments)], folder) as process:
        out, err = process.communicate()
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err
    return process.returncode, out, err.decode()


def events_file(folder, count=2000):
    """A tap's output."""
    columns = ("event_id", "timestamp", "event_name")
    schema = {"properties": {name: {} for name in columns}}
    lines = [
        {"type": "SCHEMA", "stream": "events", "key_properties": [], "schema": schema},
        *(
            {
                "type": "RECORD",
                "stream": "events",
                "record": {
                    "event_id": str(n),
                    "timestamp": "2026-11-20T12:00:00Z",
                    "event_name": "x" * 100,
                },
            }
            for n in range(count)
        ),
    ]
    path = folder / "events.singer"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


# --- signals -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("number", "imported"),
    [
        (signal.SIGINT, b" json.decoder"),
        (signal.SIGHUP, b" logging"),
        (signal.SIGTERM, b" tap_mixpanel_export.errors"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_signal_during_the_imports_ends_a_command_without_a_word(
    program, number, imported, tmp_path
):
    """Each import that is finished is told on stderr: the moments do not depend on time."""
    line = command(program, "--help", options=("-X", "importtime"))
    with start(line, tmp_path) as process:
        for told in process.stderr:
            if told.rstrip().endswith(b"tap_mixpanel_export.termination"):
                break
        for told in process.stderr:
            if told.rstrip().endswith(imported):
                break
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait() == 128 + number
    assert all(told.startswith(b"import time:") for told in rest.splitlines())


@pytest.mark.slow
@by_signal
@pytest.mark.parametrize("program", ["tap-mixpanel-export", "map-mixpanel-xdm"])
def test_one_signal_ends_a_command_whose_reader_reads_nothing(sandbox, tmp_path, program, number):
    arguments = (
        ("--config", tap_config(sandbox, tmp_path, start_date="2026-11-20"))
        if program == "tap-mixpanel-export"
        else ("--input", events_file(tmp_path))
    )
    with start(command(program, *arguments), tmp_path) as process:
        assert wait_until_blocked(process.stdout.fileno(), process)
        process.send_signal(number)
        # Nothing is read: only the signal can end it.
        assert process.wait() == 128 + number
        assert b"Traceback" not in process.stderr.read()
    assert list((tmp_path / "tmp").iterdir()) == []


# This test's own process may be the one that a busy machine keeps waiting.
PATIENT = """
from tap_mixpanel_export import termination
from tap_mixpanel_export.__main__ import main
termination._MESSAGE_SECONDS = 60
main()
"""


@pytest.mark.slow
def test_a_reader_that_goes_on_gets_whole_lines(sandbox, tmp_path):
    config = tap_config(sandbox, tmp_path, start_date="2026-11-20")
    with start([sys.executable, "-c", PATIENT, "--config", config], tmp_path) as process:
        assert wait_until_blocked(process.stdout.fileno(), process)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    assert process.returncode == 143
    assert output.endswith(b"}\n")
    assert Run(output).messages


@pytest.mark.slow
@pytest.mark.parametrize("program", ["map-mixpanel-xdm", "mixpanel-xdm"])
def test_a_signal_ends_a_command_that_waits_for_its_input(tmp_path, program):
    arguments = ("infer", "--input", "-") if program == "mixpanel-xdm" else ()
    with start(command(program, *arguments), tmp_path, stdin=subprocess.PIPE) as process:
        process.stdin.write(b'{"type": "STATE", "value": {}}\n')
        if program == "map-mixpanel-xdm":
            assert process.stdout.readline()
        else:
            wait_for(lambda: unread(process.stdin.fileno()) == 0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err


@pytest.mark.slow
def test_under_nohup_a_run_outlives_its_terminal(sandbox, tmp_path):
    sandbox.add_faults(Fault("slow_start", seconds=1))
    asked = len(sandbox.requests)
    config = tap_config(sandbox, tmp_path, start_date="2026-11-20")
    line = command("tap-mixpanel-export", "--config", config)
    with start(["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *line], tmp_path) as process:
        wait_for(lambda: len(sandbox.requests) > asked)
        process.send_signal(signal.SIGHUP)
        output, _ = process.communicate()
    assert process.returncode == 0
    assert Run(output).ids == truth(sandbox)


# --- descriptors -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "arguments"),
    [("tap-mixpanel-export", ("--discover",)), ("map-mixpanel-xdm", ())],
)
def test_a_closed_stdout_is_a_sentence(tmp_path, program, arguments):
    code, _, err = shell(program, *arguments, redirect="< /dev/null >&-", folder=tmp_path)
    assert (code, err) == (1, "Error: stdout is closed: there is nowhere to write to\n")


@pytest.mark.slow
def test_what_the_shell_has_closed_is_not_taken_for_a_file_of_the_run(sandbox, tmp_path):
    config = tap_config(sandbox, tmp_path, start_date="2026-11-20")
    code, out, _ = shell(
        "tap-mixpanel-export", "--config", config, redirect="<&- 2>&-", folder=tmp_path
    )
    assert code == 0
    assert Run(out).ids == truth(sandbox)


@pytest.mark.slow
@pytest.mark.parametrize("redirect", ["> /dev/full", "1< /dev/null"])
@pytest.mark.parametrize("program", ["tap-mixpanel-export", "map-mixpanel-xdm", "discovery"])
def test_a_stdout_that_cannot_be_written_is_named(sandbox, tmp_path, redirect, program):
    if program == "discovery":
        program, arguments = "tap-mixpanel-export", ["--discover"]
    elif program == "map-mixpanel-xdm":
        arguments = ["--input", events_file(tmp_path)]
    else:
        arguments = ["--config", tap_config(sandbox, tmp_path, start_date="2026-11-20")]
    code, _, err = shell(program, *arguments, redirect=redirect, folder=tmp_path)
    reason = "No space left on device; make room" if "full" in redirect else "Bad file descriptor"
    assert code == 1
    assert f"stdout: {reason}" in err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("program", ["tap-mixpanel-export", "map-mixpanel-xdm", "discovery"])
def test_a_reader_that_has_gone_is_told_of(sandbox, tmp_path, program):
    if program == "discovery":
        line = command("tap-mixpanel-export", "--discover")
    elif program == "map-mixpanel-xdm":
        line = command(program, "--input", events_file(tmp_path))
    else:
        config = tap_config(sandbox, tmp_path, start_date="2026-11-20")
        line = command(program, "--config", config)
    with start(line, tmp_path) as process:
        process.stdout.close()
        err = process.stderr.read().decode()
        assert process.wait() == 1
    assert CLOSED in err.splitlines()[-1]
    assert "Traceback" not in err
    assert "unhandled error" not in err


# --- resources ---------------------------------------------------------------------------------

# Everything is imported, and then so many more bytes may be asked for.
LIMITED = """
import gc, resource, sys
from tap_mixpanel_export import cli
from tap_mixpanel_export.tap import TapMixpanelExport

def load():
    pages = int(open("/proc/self/statm").read().split()[0])
    most = pages * resource.getpagesize() + {room}
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return cli.plugin_command(TapMixpanelExport)

cli.run("tap-mixpanel-export", load, sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [1, 5, 12, 24, 60])
def test_a_run_with_little_memory_does_its_work_or_ends_with_a_sentence(
    sandbox, tmp_path, megabytes
):
    config = tap_config(sandbox, tmp_path, start_date="2026-11-20", max_concurrent_queries=20)
    program = LIMITED.format(room=megabytes * 1_000_000)
    with start([sys.executable, "-c", program, "--config", config], tmp_path) as process:
        output, err = process.communicate()
    assert b"Traceback" not in err
    assert b"cannot join" not in err
    if process.returncode == 0:
        assert Run(output).ids == truth(sandbox)
    else:
        assert process.returncode == 1
        last = err.splitlines()[-1]
        assert b"starts no thread" in last or b"not enough memory" in last


# What these windows hold would never come to a file.
WITHOUT_MEMORY = """
from tap_mixpanel_export import __main__
from tap_mixpanel_export.config import run

run._SPOOLS_BYTES = 0
__main__.main()
"""


@pytest.mark.slow
def test_a_full_folder_for_temporary_files_is_named(sandbox, tmp_path):
    config = tap_config(sandbox, tmp_path, start_date="2026-11-20")
    # In blocks of 512 bytes (POSIX) or 1024.
    line = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", sys.executable, "-c", WITHOUT_MEMORY]
    with start([*line, "--config", config], tmp_path) as process:
        _, err = process.communicate()
    assert process.returncode == 1
    assert f"TMPDIR ({tmp_path}/tmp): File too large" in err.decode().splitlines()[-1]
    assert b"Traceback" not in err
    assert list((tmp_path / "tmp").iterdir()) == []


# --- what a person reads -----------------------------------------------------------------------


def yesterday():
    return (datetime.now(timezone.utc) - timedelta(days=1)).date()


@pytest.fixture
def fresh():
    """A project of a month at the real time, which is what a test of the settings goes by."""
    now = datetime.now(timezone.utc)
    events = [
        Event.at(now - timedelta(days=day, minutes=20 + n), insert_id=f"{day}-{n}")
        for day in range(30)
        for n in range(3)
    ]
    with Sandbox([*events, events[0]]) as sandbox:
        yield sandbox


@pytest.mark.slow
@pytest.mark.parametrize("output", ["records", "files"])
def test_a_test_of_the_settings_is_one_query_of_one_day_and_says_ok(fresh, tmp_path, output):
    files = {
        "batch_config": {
            "encoding": {"format": "jsonl"},
            "storage": {"root": str(tmp_path / "files")},
        }
    }
    config = tap_config(fresh, tmp_path, **(files if output == "files" else {}))
    # The day may end in between.
    before = yesterday()
    code, out, err = shell("tap-mixpanel-export", "--config", config, "--test", folder=tmp_path)
    assert code == 0
    assert [json.loads(line)["type"] for line in out.splitlines()][:2] == ["SCHEMA", "RECORD"]
    assert err.splitlines()[-1].endswith(
        "ok: Mixpanel takes these settings (one query, of one day)"
    )
    assert '"failed"' not in err
    assert "unhandled" not in err
    (request,) = fresh.requests
    assert request.from_date == request.to_date
    assert before <= request.from_date <= yesterday()
    assert not (tmp_path / "files").exists()


@pytest.mark.slow
def test_a_test_of_bad_credentials_says_what_to_check(fresh, tmp_path):
    config = tap_config(fresh, tmp_path, service_account_secret="wrong")
    code, _, err = shell("tap-mixpanel-export", "--config", config, "--test", folder=tmp_path)
    assert code == 1
    assert "service account" in err.splitlines()[-1]
    assert "unhandled" not in err


@pytest.mark.slow
def test_the_last_line_is_the_one_that_a_person_needs(fresh, tmp_path):
    config = tap_config(fresh, tmp_path)
    code, out, err = shell("tap-mixpanel-export", "--config", config, folder=tmp_path)
    assert code == 0
    run = Run(out)
    bookmark = run.bookmarks[-1]["replication_key_value"]
    queries = len(fresh.requests)
    assert err.splitlines()[-1].endswith(
        f"{len(run.records)} events written, 0 late, 0 seen before, 1 duplicates dropped, "
        f"0 malformed; {queries} queries; next run from {bookmark}"
    )


# --- usage -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "arguments", "code", "part"),
    [
        ("tap-mixpanel-export", (), 1, "Settings refused:"),
        ("tap-mixpanel-export", ("--test",), 1, "Settings refused:"),
        ("tap-mixpanel-export", ("--test=schema",), 1, "Settings refused:"),
        ("tap-mixpanel-export", ("--config",), 2, "'--config' requires an argument"),
        ("tap-mixpanel-export", ("--config", "none.json"), 1, "none.json: No such file"),
        ("tap-mixpanel-export", ("--config=",), 1, "--config is empty"),
        ("tap-mixpanel-export", ("--nonsense",), 2, "No such option"),
        ("tap-mixpanel-export", ("stray",), 2, "unexpected extra argument"),
        ("map-mixpanel-xdm", ("--config", "none.json"), 1, "none.json: No such file"),
        ("map-mixpanel-xdm", ("--nonsense",), 2, "No such option"),
        ("mixpanel-xdm", ("nonsense",), 2, "No such command"),
        ("mixpanel-xdm", ("check", "--mapping-file", "none.json"), 1, "none.json"),
        ("mixpanel-sandbox", ("stray",), 2, "stray"),
    ],
)
def test_a_mistake_in_the_usage_is_a_sentence(tmp_path, program, arguments, code, part):
    got, _, err = shell(program, *arguments, redirect="< /dev/null", folder=tmp_path)
    assert got == code
    assert part in err
