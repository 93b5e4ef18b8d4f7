from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from fake_time import machine_at
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.errors import StateError
from tap_mixpanel_export.sync.known_stamps import KnownStamps
from tap_mixpanel_export.sync.server_clock import ServerClock
from tap_mixpanel_export.sync.state import Checkpoints
from tap_mixpanel_export.sync.state_file import read_bookmark, write_bookmark
from tap_mixpanel_export.sync.watermarks import Watermarks
from tap_mixpanel_export.sync.windows import Bookmark, FilterProof, Purpose, Span, Window

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
    purpose = Purpose.LOOKBACK if late_only else Purpose.NEW
    return Window(date(2026, 1, 1), date(2026, 1, 1), purpose, None, None, end)


def noon_clock():
    """Noon, by the service and by this machine."""
    with machine_at(NOON):
        clock = ServerClock()
        clock.note(NOON)
    return clock


@pytest.fixture
def clock():
    return noon_clock()


def said(bookmark):
    """What a state says of what is done, besides which days have which watermark."""
    return None if bookmark is None else (bookmark.done, bookmark.processed_before)


def test_a_first_run_moves_the_bookmark_from_its_first_window_on(clock):
    checkpoints = Checkpoints(span_of(), clock)
    bookmark = checkpoints.finish(window_to(NOON - 3 * DAY), lookback_left=False)
    assert said(bookmark) == (NOON - 3 * DAY, NOON - MARGIN)
    assert bookmark.exported_from == NOON - 30 * DAY


def test_the_bookmark_is_at_most_the_services_time_at_the_first_request(clock):
    checkpoints = Checkpoints(span_of(), clock)
    bookmark = checkpoints.finish(window_to(NOON + DAY / 2), lookback_left=False)
    assert said(bookmark) == (NOON, NOON - MARGIN)


def test_the_state_stays_until_the_look_back_is_done(clock):
    old = Bookmark(NOON - DAY, NOON - DAY - MARGIN)
    checkpoints = Checkpoints(span_of(old), clock)
    late = window_to(NOON - 2 * DAY, late_only=True)
    assert checkpoints.finish(late, lookback_left=True) is None
    # The last one reaches no further than the bookmark did, but its watermark is this run's.
    bookmark = checkpoints.finish(late, lookback_left=False)
    assert said(bookmark) == (NOON - DAY, NOON - MARGIN)
    new = checkpoints.finish(window_to(NOON + DAY), lookback_left=False)
    assert said(new) == (NOON, NOON - MARGIN)


def test_look_back_windows_finish_in_any_order(clock):
    old = Bookmark(NOON - DAY, NOON - DAY - MARGIN)
    checkpoints = Checkpoints(span_of(old), clock)
    for days, left in ((0, True), (3, False)):
        window = window_to(NOON + DAY / 2 - days * DAY, late_only=True)
        bookmark = checkpoints.finish(window, lookback_left=left)
    assert said(bookmark) == (NOON, NOON - MARGIN)


def test_a_run_that_ends_before_the_bookmark_leaves_the_state_alone(clock):
    old = Bookmark(NOON - DAY, NOON - DAY)
    checkpoints = Checkpoints(span_of(old, end=NOON - 2 * DAY), clock)
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
    checkpoints = Checkpoints(span_of(old), noon_clock())
    last = old
    for end, is_late in sorted(ends):
        window = window_to(NOON + end * hour, late_only=is_late and old is not None)
        bookmark = checkpoints.finish(window, lookback_left=False)
        expected = NOON - MARGIN if old is None else max(NOON - MARGIN, old.processed_before)
        assert bookmark.processed_before == expected
        assert bookmark.done <= NOON
        if last is not None:
            assert bookmark.done >= last.done
        last = bookmark


instants = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
days = st.dates(date(1971, 1, 1), date(2099, 1, 1))


@st.composite
def bookmarks(draw):
    watermark = draw(instants)
    marks = draw(st.dictionaries(days, instants, min_size=2, max_size=30))
    *_, last = sorted(marks)
    marks[last] = watermark
    proof = draw(
        st.none()
        | st.builds(
            FilterProof, instants, st.text("0123456789abcdef"), st.none() | st.integers(1, 366)
        )
    )
    stamps = draw(st.sets(st.tuples(days, st.integers(1, 2**42)), max_size=10))
    return Bookmark(
        done=draw(instants),
        processed_before=watermark,
        exported_from=draw(instants),
        watermarks=Watermarks(tuple(sorted(marks.items()))),
        filter_proof=proof,
        known=KnownStamps().with_seen(stamps),
        selection=draw(st.none() | st.text(min_size=1)),
    )


@pytest.mark.slow
@given(bookmarks(), st.sampled_from(["UTC", "America/Los_Angeles", "Asia/Kolkata"]))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read(bookmark, name):
    zone = UTC if name == "UTC" else ZoneInfo(name)
    state = {}
    write_bookmark(state, bookmark, zone)
    assert read_bookmark(json.loads(json.dumps(state)), zone) == bookmark


@given(bookmarks(), st.dictionaries(days, instants, max_size=3000), st.data())
@settings(max_examples=20, deadline=None)
def test_a_state_has_at_most_four_kilobytes_whatever_the_history(bookmark, marks, data):
    stamps = data.draw(st.sets(st.tuples(days, st.integers(0, 2**42)), max_size=200))
    state = {}
    history = Watermarks(tuple(sorted({**dict(bookmark.watermarks.marks), **marks}.items())))
    full = replace(bookmark, watermarks=history, known=KnownStamps().with_seen(stamps))
    write_bookmark(state, replace(full, selection="0" * 16), ZoneInfo("America/Los_Angeles"))
    state["filter_proof"] = {"at": NOON.isoformat(), "of": "0" * 16, "days": 365}
    assert len(json.dumps({"bookmarks": {"events": state}})) <= 4096


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
