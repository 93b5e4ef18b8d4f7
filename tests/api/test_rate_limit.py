"""The quota holds whatever the timing, and costs no needless wait."""

from __future__ import annotations

import re
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from fake_time import (
    HOUR,
    PAUSES,
    SECOND,
    START,
    FakeTime,
    assert_never_more_than,
    limiter_on,
    scaled,
    send_times,
)
from harness import wait_for
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.api.rate_limit import QueryLimiter, check_pause, until
from tap_mixpanel_export.errors import LongPauseError
from tap_mixpanel_export.stopping import StoppedError


@pytest.fixture
def time():
    return FakeTime()


pauses = st.lists(PAUSES, min_size=1, max_size=80)


@settings(max_examples=40, deadline=None)
@given(
    pauses=pauses,
    max_per_hour=st.integers(1, 12),
    per_second=st.integers(1, 4),
    jitter=st.lists(st.floats(0.0, 0.25), min_size=80, max_size=80),
    shared=st.booleans(),
)
def test_service_never_sees_more_than_the_limits_despite_jitter(
    pauses, max_per_hour, per_second, jitter, shared
):
    with tempfile.TemporaryDirectory() as folder:
        limiter = limiter_on(
            time := FakeTime(),
            max_per_hour=max_per_hour,
            per_second=per_second,
            quota_file=Path(folder) / "quota.db" if shared else None,
        )
        with closing(limiter):
            sent = send_times(limiter, time, pauses)
    arrived = [at + late for at, late in zip(sent, jitter, strict=False)]
    assert_never_more_than(per_second, 1.0, arrived)
    assert_never_more_than(max_per_hour, 3600.0, arrived)


@settings(max_examples=40, deadline=None)
@given(pauses=pauses, max_per_hour=st.integers(1, 12), per_second=st.integers(1, 4))
def test_no_query_waits_longer_than_it_must(pauses, max_per_hour, per_second):
    time = FakeTime()
    limiter = limiter_on(time, max_per_hour=max_per_hour, per_second=per_second)
    sent = send_times(limiter, time, pauses)

    earliest, now = [], START
    for pause in pauses:
        now += pause
        if len(earliest) >= per_second:
            now = max(now, earliest[-per_second] + SECOND)
        if len(earliest) >= max_per_hour:
            now = max(now, earliest[-max_per_hour] + HOUR)
        earliest.append(now)
    assert sent == pytest.approx(earliest, abs=1e-3, rel=0)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.5, 40.0, 2000.0]), st.sampled_from([0, 0, -0.3, -50, -1e8])
        ),
        min_size=1,
        max_size=40,
    )
)
def test_clock_set_back_neither_breaks_the_quota_nor_blocks(steps):
    time = FakeTime()
    limiter = limiter_on(time, max_per_hour=5)
    sent = []
    for pause, jump in steps:
        time.pass_(pause)
        time.offset += jump
        before = time.true
        limiter.acquire()
        assert time.true - before <= HOUR + 1e-3
        sent.append(time.true)
    assert_never_more_than(3, 1.0, sent)
    assert_never_more_than(5, 3600.0, sent)


def test_pause_ends_though_the_clock_is_set_back(time):
    limiter = limiter_on(time)
    limiter.penalize(20)
    time.offset = -1e8
    assert limiter.seconds_until_free() == pytest.approx(20)
    time.pass_(21)
    assert limiter.seconds_until_free() == 0


def test_clock_set_back_during_a_wait_is_noticed(time):
    limiter = limiter_on(time, max_per_hour=1)
    limiter.acquire()
    wait = time.wait

    def set_back_once(seconds, stop):
        time.offset = -1e6
        wait(seconds, stop)

    limiter._wait = set_back_once
    limiter.acquire()
    # The first wait ends before the limiter notices, the quota then counts from there.
    assert time.true - START <= HOUR + 30 + 1e-3


def test_nothing_waits_while_there_is_room(time):
    limiter = limiter_on(time, on_wait=lambda *_: pytest.fail("there was no wait"))
    send_times(limiter, time, [1.3] * 60)
    assert time.waits == []


def test_sixty_at_once_take_twenty_turns_of_three(time):
    limiter = limiter_on(time)
    sent = send_times(limiter, time, [0.0] * 60)
    assert sent[-1] - sent[0] == pytest.approx(19 * SECOND)
    limiter.acquire()
    assert time.true - sent[0] == pytest.approx(HOUR)


def test_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="less than one"):
        QueryLimiter(max_per_hour=0)


def test_each_long_wait_is_told_once_with_its_cause(time):
    told = []
    limiter = limiter_on(time, max_per_hour=4, on_wait=lambda *what: told.append(what))
    send_times(limiter, time, [0.0] * 4)
    assert told == [], "the limit per second is nothing to write home about"
    limiter.acquire()
    ((seconds, cause),) = told
    assert seconds == pytest.approx(HOUR - SECOND)
    assert cause == "the limit of 4 queries per hour"


def test_wait_that_gets_longer_is_told_again(time):
    told = []

    def on_wait(seconds, cause):
        if not told:
            limiter.penalize(100)
        told.append((round(seconds), cause))

    limiter = limiter_on(time, on_wait=on_wait)
    limiter.penalize(10)
    limiter.acquire()
    cause = "the pause that the service asked for (429)"
    assert told == [(10, cause), (90, cause)]
    assert time.true - START == pytest.approx(100)


def test_pause_holds_back_every_query_and_the_longer_one_stays(time):
    limiter = limiter_on(time)
    limiter.penalize(50)
    limiter.penalize(5)
    assert limiter.seconds_until_free() == pytest.approx(50)
    limiter.acquire()
    assert time.true - START == pytest.approx(50)
    limiter.penalize(-3)
    assert limiter.seconds_until_free() == 0


def test_pause_asked_for_during_a_wait_prolongs_it(time):
    limiter = limiter_on(time, per_second=1)
    limiter.acquire()
    wait = time.wait

    def another_thread_gets_a_429(seconds, stop):
        if not time.waits:
            limiter.penalize(30)
        wait(seconds, stop)

    limiter._wait = another_thread_gets_a_429
    limiter.acquire()
    assert time.true - START == pytest.approx(30)


def test_no_pause_is_longer_than_an_hour(time):
    limiter = limiter_on(time)
    limiter.penalize(31_536_000)
    assert limiter.seconds_until_free() == pytest.approx(HOUR)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3601, "1 hour 1 second"),
        (12_000, "3 hours 20 minutes"),
        (86_400, "1 day"),
        (1e9, "weeks"),
    ],
)
def test_a_pause_of_more_than_an_hour_ends_the_run(seconds, words):
    with pytest.raises(LongPauseError, match=rf"a pause of .*{words}.*Retry-After\), until .*UTC;"):
        check_pause(seconds)


@pytest.mark.parametrize(("seconds", "waits"), [(None, 0), (0, 0), (7.5, 7.5), (3600, 3600)])
def test_a_pause_of_up_to_an_hour_is_waited_for(seconds, waits):
    assert check_pause(seconds) == waits


def test_the_end_of_a_wait_is_told_by_the_clock():
    assert re.fullmatch(r"until (\d{4}-\d{2}-\d{2} )?\d{2}:\d{2} UTC", until(60))
    assert re.fullmatch(r"until \d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC", until(86_400))


def test_asking_counts_nothing(time):
    limiter = limiter_on(time, max_per_hour=1)
    for _ in range(5):
        assert limiter.seconds_until_free() == 0


def test_scaled_hour_and_second(time):
    kind = scaled(hour_seconds=3.6, second_seconds=0.001)
    limiter = kind(max_per_hour=9, clock=time.clock, wait=time.wait)
    sent = send_times(limiter, time, [0.0] * 10)
    assert sent[3] - sent[0] == pytest.approx(0.001 + 0.25)
    assert sent[9] - sent[0] == pytest.approx(3.6 + 0.25)


# Threads


def run_threads(targets):
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_threads_share_the_limits(time):
    limiter = limiter_on(time)

    def work():
        for _ in range(7):
            limiter.acquire()

    run_threads([work] * 8)
    assert len(limiter._ledger.sent) == 56
    assert_never_more_than(3, SECOND, limiter._ledger.sent)


def test_first_come_first_served(time):
    limiter = limiter_on(time, per_second=1)
    limiter.acquire()
    all_there = threading.Event()
    served = []
    wait = time.wait

    def gate(seconds, stop):
        assert all_there.wait(60)
        served.append(threading.current_thread().name)
        wait(seconds, stop)

    limiter._wait = gate
    threads = [threading.Thread(target=limiter.acquire, name=f"{n}", daemon=True) for n in range(6)]
    for n, thread in enumerate(threads, 1):
        thread.start()
        wait_for(lambda n=n: len(limiter._queue) == n)
    all_there.set()
    for thread in threads:
        thread.join(timeout=60)
    assert served == ["0", "1", "2", "3", "4", "5"]


def test_waiting_threads_stop_and_count_nothing():
    limiter = QueryLimiter(max_per_hour=1)
    limiter.acquire()
    stop = threading.Event()
    stopped = []

    def work():
        with pytest.raises(StoppedError):
            limiter.acquire(stop)
        stopped.append(1)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(limiter._queue) == 3)
    stop.set()
    for thread in threads:
        thread.join(timeout=60)
    assert len(stopped) == 3
    assert not limiter._queue
    assert len(limiter._ledger.sent) == 1


def test_stop_of_one_thread_lets_the_next_through(time):
    limiter = limiter_on(time, max_per_hour=1)
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        limiter.acquire(stop)
    limiter.acquire()
    assert time.waits == []
