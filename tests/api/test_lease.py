"""One holder at a time, wherever they run; who dies holds nothing for long."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import closing
from types import SimpleNamespace
from uuid import uuid4

import processes
import pytest
from harness import wait_for

from tap_mixpanel_export.api.lease import Leases
from tap_mixpanel_export.api.object_store import open_store
from tap_mixpanel_export.api.quota import open_quota
from tap_mixpanel_export.api.quota_file import QuotaFileError
from tap_mixpanel_export.api.waiting import wait
from tap_mixpanel_export.stopping import StoppedError


class Quick(Leases):
    RENEWAL_SECONDS = 0.05
    # No holder of these tests is taken for dead because the machine is busy.
    DEAD_SECONDS = 600.0
    POLL_SECONDS = 0.02


class Impatient(Quick):
    DEAD_SECONDS = 0.3


@pytest.fixture(params=["directory", "memory"])
def url(request, tmp_path):
    return f"{tmp_path}/" if request.param == "directory" else f"memory://{uuid4().hex}"


def test_one_of_many_threads_holds_a_lease_at_a_time(url):
    holders, most, done = [], [], []

    def work():
        for _ in range(3):
            with Quick(open_store(url, "1"), wait).hold("key", threading.Event()):
                holders.append(1)
                most.append(len(holders))
                holders.pop()
                done.append(1)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert set(most) == {1}
    assert len(done) == 18
    # Of a chain the last one stays.
    assert len(open_store(url, "1").names()) == 1


def test_different_keys_are_held_side_by_side(url):
    leases = Quick(open_store(url, "1"), wait)
    with leases.hold("a", threading.Event()), leases.hold("b", threading.Event()):
        pass


def test_a_lease_that_is_renewed_is_not_taken_over(url, monkeypatch):
    store = open_store(url, "1")
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("tap_mixpanel_export.api.lease.time", clock)
    looks = []

    def wait_for_a_renewal(_seconds, stop):
        before = store.read(store.names()[0])
        wait_for(lambda: store.read(store.names()[0]) != before)
        clock.now += 0.9 * Quick.DEAD_SECONDS
        looks.append(clock.now)
        if len(looks) == 5:
            stop.set()

    with Quick(open_store(url, "1"), wait).hold("key", threading.Event()):
        other = Quick(open_store(url, "1"), wait_for_a_renewal)
        with pytest.raises(StoppedError), other.hold("key", threading.Event()):
            pytest.fail("two held it")
    assert len(looks) == 5


def test_a_lease_is_free_after_an_error(url):
    leases = Quick(open_store(url, "1"), wait)
    with pytest.raises(ZeroDivisionError), leases.hold("key", threading.Event()):
        raise ZeroDivisionError
    with leases.hold("key", threading.Event()):
        pass


HOLD = """
import sys, threading
from tap_mixpanel_export.api.lease import Leases
from tap_mixpanel_export.api.object_store import open_store
from tap_mixpanel_export.api.waiting import wait
with Leases(open_store(sys.argv[1], "1"), wait).hold("key", threading.Event()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lease_of_a_killed_process_is_taken_over(tmp_path):
    process = processes.start(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Impatient(open_store(str(tmp_path), "1"), wait).hold("key", threading.Event()):
        pass


def test_a_renewal_that_fails_is_tried_again(url, caplog):
    store = open_store(url, "1")
    write, failed = store.write, threading.Event()

    def fail_once(name, content):
        if not failed.is_set():
            failed.set()
            raise QuotaFileError("the store is away")
        write(name, content)

    store.write = fail_once
    with Quick(store, wait).hold("key", threading.Event()):
        before = open_store(url, "1").read(store.names()[0])
        wait_for(lambda: open_store(url, "1").read(store.names()[0]) != before)
        assert failed.is_set()
    assert "was not renewed: the store is away" in caplog.text


@pytest.mark.parametrize("kind", ["none", "file", "directory"])
def test_every_quota_has_leases(tmp_path, kind):
    url = {"none": None, "file": tmp_path / "quota.db", "directory": f"{tmp_path}/"}[kind]
    with closing(open_quota(url, project="1")) as quota:
        with quota.lease("key"):
            stop = threading.Event()
            stop.set()
            with pytest.raises(StoppedError), quota.lease("key", stop):
                pytest.fail("two held it")
        with quota.lease("key"):
            pass
