"""A merge of two users between two runs changes exported events, and none of their keys."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from harness import run_tap

from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
START = {"start_date": "2026-11-10"}


def project(now, distinct_id, **merged):
    """Events of a user, processed late enough for an hourly run to read each of them twice."""
    events = [
        Event.at(
            NOW - DAY,
            processed=NOW - timedelta(minutes=5),
            insert_id=insert_id,
            distinct_id=distinct_id,
            **merged,
        )
        for insert_id in ("i1", "i2")
    ]
    return Sandbox(events, clock=SandboxClock.fixed(now))


def test_an_identity_merge_between_two_runs_changes_no_key():
    with project(NOW, "$device:1") as sandbox:
        first = run_tap(sandbox, **START)
    later = NOW + timedelta(hours=1)
    before = {"$distinct_id_before_identity": "$device:1"}
    with project(later, "ada@example.com", **before) as sandbox:
        second = run_tap(sandbox, first.state(), **START)
    assert first.error is second.error is None
    assert {record["distinct_id"] for record in first.records} == {"$device:1"}
    assert {record["distinct_id"] for record in second.records} == {"ada@example.com"}
    assert second.ids == first.ids
    assert len(second.ids) == 2


def test_copies_of_before_and_after_the_merge_are_one_event():
    with Sandbox(
        [
            Event.at(NOW - DAY, insert_id="i", distinct_id="$device:1"),
            Event.at(
                NOW - DAY,
                processed=NOW - timedelta(hours=1),
                insert_id="i",
                distinct_id="ada@example.com",
                **{"$distinct_id_before_identity": "$device:1"},
            ),
        ],
        clock=SandboxClock.fixed(NOW),
    ) as sandbox:
        run = run_tap(sandbox, **START)
    assert [record["distinct_id"] for record in run.records] == ["ada@example.com"]
