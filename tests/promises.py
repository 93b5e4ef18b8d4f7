"""What a state promises, read from its own words: from what README says, not from the code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from event_truth import event_id
from harness import facts, from_milliseconds, instant

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tap_mixpanel_export.sandbox import Behaviour, Event

UTC = timezone.utc
MOST_STATE_BYTES = 4096


@dataclass(frozen=True)
class Fact:
    """What is true of an event, whatever its line says.

    Attributes:
        at: When it happened, as its exported time tells.
        day: The project's day.
        processed: When it was processed.
        shown: From when on it is in exports.
        is_stamped: Whether its line says when it was processed.
        is_identified: Whether repeats of it can be told.
    """

    at: datetime
    day: date
    processed: datetime
    shown: datetime
    is_stamped: bool
    is_identified: bool


def fact(
    event: Event, processed: datetime, zone: ZoneInfo | None, behaviour: Behaviour
) -> tuple[str, Fact]:
    """An event's id, and what is true of it; `event.processed_ms` is when it shows up."""
    _, is_identified, at, stamp = facts(event.line(), zone or UTC)
    shown = from_milliseconds(event.processed_ms)
    truth = Fact(at, event.day, processed, shown, stamp is not None, is_identified)
    return event_id(behaviour.exported(event.line())), truth


def entry_of(state: dict[str, Any]) -> dict[str, Any]:
    return state["bookmarks"]["events"]


def watermark_of(state: dict[str, Any], day: date) -> datetime | None:
    """What was processed of a day before this is promised to have come out."""
    entry = entry_of(state)
    marks = [(date.fromisoformat(first), instant(at)) for first, at in entry.get("watermarks", [])]
    if not marks:
        processed = entry.get("processed_before")
        return None if processed is None else instant(processed)
    return max((mark for mark in marks if mark[0] <= day), default=(None, None))[1]


def first_exported(state: dict[str, Any], zone: ZoneInfo | None) -> datetime | None:
    begun = entry_of(state).get("exported_from")
    if begun is None:
        return None
    if len(begun) == len("2026-01-01"):
        day = date.fromisoformat(begun)
        return datetime(day.year, day.month, day.day, tzinfo=zone or UTC).astimezone(UTC)
    return instant(begun)


def is_promised(state: dict[str, Any], event: Fact, zone: ZoneInfo | None) -> bool:
    """Whether a state says that an event has come out."""
    done = instant(entry_of(state)["replication_key_value"])
    begun = first_exported(state, zone)
    mark = watermark_of(state, event.day)
    if event.at > done or (event.at == done and starts_a_day(done, zone)):
        return False
    if mark is None or (begun is not None and event.at < begun):
        return False
    return event.processed < mark


def may_come_again(before: dict[str, Any], event: Fact, zone: ZoneInfo | None) -> bool:
    """Whether an event that has come out may do so again: within the margin, or unstamped."""
    return not event.is_stamped or not is_seen(before, event, zone)


def is_seen(state: dict[str, Any], event: Fact, zone: ZoneInfo | None) -> bool:
    done = instant(entry_of(state)["replication_key_value"])
    mark = watermark_of(state, event.day)
    begun = first_exported(state, zone)
    return (
        event.at <= done
        and not (event.at == done and starts_a_day(done, zone))
        and mark is not None
        and (begun is None or event.at >= begun)
        and event.processed <= mark
    )


def starts_a_day(at: datetime, zone: ZoneInfo | None) -> bool:
    local = at.astimezone(zone or UTC)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(UTC) == at


def assert_small(state: dict[str, Any]) -> None:
    assert len(json.dumps(state).encode()) <= MOST_STATE_BYTES


def proof_of(state: dict[str, Any] | None) -> datetime | None:
    """When the filter has proven itself that a state relies on."""
    proof = None if state is None else entry_of(state).get("filter_proof")
    return None if proof is None else instant(proof["at"])


def proof_age(state: dict[str, Any] | None, now: datetime) -> timedelta | None:
    """How old the proof of the filter is that a state holds."""
    at = proof_of(state)
    return None if at is None else now - at
