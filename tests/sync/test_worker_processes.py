"""Worker processes that are lost, cannot be started, or do not pay; and what ends with a run."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from five_days import FIRST, NOW, five_days, run
from harness import DAY, UTC, start_command, truth, upsert, wait_for
from hypothesis import given
from hypothesis import strategies as st
from worker_threads import WorkerThreads, read_by_workers, start_threads

from tap_mixpanel_export.errors import ConnectionFailedError, WorkerError
from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock
from tap_mixpanel_export.stopping import StoppedError
from tap_mixpanel_export.sync import wire
from tap_mixpanel_export.sync.worker_process import can_start, start_process
from tap_mixpanel_export.sync.workers import MOST_LOST, Workers

MINUTE = timedelta(minutes=1)
DAYS = [FIRST + n * DAY for n in range(3)]


def start_of(day):
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


class Killed:
    """Starts processes, and kills those that get some response's first bytes.

    Args:
        monkeypatch: Of pytest.
        times: How many are killed.
    """

    def __init__(self, monkeypatch, times):
        self.processes = []
        self._left = times
        send = wire.Wire.send

        def send_and_kill(connection, kind, *others):
            send(connection, kind, *others)
            if kind == wire.BYTES and self._left:
                self._left -= 1
                self.processes[-1].kill()
                self.processes[-1].wait()

        monkeypatch.setattr(wire.Wire, "send", send_and_kill)

    def start(self, connections):
        process, sockets = start_process(connections)
        self.processes.append(process)
        return process, sockets


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_window_another_query(monkeypatch, caplog):
    workers = Killed(monkeypatch, 1)
    with five_days() as sandbox, read_by_workers(2, workers.start):
        got = run(sandbox, max_concurrent_queries=1)
        assert got.error is None
        assert got.ids == truth(sandbox)
        assert len(sandbox.requests) == 6
    [line] = [r.getMessage() for r in caplog.records if "signal" in r.getMessage()]
    assert f"{FIRST}: a worker process was ended by signal 9; downloading" in line
    assert len(workers.processes) == 2
    assert all(process.poll() is not None for process in workers.processes)


@pytest.mark.slow
def test_workers_that_are_killed_again_and_again_end_the_run_in_a_sentence(monkeypatch):
    workers = Killed(monkeypatch, 100)
    with five_days() as sandbox, read_by_workers(2, workers.start):
        got = run(sandbox, max_concurrent_queries=1)
        assert type(got.error) is WorkerError
        for words in (f"{FIRST}", "signal 9", "set workers to 1", "the next run asks"):
            assert words in str(got.error)
        assert len(workers.processes) == MOST_LOST + 1
        assert got.states == []
        monkeypatch.undo()
        rest = run(sandbox, got.state())
        assert upsert([got, rest]).keys() == truth(sandbox).keys()


def refused(_connections):
    raise OSError(errno.EAGAIN, "Resource temporarily unavailable")


def gone(connections):
    """A process that ends at its start."""
    pairs = [socket.socketpair() for _ in range(connections)]
    for _, there in pairs:
        there.close()
    return WorkerThreads([]), [here for here, _ in pairs]


@pytest.mark.parametrize(
    ("start", "why"), [(refused, "Resource temporarily"), (gone, "it ended at once")]
)
def test_a_run_whose_workers_cannot_be_started_goes_on_without(start, why, caplog):
    with five_days() as sandbox, read_by_workers(2, start):
        got = run(sandbox, max_concurrent_queries=4)
        assert got.error is None
        assert got.ids == truth(sandbox)
        assert len(sandbox.requests) == 5
    lines = [r.getMessage() for r in caplog.records if "cannot be started" in r.getMessage()]
    # Two may have been tried at once.
    assert 1 <= len(lines) <= 2
    assert why in lines[-1]
    assert lines[-1].endswith("going on with one process")


def test_a_run_whose_second_worker_cannot_be_started_goes_on_with_one():
    started = []

    def start_one(connections):
        if started:
            refused(connections)
        started.append(start_threads(connections))
        return started[0]

    with five_days() as sandbox, read_by_workers(2, start_one):
        got = run(sandbox, max_concurrent_queries=4)
        assert got.error is None
        assert got.ids == truth(sandbox)


def test_a_run_that_ends_while_a_worker_starts_leaves_nothing_open():
    opened = []

    def start(connections):
        workers.close()
        process, sockets = start_threads(connections)
        opened.extend(sockets)
        return process, sockets

    workers = Workers(None, 2, 4, start=start, worthwhile_bytes=0)
    with pytest.raises(StoppedError):
        workers.lend(iter([b"x"]))
    assert [sock.fileno() for sock in opened] == [-1, -1]


def test_a_defect_at_the_start_of_a_worker_keeps_nobody_waiting():
    def start(_connections):
        raise RuntimeError("a defect")

    workers = Workers(None, 1, 2, start=start, worthwhile_bytes=0)
    with pytest.raises(RuntimeError):
        workers.lend(iter([b"x"]))
    connection, pieces = workers.lend(iter([b"x"]))
    assert connection is None
    assert list(pieces) == [b"x"]


@pytest.mark.parametrize(
    ("settings", "worthwhile_bytes", "starts"),
    [
        ({}, 10_000, True),
        ({"workers": 2}, 10_000, True),
        ({"workers": 1}, 10_000, False),
        ({"max_concurrent_queries": 1}, 10_000, False),
        # Little to do, and one window of much.
        ({}, 100_000, False),
        ({"start_date": "2026-03-15"}, 10_000, False),
    ],
    ids=str,
)
def test_processes_are_started_when_there_is_much_to_do(
    monkeypatch, settings, worthwhile_bytes, starts
):
    started = []

    def start(connections):
        started.append(connections)
        return start_threads(connections)

    monkeypatch.setattr("tap_mixpanel_export.config.run.usable_cores", lambda: 2)
    monkeypatch.setattr(
        "tap_mixpanel_export.config.run.Workers",
        partial(Workers, start=start, worthwhile_bytes=worthwhile_bytes),
    )
    with five_days() as sandbox:
        # Plain text is some 3 KB a day.
        sandbox.add_faults(Fault("never_gzip", times=None))
        got = run(sandbox, **settings)
        assert got.error is None
        assert "start_date" in settings or got.ids == truth(sandbox)
    assert bool(started) is starts
    assert len(started) <= 2


def test_one_core_has_no_workers(monkeypatch):
    monkeypatch.setattr("tap_mixpanel_export.config.run.usable_cores", lambda: 1)
    monkeypatch.setattr("tap_mixpanel_export.config.run.Workers", None)
    with five_days() as sandbox:
        assert run(sandbox, workers=4).error is None


@given(
    sizes=st.lists(st.integers(0, 50), max_size=20),
    worthwhile=st.integers(1, 500),
    left=st.integers(0, 4),
    fails=st.booleans(),
)
def test_what_is_looked_at_ahead_comes_all_the_same(sizes, worthwhile, left, fails):
    pieces = [b"x" * size for size in sizes]

    def coming():
        yield from pieces
        if fails:
            raise ConnectionFailedError("cut")

    workers = Workers(None, 2, 2, start=refused, worthwhile_bytes=worthwhile)
    workers.windows_left = left
    got = []
    try:
        connection, all_pieces = workers.lend(coming())
        assert connection is None
        got.extend(all_pieces)
    except ConnectionFailedError:
        assert fails
    else:
        assert not fails
    if sizes:
        assert b"".join(got) == b"".join(pieces)


# The parts of a run that start workers, and tell of them.
FORCED = """
import os, sys
sys.path.insert(0, {tests!r})
from worker_threads import read_by_workers
from tap_mixpanel_export import termination
from tap_mixpanel_export.__main__ import main
from tap_mixpanel_export.sync.worker_process import start_process

def start(connections):
    process, sockets = start_process(connections)
    with open({file!r}, "a") as file:
        file.write(str(process.pid) + chr(10))
    return process, sockets

# On a busy machine the end takes longer.
termination._MESSAGE_SECONDS = termination._TIDY_SECONDS = 60
with read_by_workers(2, start):
    main()
"""

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="tells by /proc whether a process has ended"
)


def has_ended(pid):
    """Whether a process is gone, or waits only for a parent to ask for its code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def forced(tmp_path):
    """Three days, and what starts a run over them, all responses of which are read by workers."""
    # So many, which do not compress, that parts of a day come before it falls silent.
    pick = random.Random(5)  # noqa: S311
    events = [
        Event.at(start_of(day) + n * MINUTE, insert_id=f"{n}", text=pick.randbytes(60).hex())
        for day in DAYS
        for n in range(800)
    ]
    pids = tmp_path / "pids"

    def workers():
        return [int(pid) for pid in pids.read_text().split()] if pids.exists() else []

    def start():
        return start_command(
            sandbox,
            tmp_path,
            program=("-c", FORCED.format(tests=str(Path(__file__).parent), file=str(pids))),
            start_date=f"{DAYS[0]}",
            end_date=f"{DAYS[-1]}",
            max_window_days=1,
        )

    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox, start, workers


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_run_on_any_signal(forced, tmp_path, number):
    sandbox, start, workers = forced
    for day in DAYS[1:]:
        sandbox.add_faults(Fault("stall", day=day, seconds=280, times=None))
    process = start()
    output = b""
    # The first day is written, the others lie with the workers.
    while b'"STATE"' not in output:
        piece = os.read(process.stdout.fileno(), 100_000)
        assert piece
        output += piece
    wait_for(lambda: len(workers()) == 2)
    assert not any(map(has_ended, workers()))
    if number == signal.SIGKILL:
        process.kill()
    else:
        # As a terminal does, to all of them.
        os.killpg(process.pid, number)
    _, stderr = process.communicate()
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert_nothing_is_left(tmp_path, stderr, workers())


@needs_proc
@pytest.mark.slow
def test_workers_end_with_a_run_that_nobody_reads(forced, tmp_path):
    _, start, workers = forced
    process = start()
    wait_for(lambda: len(workers()) >= 1)
    process.stdout.close()
    process.stdout = None
    _, stderr = process.communicate()
    assert process.returncode == 1
    assert_nothing_is_left(tmp_path, stderr, workers())


def assert_nothing_is_left(folder, stderr, workers):
    wait_for(lambda: all(map(has_ended, workers)))
    assert b"Traceback" not in stderr
    assert b"ResourceWarning" not in stderr
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("program", "can"),
    [
        ("/usr/bin/python3.12", True),
        ("/opt/pypy3", True),
        ("/usr/bin/uwsgi", False),
        ("", False),
        (None, False),
    ],
)
def test_only_python_is_started_as_a_worker(monkeypatch, program, can):
    monkeypatch.setattr("sys.executable", program)
    assert can_start() is can


def test_no_worker_is_started_by_a_program_that_is_frozen_or_without_descriptors(monkeypatch):
    assert can_start()
    monkeypatch.setattr("sys.frozen", True, raising=False)
    assert not can_start()
    monkeypatch.undo()
    monkeypatch.delattr(socket, "send_fds")
    assert not can_start()


@contextmanager
def one_that_serves():
    """A process that was started, which in the end says that it is ready, and ends when let go."""
    process, sockets = start_process(1)
    try:
        yield process
        connection = wire.Wire(sockets[0])
        connection.send(wire.PARTS, wire.dumps(None))
        assert connection.receive()[0] == wire.READY
    finally:
        sockets[0].close()
    assert process.wait(60) == 0


@pytest.mark.slow
def test_a_worker_gets_no_credentials_and_imports_nothing_from_the_working_folder(
    tmp_path, monkeypatch
):
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_SERVICE_ACCOUNT_SECRET", "secret")
    with one_that_serves() as process:
        environment = Path(f"/proc/{process.pid}/environ")
        if environment.exists():
            assert b"secret" not in environment.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_worker_heeds_no_signal_of_its_group_from_its_start_on(number):
    with one_that_serves() as process:
        process.send_signal(number)
