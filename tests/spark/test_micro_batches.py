"""Micro-batches of a stream, read in this process: their rows, and which clocks are believed."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import pytest
from event_truth import event_id
from fake_time import machine_at
from harness import DAY, facts, hasty, truth
from late_arrivals import HOUR, NOW, START, late, stamped

from tap_mixpanel_export.api.waiting import Quota
from tap_mixpanel_export.errors import ClockError, RequestError
from tap_mixpanel_export.sandbox import Behaviour, Event, Sandbox, SandboxClock
from tap_mixpanel_export.spark.offsets import Offset
from tap_mixpanel_export.spark.options import read_options
from tap_mixpanel_export.spark.task import Task, read_task


@pytest.fixture
def clock(monkeypatch):
    clock = SandboxClock.fixed(NOW)
    monkeypatch.setattr(Quota, "PER_SECOND", 1000)
    with machine_at(clock.now), hasty():
        yield clock


@pytest.fixture
def sandbox(clock):
    with Sandbox(stamped(START, 14), clock=clock) as sandbox:
        yield sandbox


class Stream:
    """What Spark does with a stream, without Spark."""

    def __init__(self, sandbox, folder, monkeypatch, **options):
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        given = {
            "api_url": sandbox.api_url,
            "start_date": START.date().isoformat(),
            "partition_days": "10",
            "quota": str(folder / "quota"),
            **options,
        }
        self.options = read_options(given)
        self.plan, bookmark = self.options.stream()
        self.checkpoint = [json.dumps(self.plan.first(bookmark).to_dict())]

    def next(self, now, most_days=None):
        """Plan a micro-batch."""
        offset = Offset.from_dict(json.loads(self.checkpoint[-1]))
        end = self.plan.next(offset, self.plan.present(now), most_days)
        self.checkpoint.append(json.dumps(end.to_dict()))

    def read(self, batch=-1):
        """The ids of a micro-batch."""
        start, end = (
            Offset.from_dict(json.loads(self.checkpoint[at])) for at in (batch - 1, batch)
        )
        return Counter(
            key
            for number, window in enumerate(self.plan.windows(start, end))
            for batch in read_task(self.options, Task(f"{number}", window, to_its_end=True))
            for key in batch.column("event_id").to_pylist()
        )


def test_rows_of_three_micro_batches_are_the_truth_and_one_that_is_read_again_is_the_same(
    sandbox, clock, tmp_path, monkeypatch
):
    # Of a day that nothing is read of yet when it is processed.
    sandbox.add([late(NOW + 14 * HOUR, NOW - 2 * HOUR, "clock ahead")])
    stream = Stream(sandbox, tmp_path, monkeypatch)
    stream.next(NOW, 9)
    found = stream.read()
    stream.next(NOW, 9)
    found += stream.read()
    sandbox.add(
        [
            late(NOW - 4 * DAY, NOW + HOUR, "four days"),
            late(NOW - HOUR, NOW - timedelta(minutes=10), "within the delay"),
            *(Event.at(NOW + DAY + n * HOUR, insert_id=f"new {n}") for n in range(10)),
        ]
    )
    clock.advance(2 * DAY)
    stream.next(clock.now())
    third = stream.read()
    # Its commit was lost; in the meantime more has come in.
    sandbox.add([late(NOW - DAY, clock.now() + HOUR, "later")])
    clock.advance(12 * HOUR)
    assert stream.read() == third
    stream.next(clock.now())
    found += third + stream.read()
    assert found == truth(sandbox)


def test_nothing_comes_of_a_micro_batch_while_the_clocks_differ(
    sandbox, clock, tmp_path, monkeypatch
):
    stream = Stream(sandbox, tmp_path, monkeypatch)
    # The driver's clock is an hour ahead.
    stream.next(NOW + HOUR)
    with pytest.raises(ClockError, match="processing_delay_minutes"):
        stream.read()
    # Other tries of the task do not ask again.
    asked = len(sandbox.requests)
    with pytest.raises(RequestError, match="may not have shown up yet"):
        stream.read()
    assert len(sandbox.requests) == asked == 1
    clock.advance(2 * HOUR)
    monkeypatch.setattr("tap_mixpanel_export.spark.task._REFUSAL_SECONDS", 0)
    assert stream.read() == truth(sandbox)


def test_stamps_of_events_tell_the_time_where_the_service_does_not(clock, tmp_path, monkeypatch):
    behaviour = Behaviour(date="missing")
    with Sandbox(stamped(START, 14), clock=clock, behaviour=behaviour) as sandbox:
        stream = Stream(sandbox, tmp_path, monkeypatch, partition_days="30")
        stream.next(NOW)
        with pytest.raises(ClockError, match="tells no time"):
            stream.read()
        sandbox.add([Event.at(NOW - timedelta(minutes=1), insert_id="just now")])
        monkeypatch.setattr("tap_mixpanel_export.spark.task._REFUSAL_SECONDS", 0)
        ids = stream.read()
        # All but the one that tells the time.
        assert truth(sandbox) - ids == {event_id(sandbox.visible()[-1]): 1}
        assert ids - truth(sandbox) == {}


def test_events_without_a_stamp_come_again_within_the_look_back(
    sandbox, clock, tmp_path, monkeypatch
):
    sandbox.add([Event.at(NOW - DAY, insert_id="unstamped", stamped=False)])
    stream = Stream(sandbox, tmp_path, monkeypatch, lookback_days="2")
    stream.next(NOW)
    first = stream.read()
    assert first == truth(sandbox)
    (unstamped,) = (key for key, _, _, processed in map(facts, sandbox.visible()) if not processed)
    clock.advance(DAY)
    stream.next(clock.now())
    assert stream.read() == {unstamped: 1}
    clock.advance(3 * DAY)
    stream.next(clock.now())
    stream.read()
    clock.advance(DAY)
    stream.next(clock.now())
    assert stream.read() == {}
