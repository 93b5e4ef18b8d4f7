"""Threads that download windows side by side."""

from __future__ import annotations

import logging
import queue
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

from tap_mixpanel_export.errors import ThreadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.sync.context import FinishedWindow
    from tap_mixpanel_export.sync.download import Downloader
    from tap_mixpanel_export.sync.windows import Window

logger = logging.getLogger("tap-mixpanel-export.download")

# For all threads. An idle one ends at once; one that waits for the network may take its whole
# timeout.
_PATIENCE_SECONDS = 2.0


class Downloads(Protocol):
    """What gets windows for a scheduler."""

    def submit(self, window: Window) -> Future[FinishedWindow]:
        """Begin to download a window."""

    def close(self) -> None:
        """End all downloads."""


class DownloadPool:
    """Downloads windows in threads, started as they are needed.

    The threads are daemons, unlike those of `concurrent.futures`: a run that was told to end does
    not wait for a silent connection, up to `request_timeout` long.

    Args:
        make_downloader: Gives each thread its own downloader.
        most: Number of threads at most.
        stop: Set by `close`; downloads under way end soon after.
    """

    def __init__(
        self, make_downloader: Callable[[], Downloader], most: int, stop: threading.Event
    ) -> None:
        self._make_downloader = make_downloader
        self._most = most
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self._work: queue.SimpleQueue[tuple[Window, Future[FinishedWindow]] | None] = (
            queue.SimpleQueue()
        )

    def submit(self, window: Window) -> Future[FinishedWindow]:
        """Download a window as soon as a thread is free.

        Raises:
            ThreadError: There is none, and none can be started.
        """
        if len(self._threads) < self._most:
            self._start_thread()
        future: Future[FinishedWindow] = Future()
        self._work.put((window, future))
        return future

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="download", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            if not self._threads:
                raise ThreadError(
                    "the system starts no thread for downloads; allow more memory (container, "
                    "ulimit -v) or more processes (container, ulimit -u)"
                ) from error
            self._most = len(self._threads)
            logger.warning(
                "the system starts no more threads: going on with %d downloads at once instead of "
                "max_concurrent_queries",
                self._most,
            )
        else:
            self._threads.append(thread)

    def close(self) -> None:
        """End all downloads, and the threads as far as they do not wait for the network."""
        self._stop.set()
        for _ in self._threads:
            self._work.put(None)
        give_up = time.monotonic() + _PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, give_up - time.monotonic()))

    def _run(self) -> None:
        downloader: Downloader | None = None
        try:
            while (item := self._work.get()) is not None:
                window, future = item
                if self._stop.is_set():
                    future.cancel()
                    continue
                try:
                    # Here, because nobody waits for the thread, but for the window.
                    downloader = downloader or self._make_downloader()
                    finished = downloader.download(window)
                except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                    future.set_exception(error)
                else:
                    if self._stop.is_set():
                        # Nobody waits for it any more.
                        finished.spool.close()
                    future.set_result(finished)
        finally:
            if downloader is not None:
                downloader.close()
