"""Worker processes: how they are started, greeted and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from tap_mixpanel_export.sync import wire
from tap_mixpanel_export.termination import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_mixpanel_export.sync.reading import ReaderParts

# With the run's own path, in its order: nothing is imported from the working folder, which may hold
# anything.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from tap_mixpanel_export.sync.worker import main; main(sys.argv[1].split(','))"
)

_OWN_VARIABLES = "TAP_MIXPANEL_EXPORT_"


class WorkerProcess(Protocol):
    """A process, as far as it is looked at here: as `subprocess.Popen` has it."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns its code."""

    def kill(self) -> None:
        """End it."""


class Worker:
    """A worker process and its connections.

    Args:
        process: Itself.
        sockets: This end of each connection.

    Attributes:
        connections: All of them.
        free: Those that nobody uses, once it is ready.
        busy: How many are in use.
    """

    def __init__(self, process: WorkerProcess, sockets: list[socket.socket]) -> None:
        self._process = process
        self.connections = [wire.Wire(sock) for sock in sockets]
        self.free: list[wire.Wire] = []
        self.busy = 0

    def greet(self, parts: ReaderParts) -> None:
        """Tell it what it needs to know, and wait until it is ready.

        Raises:
            ConnectionLostError: It has ended.
        """
        payload = wire.dumps(parts)
        for connection in self.connections:
            connection.send(wire.PARTS, payload)
        for connection in self.connections:
            connection.receive()

    def interrupt(self) -> None:
        """Let go of all its connections."""
        for connection in self.connections:
            connection.interrupt()

    def end(self, patience: float) -> int | None:
        """See to it that it ends.

        Args:
            patience: Seconds to wait until it is killed.

        Returns:
            Its code; None when it had to be killed.
        """
        self.interrupt()
        code: int | None
        try:
            code = self._process.wait(max(patience, 0))
        except subprocess.TimeoutExpired:
            code = None
            self._process.kill()
            self._process.wait()
        # Whoever uses another one closes it.
        for connection in self.free:
            connection.close()
        self.free = []
        return code

    def abandon(self) -> None:
        """Close all connections of one that nobody has got yet."""
        for connection in self.connections:
            connection.close()


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
