"""Every byte arrives, whatever stdout is and however slowly it is read."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from commands import command, pause, start, tap_config, wait_until_blocked
from harness import Run, truth
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export import stdout
from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.stdout import replace_stdout, write_to_stdout

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
EVENTS = 500
PAUSES = 3


@pytest.fixture(scope="module")
def sandbox():
    events = [
        Event.at(NOW - timedelta(minutes=n + 20), insert_id=str(n), text="ø" * 300)
        for n in range(EVENTS)
    ]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


class Opened:
    """Both ends of what is a process's stdout."""

    def __init__(self, kind):
        self._sockets = ()
        if kind == "socket":
            self._sockets = socket.socketpair()
            self.read, self.write = (end.fileno() for end in self._sockets)
        else:
            self.read, self.write = os.pipe()
        if "non-blocking" in kind:
            os.set_blocking(self.write, False)

    def close(self):
        for end in self._sockets:
            end.close()
        if not self._sockets:
            for descriptor in (self.read, self.write):
                with suppress(OSError):
                    os.close(descriptor)


@pytest.fixture(params=["pipe", "non-blocking pipe", "socket"])
def opened(request):
    opened = Opened(request.param)
    yield opened
    opened.close()


def read_slowly(process, opened):
    """Read all, pausing the process some times while it waits for its reader."""
    pieces = []
    for _ in range(PAUSES):
        if not wait_until_blocked(opened.read, process):
            break
        pause(process)
        pieces.append(os.read(opened.read, 50_000))
    if opened._sockets:
        opened._sockets[1].close()
    else:
        os.close(opened.write)
    while piece := os.read(opened.read, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def paused_in_between(command_line, folder, opened):
    """What a program writes that is paused some times, and ends well."""
    with start(
        command_line,
        folder,
        stdout=opened.write,
        stderr=subprocess.DEVNULL,
        env={"PYTHONUNBUFFERED": "1"},
    ) as process:
        got = read_slowly(process, opened)
    assert process.returncode == 0
    return got


@pytest.mark.slow
def test_a_paused_tap_loses_nothing(sandbox, tmp_path, opened):
    config = tap_config(sandbox, tmp_path, start_date="2026-11-20")
    run = command("tap-mixpanel-export", "--config", config)
    got = Run(paused_in_between(run, tmp_path, opened))
    assert got.ids == truth(sandbox)
    assert len(got.ids) == EVENTS


@pytest.mark.slow
def test_a_paused_mapper_loses_nothing(tmp_path, opened):
    events = tmp_path / "events.singer"
    records = {str(n): "ø" * 300 for n in range(EVENTS)}
    schema = {
        "type": "SCHEMA",
        "stream": "events",
        "key_properties": ["event_id"],
        "schema": {"properties": {name: {} for name in ("event_id", "timestamp", "event_name")}},
    }
    lines = [json.dumps(schema)] + [
        json.dumps(
            {
                "type": "RECORD",
                "stream": "events",
                "record": {
                    "event_id": event_id,
                    "timestamp": "2026-11-20T12:00:00Z",
                    "event_name": text,
                },
            }
        )
        for event_id, text in records.items()
    ]
    events.write_text("\n".join(lines) + "\n")
    run = command("map-mixpanel-xdm", "--input", str(events))
    got = Run(paused_in_between(run, tmp_path, opened))
    assert {record["_id"]: record["eventType"] for record in got.records} == records


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pipe", "non-blocking pipe"])
def test_what_is_printed_arrives_whole_too(tmp_path, kind):
    opened = Opened(kind)
    code = (
        "from tap_mixpanel_export.cli import run\n"
        "run('x', lambda: lambda _: print(*range(100_000), sep='\\n'), [])"
    )
    got = paused_in_between([sys.executable, "-c", code], tmp_path, opened)
    opened.close()
    assert got.split() == [str(n).encode() for n in range(100_000)]


class Taker:
    """Stands for a system call that takes what it likes, and now and then does not want to."""

    def __init__(self, moods):
        self.taken = b""
        self._moods = iter(moods)

    def __call__(self, _descriptor, pieces):
        mood = next(self._moods, None)
        if mood == 0:
            raise BlockingIOError
        some = b"".join(pieces)[:mood]
        self.taken += some
        return len(some)


@given(st.lists(st.binary(max_size=20), max_size=3), st.lists(st.integers(0, 5), max_size=10))
@settings(max_examples=200, deadline=None)
def test_however_it_is_taken_all_of_it_is_written_once_and_in_order(pieces, moods):
    taker = Taker(moods)
    read, write = os.pipe()
    with (
        pytest.MonkeyPatch.context() as patch,
        os.fdopen(read),
        open(write, "w", closefd=True) as stream,  # noqa: PTH123
    ):
        patch.setattr(os, "writev", taker)
        patch.setattr(sys, "stdout", stream)
        assert write_to_stdout(*pieces) == len(b"".join(pieces))
    assert taker.taken == b"".join(pieces)


def test_a_block_is_one_system_call(monkeypatch, tmp_path):
    calls = []

    def count(descriptor, pieces):
        calls.append(descriptor)
        return write(descriptor, pieces)

    write = os.writev
    with (tmp_path / "out").open("w") as stream:
        monkeypatch.setattr(os, "writev", count)
        monkeypatch.setattr(sys, "stdout", stream)
        write_to_stdout(b"before", memoryview(b"x" * 1_000_000))
    assert len(calls) == 1
    assert (tmp_path / "out").stat().st_size == 1_000_006


def test_what_was_printed_before_comes_before(monkeypatch, tmp_path):
    with (tmp_path / "out").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        replace_stdout()
        sys.stdout.write("first ")
        write_to_stdout(b"second")
        sys.stdout.write(" third")
        sys.stdout.flush()
    assert (tmp_path / "out").read_text() == "first second third"


@pytest.mark.parametrize("count", [0, None])
def test_a_stdout_that_takes_nothing_ends_the_run(monkeypatch, count):
    class Full(io.BytesIO):
        def write(self, _data):
            return count

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Full()))
    with pytest.raises(OutputError, match="takes nothing"):
        write_to_stdout(b"x")
    monkeypatch.undo()
    monkeypatch.setattr(os, "writev", lambda *_: 0)
    with pytest.raises(OutputError, match="takes nothing"):
        stdout._write_to_descriptor(1, (b"x",))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BrokenPipeError(32, "Broken pipe"), "stdout was closed by the program that reads it"),
        (OSError(28, "No space left on device"), "stdout: No space left on device; make room"),
        (OSError(27, "File too large"), "stdout: File too large; make room"),
        (OSError(9, "Bad file descriptor"), "stdout: Bad file descriptor"),
    ],
    ids=lambda value: getattr(value, "strerror", ""),
)
def test_a_failed_write_is_a_sentence(monkeypatch, error, message):
    class Failing(io.BytesIO):
        def write(self, _data):
            raise error

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Failing()))
    with pytest.raises(OutputError) as caught:
        write_to_stdout(b"x")
    assert str(caught.value).startswith(message)


def test_without_a_stdout_there_is_nowhere_to_write_to(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    replace_stdout()
    with pytest.raises(OutputError, match="stdout is closed"):
        write_to_stdout(b"x")
