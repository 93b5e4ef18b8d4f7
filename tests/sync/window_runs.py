"""Windows of runs that are only planned: no request is sent."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import assume
from hypothesis import strategies as st

from tap_mixpanel_export.sync.planner import TARGET_BYTES, Planner
from tap_mixpanel_export.sync.windows import Bookmark, Purpose, Span, filter_of
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
