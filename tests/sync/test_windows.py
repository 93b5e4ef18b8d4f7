"""Which days a run asks for, in which order, and which of their events it writes."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from window_runs import (
    DAY,
    MINUTE,
    NOON,
    UTC,
    days_between,
    days_of,
    finished_windows,
    is_written,
    span_of,
)

from tap_mixpanel_export.sync.planner import TARGET_BYTES, Planner
from tap_mixpanel_export.sync.windows import NEVER_SET, Bookmark, late_clause
from tap_mixpanel_export.timezones import start_of_day, to_milliseconds


@pytest.mark.parametrize("concurrency", [1, 4, 100])
def test_five_years_of_a_small_project_fit_well_into_two_hours_of_quota(concurrency):
    span = span_of(NOON - 1826 * DAY)
    windows = finished_windows(span, NOON, bytes_a_day=50_000, concurrency=concurrency)
    assert len(windows) < 100
    assert len(windows) <= 61 + 10
    assert len(days_of(windows)) == 1827


def test_gigabytes_a_day_are_asked_for_a_day_at_a_time():
    span = span_of(NOON - 60 * DAY)
    windows = finished_windows(span, NOON, bytes_a_day=3 * 1024**3)
    assert [window.days for window in windows] == [1] * 61


def test_windows_grow_by_twice_to_the_size_of_a_good_download():
    span = span_of(NOON - 100 * DAY, max_days=366)
    widths = [
        window.days
        for window in finished_windows(span, NOON, bytes_a_day=TARGET_BYTES // 10, concurrency=1)
    ]
    assert widths[:4] == [1, 2, 4, 8]
    assert set(widths[4:-1]) == {10}


def test_windows_shrink_when_a_day_gets_big():
    span = span_of(NOON - 2000 * DAY)
    planner = Planner(span)
    planner.start_clock(NOON)
    for _ in range(10):
        window = planner.next()
        planner.observe(window, 1000)
    assert planner.next().days == 30
    planner.observe(window, TARGET_BYTES * window.days // 3)
    assert planner.next().days == 3
    # Large days are forgotten after four windows.
    for _ in range(4):
        window = planner.next()
        planner.observe(window, 1000)
    assert planner.next().days == 30


def test_windows_of_empty_days_grow_too():
    windows = finished_windows(span_of(NOON - 365 * DAY), NOON, bytes_a_day=0)
    assert max(window.days for window in windows) == 30


def test_a_failed_window_is_halved_and_later_ones_stay_narrower():
    span = span_of(NOON - 300 * DAY)
    planner = Planner(span)
    planner.start_clock(NOON)
    while (window := planner.next()).days < 30:
        planner.observe(window, 1000)
    left, right = planner.split(window)
    assert (left.first, right.last) == (window.first, window.last)
    assert right.first == left.last + DAY
    assert left.end == start_of_day(right.first, UTC)
    assert right.end == window.end
    planner.observe(left, 1000)
    planner.observe(right, 1000)
    assert planner.next().days == 15


def test_a_failed_window_of_one_day_is_not_halved():
    planner = Planner(span_of(NOON))
    assert planner.split(planner.next()) is None


def test_today_is_that_of_the_service_in_the_zone_of_the_project():
    zone = ZoneInfo("Asia/Tokyo")
    before_midnight = datetime(2026, 11, 20, 14, 59, tzinfo=UTC)
    for now, today in (
        (before_midnight, date(2026, 11, 20)),
        (before_midnight + MINUTE, date(2026, 11, 21)),
    ):
        windows = finished_windows(span_of(NOON - 3 * DAY, zone=zone), now)
        assert days_of(windows)[-1] == today


def test_until_the_time_of_the_service_is_known_there_is_one_window_of_one_day():
    planner = Planner(span_of(NOON - 100 * DAY))
    assert planner.next().days == 1
    assert planner.next() is None
    planner.start_clock(NOON)
    assert planner.next() is not None


def test_an_end_past_today_is_cut_to_today():
    windows = finished_windows(span_of(NOON - 2 * DAY, end=date(2030, 1, 1)), NOON)
    assert days_of(windows) == days_between(date(2026, 11, 18), date(2026, 11, 20))


def test_an_end_that_is_a_day_is_included_whole():
    span = span_of(NOON, end=NOON.date())
    (window,) = finished_windows(span, NOON + 9 * DAY)
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    assert (window.upper, window.end) == (midnight, midnight)
    assert is_written(window, span, to_milliseconds(midnight) - 1, None)
    assert not is_written(window, span, to_milliseconds(midnight), None)


def test_an_end_that_is_an_instant_is_included_itself():
    span = span_of(NOON, end=NOON + 2 * MINUTE)
    (window,) = finished_windows(span, NOON + 9 * DAY)
    assert window.end == NOON + 2 * MINUTE
    last = to_milliseconds(NOON + 2 * MINUTE)
    assert is_written(window, span, last, None)
    assert not is_written(window, span, last + 1, None)


def test_events_before_the_start_are_not_written():
    span = span_of(NOON)
    window = finished_windows(span, NOON)[0]
    assert is_written(window, span, to_milliseconds(NOON), None)
    assert not is_written(window, span, to_milliseconds(NOON) - 1, None)


def test_look_back_windows_are_wide_from_the_first_on_and_end_with_the_bookmarks_day():
    bookmark = Bookmark(NOON, NOON - 15 * MINUTE)
    span = span_of(NOON - 900 * DAY, start_is_given=False, bookmark=bookmark, lookback=70 * DAY)
    windows = finished_windows(span, NOON + 2 * DAY)
    assert [(window.days, window.late_only) for window in windows] == [
        (30, True),
        (30, True),
        (11, True),
        (1, False),
        (1, False),
    ]
    assert windows[2].last == NOON.date()


def test_a_bookmark_at_the_start_of_a_day_leaves_that_day_to_the_new_ones():
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    span = span_of(midnight - 9 * DAY, bookmark=Bookmark(midnight, midnight))
    windows = finished_windows(span, NOON)
    assert [(window.last, window.late_only) for window in windows] == [
        (date(2026, 11, 19), True),
        (date(2026, 11, 20), False),
    ]


def test_the_rest_of_a_day_that_ended_at_an_end_date_is_asked_for_without_a_filter():
    # The run before ended at noon of a day long past: the watermark is much later.
    bookmark = Bookmark(NOON, NOON + 100 * DAY)
    span = span_of(NOON - 900 * DAY, bookmark=bookmark, lookback=timedelta())
    looked_back, rest, *_ = finished_windows(span, NOON + 101 * DAY)
    assert (looked_back.first, rest.first) == (NOON.date(), NOON.date())
    assert (looked_back.late_only, rest.late_only) == (True, False)
    assert looked_back.end == NOON
    afternoon = to_milliseconds(NOON + MINUTE)
    assert not is_written(looked_back, span, afternoon, afternoon)
    assert is_written(rest, span, afternoon, afternoon)


def test_the_look_back_does_not_reach_before_a_start_that_was_given():
    bookmark = Bookmark(NOON, NOON)
    for is_given, first in ((True, date(2026, 11, 18)), (False, date(2026, 11, 15))):
        span = span_of(NOON - 2 * DAY, start_is_given=is_given, bookmark=bookmark)
        assert finished_windows(span, NOON)[0].first == first


def test_an_end_before_the_bookmark_leaves_the_days_up_to_it():
    span = span_of(NOON - 90 * DAY, bookmark=Bookmark(NOON, NOON), end=date(2026, 11, 17))
    assert not span.reaches_bookmark
    (window,) = finished_windows(span, NOON)
    assert (window.first, window.last) == (date(2026, 11, 15), date(2026, 11, 17))
    assert span_of(NOON, bookmark=Bookmark(NOON, NOON), end=NOON.date()).reaches_bookmark


@given(
    st.none() | st.integers(0, 200),
    st.integers(0, 200),
    st.integers(0, 200),
    st.integers(0, 200),
)
@example(processed=100, watermark=100, instant=50, done=50)
@settings(max_examples=100, deadline=None)
def test_the_filter_of_a_look_back_window(processed, watermark, instant, done):
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    tick = timedelta(milliseconds=1)
    bookmark = Bookmark(epoch + done * tick, epoch + watermark * tick)
    window = Planner(span_of(epoch, bookmark=Bookmark(epoch + MINUTE, epoch + MINUTE))).next()
    assert window.late_only
    written = is_written(window, span_of(epoch, bookmark=bookmark), instant, processed)
    assert written == (processed is None or processed > watermark or instant > done)


def test_without_a_watermark_a_look_back_window_is_written_whole():
    bookmark = Bookmark(NOON, None)
    span = span_of(NOON - 9 * DAY, bookmark=bookmark)
    window = finished_windows(span, NOON)[0]
    assert is_written(window, span, to_milliseconds(NOON - DAY), 0)


def test_the_clause_for_late_events_asks_for_those_after_a_turn_of_the_low_31_bits_too():
    """What is asked for is the same; who compares the low bits only gives away that he does."""
    assert 770 * 2**31 == 1653562408960
    assert late_clause(1652847948702) == (
        '((number(properties["mp_processing_time_ms"]) > 1652847948702 '
        'or number(properties["mp_processing_time_ms"]) > 1653562408960) '
        f'and not defined(properties["{NEVER_SET}"])) '
        'or not defined(properties["mp_processing_time_ms"])'
    )


def test_a_window_reads_as_its_days():
    first, second, *_ = finished_windows(span_of(NOON - 9 * DAY), NOON, concurrency=1)
    assert str(first) == "2026-11-11"
    assert str(second) == "2026-11-12 to 2026-11-13"
