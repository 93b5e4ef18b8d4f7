"""Date functions: Java's patterns, Data Prep's own formats, zones."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_mixpanel_export.xdm.errors import EvaluationError
from tap_mixpanel_export.xdm.expressions.compiler import compile_expression

# 2024-07-05 is a Friday; the letters are those of Data Prep's table of date/time format strings,
# the results those of java.time's DateTimeFormatter in English.
AFTERNOON = "2024-07-05T15:04:09.045-07:00"


def outcome(text: str, event=None) -> object:
    return compile_expression(text).evaluate((event or {}).get)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yyyy-MM-dd HH:mm:ss", "2024-07-05 15:04:09"),
        ("yy/M/d H:m:s", "24/7/5 15:4:9"),
        ("hh:mm a", "03:04 PM"),
        ("K k", "3 15"),
        ("SSS S SSSSSS", "045 0 045000"),
        ("MMM MMMM MMMMM LLL", "Jul July J Jul"),
        ("E EEE EEEE EEEEE u", "Fri Fri Friday F 5"),
        ("D DDD w ww F", "187 187 27 27 1"),
        ("Q QQ QQQ QQQQ q", "3 03 Q3 3rd quarter 3"),
        ("Y YYYY G", "2024 2024 AD"),
        ("Z ZZZZ ZZZZZ", "-0700 GMT-07:00 -07:00"),
        # X to XXX are the letters of offsets in Java's DateTimeFormatter, which Data Prep uses.
        ("X XX XXX", "-07 -0700 -07:00"),
        ("z VV O", "GMT-07:00 -07:00 GMT-7"),
        ("'on' yyyy, ''yy''", "on 2024, '24'"),
        ("yyyy'T''x'", "2024T'x"),
        ("", ""),
    ],
)
def test_writes_dates_by_pattern(pattern, expected):
    event = {("p",): pattern, ("d",): AFTERNOON}
    assert outcome("format(d, p)", event) == expected


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("2024-01-01T00:30:00Z", "h K k a", "12 0 24 AM"),
        # X and XXX: offsets, which are Z in UTC.
        ("2024-01-01T00:30:00Z", "X XXX Z ZZZZ z O VV", "Z Z +0000 GMT UTC GMT Z"),
        ("2024-01-01T00:30:00+05:30", "X O", "+0530 GMT+5:30"),
        ("2024-12-30T00:00:00Z", "YYYY-ww", "2025-01"),
        ("2024-07-05T15:04:09 America/Los_Angeles", "z VV Z", "PDT America/Los_Angeles -0700"),
    ],
)
def test_writes_midnight_zones_and_week_years(text, pattern, expected):
    assert outcome("format(d, p)", {("d",): text, ("p",): pattern}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-07-05 15:04:09-0700", "2024-07-05T15:04:09-07:00"),
        ("2024-07-05 15:04:09.045-0700", "2024-07-05T15:04:09.045-07:00"),
        ("2024-07-05 15:04:09.045", "2024-07-05T15:04:09.045Z"),
        ("2024-07-05T15:04:09.045Z", "2024-07-05T15:04:09.045Z"),
        ("2024-07-05T15:04:09Z", "2024-07-05T15:04:09Z"),
        ("2024-07-05T15:04:09.123456789Z", "2024-07-05T15:04:09.123456Z"),
        ("2024-07-05", "2024-07-05T00:00:00Z"),
        ("2024/07/05", "2024-07-05T00:00:00Z"),
        ("2024.07.05", "2024-07-05T00:00:00Z"),
        ("2024-Jul-05", "2024-07-05T00:00:00Z"),
        ("20240705", "2024-07-05T00:00:00Z"),
        ("07-05-2024", "2024-07-05T00:00:00Z"),
        # The documentation's warning: MMddyyyy wins over what the writer may have meant.
        ("12112020", "2020-12-11T00:00:00Z"),
        ("7/05/2024", "2024-07-05T00:00:00Z"),
        ("05.7.2024", "2024-07-05T00:00:00Z"),
        ("7/05/2024 03:04:09 PM", "2024-07-05T15:04:09Z"),
        ("05.7.2024 12:04:09 am", "2024-07-05T00:04:09Z"),
        ("05.JUL.2024", "2024-07-05T00:00:00Z"),
        ("05-Jul-2024", "2024-07-05T00:00:00Z"),
    ],
)
def test_reads_the_formats_that_data_prep_tries(text, expected):
    assert outcome("date(d)", {("d",): text}) == expected


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("December 31, 2020", "MMMM d, yyyy", "2020-12-31T00:00:00Z"),
        ("5/7/24", "d/M/yy", "2024-07-05T00:00:00Z"),
        ("Fri, 05 Jul 2024 15:04:09 PDT", "E, dd MMM yyyy HH:mm:ss z", "2024-07-05T15:04:09-07:00"),
        ("2024-07-05 15:04 Europe/Paris", "yyyy-MM-dd HH:mm VV", "2024-07-05T15:04:00+02:00"),
        ("2024-07-05 24:10", "yyyy-MM-dd kk:mm", "2024-07-05T00:10:00Z"),
        ("2024-07-05 0 PM", "yyyy-MM-dd K a", "2024-07-05T12:00:00Z"),
        ("2024", "yyyy", "2024-01-01T00:00:00Z"),
        ("20240705150409045", "yyyyMMddHHmmssSSS", "2024-07-05T15:04:09.045Z"),
    ],
)
def test_reads_dates_by_pattern(text, pattern, expected):
    assert outcome("date(d, p)", {("d",): text, ("p",): pattern}) == expected


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        *[(name, 2024) for name in ("year", "yyyy", "yy")],
        *[(name, 3) for name in ("quarter", "qq", "q")],
        *[(name, 7) for name in ("month", "mm", "m", "MM")],
        *[(name, 187) for name in ("dayofyear", "dy", "y")],
        *[(name, 5) for name in ("day", "dd", "d", "weekday", "dw")],
        *[(name, 27) for name in ("week", "ww", "w")],
        *[(name, 15) for name in ("hour", "hh", "hh24")],
        ("hh12", 3),
        *[(name, 4) for name in ("minute", "mi", "n")],
        *[(name, 9) for name in ("second", "ss", "s")],
        *[(name, 45) for name in ("millisecond", "ms", "SSS")],
    ],
)
def test_date_part_takes_every_component_of_the_documentation(component, expected):
    assert outcome(f"date_part('{component}', '{AFTERNOON}')") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-10-17T11:55:12 America/Los_Angeles", "2019-10-17T18:55:12Z"),
        ("2019-10-17T11:55:12-08:00", "2019-10-17T19:55:12Z"),
        ("2019-10-17T11:55:12", "2019-10-17T11:55:12Z"),
        # The repeated hour of autumn is its first, the skipped one of spring has the offset before.
        ("2024-11-03T01:30:00 America/Los_Angeles", "2024-11-03T08:30:00Z"),
        ("2024-03-10T02:30:00 America/Los_Angeles", "2024-03-10T10:30:00Z"),
    ],
)
def test_converts_to_utc(text, expected):
    assert outcome("zone_date_to_utc(d)", {("d",): text}) == expected


def test_converts_to_another_zone():
    text = "zone_date_to_zone('2021-10-26T13:43:59Z', 'Europe/Paris')"
    assert outcome(text) == "2021-10-26T15:43:59+02:00"


def test_a_missing_date_gives_the_default():
    assert outcome("date(a, 'yyyy', '2020-01-01')") == "2020-01-01T00:00:00Z"
    assert outcome("date(date('2020-01-01'))") == "2020-01-01T00:00:00Z"


def test_dates_within_lists_and_texts_are_iso_8601():
    assert outcome("[date('2020-01-01')]") == ["2020-01-01T00:00:00Z"]
    assert outcome("concat('on ', date('2020-01-01'))") == "on 2020-01-01T00:00:00Z"
    assert outcome("to_array(false, date('2020-01-01'))") == ["2020-01-01T00:00:00Z"]


@pytest.mark.parametrize(
    "text",
    [
        "date('12:30')",
        "date('secret')",
        "date('2024-02-30')",
        "date('2024-13-01', 'yyyy-MM-dd')",
        "date('2024-00', 'yyyy-MM')",
        "date('secret', 'yyyy')",
        "date(2024)",
        "date('2024', concat('yyyy', 'b'))",
        "format('secret', 'yyyy')",
        "format(1571829875000, 'yyyy')",
        "dformat('secret', 'yyyy')",
        "dformat(1e300, 'yyyy')",
        "dformat(0, concat('secret', ''))",
        "zone_date_to_utc('2024-01-01T00:00:00 Mars/Base')",
        "zone_date_to_utc('2024-01-01T00:00:00 America')",
        "zone_date_to_utc('0001-01-01T00:00:00+05:00')",
        "zone_date_to_zone('2024-01-01', concat('../', 'etc'))",
        "date_part(concat('secret', ''), '2024-01-01')",
    ],
)
def test_refuses_what_is_no_date(text):
    with pytest.raises(EvaluationError) as caught:
        outcome(text)
    assert "secret" not in str(caught.value)


@given(
    st.datetimes(
        min_value=datetime(1000, 1, 1),  # noqa: DTZ001 - the zone is drawn
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
    ),
    st.sampled_from(
        [
            # XX and XXX: offsets without and with a colon.
            "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
            "d MMMM yyyy, h:m:s a .SSSSSS Z",
            "yyyyMMddHHmmssSSSSSSXX",
            "EEEE dd-MMM-yyyy kk:mm:ss.SSSSSS XXX",
        ]
    ),
)
def test_reading_what_was_written_gives_the_same_date(value, pattern):
    event = {("d",): value.isoformat(), ("p",): pattern}
    written = outcome("format(d, p)", event)
    assert outcome("date(w, p)", {("w",): written, ("p",): pattern}) == outcome("date(d)", event)


@given(st.integers(-(10**13), 10**13))
def test_dformat_keeps_the_milliseconds(milliseconds):
    written = outcome("dformat(t, \"yyyy-MM-dd'T'HH:mm:ss.SSSX\")", {("t",): milliseconds})
    elapsed = datetime.fromisoformat(written[:-1] + "+00:00") - datetime(
        1970, 1, 1, tzinfo=timezone.utc
    )
    assert elapsed == timedelta(milliseconds=milliseconds)
