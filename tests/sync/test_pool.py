from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from contextlib import closing
from datetime import date, datetime, timezone

import pytest

from tap_mixpanel_export.errors import ThreadError
from tap_mixpanel_export.records.response import Counts
from tap_mixpanel_export.records.spool import Spool
from tap_mixpanel_export.stopping import StoppedError
from tap_mixpanel_export.sync import pool as pool_module
from tap_mixpanel_export.sync.context import FinishedWindow
from tap_mixpanel_export.sync.pool import DownloadPool
from tap_mixpanel_export.sync.windows import Purpose, Window


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """Threads that only have to come to an end do so, however busy the machine is."""
    monkeypatch.setattr(pool_module, "_PATIENCE_SECONDS", 120)


def window_of(day):
    at = date(2026, 11, day)
    return Window(
        first=at,
        last=at,
        purpose=Purpose.NEW,
        lower=None,
        upper=None,
        end=datetime(2026, 11, day, tzinfo=timezone.utc),
    )


class Downloaders:
    """Makes downloaders that do what a test says, and notes who did what."""

    def __init__(self, act):
        self._act = act
        self.made = []
        self.closed = []
        self.threads = {}

    def __call__(self):
        self.made.append(self)
        return Downloader(self, self._act)


class Downloader:
    def __init__(self, owner, act):
        self._owner, self._act = owner, act

    def download(self, window):
        self._owner.threads[window.first.day] = threading.current_thread()
        return self._act(window)

    def close(self):
        self._owner.closed.append(self)


def test_windows_are_downloaded_side_by_side_in_as_many_threads_as_needed():
    together = threading.Barrier(3, timeout=120)

    def act(window):
        together.wait()
        return window.first.day

    downloaders = Downloaders(act)
    with closing(DownloadPool(downloaders, 3, threading.Event())) as pool:
        futures = [pool.submit(window_of(day)) for day in range(1, 7)]
        assert [future.result(120) for future in futures] == [1, 2, 3, 4, 5, 6]
    assert len(set(downloaders.threads.values())) == 3
    assert len(downloaders.made) == len(downloaders.closed) == 3
    assert all(thread.daemon for thread in downloaders.threads.values())
    assert not any(thread.is_alive() for thread in downloaders.threads.values())


def test_few_windows_start_few_threads():
    downloaders = Downloaders(lambda window: window.first.day)
    with closing(DownloadPool(downloaders, 100, threading.Event())) as pool:
        assert pool.submit(window_of(1)).result(120) == 1
        assert len(downloaders.made) == 1


def test_a_failure_is_raised_where_it_is_waited_for():
    def act(window):
        if window.first.day == 1:
            raise StoppedError
        return "fine"

    with closing(DownloadPool(Downloaders(act), 1, threading.Event())) as pool:
        bad, good = pool.submit(window_of(1)), pool.submit(window_of(2))
        with pytest.raises(StoppedError):
            bad.result(120)
        # The thread goes on.
        assert good.result(120) == "fine"


def test_a_pool_that_is_closed_starts_no_more_downloads():
    started, go_on = threading.Event(), threading.Event()
    stop = threading.Event()
    spool = Spool()

    def act(window):
        started.set()
        go_on.wait(120)
        return FinishedWindow(window, spool, Counts())

    downloaders = Downloaders(act)
    pool = DownloadPool(downloaders, 1, stop)
    running, waiting = pool.submit(window_of(1)), pool.submit(window_of(2))
    started.wait(120)
    stop.set()
    go_on.set()
    pool.close()
    assert waiting.cancelled()
    with pytest.raises(CancelledError):
        waiting.result(0)
    assert list(downloaders.threads) == [1]
    # What came too late takes no disk space any more.
    running.exception(120)
    with pytest.raises(ValueError, match="closed"):
        list(spool.records())


def limit_threads(monkeypatch, most):
    start, started = threading.Thread.start, []

    def start_some(thread):
        if len(started) == most:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)


def test_fewer_threads_than_wanted_do_all_the_work(monkeypatch, caplog):
    limit_threads(monkeypatch, 2)
    downloaders = Downloaders(lambda window: window.first.day)
    with closing(DownloadPool(downloaders, 4, threading.Event())) as pool:
        futures = [pool.submit(window_of(day)) for day in range(1, 9)]
        assert [future.result(120) for future in futures] == list(range(1, 9))
    assert len(downloaders.made) == len(downloaders.closed) <= 2
    (warning,) = caplog.messages
    assert "going on with 2 downloads at once" in warning


def test_without_any_thread_a_run_ends_with_a_sentence(monkeypatch):
    limit_threads(monkeypatch, 0)
    with (
        closing(DownloadPool(Downloaders(None), 4, threading.Event())) as pool,
        pytest.raises(ThreadError, match="starts no thread"),
    ):
        pool.submit(window_of(1))


def test_a_downloader_that_cannot_be_made_is_told_to_who_waits():
    def fail():
        raise MemoryError

    with (
        closing(DownloadPool(fail, 1, threading.Event())) as pool,
        pytest.raises(MemoryError),
    ):
        pool.submit(window_of(1)).result(120)
