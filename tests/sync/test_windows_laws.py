"""What holds of the windows of any run: no day is left out, no event is written twice."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from window_runs import DAY, MINUTE, days_between, days_of, finished_runs, is_written

from tap_mixpanel_export.sync.windows import Purpose
from tap_mixpanel_export.timezones import day_of, start_of_day, to_milliseconds, wall_to_instant


@pytest.mark.slow
@given(finished_runs())
@settings(max_examples=150, deadline=None)
def test_days_are_asked_for_once_in_order_and_no_wider_than_allowed(run):
    span, now, windows = run
    before, late, new = (
        [window for window in windows if window.purpose is purpose]
        for purpose in (Purpose.BACKFILL, Purpose.LOOKBACK, Purpose.NEW)
    )
    assert windows == before + late + new
    # Backwards, so that there is no gap wherever the run ends; the look-back in any order.
    assert before == sorted(before, key=lambda window: window.first, reverse=True)
    for group in (before, late, new):
        days = days_of(group) if group is new else sorted(days_of(group))
        assert days == ([] if not days else days_between(days[0], days[-1]))
    assert all(1 <= window.days <= span.max_days for window in windows)
    last_day = day_of(now, span.zone)
    assert all(window.last <= last_day for window in windows)
    if span.bookmark is None:
        assert not late
        assert days_of(new) == days_between(
            day_of(span.start, span.zone), min(last_day, span.last_day or last_day)
        )


@pytest.mark.slow
@given(finished_runs())
@settings(max_examples=100, deadline=None)
def test_the_end_of_a_window_is_where_the_next_one_begins(run):
    span, _now, windows = run
    for window, following in pairwise(windows):
        if window.purpose is following.purpose is Purpose.NEW:
            assert window.end == start_of_day(following.first, span.zone)


def is_to_be_written(span, now, wall, processed):
    """The contract's rule (What a run does, 4), for one event."""
    zone, bookmark = span.zone, span.bookmark
    instant = wall_to_instant(wall, zone)
    if wall.date() > day_of(now, zone) or (span.upper is not None and instant >= span.upper):
        return False
    if (span.start_is_given or bookmark is None) and instant < span.start:
        return False
    if bookmark is None:
        return True
    done = bookmark.done
    at_day_start = done == start_of_day(day_of(done, zone), zone)
    if instant > done or (at_day_start and instant == done):
        return True
    if bookmark.exported_from is not None and instant < bookmark.exported_from:
        # Days before the first one that was exported come once, when the start is set earlier.
        reaches = span.end is None or span.upper >= bookmark.exported_from
        return span.start_is_given and reaches
    return wall.date() >= day_of(done - span.lookback, zone) and (
        bookmark.processed_before is None
        or processed is None
        or processed > bookmark.processed_before
    )


@pytest.mark.slow
@given(finished_runs(), st.data())
@settings(max_examples=200, deadline=None)
def test_an_event_is_written_by_one_window_or_by_none_as_the_contract_says(run, data):
    span, now, windows = run
    border = data.draw(
        st.sampled_from([span.start, span.end or now, now])
        if span.bookmark is None
        else st.sampled_from([span.bookmark.done, span.bookmark.done - span.lookback, span.start])
    )
    shift = data.draw(st.sampled_from([timedelta(), timedelta(seconds=1), MINUTE, DAY, 9 * DAY]))
    nearby = border + shift * data.draw(st.sampled_from([-1, 1]))
    wall = nearby.astimezone(span.zone).replace(tzinfo=None, fold=0)
    instant = wall_to_instant(wall, span.zone)
    # A device's clock can be ahead: events that were processed before they happened.
    delay = data.draw(st.sampled_from([-10 * MINUTE, timedelta(), MINUTE, DAY, 10 * DAY]))
    processed = data.draw(st.sampled_from([None, instant + delay]))

    writers = [
        window
        for window in windows
        if window.first <= wall.date() <= window.last
        and is_written(
            window,
            span,
            to_milliseconds(instant),
            None if processed is None else to_milliseconds(processed),
        )
    ]
    assert len(writers) == is_to_be_written(span, now, wall, processed)
