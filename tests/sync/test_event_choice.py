"""Other events are asked for than in the last run: said, with what loads the missing ones."""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta, timezone

import pytest
from harness import run_tap
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.config import check_settings
from tap_mixpanel_export.config.event_choice import choice_fingerprint
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
NAMES = ["Sign up", "Purchase", "Refund"]


@pytest.fixture
def sandbox():
    events = [
        Event.at(NOW - n * DAY / 2 - timedelta(hours=1), name, insert_id=f"{name} {n}")
        for name in NAMES
        for n in range(24)
    ]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


@pytest.fixture
def notices(caplog):
    def said():
        found = [r.message for r in caplog.records if "changed since the last run" in r.message]
        caplog.clear()
        return found

    caplog.set_level(logging.WARNING)
    return said


def names_of(run):
    return {record["event_name"] for record in run.records}


@pytest.mark.slow
def test_added_names_are_loaded_by_the_run_that_the_notice_asks_for(sandbox, notices):
    first = run_tap(sandbox, start_date="2026-11-08", event_names=["Sign up"])
    assert notices() == []
    sandbox.clock.advance(DAY)
    sandbox.add(
        [Event.at(NOW + timedelta(hours=3), name, insert_id=f"later {name}") for name in NAMES]
    )
    added = {"event_names": ["Sign up", "Refund"]}
    second = run_tap(sandbox, first.state(), start_date="2026-11-08", **added)
    (notice,) = notices()
    assert notice.startswith("event_names changed since the last run: events that were left out")
    start, end = re.search(r"start_date: (\S+), end_date: (\S+)$", notice).groups()
    backfill = run_tap(sandbox, None, event_names=["Refund"], start_date=start, end_date=end)
    assert notices() == []
    assert names_of(backfill) == {"Refund"}
    loaded = first.ids + second.ids + backfill.ids
    truth = run_tap(sandbox, None, start_date="2026-11-08", **added).ids
    assert loaded == truth
    # From then on nothing is said any more.
    run_tap(sandbox, second.state(), start_date="2026-11-08", **added)
    assert notices() == []


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, {"event_names": ["Refund"]}, "event_names"),
        ({"event_names": ["Refund"]}, {}, "event_names"),
        ({"exclude_event_names": ["Refund"]}, {}, "exclude_event_names"),
        ({"where": 'properties["a"] == 1'}, {"where": 'properties["a"] == 2'}, "where"),
        (
            {"event_names": ["Refund"]},
            {"event_names": ["Sign up"], "where": 'defined(properties["time"])'},
            "event_names and where",
        ),
    ],
    ids=str,
)
@pytest.mark.slow
def test_the_setting_that_changed_is_named(sandbox, notices, before, after, changed):
    first = run_tap(sandbox, start_date="2026-11-18", **before)
    notices()
    run_tap(sandbox, first.state(), start_date="2026-11-18", **after)
    (notice,) = notices()
    assert notice.startswith(f"{changed} changed since the last run")


def test_another_order_is_no_change(sandbox, notices):
    first = run_tap(sandbox, start_date="2026-11-18", event_names=["Refund", "Sign up"])
    run_tap(
        sandbox, first.state(), start_date="2026-11-18", event_names=["Sign up", "Refund", "Refund"]
    )
    assert notices() == []


CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "event_names": st.lists(st.sampled_from(NAMES), min_size=1),
        "exclude_event_names": st.lists(st.sampled_from(NAMES), min_size=1),
        "where": st.sampled_from(["a", "b"]),
    },
)


@pytest.mark.slow
@given(CHOICES, CHOICES)
@settings(max_examples=100, deadline=None)
def test_fingerprints_differ_exactly_when_other_events_are_asked_for(one, other):
    def fingerprint(choice):
        found, problems = check_settings({"project_secret": "x", **choice}, NOW)
        assert problems == []
        return choice_fingerprint(found)

    def meaning(choice):
        return {n: v if isinstance(v, str) else frozenset(v) for n, v in choice.items()}

    assert (fingerprint(one) == fingerprint(other)) == (meaning(one) == meaning(other))
    assert (fingerprint(one) is None) == (one == {})
