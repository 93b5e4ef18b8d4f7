"""A worker process: makes the records of responses that its run downloads.

It knows no credentials, asks nobody for anything, and logs nothing. It ends with its run, however
that ends: then its connections do.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tap_mixpanel_export.sync import wire
from tap_mixpanel_export.sync.reading import Findings, ReaderParts, read_response, text_of
from tap_mixpanel_export.termination import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_mixpanel_export.sync.reading import ReadingTask, ReadResponse


def main(descriptors: Sequence[str]) -> None:
    """Serve the connections of a run, each in a thread of its own, until it closes them.

    Args:
        descriptors: Of their sockets.
    """
    for number in SIGNALS:
        # They go to the whole group: what becomes of a run is the run's business.
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    threads = [
        # Daemons: when one cannot be started, the process ends, and its run is told.
        threading.Thread(target=serve, args=(socket.socket(fileno=int(descriptor)),), daemon=True)
        for descriptor in descriptors
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Nothing is left to tidy up.
    os._exit(0)


def serve(sock: socket.socket) -> None:
    """Read one response after the other, until the connection is closed.

    Args:
        sock: Its end here.
    """
    with sock, suppress(wire.ConnectionLostError):
        connection = wire.Wire(sock)
        _, payload, _ = connection.receive()
        parts: ReaderParts = wire.loads(payload)
        connection.send(wire.READY)
        while True:
            _, payload, _ = connection.receive()
            task, is_gzipped = wire.loads(payload)
            _Reading(connection, parts, task).run(is_gzipped=is_gzipped)


class _AbortedError(Exception):
    """No more is to come of a response."""


class _Reading:
    """One response."""

    def __init__(self, connection: wire.Wire, parts: ReaderParts, task: ReadingTask) -> None:
        self._connection = connection
        self._parts = parts
        self._task = task
        self._is_at_end = False

    def run(self, *, is_gzipped: bool) -> None:
        """Read it, and reply."""
        try:
            read = read_response(
                self._parts, self._task, text_of(self._pieces(), lambda: is_gzipped)
            )
            with read.spool:
                self._reply(read)
        except wire.ConnectionLostError:
            raise
        except _AbortedError:
            self._send(wire.ABORTED, None)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            self._send(wire.ERROR, _sendable(error))
        # What was on its way when an error was found.
        with suppress(_AbortedError):
            while not self._is_at_end:
                self._next()

    def _pieces(self) -> Iterator[bytes]:
        while (piece := self._next()) is not None:
            yield piece

    def _next(self) -> bytes | None:
        """The next piece as it was transferred; None at the end."""
        kind, payload, _ = self._connection.receive()
        if kind == wire.BYTES:
            return payload
        self._is_at_end = True
        if kind == wire.ABORT:
            raise _AbortedError
        return None

    def _reply(self, read: ReadResponse) -> None:
        contents, descriptor = read.spool.hand_over()
        self._send(wire.RESULT, (contents, read.counts, read.observed, read.tally), descriptor)

    def _send(self, kind: bytes, reply: object, descriptor: int | None = None) -> None:
        findings = Findings.of(self._parts, self._task)
        self._connection.send(kind, wire.dumps((findings, reply)), descriptor)


def _sendable(error: Exception) -> Exception:
    """An error as it can be sent, without what it refers to."""
    error = error.with_traceback(None)
    error.__cause__ = error.__context__ = None
    try:
        wire.loads(wire.dumps(error))
    except Exception:  # noqa: BLE001 - whatever is wrong with it
        return RuntimeError(type(error).__name__)
    return error
