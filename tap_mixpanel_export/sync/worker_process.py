"""Starts worker processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tap_mixpanel_export.termination import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator

# With the run's own path, in its order: nothing is imported from the working folder, which may hold
# anything.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from tap_mixpanel_export.sync.worker import main; main(sys.argv[1].split(','))"
)

_OWN_VARIABLES = "TAP_MIXPANEL_EXPORT_"


def can_start() -> bool:
    """Whether this system and this Python have what it takes."""
    # A program that is frozen, or a server that Python is a part of, would start itself.
    program = os.path.basename(sys.executable or "").lower()  # noqa: PTH119 - a name is enough
    is_python = program.startswith(("python", "pypy")) and not hasattr(sys, "frozen")
    return is_python and hasattr(socket, "send_fds")


def start_process(connections: int) -> tuple[subprocess.Popen[bytes], list[socket.socket]]:
    """Start a worker process, which ends when its connections are closed.

    It is started anew, not forked: a run has threads. It has no stdout, or whoever reads that of
    the run would wait for it, too.

    Args:
        connections: How many it has.

    Returns:
        The process, and this end of each connection.

    Raises:
        OSError: The system starts none.
    """
    pairs: list[tuple[socket.socket, socket.socket]] = []
    try:
        pairs.extend(socket.socketpair() for _ in range(connections))
        descriptors = [there.fileno() for _, there in pairs]
        paths = [path for path in sys.path if isinstance(path, str)]
        with _signals_held_back():
            process = subprocess.Popen(  # noqa: S603 - this Python, and arguments of our own
                [sys.executable, "-c", _PROGRAM, ",".join(map(str, descriptors)), *paths],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # It has nothing to say but what Python may say at its start: no memory, say.
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
    except BaseException:
        for here, _ in pairs:
            here.close()
        raise
    finally:
        for _, there in pairs:
            there.close()
    return process, [here for here, _ in pairs]


def _environment() -> dict[str, str]:
    """That of the run, without its settings: some are secrets."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_OWN_VARIABLES)
    }


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Have what is started in this thread get no signal of its group before it ignores them.

    Held back they are inherited, and by this thread only: others take them meanwhile.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
