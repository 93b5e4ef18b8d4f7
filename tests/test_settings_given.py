"""Settings as people give them, in files and the environment: taken, or refused by name at once."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from harness import run_command, run_tap
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk.exceptions import ConfigValidationError

from tap_mixpanel_export.config import check_settings, json_schema
from tap_mixpanel_export.config.dates import FIRST_DAY, read_instant
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.tap import TapMixpanelExport

UTC = timezone.utc
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PREFIX = "TAP_MIXPANEL_EXPORT_"
GOOD = {
    "service_account_username": "user",
    "service_account_secret": "hush-hush",
    "project_id": 1,
    "api_url": "http://127.0.0.1:9/api/2.0",
}
PROPERTIES = json_schema()["properties"]
SECRETS = {name for name, one in PROPERTIES.items() if one.get("secret")}


@pytest.fixture(autouse=True)
def _quiet_place(monkeypatch, tmp_path):
    """Neither variables nor a file `.env` of the machine count."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def tap_of(**config):
    return TapMixpanelExport(config={**GOOD, **config})


def tap_of_environment(**values):
    variables = {f"{PREFIX}{name.upper()}": str(v) for name, v in {**GOOD, **values}.items()}
    with mock.patch.dict(os.environ, variables):
        return TapMixpanelExport(parse_env_config=True)


def problems_of(make, **values):
    with pytest.raises(ConfigValidationError) as caught:
        make(**values)
    (text,) = caught.value.errors
    title, *problems = text.split("\n  - ")
    assert title == "Settings refused:"
    return problems


# --- the kinds of values -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n, one in PROPERTIES.items() if "array" in one["type"]])
@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_is_a_list_that_is_not_set(name, text):
    assert name not in tap_of_environment(**{name: text}).config


@pytest.mark.parametrize("name", [n for n, one in PROPERTIES.items() if "array" in one["type"]])
@pytest.mark.parametrize("value", [[""], ["a", " \t"]])
def test_a_name_that_is_empty_is_refused(name, value):
    expected = [f"{name} has a name that is empty or all blanks"]
    assert problems_of(tap_of, **{name: value}) == expected
    assert problems_of(tap_of_environment, **{name: json.dumps(value)}) == expected


def test_an_empty_name_asks_for_nothing_and_an_empty_list_for_everything():
    event = Event.at(NOW - timedelta(hours=1), "Sign up")
    with Sandbox([event], clock=SandboxClock.fixed(NOW)) as sandbox:
        assert len(run_tap(sandbox, start_date="2026-11-20", event_names=[]).records) == 1
        before = len(sandbox.requests)
        with pytest.raises(ConfigValidationError):
            run_tap(sandbox, event_names=[""])
        assert len(sandbox.requests) == before


@pytest.mark.parametrize("name", [n for n, one in PROPERTIES.items() if "boolean" in one["type"]])
@pytest.mark.parametrize("text", ["maybe", "", "2", "None", "tru"])
def test_a_boolean_that_is_none_is_refused(name, text):
    assert problems_of(tap_of_environment, **{name: text}) == [f"{name} is not of type boolean"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in ("true", "YES", "on", "1")),
        *((text, False) for text in ("False", "no", "off", "0")),
    ],
)
def test_the_words_for_true_and_false(text, value):
    assert tap_of_environment(deduplicate=text).config["deduplicate"] is value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("project_id", "2195193", 2195193),
        ("lookback_days", " 7 ", 7),
        ("request_timeout", "1e2", 100.0),
        ("error_threshold_percent", "0.5", 0.5),
    ],
)
def test_a_number_may_be_written_as_text(name, text, value):
    for tap in (tap_of(**{name: text}), tap_of_environment(**{name: text})):
        assert tap.config[name] == value
        assert getattr(tap._settings, name) == value


@pytest.mark.parametrize(
    "text", ["1_000", "", "1.5", "0x10", "٣", "1e3", "9" * 5000, "nan"], ids=lambda text: text[:9]
)
def test_what_is_no_whole_number_is_refused(text):
    for make in (tap_of, tap_of_environment):
        (problem,) = problems_of(make, lookback_days=text)
        assert problem.startswith("lookback_days is ")
        assert len(problem) < 200


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_a_number_without_an_end_is_refused(value):
    (problem,) = problems_of(tap_of, request_timeout=value)
    assert problem.startswith("request_timeout is ")


@pytest.mark.parametrize("name", [n for n, one in PROPERTIES.items() if "string" in one["type"]])
def test_a_text_that_is_empty_is_refused(name):
    for make in (tap_of, tap_of_environment):
        problems = problems_of(make, **{name: " "})
        assert len(problems) == 1
        assert name in problems[0]


def test_a_list_may_be_written_with_commas():
    assert tap_of_environment(event_names="a,b c").config["event_names"] == ["a", "b c"]


def test_a_file_of_variables_counts_like_the_environment(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text(f"{PREFIX}LOOKBACK_DAYS=9\n{PREFIX}REGION=EU\n")
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    with mock.patch.dict(os.environ):
        tap = tap_of_environment(region="IN")
    assert (tap.config["lookback_days"], tap.config["region"]) == (9, "IN")


# --- any value of any setting --------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("MARK-7x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(sorted(TapMixpanelExport._whole_schema()["properties"]))


@pytest.mark.slow
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_value_in_a_file_is_taken_or_refused_by_name(values):
    values = json.loads(json.dumps(values))
    assert_taken_or_refused(tap_of, values)


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.slow
@given(st.dictionaries(NAMES, TEXTS | VALUES.map(json.dumps), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_value_in_the_environment_is_taken_or_refused_by_name(values):
    values = {name: text.replace("\0", "") for name, text in values.items()}
    assert_taken_or_refused(tap_of_environment, values)


def assert_taken_or_refused(make, values):
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    logging.getLogger().addHandler(handler)
    try:
        with redirect_stdout(told):
            make(**values)
    except ConfigValidationError as error:
        (text,) = error.errors
        told.write(text)
        _, *problems = text.split("\n  - ")
        assert problems
        # Each names one of the settings that were given, or what is missing without them.
        known = {*values, "service_account", "project_id", "credentials", "mapping set", "field"}
        assert all(any(name in problem for name in known) for problem in problems), problems
    finally:
        logging.getLogger().removeHandler(handler)
    if SECRETS & values.keys() and not values.keys() - SECRETS:
        assert "MARK-7x" not in told.getvalue()


@pytest.mark.slow
def test_all_is_refused_at_once_whatever_its_kind_and_before_any_request(tmp_path):
    with Sandbox([], clock=SandboxClock.fixed(NOW)) as sandbox:
        done = run_command(
            sandbox,
            tmp_path,
            project_id=None,
            service_account_secret=None,
            event_names=[" "],
            region="UK",
            start_date="soon",
            end_date="2001-01-01",
            deduplicate="maybe",
            lookback_days="many",
            project_timezone="Mars/Base",
            diagnostics_dir="/dev/null/x",
            stream_maps={"export": {"a": "'x'"}},
            batch_config={"encoding": {"format": "xml"}},
        )
        assert sandbox.requests == []
    text = done.stderr.decode()
    assert done.returncode == 1
    assert done.stdout == b""
    assert text.count("Settings refused:") == 1
    assert "Traceback" not in text
    beginnings = [
        "event_names has a name that is empty",
        "region is none of US, EU, IN",
        "deduplicate is not of type boolean",
        "lookback_days is not of type integer",
        "batch_config.encoding.format is none of jsonl, parquet",
        "service_account_username and service_account_secret belong together; one is missing, and",
        "project_timezone: there is no time zone",
        "start_date is not a date",
        "end_date lies before the first day that Mixpanel exports",
        "diagnostics_dir: no file can be written",
        "stream_maps: export: there is no stream export",
    ]
    assert [one for one in beginnings if f"  - {one}" not in text] == []


# --- settings that have no effect ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("startdate", "startdate is no setting of this tap, and ignored; start_date is probably"),
        ("Start-Date", "; start_date is probably meant"),
        ("export_events", "export_events is no setting of this tap, and ignored. Other taps have"),
        ("export_events", "here: `event_names`, an array"),
        ("attribution_window", "here: `lookback_days`"),
        ("eu_residency", "here: `region: EU`"),
        ("api_secret", "here: `service_account_username`, `service_account_secret`, `project_id`"),
        ("date_window_size", "`max_window_days` bounds it"),
        ("evil\x1b[31m", r"evil\x1b[31m is no setting"),
        ("qqqqqq", "qqqqqq is no setting of this tap, and ignored"),
    ],
)
def test_an_unknown_setting_is_warned_about_by_name(caplog, name, words):
    tap_of(**{name: "value-7x"})
    assert words in caplog.text
    assert "value-7x" not in caplog.text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("STARTDATE", f"{PREFIX}STARTDATE in the environment is no setting of this tap; start_"),
        ("EXPORT_EVENTS", "Other taps have it; here: `event_names`, an array"),
    ],
)
@pytest.mark.parametrize("make", [tap_of, tap_of_environment])
def test_an_unknown_variable_is_warned_about(caplog, monkeypatch, make, name, words):
    monkeypatch.setenv(PREFIX + name, "value-7x")
    make()
    assert words in caplog.text
    assert "value-7x" not in caplog.text


def test_a_variable_that_is_not_read_is_warned_about(caplog, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}END_DATE", "2026-01-01")
    monkeypatch.setenv(f"{PREFIX}LOOKBACK_DAYS", "3")
    tap_of(lookback_days=3)
    (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith(f"{PREFIX}END_DATE in the environment is not used")


def test_variables_of_meltano_and_the_sdk_are_no_settings(caplog, monkeypatch):
    for name in ("_CATALOG", "_SELECT", "LOGLEVEL", "BATCH_CONFIG_ENCODING_FORMAT"):
        monkeypatch.setenv(PREFIX + name, "INFO")
    tap_of()
    tap_of_environment()
    assert "WARNING" not in caplog.text


@pytest.mark.slow
def test_a_log_level_that_is_none_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}LOGLEVEL", "loud")
    with Sandbox([], clock=SandboxClock.fixed(NOW)) as sandbox:
        done = run_command(sandbox, tmp_path)
        assert sandbox.requests == []
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert f"{PREFIX}LOGLEVEL: there is no log level LOUD".encode() in done.stderr


# --- dates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-01", "2026-11-01T07:00"),
        ("20261101", "2026-11-01T07:00"),
        ("2026/11/01", "2026-11-01T07:00"),
        ("2026-305", "2026-11-01T07:00"),
        ("2026-W44-7", "2026-11-01T07:00"),
        ("2026-11-01T10:00:00Z", "2026-11-01T10:00"),
        ("2026-11-01 10:00:00 UTC", "2026-11-01T10:00"),
        ("2026-11-01 10:00:00 +02:00", "2026-11-01T08:00"),
        ("2026-11-01t10:00:00z", "2026-11-01T10:00"),
        ("2026-11-01 10:00", "2026-11-01T18:00"),
        # The repeated hour: the earlier one.
        ("2026-11-01T01:30", "2026-11-01T08:30"),
    ],
)
def test_dates_are_read_as_people_write_them(text, instant):
    found, _ = read_instant(text, ZoneInfo("America/Los_Angeles"), is_end=False)
    assert found.isoformat() == f"{instant}:00+00:00"


# Months, days and minutes that do not exist are among them.
USUAL_DATES = re.compile(
    r"(20[0-3]|\d{3})\d-[01]\d-[0-3]\d"
    r"(T(0\d|1\d|2[0-3]):[0-6]\d(:[0-6]\d)?(Z|[+-](0\d|1\d|2[0-3]):[0-6]\d)?)?",
    re.ASCII,
)


@given(st.from_regex(USUAL_DATES, fullmatch=True))
@settings(max_examples=100, deadline=None)
def test_the_usual_forms_are_read_without_pendulum_as_pendulum_reads_them(text):
    def read():
        try:
            return read_instant(text, ZoneInfo("America/Los_Angeles"), is_end=True)
        except ValueError:
            return None

    with mock.patch.dict(sys.modules, pendulum=None):
        found = read()
    with mock.patch("tap_mixpanel_export.config.dates._USUAL", re.compile(r"(?!)")):
        assert found == read()


@pytest.mark.parametrize(
    "text", ["2026", "2026-11", "2026-W44", "10:00", "P1D", "2026-11-01/2026-11-02", "01.11.2026"]
)
def test_what_names_no_day_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        read_instant(text, UTC, is_end=False)


@pytest.mark.slow
@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?)?"))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_date_or_is_refused(text):
    for zone in (UTC, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Niue")):
        for is_end in (False, True):
            try:
                found, _ = read_instant(text, zone, is_end=is_end)
            except ValueError:
                continue
            assert found.tzinfo is UTC


def checked(**config):
    return check_settings({**GOOD, **config}, NOW)


@pytest.mark.parametrize("text", ["0001-01-01", "1970-01-01T00:00:00Z", "2011-07-09"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_start_before_mixpanel_is_its_first_day_and_the_run_says_so(text, zone):
    found, problems = checked(start_date=text, project_timezone=zone)
    assert problems == []
    assert found.start.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat() == (
        f"{FIRST_DAY}T00:00:00"
    )
    (notice,) = found.notices
    assert notice == (
        f"start_date {text} lies before the first day that Mixpanel exports; the run begins at "
        "2011-07-10"
    )


@pytest.mark.slow
def test_the_notice_is_logged_once(caplog):
    with Sandbox([], clock=SandboxClock.fixed(NOW)) as sandbox:
        run_tap(sandbox, start_date="0001-01-01", end_date="2011-07-12")
    # By record: a handler that another test has left shows each twice.
    told = {id(one) for one in caplog.records if "begins at 2011-07-10" in one.getMessage()}
    assert len(told) == 1


@pytest.mark.parametrize("text", ["2026-11-21", "2026-11-20T12:01:00Z", "2126-01-01", "9999-12-31"])
def test_a_start_in_the_future_is_refused_without_a_query(text):
    _, problems = checked(start_date=text)
    assert [problem.partition(":")[0] for problem in problems] == ["start_date lies in the future"]


def test_a_day_that_has_begun_in_the_project_is_not_the_future():
    found, problems = checked(start_date="2026-11-21", project_timezone="Pacific/Kiritimati")
    assert problems == []
    assert found.start < NOW


def test_the_end_of_all_time_is_an_end():
    found, problems = checked(start_date="2026-11-01", end_date="9999-12-31")
    assert problems == []
    assert found.end > NOW


# --- folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["diagnostics_dir", "report_dir"])
def test_a_folder_that_cannot_be_written_to_is_refused(name, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nothing"):
        (problem,) = problems_of(tap_of, **{name: str(place)})
        assert problem.startswith(f"{name}: no file can be written to {place} (")


@pytest.mark.parametrize("name", ["diagnostics_dir", "report_dir"])
def test_a_folder_that_is_not_there_yet_is_not_made_by_the_check(name, tmp_path):
    tap_of(**{name: str(tmp_path / "new" / "folder")})
    tap_of(**{name: "relative"})
    assert list(tmp_path.iterdir()) == []


# --- a setting that the SDK reads and does not declare --------------------------------------------


@pytest.mark.slow
def test_a_full_table_activates_its_version(tmp_path):
    event = Event.at(NOW - timedelta(hours=1), "Sign up")
    catalog = {"streams": [{"stream": "events", "replication_method": "FULL_TABLE"}]}
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    with Sandbox([event], clock=SandboxClock.fixed(NOW)) as sandbox:
        done = run_command(
            sandbox,
            tmp_path,
            program=("-m", "tap_mixpanel_export", "--catalog", str(tmp_path / "catalog.json")),
            start_date="2026-11-20",
            emit_activate_version_messages=True,
        )
    messages = [json.loads(line) for line in done.stdout.split(b"\n")[:-1]]
    (version,) = [m["version"] for m in messages if m["type"] == "ACTIVATE_VERSION"]
    assert [m["version"] for m in messages if m["type"] == "RECORD"] == [version]
    assert b"no setting of this tap" not in done.stderr
