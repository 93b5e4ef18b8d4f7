from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.errors import StateError
from tap_mixpanel_export.sync.state import Checkpoints, read_bookmark, write_bookmark
from tap_mixpanel_export.sync.windows import Bookmark, Span, Window

UTC = timezone.utc
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MARGIN = timedelta(minutes=15)


def span_of(bookmark=None, end=None):
    return Span(
        zone=UTC,
        start=NOON - 30 * DAY,
        start_is_given=False,
        end=end,
        end_is_day=False,
        last_day=None if end is None else end.date(),
        bookmark=bookmark,
        lookback=5 * DAY,
        max_days=30,
    )


def window_to(end, *, late_only=False):
    return Window(date(2026, 1, 1), date(2026, 1, 1), late_only, None, None, end)


def test_a_first_run_moves_the_bookmark_from_its_first_window_on():
    checkpoints = Checkpoints(span_of(), NOON)
    assert checkpoints.finish(window_to(NOON - 3 * DAY), lookback_left=False) == Bookmark(
        NOON - 3 * DAY, NOON - MARGIN
    )


def test_the_bookmark_is_at_most_the_services_time_at_the_first_request():
    checkpoints = Checkpoints(span_of(), NOON)
    bookmark = checkpoints.finish(window_to(NOON + DAY / 2), lookback_left=False)
    assert bookmark == Bookmark(NOON, NOON - MARGIN)


def test_the_state_stays_until_the_look_back_is_done():
    old = Bookmark(NOON - DAY, NOON - DAY - MARGIN)
    checkpoints = Checkpoints(span_of(old), NOON)
    late = window_to(NOON - 2 * DAY, late_only=True)
    assert checkpoints.finish(late, lookback_left=True) is None
    # The last one reaches no further than the bookmark did, but its watermark is this run's.
    assert checkpoints.finish(late, lookback_left=False) == Bookmark(NOON - DAY, NOON - MARGIN)
    assert checkpoints.finish(window_to(NOON + DAY), lookback_left=False) == Bookmark(
        NOON, NOON - MARGIN
    )


def test_a_run_that_ends_before_the_bookmark_leaves_the_state_alone():
    old = Bookmark(NOON - DAY, NOON - DAY)
    checkpoints = Checkpoints(span_of(old, end=NOON - 2 * DAY), NOON)
    late = window_to(NOON - 2 * DAY, late_only=True)
    assert checkpoints.finish(late, lookback_left=False) is None


@given(
    st.none() | st.integers(-200, 0),
    st.lists(st.tuples(st.integers(-300, 100), st.booleans()), min_size=1, max_size=10),
)
@settings(max_examples=100, deadline=None)
def test_the_bookmark_never_moves_back_nor_past_the_services_time(hours, ends):
    hour = timedelta(hours=1)
    old = None if hours is None else Bookmark(NOON + hours * hour, NOON + hours * hour)
    checkpoints = Checkpoints(span_of(old), NOON)
    last = old
    for end, is_late in sorted(ends):
        window = window_to(NOON + end * hour, late_only=is_late and old is not None)
        bookmark = checkpoints.finish(window, lookback_left=False)
        assert bookmark.processed_before == NOON - MARGIN
        assert bookmark.done <= NOON
        if last is not None:
            assert bookmark.done >= last.done
        last = bookmark


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read(done, processed_before):
    state = {}
    write_bookmark(state, Bookmark(done, processed_before))
    assert read_bookmark(state) == Bookmark(done, processed_before)


def test_the_state_is_the_contracts():
    state = {}
    write_bookmark(
        state,
        Bookmark(
            datetime(2026, 11, 22, 14, 3, 11, tzinfo=UTC),
            datetime(2026, 11, 22, 13, 48, tzinfo=UTC),
        ),
    )
    assert state == {
        "replication_key": "timestamp",
        "replication_key_value": "2026-11-22T14:03:11+00:00",
        "processed_before": "2026-11-22T13:48:00+00:00",
    }


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:00:00+00:00",
        "2026-11-20T12:00:00",
        "2026-11-20T12:00:00.000000Z",
        "2026-11-20T04:00:00-08:00",
    ],
)
def test_the_state_of_another_tap_is_read(value):
    assert read_bookmark({"replication_key_value": value}) == Bookmark(NOON, None)


def test_a_state_without_a_bookmark_is_none():
    assert read_bookmark({}) is None
    assert read_bookmark({"replication_key_value": None}) is None
    assert read_bookmark({"replication_key": "time", "replication_key_value": 1}) is None


@pytest.mark.parametrize("value", ["yesterday", 17, "", [], "0001-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("name", ["replication_key_value", "processed_before"])
def test_a_state_that_cannot_be_read_is_refused_by_name(name, value):
    state = {"replication_key_value": "2026-11-20T12:00:00Z", name: value}
    with pytest.raises(StateError, match=f"state: {name} of the stream events is not a date-time"):
        read_bookmark(state)
