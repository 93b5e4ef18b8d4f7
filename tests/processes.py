"""Processes that tests start, and of which none is left behind, however a test ends."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)

_started: list[subprocess.Popen[Any]] = []


def start(arguments: list[Any], **options: Any) -> subprocess.Popen[Any]:
    """Start a process that heeds signals, and is killed at the end of the test if it still runs.

    Args:
        arguments: The command.
        **options: Of `subprocess.Popen`.
    """
    with _signals_heeded():
        # A group of its own can be killed with all that it has started.
        process = subprocess.Popen(arguments, start_new_session=True, **options)
    _started.append(process)
    return process


def end_all() -> None:
    """Kill what was started and is still there."""
    while _started:
        process = _started.pop()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                # What could not be written is of no use any more.
                with suppress(BrokenPipeError):
                    pipe.close()
        process.wait()


@contextmanager
def _signals_heeded() -> Iterator[None]:
    """Start processes that heed the signals that this one ignores, started by `nohup` or with `&`.

    A process inherits that a signal is ignored, but no handler.
    """
    ignored = [number for number in _FROM_OUTSIDE if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
