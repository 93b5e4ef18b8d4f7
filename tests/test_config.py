from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.config import HOSTS, check_settings, json_schema, load_columns
from tap_mixpanel_export.sync.windows import Bookmark

UTC = timezone.utc
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DEFAULTS = {
    "project_id": 1,
    "service_account_username": "user",
    "service_account_secret": "s3cret",
    "region": "US",
    "time_in_ms": False,
    "lookback_days": 5,
    "max_window_days": 30,
    "max_concurrent_queries": 4,
    "max_queries_per_hour": 60,
    "deduplicate": True,
    "properties_format": "object",
    "error_threshold_percent": 5,
    "request_timeout": 300,
}


def checked(**others):
    given_ = {**DEFAULTS, **others}
    return check_settings({k: v for k, v in given_.items() if v is not None}, NOW)


def good(**others):
    found, problems = checked(**others)
    assert problems == []
    return found


def problems_of(**others):
    found, problems = checked(**others)
    assert found is None
    return problems


def test_what_is_not_set_has_the_contracts_defaults():
    found = good()
    assert found.start == NOW - 30 * DAY
    assert not found.span(None).start_is_given
    assert found.end is None
    assert found.zone == UTC
    assert found.span(None).lookback == 5 * DAY
    assert found.endpoint.url == "https://data.mixpanel.com/api/2.0"
    assert found.endpoint.user_agent == f"tap-mixpanel-export/{version('tap-mixpanel-export')}"
    assert found.endpoint.event_names == ()
    assert found.quota_file is None
    assert found.diagnostics_dir is None


@pytest.mark.parametrize(("region", "host"), HOSTS.items())
def test_the_region_picks_the_host(region, host):
    assert good(region=region).endpoint.url == f"https://{host}/api/2.0"


@pytest.mark.parametrize(
    "url",
    [
        "https://data.mixpanel.com/api/2.0",
        "http://127.0.0.1:8080/api/2.0",
        "http://127.9.9.9/api",
        "http://localhost:1",
        "http://[::1]:8080/api/2.0",
    ],
)
def test_another_address_replaces_the_host(url):
    assert good(api_url=url + "/").endpoint.url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://data.mixpanel.com/api/2.0",
        "http://10.0.0.1/api/2.0",
        "http://localhost.example.com/",
        "http://127.0.0.1.example.com/",
        "http://0x7f000001.example/",
    ],
)
def test_plain_http_is_refused_unless_the_host_is_this_machine(url):
    (problem,) = problems_of(api_url=url)
    assert problem.startswith("api_url: plain http would send the credentials in clear text")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data.mixpanel.com",
        "ftp://data.mixpanel.com",
        "https://",
        "https://[::1",
        "https://host/?a=b",
        "https://host/#x",
        "https://host:port/api",
        "https://host:70000/api",
    ],
)
def test_what_is_no_address_is_refused(url):
    (problem,) = problems_of(api_url=url)
    assert problem.startswith("api_url is not an address such as https://")


def test_credentials_do_not_belong_into_the_address():
    (problem,) = problems_of(api_url="https://user:hidden@host/api")
    assert problem.startswith("api_url holds credentials")
    assert "hidden" not in problem


@pytest.mark.parametrize(
    ("text", "zone", "start"),
    [
        ("2026-11-01", None, "2026-11-01T00:00:00+00:00"),
        ("2026-11-01", "Pacific Standard Time", "2026-11-01T07:00:00+00:00"),
        ("2026-11-01T10:00:00Z", "Pacific Standard Time", "2026-11-01T10:00:00+00:00"),
        ("2026-11-01T10:00:00z", None, "2026-11-01T10:00:00+00:00"),
        ("2026-11-01T10:00:00+02:00", None, "2026-11-01T08:00:00+00:00"),
        ("2026-11-01T10:00:00.500Z", None, "2026-11-01T10:00:00.500000+00:00"),
        # What the project's clocks show, as everywhere in Mixpanel.
        ("2026-11-01T10:00:00", "America/Los_Angeles", "2026-11-01T18:00:00+00:00"),
        ("2026-11-01 10:00", None, "2026-11-01T10:00:00+00:00"),
    ],
)
def test_a_start_is_a_day_of_the_project_or_an_instant(text, zone, start):
    found = good(start_date=text, project_timezone=zone)
    assert found.start.isoformat() == start
    assert found.span(None).start_is_given


def test_an_end_that_is_a_day_is_included():
    found = good(end_date="2026-11-10", project_timezone="America/Los_Angeles")
    assert found.end.isoformat() == "2026-11-11T08:00:00+00:00"
    span = found.span(None)
    assert span.end_is_day
    assert span.last_day == date(2026, 11, 10)
    assert span.upper == found.end


def test_an_end_that_is_an_instant_is_included():
    found = good(end_date="2026-11-10T06:00:00Z", project_timezone="America/Los_Angeles")
    span = found.span(Bookmark(NOW, None))
    assert not span.end_is_day
    assert span.last_day == date(2026, 11, 9)
    assert span.upper == found.end + timedelta(milliseconds=1)


@given(st.dates(date(2011, 7, 12), NOW.date()), st.sampled_from(["Asia/Beirut", "UTC"]))
@settings(max_examples=40, deadline=None)
def test_the_last_day_of_an_end_date_is_that_date(day, zone):
    start = (day - DAY).isoformat()
    found = good(start_date=start, end_date=day.isoformat(), project_timezone=zone)
    assert found.span(None).last_day == day


@pytest.mark.parametrize("name", ["start_date", "end_date"])
@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-02-30", "20.11.2026", "2026-11-01T25:00:00Z"]
)
def test_what_is_no_date_is_refused(name, text):
    (problem,) = problems_of(**{name: text})
    assert problem.startswith(f"{name} is not a date such as 2026-11-22 or a date-time such as")


def test_an_end_before_the_start_is_refused():
    assert problems_of(start_date="2026-11-02", end_date="2026-11-01") == [
        "end_date lies before start_date"
    ]
    good(start_date="2026-11-02", end_date="2026-11-02")


def test_a_zone_that_does_not_exist_is_refused():
    (problem,) = problems_of(project_timezone="Mars/Base")
    assert problem.startswith("project_timezone: there is no time zone 'Mars/Base'")


def test_all_problems_come_at_once_and_each_names_its_setting(tmp_path):
    mapping = tmp_path / "mapping.json"
    mapping.write_text("{")
    problems = problems_of(
        service_account_secret=None,
        api_url="http://example.com",
        project_timezone="Mars/Base",
        start_date="soon",
        end_date="later",
        mapping_file=str(mapping),
        user_agent="a\nb",
    )
    beginnings = [
        "service_account_username",
        "api_url",
        "project_timezone",
        "start_date",
        "end_date",
        str(mapping),
        "user_agent",
    ]
    assert len(problems) == len(beginnings)
    for problem, beginning in zip(problems, beginnings, strict=True):
        assert beginning in problem


def test_no_problem_quotes_a_secret():
    problems = problems_of(
        service_account_secret="hush-1\n", oauth_token="hush-2\n", project_secret="hush-3"
    )
    assert problems
    assert "hush" not in " ".join(problems)


def test_problems_of_the_mapping_name_line_and_field(tmp_path):
    mapping = tmp_path / "mapping.json"
    line = {"sourceType": "ATTRIBUTE", "source": "data.plan", "destination": "_extconndev.plan"}
    mapping.write_text(json.dumps({"version": 0, "mappings": [line]}))
    columns, problems = load_columns({"mapping_file": str(mapping)})
    assert columns == ()
    assert problems == ["mapping 1 (_extconndev.plan): no such field in the field group"]


def test_paths_may_begin_at_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    found = good(quota_file="~/quota", diagnostics_dir="~/bad", report_dir="here")
    # It may be a URL: what opens it reads the path.
    assert found.quota_file == "~/quota"
    assert found.diagnostics_dir == Path("/home/someone/bad")
    assert found.report_dir == Path("here")


@pytest.mark.slow
def test_the_settings_need_neither_the_sdk_nor_what_writes_files():
    program = (
        "import sys, tap_mixpanel_export.config;"
        "print([n for n in ('singer_sdk', 'pyarrow', 'pandas') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_the_object_has_each_setting_that_is_declared_and_shows_none():
    found = good(max_window_days=7, service_account_secret="hush")
    assert found.max_window_days == 7
    assert {name: getattr(found, name) for name in json_schema()["properties"]}
    assert "hush" not in f"{found} {found!r}"
