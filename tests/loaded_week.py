"""A week of the sandbox that is loaded twice: late events come in between."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from event_truth import Row, expected_rows

from tap_mixpanel_export.sandbox import Event, Sandbox

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
START = datetime(2026, 11, 16, tzinfo=timezone.utc)


def truth_of(sandbox: Sandbox) -> dict[str, Row]:
    rows = expected_rows(sandbox.visible())
    return {key: row for key, row in rows.items() if row.instant >= START}


def late_event(number: int, **properties: Any) -> Event:
    return Event.at(
        NOON - timedelta(days=3, minutes=number),
        "Löst in 東京 🎉",
        processed=NOON + timedelta(hours=5),
        insert_id=f"late-{number}",
        **properties,
    )
