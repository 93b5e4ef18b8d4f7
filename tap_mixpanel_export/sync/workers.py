"""The worker processes of a run, seen from the run: started when they pay, and watched over."""

from __future__ import annotations

import logging
import threading
import time
from itertools import chain
from typing import TYPE_CHECKING

from tap_mixpanel_export.stopping import StoppedError
from tap_mixpanel_export.sync import wire
from tap_mixpanel_export.sync.reading import ReadResponse
from tap_mixpanel_export.sync.worker_process import Worker, start_process

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tap_mixpanel_export.sync.reading import ReaderParts, ReadingTask
    from tap_mixpanel_export.sync.worker_process import WorkerProcess

logger = logging.getLogger("tap-mixpanel-export.workers")

# As transferred, of all windows to come as far as can be told: some 50,000 events, which take as
# long as to start two processes.
_WORTHWHILE_BYTES = 8 * 1024 * 1024
# How much of a response is looked at before that is decided; of all responses under way together.
_AHEAD_BYTES = 4 * 1024 * 1024
_AHEAD_OF_ALL_BYTES = 16 * 1024 * 1024

MOST_LOST = 3
"""So many worker processes may be lost in a run; whatever kills the next one would kill others."""

# An idle one ends at once, one at work when it has done what it is at. A run that is told to end
# may have 2 s in all (`termination`).
_PATIENCE_SECONDS = 1.0


class WorkerLostError(Exception):
    """A worker process has ended before its work was done.

    Args:
        message: How, to follow on `a worker process`.
        times: For the how manieth time in this run.
    """

    def __init__(self, message: str, times: int) -> None:
        self.times = times
        super().__init__(message)


class WorkerConnection:
    """A connection to a worker, lent for one response.

    Args:
        workers: It is of.
        worker: At its other end.
        connection: Itself.
    """

    def __init__(self, workers: Workers, worker: Worker, connection: wire.Wire) -> None:
        self._workers = workers
        self._worker = worker
        self._wire = connection

    def read(self, task: ReadingTask, pieces: Iterator[bytes], *, is_gzipped: bool) -> ReadResponse:
        """Have a response read; see `read_response`.

        Args:
            task: How.
            pieces: As they are transferred.
            is_gzipped: Whether they are compressed.

        Raises:
            WorkerLostError: The process has ended.
        """
        is_usable = False
        try:
            failure, (kind, payload, descriptor) = self._exchange(task, pieces, is_gzipped)
            is_usable = True
        except wire.ConnectionLostError:
            raise self._workers.lost(self._worker) from None
        finally:
            self._workers.take_back(self._worker, self._wire, is_usable=is_usable)
        findings, reply = wire.loads(payload)
        findings.add_to(self._workers.parts, task)
        if kind == wire.ERROR:
            raise reply
        if failure is not None:
            raise failure
        contents, counts, observed, tally = reply
        return ReadResponse(contents.received(descriptor), counts, observed, tally)

    def _exchange(
        self, task: ReadingTask, pieces: Iterator[bytes], is_gzipped: bool
    ) -> tuple[Exception | None, tuple[bytes, bytes, int | None]]:
        """Pass a response on, and wait for the reply.

        Returns:
            What has ended the response, if it is not whole; and the reply.
        """
        connection = self._wire
        connection.send(wire.TASK, wire.dumps((task, is_gzipped)))
        failure: Exception | None = None
        end = wire.ABORT
        try:
            for piece in pieces:
                if connection.has_message():
                    # It has found what is wrong with it.
                    break
                if piece:
                    connection.send(wire.BYTES, piece)
            else:
                end = wire.END
        except (wire.ConnectionLostError, StoppedError):
            raise
        except Exception as error:  # noqa: BLE001 - raised when the worker has looked at what came
            failure = error
        connection.send(end)
        return failure, connection.receive()


class Workers:
    """Worker processes, each with as many connections as the run's downloads may need.

    They are started by the first response that shows that they pay: a run of little has none.

    Args:
        parts: What responses are read with.
        most: Processes at most.
        concurrency: Responses at once.
        start: Starts a process with so many connections.
        worthwhile_bytes: From how many bytes on, expected of the whole run, they pay; 0: always.
    """

    def __init__(
        self,
        parts: ReaderParts,
        most: int,
        concurrency: int,
        *,
        start: Callable[[int], tuple[WorkerProcess, list[socket.socket]]] = start_process,
        worthwhile_bytes: int = _WORTHWHILE_BYTES,
    ) -> None:
        self.parts = parts
        """What responses are read with."""
        self.windows_left = 0
        """How many windows are in flight or to come, as far as is known."""
        self._most = min(most, concurrency)
        self._connections_each = -(-concurrency // self._most)
        self._start = start
        self._worthwhile_bytes = worthwhile_bytes
        self._ahead_bytes = min(_AHEAD_BYTES, _AHEAD_OF_ALL_BYTES // concurrency)
        self._workers: list[Worker] = []
        self._starting = self._lost = 0
        self._is_closed = self._has_told = False
        self._changed = threading.Condition()

    def lend(self, pieces: Iterator[bytes]) -> tuple[WorkerConnection | None, Iterator[bytes]]:
        """A connection for a response that is large enough.

        Args:
            pieces: Of the response.

        Returns:
            The connection, None where it does not pay or there is none; and the same pieces, the
            first of which has come.
        """
        first = next(pieces, b"")
        pieces = chain((first,), pieces)
        if not self._workers:
            does_pay, pieces = self._look_ahead(pieces)
            if not does_pay:
                return None, pieces
        return self._lend(), pieces

    def _look_ahead(self, pieces: Iterator[bytes]) -> tuple[bool, Iterator[bytes]]:
        """Whether workers pay, by what comes first of a response; and its pieces."""
        if not self._worthwhile_bytes:
            return True, pieces
        if not self._most or self.windows_left < 2:  # noqa: PLR2004 - there is nobody to share with
            return False, pieces
        ahead: list[bytes] = []
        size = 0
        try:
            for piece in pieces:
                ahead.append(piece)
                size += len(piece)
                if size * self.windows_left >= self._worthwhile_bytes:
                    return True, chain(ahead, pieces)
                if size >= self._ahead_bytes:
                    break
        except Exception as error:  # noqa: BLE001 - raised behind what came before
            return False, chain(ahead, _raising(error))
        return False, chain(ahead, pieces)

    def _lend(self) -> WorkerConnection | None:
        with self._changed:
            while True:
                if self._is_closed:
                    raise StoppedError
                worker = min(
                    (each for each in self._workers if each.free),
                    key=lambda each: each.busy,
                    default=None,
                )
                has_room = len(self._workers) + self._starting < self._most
                if has_room and (worker is None or worker.busy):
                    self._starting += 1
                    break
                if worker is not None:
                    return self._lent(worker)
                if not self._starting:
                    return None
                self._changed.wait()
        return self._start_one()

    def _lent(self, worker: Worker) -> WorkerConnection:
        """The next connection to a worker that has one; the lock is held."""
        worker.busy += 1
        return WorkerConnection(self, worker, worker.free.pop())

    def _start_one(self) -> WorkerConnection | None:
        """Start a process; the first connection to it, or to another one when that fails."""
        worker = None
        connection = None
        problem = "it ended at once"
        try:
            worker = Worker(*self._start(self._connections_each))
            connection = self._greet(worker)
        except (OSError, MemoryError) as error:
            problem = getattr(error, "strerror", None) or type(error).__name__
        except wire.ConnectionLostError:
            # `problem` says so.
            pass
        finally:
            self._end_start(worker, is_ready=connection is not None)
        if connection is not None:
            return connection
        if self._is_closed:
            raise StoppedError
        logger.warning(
            "a worker process cannot be started (%s): going on with %s",
            problem,
            f"{self._most} of them" if self._most else "one process",
        )
        return self._lend()

    def _greet(self, worker: Worker) -> WorkerConnection | None:
        """Make a new worker known; a connection to it, None when the run has ended meanwhile."""
        with self._changed:
            self._workers.append(worker)
            if self._is_closed:
                return None
        worker.greet(self.parts)
        with self._changed:
            if worker not in self._workers:
                return None
            worker.free = [*worker.connections]
            if not self._has_told:
                self._has_told = True
                logger.info("much to do: up to %d worker processes make the records", self._most)
            return self._lent(worker)

    def _end_start(self, worker: Worker | None, *, is_ready: bool) -> None:
        with self._changed:
            self._starting -= 1
            if not is_ready:
                if worker in self._workers:
                    self._workers.remove(worker)
                self._most = len(self._workers) + self._starting
            self._changed.notify_all()
        if worker is not None and not is_ready:
            worker.end(_PATIENCE_SECONDS)
            worker.abandon()

    def take_back(self, worker: Worker, connection: wire.Wire, *, is_usable: bool) -> None:
        """Take a connection back.

        Args:
            worker: At its other end.
            connection: Itself.
            is_usable: Whether another response can be sent through it.
        """
        with self._changed:
            worker.busy -= 1
            if is_usable and worker in self._workers:
                worker.free.append(connection)
                return
        connection.interrupt()
        connection.close()

    def lost(self, worker: Worker) -> WorkerLostError | StoppedError:
        """Take that a connection was lost: its worker has ended, or is ended now."""
        with self._changed:
            if self._is_closed:
                return StoppedError()
            if worker in self._workers:
                self._workers.remove(worker)
                self._lost += 1
            times = self._lost
            self._changed.notify_all()
        code = worker.end(_PATIENCE_SECONDS)
        return WorkerLostError(_how(code), times)

    def close(self) -> None:
        """End all processes; what they are at is lost."""
        with self._changed:
            self._is_closed = True
            workers, self._workers = self._workers, []
            self._changed.notify_all()
        for worker in workers:
            worker.interrupt()
        give_up = time.monotonic() + _PATIENCE_SECONDS
        for worker in workers:
            worker.end(give_up - time.monotonic())


def _raising(error: Exception) -> Iterator[bytes]:
    yield b""
    raise error


def _how(code: int | None) -> str:
    if code is None:
        return "has stopped to listen"
    if code < 0:
        return f"was ended by signal {-code}"
    return f"has ended with code {code}"
