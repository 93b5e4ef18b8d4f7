"""What Spark's options and filters mean, without Spark."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tap_mixpanel_export.errors import SettingsError
from tap_mixpanel_export.spark.filters import Wanted, wanted
from tap_mixpanel_export.spark.options import SparkOptions, read_options

NOW = datetime(2026, 1, 20, 12, tzinfo=timezone.utc)


def test_options_are_texts_of_the_taps_settings_in_any_case() -> None:
    read = read_options(
        {
            "Start_Date": "2026-01-14",
            "EVENT_NAMES": '["a,b", "c"]',
            "time_in_ms": "false",
            "columns": "event_id,city",
            "property_columns": "$city, plan:string",
            "partition_days": "3",
            "filter_pushdown": "True",
            "max_queries_per_hour": "20",
        }
    )
    assert (
        read
        == SparkOptions(
            {
                "start_date": "2026-01-14",
                "event_names": ["a,b", "c"],
                "time_in_ms": False,
                "max_queries_per_hour": "20",
                "columns": ["$city", " plan:string"],
            },
            columns=["event_id", "city"],
            partition_days=3,
            filter_pushdown=True,
        )
        or read.settings["max_queries_per_hour"] == 20
    )
    assert pickle.loads(pickle.dumps(read)) == read  # noqa: S301 - its own
    assert read.export_for_planning().schema.names == ["event_id", "timestamp", "city"]


@pytest.mark.parametrize(
    "name", ["service_account_secret", "OAuth_Token", "project_secret", "hash_salt"]
)
def test_a_secret_is_refused_by_name_and_not_quoted(name) -> None:
    with pytest.raises(SettingsError) as caught:
        read_options({name: "quiet", "start_date": "2026-01-14"})
    assert name.lower() in str(caught.value)
    assert "spark.executorEnv.TAP_MIXPANEL_EXPORT_" in str(caught.value)
    assert "quiet" not in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_options(
            {
                "start_dat": "2026-01-14",
                "quota_file": "x",
                "mapping_file": "x",
                "late_sweep_days": "3",
                "partition_days": "0",
                "splits_per_day": "many",
                "filter_pushdown": "perhaps",
            }
        )
    assert len(caught.value.problems) == 7
    with pytest.raises(SettingsError, match="start_date"):
        read_options({"start_date": "soon"})
    with pytest.raises(SettingsError, match="no column nothing"):
        read_options({"columns": "nothing"})
    with pytest.raises(SettingsError, match="partition_days"):
        read_options({"partition_days": "2", "splits_per_day": "2"})


def test_what_spark_itself_passes_on_is_no_option() -> None:
    table = {"owner": "me", "provider": "mixpanel_export", "option.start_date": "2026-01-14"}
    assert read_options(table) == SparkOptions({})


def credentials() -> Any:
    """What a user's function gives."""
    return {"service_account_username": "u", "service_account_secret": "s", "project_id": 3}


def nothing() -> Any:
    """What a user's function must not give."""
    return {"start_date": "2026-01-14"}


def test_credentials_come_from_the_environment_or_a_function(monkeypatch) -> None:
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_OAUTH_TOKEN", "t")
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_PROJECT_ID", "7")
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_START_DATE", "2026-01-14")
    assert SparkOptions({}).read_credentials() == {"oauth_token": "t", "project_id": 7}
    of_function = SparkOptions({}, credentials=f"{__name__}:credentials")
    assert of_function.read_credentials() == credentials()
    for name in (f"{__name__}:nothing", f"{__name__}:none", "no_such_module:x", "x"):
        with pytest.raises(SettingsError, match="credentials"):
            SparkOptions({}, credentials=name).read_credentials()


@dataclass(frozen=True)
class EqualTo:
    attribute: tuple[str, ...]
    value: Any


class GreaterThanOrEqual(EqualTo):
    pass


class LessThan(EqualTo):
    pass


class In(EqualTo):
    pass


class StringStartsWith(EqualTo):
    pass


TIME, NAME = ("timestamp",), ("event_name",)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], Wanted()),
        ([GreaterThanOrEqual(TIME, NOW), LessThan(TIME, LATER)], Wanted(NOW, LATER)),
        ([GreaterThanOrEqual(TIME, NOW), GreaterThanOrEqual(TIME, LATER)], Wanted(LATER)),
        ([LessThan(TIME, NOW), LessThan(TIME, LATER)], Wanted(None, NOW)),
        ([EqualTo(TIME, NOW)], Wanted(NOW, NOW)),
        ([In(NAME, ("a", "b")), EqualTo(NAME, "b")], Wanted(names=frozenset("b"))),
        ([EqualTo(NAME, "a"), EqualTo(NAME, "b")], Wanted(names=frozenset())),
        # What says less than it seems, or nothing that the export can be asked for.
        ([EqualTo(NAME, ""), In(NAME, ("a", None)), StringStartsWith(NAME, "a")], Wanted()),
        ([EqualTo(TIME, NOW.replace(tzinfo=None)), EqualTo(("city",), "x")], Wanted()),
    ],
)
def test_filters_narrow_and_never_widen(filters, expected) -> None:
    assert wanted(filters) == expected


def test_names_of_filters_and_of_options_are_both_wanted() -> None:
    options = SparkOptions({"event_names": ["a", "b"]})
    assert options.of_events(frozenset("bc")).settings["event_names"] == ["b"]
    assert SparkOptions({}).of_events(frozenset("bc")).settings["event_names"] == ["b", "c"]
    assert options.of_events(frozenset("c")).settings["event_names"] == []


def test_bounds_choose_the_days_of_a_plan() -> None:
    export = read_options({"start_date": "2026-01-14"}).export_for_planning()
    noon = NOW - timedelta(days=2)
    windows = export.plan(days=1, now=NOW, between=(noon, noon + timedelta(days=1)))
    assert [window.first.day for window in windows] == [18, 19]
    assert export.plan(days=1, now=NOW, between=(NOW + timedelta(days=3), None)) == []
    assert export.plan(days=1, now=NOW, between=(None, NOW - timedelta(days=30))) == []
    assert export.plan(days=1, now=NOW, between=(None, NOW + timedelta(days=3))) == export.plan(
        days=1, now=NOW
    )
