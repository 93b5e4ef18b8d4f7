"""A stream's offsets, without Spark: each event is in one micro-batch, whatever comes between."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_mixpanel_export.errors import SettingsError, StateError
from tap_mixpanel_export.spark.offsets import Offset, StreamPlan
from tap_mixpanel_export.spark.options import read_options
from tap_mixpanel_export.sync.windows import Span
from tap_mixpanel_export.timezones import day_of, start_of_day, to_milliseconds

UTC = timezone.utc
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 21, 12, tzinfo=UTC)
LOOKBACK_DAYS = 2
DELAY = timedelta(minutes=15)
ZONES = (UTC, ZoneInfo("America/Los_Angeles"), ZoneInfo("America/Havana"))


def plan_of(zone=UTC, *, end=None, partition_days=None, interval=timedelta(minutes=15)):
    span = Span(
        zone=zone,
        start=START,
        start_is_given=True,
        end=None if end is None else start_of_day(end + DAY, zone),
        end_is_day=end is not None,
        last_day=end,
        bookmark=None,
        lookback=LOOKBACK_DAYS * DAY,
        max_days=366,
        delay=DELAY,
    )
    return StreamPlan(span, interval, partition_days)


def read(windows, events, zone):
    """What an honest service and reader give of some windows: events by their number."""
    found = Counter()
    for window in windows:
        for number, (instant, processed) in enumerate(events):
            stamp = to_milliseconds(processed)
            is_in = (
                window.first <= day_of(instant, zone) <= window.last
                and (window.start is None or instant >= window.start)
                and (window.end is None or instant < window.end)
                and (window.processed_after is None or stamp > window.processed_after)
                and (window.processed_until is None or stamp <= window.processed_until)
            )
            found[number] += is_in
    return found


def restarted(offset):
    """An offset as it comes out of a checkpoint."""
    return Offset.from_dict(json.loads(json.dumps(offset.to_dict())))


hours = st.floats(0, 24 * 12, allow_nan=False).map(lambda count: round(count, 3) * HOUR)
lateness = st.one_of(st.floats(-30, 2, allow_nan=False), st.floats(0, 24 * 4, allow_nan=False)).map(
    lambda count: round(count, 3) * HOUR
)


@given(
    events=st.lists(st.tuples(hours, lateness), max_size=40),
    triggers=st.lists(st.tuples(hours, st.sampled_from([None, 1, 3])), min_size=1, max_size=12),
    zone=st.sampled_from(ZONES),
    end=st.sampled_from([None, START.date() + 6 * DAY]),
    partition_days=st.sampled_from([None, 1, 4]),
)
# Days that a stream catches up with while late events come in on those before.
@example([(30 * HOUR, 90 * HOUR)], [(60 * HOUR, 1), (200 * HOUR, 1)], UTC, None, None)
# An event of a clock that is ahead: processed on the day before its own.
@example([(49 * HOUR, -3 * HOUR)], [(47 * HOUR, None), (60 * HOUR, None)], UTC, None, 1)
def test_each_event_is_in_one_micro_batch(events, triggers, zone, end, partition_days):
    plan = plan_of(zone, end=end, partition_days=partition_days)
    times = [(START + at, START + at + late) for at, late in events]
    offset, found = plan.first(None), Counter()
    last = 13 * 24 * HOUR
    for at, most_days in [*sorted(triggers, key=lambda trigger: trigger[0]), (last, None)]:
        present_ms = plan.present(START + at)
        while (until := plan.next(offset, present_ms, most_days)) != offset:
            windows = plan.windows(offset, until)
            # A batch that is read again, from the checkpoint, is the same.
            assert windows == plan.windows(restarted(offset), restarted(until))
            assert until.day <= day_of(START + at, zone)
            found += read(windows, times, zone)
            offset = until
    assert max(found.values(), default=0) <= 1
    for number, (instant, processed) in enumerate(times):
        day = day_of(instant, zone)
        is_due = (
            instant >= START
            and day <= (end or offset.day)
            and to_milliseconds(processed) <= offset.processed_until
            # Later than that, no look-back finds it.
            and day >= day_of(processed - LOOKBACK_DAYS * DAY, zone)
        )
        assert found[number] == 1 or not is_due


def test_a_micro_batch_has_a_bounded_number_of_new_days_and_one_processing_time():
    plan = plan_of()
    offset, ends = plan.first(None), []
    while (until := plan.next(offset, plan.present(START + 10.5 * DAY), 4)) != offset:
        ends.append(until)
        offset = until
    assert [str(end.day) for end in ends] == ["2026-03-04", "2026-03-08", "2026-03-11"]
    assert len({end.processed_until for end in ends}) == 1
    assert plan.usual_days == 60 * 30
    # Then the look-back, and the new day, each in a query of its own.
    until = plan.next(offset, plan.present(START + 11.5 * DAY), 4)
    late, new = plan.windows(offset, until)
    assert [str(late.first), str(late.last)] == ["2026-03-09", "2026-03-11"]
    assert late.processed_after == offset.processed_until
    assert [str(new.first), str(new.last)] == ["2026-03-12", "2026-03-12"]
    assert new.processed_after is None
    assert late.processed_until == new.processed_until == until.processed_until


def test_there_is_one_micro_batch_in_each_interval():
    plan = plan_of(interval=timedelta(hours=1))
    now = START + DAY + timedelta(minutes=5)
    offset = plan.next(plan.first(None), plan.present(now), None)
    assert offset.processed_until == to_milliseconds(START + DAY - HOUR)
    # Until the next full hour, the delay, and what clocks may be off.
    assert plan.next(offset, plan.present(now + timedelta(minutes=11)), None) == offset
    assert plan.next(offset, plan.present(now + timedelta(minutes=12)), None) != offset


def test_a_stream_that_has_an_end_asks_for_nothing_once_the_look_back_has_passed_it():
    plan = plan_of(end=START.date() + 2 * DAY)
    offset, queries = plan.first(None), []
    for day in range(1, 12):
        while (until := plan.next(offset, plan.present(START + day * DAY + HOUR), None)) != offset:
            queries.append((day, plan.windows(offset, until)))
            offset = until
    # The last one is of the day whose look-back begins with the last day.
    assert [(day, len(windows)) for day, windows in queries] == [
        (1, 2),
        (2, 2),
        (3, 1),
        (4, 1),
        (5, 1),
    ]
    assert queries[-1][1][0].first == START.date() + 2 * DAY


def test_before_the_first_day_there_is_nothing():
    plan = plan_of()
    first = plan.first(None)
    assert plan.next(first, plan.present(START + timedelta(minutes=10)), None) == first


def test_the_first_batch_stays_as_it_was_when_the_default_start_moves_on():
    first = read_options({})
    plan, _ = first.stream()
    until = plan.next(plan.first(None), plan.present(NOW), None)
    later = Offset(until.day, 0, until.start + 3 * DAY)
    windows = plan.windows(plan.first(None), until)
    assert plan.windows(later, until) == windows
    assert windows[0].start == until.start


def state(**entry):
    return json.dumps({"bookmarks": {"events": {"replication_key": "timestamp", **entry}}})


def begun(options, **entry):
    """The windows of the first batch of a stream that goes on from a state of the tap."""
    given = {"startingState": state(**entry), "partition_days": "30", **options}
    plan, bookmark = read_options(given).stream()
    first = plan.first(bookmark)
    return first, plan.windows(first, plan.next(first, plan.present(START + 21 * DAY), None))


def test_a_stream_goes_on_from_the_taps_state_and_leaves_out_nothing():
    first, windows = begun(
        {},
        replication_key_value="2026-03-20T14:03:11+00:00",
        processed_before="2026-03-20T13:48:00+00:00",
        exported_from="2026-01-01",
    )
    assert str(first.day) == "2026-03-19"
    assert first.start == datetime(2026, 1, 1, tzinfo=UTC)
    late, new = windows
    assert [str(late.first), str(late.last)] == ["2026-03-14", "2026-03-19"]
    # The tap may not have seen what was processed on its last day.
    assert late.processed_after == to_milliseconds(datetime(2026, 3, 20, tzinfo=UTC)) - 1
    assert [str(new.first), str(new.last)] == ["2026-03-20", "2026-03-21"]


def test_a_state_with_an_older_watermark_is_looked_back_from_that():
    _, (late, new) = begun(
        {"start_date": "2026-03-01"},
        replication_key_value="2026-03-20T00:00:00+00:00",
        processed_before="2026-03-19T13:00:00+00:00",
    )
    assert [str(late.first), str(late.last)] == ["2026-03-14", "2026-03-19"]
    assert late.processed_after == to_milliseconds(datetime(2026, 3, 19, 13, tzinfo=UTC))
    assert str(new.first) == "2026-03-20"


def test_another_taps_state_says_nothing_of_late_events_so_that_its_last_days_come_again():
    first, (new,) = begun({}, replication_key_value="2026-03-20T14:03:11+00:00")
    assert [str(new.first), str(new.last)] == ["2026-03-15", "2026-03-21"]
    assert first.start == datetime(2026, 3, 15, tzinfo=UTC)
    assert new.processed_after is None


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"watermark_interval": "0"}, "watermark_interval"),
        ({"max_days_per_trigger": "all"}, "max_days_per_trigger"),
        ({"startingState": "state.json"}, "startingState"),
        ({"lookback_days": "-1"}, "lookback_days"),
    ],
)
def test_options_of_streams_are_checked(options, problem):
    with pytest.raises(SettingsError, match=problem):
        read_options(options)


def test_options_of_loads_and_of_streams_are_told_apart():
    for name in ("splits_per_day", "filter_pushdown"):
        value = {"splits_per_day": "2"}.get(name, "true")
        with pytest.raises(SettingsError, match=name):
            read_options({name: value}).stream()
    given = {"lookback_days": "3", "watermark_interval": "60", "startingState": state()}
    read = read_options(given)
    assert read.stream()[0].interval == timedelta(minutes=1)
    with pytest.raises(SettingsError) as caught:
        read.refuse_options_of_streams()
    assert len(caught.value.problems) == 3
    read_options({"start_date": "2026-03-01"}).refuse_options_of_streams()
    with pytest.raises(StateError):
        read_options({"startingState": state(replication_key_value="soon")}).stream()
