"""Sandboxes that do not answer as they should, and a client that hides nothing of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from tap_mixpanel_export.sandbox import Event

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
EVENTS = [
    Event.at(NOON - timedelta(hours=number), "Søk", insert_id=f"{number * 2654435761:032x}")
    for number in range(1, 400)
]


def whole(sandbox):
    return b"".join(sorted(line + b"\n" for line in sandbox.visible()))


def sorted_body(body):
    return b"".join(sorted(body.splitlines(keepends=True)))
