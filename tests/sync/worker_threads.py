"""Runs whose responses are all read by workers, however small: in threads, or in processes.

A thread costs next to nothing, and has the same connections: what it is sent is pickled, and the
files of its spools are passed by descriptor.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING
from unittest import mock

from tap_mixpanel_export.sync.worker import serve
from tap_mixpanel_export.sync.worker_process import start_process
from tap_mixpanel_export.sync.workers import Workers

if TYPE_CHECKING:
    from tap_mixpanel_export.sync.worker_process import WorkerProcess


class WorkerThreads:
    """Stands for a process."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._threads = [threading.Thread(target=serve, args=(sock,)) for sock in sockets]
        for thread in self._threads:
            thread.start()

    def wait(self, timeout: float | None = None) -> int:  # noqa: ARG002 - as a process has it
        # The machine may be as slow as it is.
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        return 0

    def kill(self) -> None:
        raise AssertionError


def start_threads(connections: int) -> tuple[WorkerProcess, list[socket.socket]]:
    pairs = [socket.socketpair() for _ in range(connections)]
    return WorkerThreads([there for _, there in pairs]), [here for here, _ in pairs]


def read_by_workers(count: int = 2, start=start_threads):
    """A context in which runs have so many workers, which read all responses; none of 1."""

    def workers(settings, parts):
        if count == 1:
            return None
        return Workers(
            parts, count, settings.max_concurrent_queries, start=start, worthwhile_bytes=0
        )

    return mock.patch("tap_mixpanel_export.config.run._workers", workers)


def read_by_processes(count: int = 2):
    """The same in processes."""
    return read_by_workers(count, start_process)
