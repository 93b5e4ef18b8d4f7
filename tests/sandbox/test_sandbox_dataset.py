from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from event_lines import event_of_line
from harness import run_tap

from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.sandbox.dataset import SampleData
from tap_mixpanel_export.sandbox.oddities import HOSTILE

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return SampleData(NOW).until(NOW)


def test_tomorrow_has_the_same_days_and_one_more(events):
    later = SampleData(NOW + timedelta(days=1)).until(NOW + timedelta(days=1))
    today = defaultdict(list)
    for event in events:
        today[event.day].append(event)
    tomorrow = defaultdict(list)
    for event in later:
        tomorrow[event.day].append(event)
    assert len(today) == len(tomorrow) == 8
    common = today.keys() & tomorrow.keys()
    assert len(common) == 7
    assert all(today[day] == tomorrow[day] for day in common)


def test_a_sandbox_that_runs_past_midnight_gets_the_new_day():
    clock = SandboxClock.fixed(NOW)
    sandbox = Sandbox(clock=clock)
    before = set(sandbox.visible())
    clock.advance(timedelta(days=1))
    after = set(sandbox.visible())
    assert before < after
    assert any(event_of_line(line).day == clock.now().date() for line in after if b'"time"' in line)


def test_days_have_a_few_hundred_events_and_one_at_midnight(events):
    per_day = Counter(event.day for event in events)
    assert all(250 <= count <= 500 for count in per_day.values())
    midnights = {event.day for event in events if event.time_ms % DAY_MS == 0}
    assert midnights == per_day.keys()


def test_no_event_is_processed_before_it_happened(events):
    assert all(event.processed_ms > event.time_ms for event in events)


def test_some_events_are_one_to_four_days_late(events):
    late = [event for event in events if event.processed_ms - event.time_ms > DAY_MS]
    assert 0.02 < len(late) / len(events) < 0.1
    assert max(event.processed_ms - event.time_ms for event in events) < 5 * DAY_MS


def test_repeats_are_of_every_kind(events):
    lines = Counter(event.line() for event in events)
    assert max(lines.values()) >= 5
    identities, insert_ids = defaultdict(set), defaultdict(set)
    for line in lines:
        decoded = json.loads(line)
        properties = decoded["properties"]
        insert_id = str(properties.get("$insert_id"))
        identity = (
            decoded["event"],
            str(properties.get("distinct_id")),
            properties["time"],
            insert_id,
        )
        identities[identity].add(line)
        if len(insert_id) == 36:
            insert_ids[insert_id].add(identity)
    assert max(len(found) for found in identities.values()) == 2
    assert max(len(found) for found in insert_ids.values()) == 4


def test_the_oddities_are_all_there_each_day(events):
    text = b"\n".join(event.line() for event in events).decode()
    for sign in (
        "\u2028",
        "\u2029",
        "🎉",
        ":1.0,",
        ":1e5,",
        '"distinct_id":12345',
        "terminated early",
    ):
        assert text.count(sign) >= 8, sign
    names = {json.loads(event.line())["event"] for event in events}
    assert {"購入完了 ✅", 'Paid | "gold" | it\'s', ""} <= names
    widths = [len(json.loads(event.line())["properties"]) for event in events]
    assert max(widths) == 255
    assert 150_000 < max(len(event.line()) for event in events) < 1_000_000


@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.slow
def test_a_run_is_warned_of_values_that_fit_no_column_only_when_asked_for(hostile, caplog):
    """The first command that a newcomer tries warns of nothing."""
    with Sandbox(clock=SandboxClock.fixed(NOW), hostile=hostile) as sandbox:
        got = run_tap(sandbox)
    assert len(got.records) > 2000
    warned = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    if not hostile:
        assert warned == []
    for column in ("import", "mp_api_timestamp_ms"):
        assert any(f"column {column} " in text for text in warned) is hostile


@pytest.mark.parametrize("hostile", [False, True])
def test_hostile_values_come_only_when_asked_for(hostile):
    text = b"\n".join(event.line() for event in SampleData(NOW, hostile=hostile).until(NOW))
    assert (b"1e400" in text) is hostile
    assert (b"\\ud800" in text) is hostile
    assert (b"12345678901234567890" in text) is hostile
    assert b"\\u0000" not in text
    assert len(HOSTILE) < 10


def test_null_bytes_come_only_when_asked_for():
    assert any(b"\\u0000" in event.line() for event in SampleData(NOW, null_bytes=True).until(NOW))


@pytest.mark.parametrize("day", ["2022-03-13", "2022-11-06", "2022-05-17"])
def test_the_days_of_an_old_project_are_those_of_its_zone(day):
    zone = ZoneInfo("America/Los_Angeles")
    date = datetime.fromisoformat(day).date()
    for event in SampleData(NOW, zone).day(date):
        assert event.day == date
        wall = datetime.fromtimestamp(event.time_ms / 1000, tz=timezone.utc).replace(tzinfo=zone)
        # The skipped hour of spring does not occur; in autumn either of the two may be meant.
        assert wall.hour != 2 or day != "2022-03-13"
        assert event.processed_ms / 1000 > wall.timestamp()
