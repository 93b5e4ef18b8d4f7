from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from babel.core import get_global
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.timezones import (
    Instants,
    day_of,
    load_zone,
    start_of_day,
    wall_to_instant,
)

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOS_ANGELES = ZoneInfo("America/Los_Angeles")
ZONES = sorted(available_timezones() - {"localtime"})
HOUR = 3600


def rendered(time, zone=UTC, *, milliseconds=False):
    return Instants(zone, milliseconds=milliseconds).render(time)


def time_of(*wall):
    """The `time` that Mixpanel exports for what the project's clocks showed."""
    return int((datetime(*wall, tzinfo=UTC) - EPOCH).total_seconds())


@pytest.mark.parametrize(
    ("zone", "timestamp"),
    [
        ("Pacific Standard Time", b"2022-01-12T23:06:40Z"),
        ("America/Los_Angeles", b"2022-01-12T23:06:40Z"),
        ("UTC", b"2022-01-12T15:06:40Z"),
    ],
)
def test_the_zone_of_the_project_makes_the_instant(zone, timestamp):
    text, milliseconds = rendered(1642000000, load_zone(zone))
    assert text == timestamp
    assert milliseconds == 1642000000000 + (0 if zone == "UTC" else 8 * HOUR * 1000)


def test_daylight_saving_time_counts():
    # Mixpanel's own example: 22:05:48 in Los Angeles on 17 May 2022.
    assert rendered(1652825148, LOS_ANGELES) == (b"2022-05-18T05:05:48Z", 1652850348000)


def test_milliseconds_are_kept():
    assert rendered(1642000000007, LOS_ANGELES, milliseconds=True) == (
        b"2022-01-12T23:06:40.007Z",
        1642028800007,
    )
    assert rendered(-1, milliseconds=True) == (b"1969-12-31T23:59:59.999Z", -1)


def test_in_the_repeated_hour_the_earlier_instant_is_taken():
    assert rendered(time_of(2022, 11, 6, 1, 30), LOS_ANGELES)[0] == b"2022-11-06T08:30:00Z"
    assert rendered(time_of(2022, 11, 6, 2), LOS_ANGELES)[0] == b"2022-11-06T10:00:00Z"


def test_a_time_in_the_skipped_hour_is_read_with_the_offset_before_the_change():
    assert rendered(time_of(2022, 3, 13, 2, 30), LOS_ANGELES)[0] == b"2022-03-13T10:30:00Z"
    assert rendered(time_of(2022, 3, 13, 3, 30), LOS_ANGELES)[0] == b"2022-03-13T10:30:00Z"


def naive_rendering(time, zone, unit):
    seconds, rest = divmod(time, unit)
    wall = datetime(1970, 1, 1) + timedelta(seconds=seconds)  # noqa: DTZ001 - wall time
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    # `astimezone` subtracts the offset that `fold=0` stands for, in gaps, too.
    text = f"{instant:%H:%M:%S}" + (f".{rest:03d}" if unit > 1 else "") + "Z"
    milliseconds = (instant - EPOCH) // timedelta(milliseconds=1)
    return f"{instant.date()}T{text}".encode(), milliseconds + (rest if unit > 1 else 0)


@given(
    st.sampled_from(ZONES).map(ZoneInfo),
    st.integers(time_of(1700, 1, 1), time_of(2100, 1, 1)),
    st.lists(st.integers(-2 * HOUR, 2 * HOUR), min_size=1, max_size=5),
)
@example(ZoneInfo("Europe/Amsterdam"), time_of(1937, 6, 30, 23, 59, 59), [0, 28, 1])
@example(ZoneInfo("Africa/Monrovia"), time_of(1972, 1, 7), [-1, 0, 44 * 60 + 29, 44 * 60 + 31])
@settings(max_examples=200, deadline=None)
def test_instants_are_those_of_zoneinfo_for_all_zones(zone, time, steps):
    instants = Instants(zone, milliseconds=False)
    for step in steps:
        assert instants.render(time + step) == naive_rendering(time + step, zone, 1)


@pytest.mark.slow
@given(
    st.sampled_from(ZONES).map(ZoneInfo),
    st.integers(time_of(1700, 1, 1) * 1000, time_of(2100, 1, 1) * 1000),
)
@settings(max_examples=30, deadline=None)
def test_instants_in_milliseconds_are_those_of_zoneinfo_for_all_zones(zone, time):
    instants = Instants(zone, milliseconds=True)
    for step in (0, 1, 999, 59_999, 60_000):
        assert instants.render(time + step) == naive_rendering(time + step, zone, 1000)


def changes_of_offset(zone, first, last):
    """The instants at which the clocks of a zone change, found by halving days."""
    step = timedelta(days=7)
    while first < last:
        if zone.utcoffset(first.astimezone(zone)) != zone.utcoffset(
            (first + step).astimezone(zone)
        ):
            low, high = first, first + step
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                same = zone.utcoffset(low.astimezone(zone)) == zone.utcoffset(
                    middle.astimezone(zone)
                )
                low, high = (middle, high) if same else (low, middle)
            yield high
        first += step


@pytest.mark.parametrize(
    "name",
    ["Europe/Amsterdam", "Africa/Monrovia", "America/New_York", "Asia/Ho_Chi_Minh", "Asia/Jakarta"],
)
def test_minutes_of_the_clocks_that_straddle_a_change_are_not_taken_as_one(name):
    zone = ZoneInfo(name)
    instants = Instants(zone, milliseconds=False)
    first, last = datetime(1880, 1, 1, tzinfo=UTC), datetime(1973, 1, 1, tzinfo=UTC)
    changes = list(changes_of_offset(zone, first, last))
    assert changes
    for change in changes:
        for wall in (change.astimezone(zone), (change - timedelta(seconds=1)).astimezone(zone)):
            time = time_of(*wall.timetuple()[:6])
            for shift in (-61, -60, -59, -1, 0, 1, 59, 60, 61):
                assert instants.render(time + shift) == naive_rendering(time + shift, zone, 1)


@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize("zone", [UTC, LOS_ANGELES])
def test_what_has_no_rfc_3339_form_is_refused(zone, unit):
    instants = Instants(zone, milliseconds=unit == 1000)
    assert instants.render(time_of(1, 1, 3) * unit)[0].startswith(b"0001-01-03T")
    assert instants.render(time_of(9999, 12, 29) * unit)[0].startswith(b"9999-12-29T")
    for time in (time_of(1, 1, 1), time_of(9999, 12, 31), 10**18, -(10**18), 10**400):
        with pytest.raises(ValueError, match="outside of the years"):
            instants.render(time * unit)


def test_the_rendered_minutes_stay_bounded(monkeypatch):
    monkeypatch.setattr("tap_mixpanel_export.timezones._CACHED_MINUTES", 10)
    instants = Instants(UTC, milliseconds=False)
    texts = [instants.render(60 * minute)[0] for minute in range(35)]
    assert len(instants._minutes) <= 10
    assert texts == [naive_rendering(60 * minute, UTC, 1)[0] for minute in range(35)]


@pytest.mark.parametrize(
    ("name", "iana"),
    [
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("pacific standard time", "America/Los_Angeles"),
        (" W. Europe Standard Time ", "Europe/Berlin"),
        ("Asia/Kolkata", "Asia/Kolkata"),
        # What older tables have otherwise, or not at all.
        ("Central Asia Standard Time", "Asia/Bishkek"),
        ("Mountain Standard Time (Mexico)", "America/Mazatlan"),
        ("Yukon Standard Time", "America/Whitehorse"),
        ("Volgograd Standard Time", "Europe/Volgograd"),
        ("Qyzylorda Standard Time", "Asia/Qyzylorda"),
        ("South Sudan Standard Time", "Africa/Juba"),
        ("Alberta Standard Time", "America/Edmonton"),
        ("British Columbia Standard Time", "America/Vancouver"),
        ("Manitoba Standard Time", "America/Winnipeg"),
    ],
)
def test_zones_have_iana_and_windows_names(name, iana):
    zone, expected = load_zone(name), ZoneInfo(iana)
    for month in range(1, 13):
        wall = datetime(2022, month, 1)  # noqa: DTZ001 - wall time
        assert zone.utcoffset(wall) == expected.utcoffset(wall)


def test_every_windows_name_of_cldr_has_cldrs_zone():
    names = get_global("windows_zone_mapping")
    assert len(names) > 130
    quarters = [datetime(year, month, 5) for year in (2011, 2019, 2025) for month in (1, 4, 7, 10)]  # noqa: DTZ001 - wall time
    for windows, iana in names.items():
        zone, expected = load_zone(windows), ZoneInfo(iana)
        for wall in quarters:
            assert zone.utcoffset(wall) == expected.utcoffset(wall), windows


@pytest.mark.parametrize(
    "name",
    [
        "Mars/Base",
        "",
        " ",
        "America",
        "Etc",
        "../etc/passwd",
        "/UTC",
        "a\0b",
        "x" * 300,
        "zone.tab",
    ],
)
def test_what_is_no_zone_is_refused_with_advice(name):
    with pytest.raises(ValueError, match=r"there is no time zone .*; use an IANA name such as"):
        load_zone(name)


@given(st.sampled_from(ZONES).map(ZoneInfo), st.dates(date(1950, 1, 1), date(2037, 12, 1)))
@settings(max_examples=150, deadline=None)
def test_a_day_begins_when_the_clocks_first_show_it(zone, day):
    begin, end = start_of_day(day, zone), start_of_day(day + timedelta(days=1), zone)
    assert begin <= end
    assert day_of(begin, zone) >= day
    # The clocks may show the first minute of a day, then go back into the day before.
    assert day_of(begin - timedelta(seconds=1), zone) < day
    for hour in (0, 12, 23):
        wall = datetime(day.year, day.month, day.day, hour, 59)  # noqa: DTZ001 - wall time
        assert begin <= wall_to_instant(wall, zone)


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00:00+00:00", 23),
        ("America/Sao_Paulo", date(2018, 2, 17), "2018-02-17T02:00:00+00:00", 25),
        ("America/Havana", date(2022, 11, 6), "2022-11-06T04:00:00+00:00", 25),
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00:00+00:00", 0),
        ("Australia/Lord_Howe", date(2022, 4, 3), "2022-04-02T13:00:00+00:00", 24.5),
    ],
)
def test_days_of_clocks_that_change_at_midnight(zone, day, begins, hours):
    begin = start_of_day(day, ZoneInfo(zone))
    assert begin.isoformat() == begins
    end = start_of_day(day + timedelta(days=1), ZoneInfo(zone))
    assert end - begin == timedelta(hours=hours)
