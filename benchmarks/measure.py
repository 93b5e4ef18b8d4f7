"""One run of a command: what it cost, and whether it did its work."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CACHE = Path(__file__).resolve().parent.parent / ".benchmarks"
"""Environments of the peers, byte code, and temporary files; ignored by git."""

Command = Sequence[str]

# The reader must never be what a writer waits for: the largest pipe that Linux gives anyone.
_PIPE_BYTES = 1024 * 1024

# Linux counts `ru_maxrss` in KiB.
_MAXRSS_UNIT = 1024


class FailedError(Exception):
    """A command ended with an error or took too long; the message says which."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run cost.

    Attributes:
        cpu: User and system time of the process and of its threads, from start to end, s.
        wall: From start to the end of its output, s.
        peak_rss: Most memory that it held, bytes.
        lines: Lines that it wrote.
    """

    cpu: float
    wall: float
    peak_rss: int
    lines: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and extremes of several runs."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of some values, at least one."""
        return cls(statistics.median(values), min(values), max(values))

    def show(self, digits: int = 2) -> str:
        """`median [least, most]`."""
        return f"{self.median:,.{digits}f} [{self.least:,.{digits}f}, {self.most:,.{digits}f}]"


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of measured commands.

    Byte code is written and used, as in any installation: without it, start-up compiles every
    module again. Output is buffered as usual, and no proxy stands before the sandbox.
    """
    hidden = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPYCACHEPREFIX"}
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    return {
        **inherited,
        "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode"),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **extra,
    }


def run(
    commands: Sequence[Command],
    environment: Mapping[str, str],
    *,
    timeout: float,
    stdin: Path = Path(os.devnull),
) -> list[Sample]:
    """Run a pipeline, reading what the last command writes.

    Args:
        commands: Each one reads what the one before writes.
        environment: Of all of them, see `child_environment`.
        timeout: Seconds after which all are killed.
        stdin: What the first one reads.

    Returns:
        A sample of each. `lines` is the last one's.

    Raises:
        FailedError: One of them failed, or the time was over.
    """
    started = time.perf_counter()
    processes: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in commands]
        source = stack.enter_context(stdin.open("rb")).fileno()
        for command, log in zip(commands, logs, strict=True):
            process = subprocess.Popen(
                command,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )
            if processes and processes[-1].stdout is not None:
                # Only the reader may hold it, or the writer would never notice that it is gone.
                processes[-1].stdout.close()
            processes.append(process)
            if process.stdout is None:
                raise RuntimeError("the command has no output")
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            source = process.stdout.fileno()
        with _killed_after(processes, timeout) as was_killed:
            lines = _drain(processes[-1])
            samples = [_wait(process, started, lines) for process in processes]
        if was_killed.is_set():
            raise FailedError(f"took longer than {timeout:g} s")
        for process, log in zip(processes, logs, strict=True):
            if process.returncode:
                log.seek(0)
                last = log.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise FailedError(f"ended with code {process.returncode}: {last}")
    return samples


def _drain(process: subprocess.Popen[bytes]) -> int:
    """Read all output, as cheaply as can be, and count its lines."""
    if process.stdout is None:
        raise RuntimeError("the command has no output")
    lines = 0
    with process.stdout as output:
        while piece := os.read(output.fileno(), _PIPE_BYTES):
            lines += piece.count(b"\n")
    return lines


def _wait(process: subprocess.Popen[bytes], started: float, lines: int) -> Sample:
    # Of this very child, unlike `getrusage(RUSAGE_CHILDREN)`. Linux counts the size of the parent
    # at the time of the start into `ru_maxrss`: this program stays smaller than what it measures.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Sample(
        usage.ru_utime + usage.ru_stime,
        time.perf_counter() - started,
        usage.ru_maxrss * _MAXRSS_UNIT,
        lines,
    )


@contextlib.contextmanager
def _killed_after(
    processes: Sequence[subprocess.Popen[bytes]], seconds: float
) -> Iterator[threading.Event]:
    was_killed = threading.Event()

    def kill() -> None:
        was_killed.set()
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        yield was_killed
    finally:
        timer.cancel()
