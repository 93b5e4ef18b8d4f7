from __future__ import annotations

from collections import deque
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.sync.planner import TARGET_BYTES, Planner
from tap_mixpanel_export.sync.windows import (
    NEVER_SET,
    Bookmark,
    Purpose,
    Span,
    filter_of,
    late_clause,
    to_milliseconds,
)
from tap_mixpanel_export.timezones import day_of, start_of_day, wall_to_instant

UTC = timezone.utc
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)

# Clocks that change at midnight, by half an hour, or over a whole day.
ZONES = (
    UTC,
    ZoneInfo("America/Los_Angeles"),
    ZoneInfo("America/Sao_Paulo"),
    ZoneInfo("America/Havana"),
    ZoneInfo("America/St_Johns"),
    ZoneInfo("Asia/Beirut"),
    ZoneInfo("Australia/Lord_Howe"),
    ZoneInfo("Pacific/Apia"),
)


def is_written(window, span, instant, processed):
    """Whether an event of a window is written, by its times in milliseconds."""
    return filter_of(window, span).reason_to_skip(instant, processed, "a") is None


def span_of(start, *, zone=UTC, end=None, bookmark=None, **others):
    """The span of settings; `end` is a date, a date-time or None, as `end_date` is."""
    end_is_day = end is not None and not isinstance(end, datetime)
    last_day = end if end_is_day else None if end is None else day_of(end, zone)
    return Span(
        **{
            "zone": zone,
            "start": start,
            "start_is_given": True,
            "end": start_of_day(end + DAY, zone) if end_is_day else end,
            "end_is_day": end_is_day,
            "last_day": last_day,
            "bookmark": bookmark,
            "lookback": 5 * DAY,
            "max_days": 30,
            **others,
        }
    )


def finished_windows(
    span,
    now,
    *,
    bytes_a_day=1000,
    fails=lambda _window: False,
    concurrency=4,
    is_trusted=True,
    trusted_for=10**6,
):
    """The windows of a run that ends well, downloaded as the scheduler does.

    Args:
        span: What the run is asked for.
        now: The present.
        bytes_a_day: Size of each day.
        fails: Whether a window fails.
        concurrency: Windows in flight.
        is_trusted: Whether the filter has proven itself before.
        trusted_for: After so many filtered windows one cannot be believed.
    """
    planner = Planner(span)
    in_flight, finished = deque(), []

    def following():
        return planner.next(
            is_filtered=is_trusted,
            is_proving=any(window.is_proof for window in in_flight),
            is_settled=all(window.purpose is not Purpose.LOOKBACK for window in in_flight),
        )

    if (first := following()) is not None:
        in_flight.append(first)
    planner.start_clock(now)
    while True:
        most = min(2, concurrency) if planner.growing else concurrency
        while len(in_flight) < most and (window := following()) is not None:
            in_flight.append(window)
        if not in_flight:
            assert planner.windows_left() == 0
            return finished
        window = in_flight.popleft()
        if window.is_filtered:
            trusted_for -= 1
            if trusted_for < 0:
                is_trusted = False
                planner.put_back(window)
                continue
        if fails(window) and (halves := planner.split(window)) is not None:
            if window.purpose is Purpose.BACKFILL:
                halves = halves[::-1]
            in_flight.extendleft(reversed(halves))
            continue
        planner.observe(window, bytes_a_day * window.days)
        finished.append(window)


def days_of(windows):
    return [window.first + DAY * number for window in windows for number in range(window.days)]


def days_between(first, last):
    return [first + DAY * number for number in range((last - first) // DAY + 1)]


walls = st.datetimes(datetime(2011, 10, 1), datetime(2012, 4, 30)).map(  # noqa: DTZ001 - wall time
    lambda wall: wall.replace(microsecond=0)
)


@st.composite
def runs(draw):
    """A span, and the service's time at its first request."""
    zone = draw(st.sampled_from(ZONES))
    now = wall_to_instant(draw(walls), zone)
    ago = st.timedeltas(timedelta(), 60 * DAY).map(
        lambda span: timedelta(seconds=span // timedelta(seconds=1))
    )
    start = now - draw(ago)
    end = draw(
        st.none()
        | ago.map(lambda back: now - back)
        | ago.map(lambda back: day_of(now - back, zone))
        | st.just(day_of(now, zone) + 3 * DAY)
    )
    if end is not None:
        last = end if isinstance(end, datetime) else start_of_day(end + DAY, zone)
        assume(last > start)
    bookmark = None
    if draw(st.booleans()):
        done = now - draw(ago)
        if draw(st.booleans()):
            done = start_of_day(day_of(done, zone), zone)
        # A run writes the watermark that it began with: after, at or before what it got done.
        watermark = draw(st.none() | st.timedeltas(-DAY, DAY).map(lambda shift: done + shift))
        bookmark = Bookmark(
            done,
            None if watermark is None else min(watermark, now),
            exported_from=draw(st.none() | ago.map(lambda back: done - back)),
        )
    span = span_of(
        start,
        zone=zone,
        end=end,
        bookmark=bookmark,
        start_is_given=draw(st.booleans()),
        lookback=DAY * draw(st.integers(0, 10)),
        max_days=draw(st.integers(1, 40)),
    )
    return span, now


@st.composite
def finished_runs(draw):
    span, now = draw(runs())
    bytes_a_day = draw(st.sampled_from([0, 1000, TARGET_BYTES // 5, TARGET_BYTES * 10]))
    widest_that_passes = draw(st.integers(1, 40))
    windows = finished_windows(
        span,
        now,
        bytes_a_day=bytes_a_day,
        fails=lambda window: window.days > widest_that_passes,
        concurrency=draw(st.integers(1, 6)),
        is_trusted=draw(st.booleans()),
        trusted_for=draw(st.integers(0, 3)),
    )
    return span, now, windows


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
