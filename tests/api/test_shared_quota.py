"""A quota of machines: whatever they do, and whatever their clocks say, it is never exceeded."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time as real_time
from contextlib import closing
from datetime import datetime, timezone
from uuid import uuid4

import processes
import pytest
from fake_time import HOUR, PAUSES, START, FakeTime, assert_never_more_than, send_times
from five_days import five_days, run
from harness import truth
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.api.object_store import open_store
from tap_mixpanel_export.api.quota import open_quota
from tap_mixpanel_export.api.quota_file import QuotaFileError
from tap_mixpanel_export.api.rate_limit import QueryLimiter
from tap_mixpanel_export.api.shared_quota import SharedQuota
from tap_mixpanel_export.stopping import StoppedError


@pytest.fixture
def time():
    return FakeTime()


@pytest.fixture(params=["directory", "memory"])
def url(request, tmp_path):
    return f"{tmp_path}/" if request.param == "directory" else f"memory://{uuid4().hex}"


def on(url, time, **arguments):
    quota = open_quota(url, clock=time.clock, wait=time.wait, **arguments)
    assert isinstance(quota, SharedQuota)
    return quota


pauses = st.lists(PAUSES, min_size=1, max_size=60)


@settings(max_examples=30, deadline=None)
@given(
    pauses=pauses,
    max_per_hour=st.integers(1, 12),
    who=st.lists(st.integers(0, 2), min_size=60, max_size=60),
    ahead=st.lists(st.sampled_from([-5.0, -1.0, 0.0, 2.0]), min_size=3, max_size=3),
    jitter=st.lists(st.floats(0.0, 0.25), min_size=60, max_size=60),
)
def test_machines_with_clocks_of_their_own_stay_within_the_limits(
    pauses, max_per_hour, who, ahead, jitter
):
    time, url = FakeTime(), f"memory://{uuid4().hex}"
    quotas = [
        open_quota(
            url,
            max_per_hour=max_per_hour,
            clock=lambda by=by: time.true + by,
            wait=time.wait,
        )
        for by in ahead
    ]
    sent = []
    for pause, index, late in zip(pauses, who, jitter, strict=False):
        time.pass_(pause)
        quotas[index].acquire()
        sent.append(time.true + late)
    assert_never_more_than(3, 1.0, sent)
    # What the clocks differ by is more than the margin that an hour has.
    assert_never_more_than(max_per_hour, HOUR - 7.0 - 0.25, sent)


def test_the_services_clock_corrects_that_of_a_machine(time):
    url = f"memory://{uuid4().hex}"
    slow = open_quota(url, max_per_hour=1, clock=lambda: time.true - 100, wait=time.wait)
    fast = open_quota(url, max_per_hour=1, clock=lambda: time.true + 15, wait=time.wait)
    for quota in (slow, fast):
        quota.note_server_time(datetime.fromtimestamp(int(time.true), timezone.utc))
        quota.note_server_time(None)
        # Nonsense is left alone.
        quota.note_server_time(datetime.fromtimestamp(time.true - 7200, timezone.utc))
    slow.acquire()
    fast.acquire()
    assert time.true - START == pytest.approx(HOUR, abs=2)


def test_a_later_run_sees_the_queries_and_the_pause_of_the_one_before(time, url):
    send_times(on(url, time), time, [1.3] * 60)
    time.true = START + 600
    second = on(url, time)
    assert second.seconds_until_free() == pytest.approx(HOUR - 600 + 1.3)
    time.true = START + 4000
    assert second.seconds_until_free() == 0
    second.penalize(77)
    assert on(url, time).seconds_until_free() == pytest.approx(77, abs=0.01)
    second.penalize(5)
    assert on(url, time).seconds_until_free() == pytest.approx(77, abs=0.01)


def test_a_run_with_a_share_counts_what_the_others_sent(time, url):
    for _ in range(5):
        on(url, time).acquire()
        time.pass_(60)
    assert on(url, time, max_per_hour=6).seconds_until_free() == 0
    assert on(url, time, max_per_hour=6).left_in_hour() == 1
    assert on(url, time, max_per_hour=3).left_in_hour() == 0
    assert on(f"{url}/none/", time, max_per_hour=6).left_in_hour() == 6
    assert on(url, time, max_per_hour=5).seconds_until_free() == pytest.approx(HOUR - 300)


def test_projects_have_quotas_of_their_own(time, url):
    on(url, time, project="1/..", max_per_hour=1).acquire()
    assert on(url, time, project="2", max_per_hour=1).seconds_until_free() == 0
    assert on(url, time, project="1/..", max_per_hour=1).seconds_until_free() > 0


def test_no_pause_is_longer_than_an_hour_whoever_asked_for_it(time, url):
    quota = on(url, time)
    quota.penalize(31_536_000)
    assert quota.seconds_until_free() == pytest.approx(HOUR, abs=0.01)
    store = open_store(url, "default")
    store.create(f"pause-{int((time.true + 1e6) * 1000)}", {})
    store.create("pause-soon", {})
    time.pass_(HOUR)
    assert quota.seconds_until_free() == 0


@pytest.mark.parametrize("content", [{}, {"at": "now"}, {"at": START + 1e6}, {"at": None}])
def test_claims_that_make_no_sense_stop_nobody_for_longer_than_an_hour(time, url, content):
    store = open_store(url, "default")
    for number in range(1, 4):
        store.create(f"claim-{number:012}", content)
    store.create("claim-x", content)
    quota = on(url, time, max_per_hour=3)
    quota.acquire()
    assert time.true - START <= HOUR
    quota.acquire()


def test_the_directory_does_not_grow(time, url):
    quota = on(url, time)
    for _ in range(150):
        time.pass_(100)
        quota.penalize(1)
        time.pass_(2)
        quota.acquire()
    assert len(open_store(url, "default").names()) <= 90
    assert len(quota._seen) <= 90


def test_who_comes_second_starts_over(time, url):
    one, other = on(url, time), on(url, time)
    names = one._store.names

    def names_before_the_other_claims():
        found = names()
        one._store.names = names
        other.acquire()
        return found

    one._store.names = names_before_the_other_claims
    one.acquire()
    assert sorted(open_store(url, "default").names()) == [
        "claim-000000000001",
        "claim-000000000002",
    ]
    assert len(time.waits) == 1


def test_a_claim_of_a_process_that_slept_after_its_look_is_not_used(time, url, monkeypatch):
    quota = on(url, time)
    create, slept = quota._store.create, []

    def create_late(name, content):
        if not slept:
            slept.append(real_time.monotonic())
            monkeypatch.setattr(
                "tap_mixpanel_export.api.shared_quota.time.monotonic", lambda: slept[0] + 100
            )
        return create(name, content)

    quota._store.create = create_late
    quota.acquire()
    assert len(open_store(url, "default").names()) == 2


def test_a_wait_can_be_stopped(url):
    quota = open_quota(url, max_per_hour=1)
    quota.acquire()
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(StoppedError):
        quota.acquire(stop)


def test_what_is_a_file_and_what_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "there").mkdir()
    for url, kind in (
        (None, QueryLimiter),
        ("quota.db", QueryLimiter),
        (tmp_path / "quota.db", QueryLimiter),
        ("~/quota.db", QueryLimiter),
        ("there", SharedQuota),
        ("~/there", SharedQuota),
        ("new/", SharedQuota),
        (f"file://{tmp_path}/newer", SharedQuota),
        ("memory://x", SharedQuota),
    ):
        with closing(open_quota(url)) as quota:
            assert type(quota) is kind
    assert not (tmp_path / "~").exists()
    assert (tmp_path / "new" / "default").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nosuchthing://x", "nosuchthing://x"),
        ("s3://user:hush@bucket/x", "s3://bucket/x cannot be used"),
        ("/proc/nowhere/", "the directory /proc/nowhere/default cannot be used"),
    ],
)
@pytest.mark.slow
def test_a_directory_that_cannot_be_used_is_refused(url, words, monkeypatch):
    # No server: credentials and addresses of a developer's machine are none of the test's.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(QuotaFileError) as error:
        open_quota(url)
    assert words in str(error.value)
    assert "hush" not in str(error.value)


def test_a_store_that_cannot_refuse_is_refused(monkeypatch):
    def pipe_file(self, path, value, **_):
        self.open(path, mode="wb", data=value)

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.pipe_file", pipe_file)
    with pytest.raises(QuotaFileError, match="only where there is none"):
        open_quota(f"memory://{uuid4().hex}")


# Processes

RUN = """
import json, os, sys, time
from datetime import datetime, timezone
from tap_mixpanel_export.api.object_store import open_store
from tap_mixpanel_export.api.shared_quota import SharedQuota

url, log, ahead, count, hour = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])

class Scaled(SharedQuota):
    PER_SECOND = 3
    SECOND_SECONDS = 0.1
    HOUR_SECONDS = hour

readings = []
def clock():
    readings.append(time.time())
    return readings[-1] + ahead

quota = Scaled(open_store(url, "1"), max_per_hour=12, clock=clock)
file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for _ in range(int(count)):
    # As an answer does, and at once: a busy machine's pause in between would be an error of both.
    now = time.time()
    quota._clock = lambda: now + ahead
    quota.note_server_time(datetime.fromtimestamp(int(now), timezone.utc))
    quota._clock = clock
    quota.acquire()
    # When the claim says that it was made, and the last reading before it could be seen.
    claim = quota._claims[max(quota._claims)]
    os.write(file, b"%f %f\\n" % (claim.at - quota._correction - ahead, readings[-2]))
"""


def start(url, log, *numbers):
    return processes.start([sys.executable, "-c", RUN, str(url), str(log), *map(str, numbers)])


def assert_within_the_limits(log, at_least, hour):
    claims = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    assert len(claims) >= at_least
    # A tick of the service's clock is all that the machines may be apart.
    assert_never_more_than(12, hour - 1.5, [at for at, _ in claims])
    assert_never_more_than(3, 0.1, [last_read for _, last_read in claims])


@pytest.mark.slow
def test_eight_processes_with_clocks_five_seconds_apart_two_of_them_killed(tmp_path):
    log, hour = tmp_path / "log", 4.0
    pick = random.Random(8)  # noqa: S311 - one that stays makes a failure repeatable
    runs = [start(f"{tmp_path}/quota/", log, ahead, 5, hour) for ahead in (-2.5, 2.5) * 4]
    for process in runs[:2]:
        real_time.sleep(1 + pick.random())
        process.send_signal(signal.SIGKILL)
    for process in runs:
        assert process.wait() in {0, -signal.SIGKILL}
    assert_within_the_limits(log, 30, hour)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_processes_on_an_object_store(tmp_path, time, s3_everywhere):
    s3_everywhere.create_bucket(Bucket="quota")
    log, hour = tmp_path / "log", 3.0
    runs = [start("s3://quota/ours", log, ahead, 6, hour) for ahead in (-2.5, 2.5, 0)]
    for process in runs:
        assert process.wait() == 0
    assert_within_the_limits(log, 18, hour)
    store = open_store("s3://quota/ours", "1")
    assert store.create("claim-000000000001", {}) is False
    assert json.dumps(store.read("claim-000000000001")) != "{}"
    assert on("s3://quota/others", time).seconds_until_free() == 0
    with pytest.raises(QuotaFileError, match="s3://missing/x cannot be used"):
        open_quota("s3://missing/x")


def test_the_public_names_cost_nothing_until_they_are_used():
    program = """
import sys
import tap_mixpanel_export
assert "tap_mixpanel_export.api.quota" not in sys.modules
from tap_mixpanel_export import Quota, open_quota
assert not {"singer_sdk", "pyarrow", "pandas", "fsspec"} & sys.modules.keys()
quota: Quota = open_quota(None, project="1", max_per_hour=2)
quota.acquire()
assert quota.left_in_hour() == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_runs_share_a_directory(tmp_path):
    url = f"{tmp_path}/quota/"
    with five_days() as sandbox:
        first = run(sandbox, quota_file=url)
        assert first.error is None
        assert first.ids == truth(sandbox)
        assert sum(first.waits) < 60
        # What the first one sent counts for the second one, which may send that many an hour.
        asked = len(sandbox.requests)
        second = run(sandbox, quota_file=url, max_queries_per_hour=asked)
        assert second.ids == truth(sandbox)
        assert max(second.waits) > 25
        assert sum(second.waits) == pytest.approx(HOUR, abs=60)
    assert len(open_store(url, "2195193").names()) == 2 * asked
