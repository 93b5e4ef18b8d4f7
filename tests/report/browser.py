"""A headless Chromium of the machine's own, and documents of runs for it to show."""

from __future__ import annotations

import random
import shutil
from datetime import datetime, timedelta, timezone
from typing import Any

START = datetime(2026, 11, 25, 17, tzinfo=timezone.utc)
PHASES = ("proof", "look-back", "sweep", "new days")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Nothing is looked up or updated: the machine may have no network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def document(number: int = 0, *, days: int = 30, **changes: Any) -> dict[str, Any]:
    """A run `number` days before the newest one; the same one each time."""
    dice = random.Random(number)  # noqa: S311 - pictures of the same runs each time
    start = START - timedelta(days=number)
    names = [f"{start.date() - timedelta(days=day)}" for day in range(days)]
    # The first and the last day have events, some in between have none.
    per_day = {
        name: dice.randint(2000, 2800)
        for at, name in enumerate(names)
        if at in {0, days - 1} or dice.random() > 0.03
    }
    late = {name: dice.randint(1, 400) for name in list(per_day)[1:40] if dice.random() > 0.6}
    windows, at = [], 0.0
    for place in range(8):
        windows.append(
            {
                "days": f"2026-0{place + 1}-01 to 2026-0{place + 1}-28",
                "phase": PHASES[place // 2],
                "state": "written",
                "start": round(at, 1),
                "end": round(at + dice.uniform(1, 7), 1),
                "tries": 2 if place == 5 else 1,
                "bytes": dice.randint(1000, 9_000_000),
                "events": dice.randint(0, 90_000),
            }
        )
        at += 1.3
    written, lates = sum(per_day.values()), sum(late.values())
    return {
        "version": 1,
        "tap": "tap-mixpanel-export 1.0.0",
        "status": "success",
        "headline": f"Complete: {written:,} events written, {lates:,} of them late, from "
        f"{len(late)} days; next run from {start:%Y-%m-%d %H:%M} UTC",
        "error": None,
        "startedAt": start.isoformat(),
        "endedAt": (start + timedelta(seconds=31)).isoformat(),
        "project": {"id": 2195193, "region": "EU", "timezone": "UTC"},
        "range": {"first": names[-1], "last": names[0]} if names else None,
        "bookmark": start.isoformat(),
        "filterProof": "the filter was proven on 2026-11-20",
        "clock": "the service's, which agrees with this machine's",
        "inputRecordCount": written + 56,
        "outputRecordCount": written,
        "failedRecordCount": 0,
        "inputByteCount": written * 119,
        "outputByteCount": written * 1100,
        "knownRecordCount": 12,
        "outsideSpanRecordCount": 0,
        "excludedRecordCount": 0,
        "seenLateRecordCount": 0,
        "lateRecordCount": lates,
        "duplicateRecordCount": 44,
        "conversionWarningCount": 3,
        "windowCount": 8,
        "sweepWindowCount": 2,
        "sweptDayCount": 56,
        "queryCount": 10,
        "durationSeconds": round(31 + dice.uniform(0, 20), 1),
        "conversionWarnings": {"item_price": 3},
        "conversionKinds": {"item_price": "text where a number is expected"},
        "eventsPerDay": per_day,
        "latePerDay": late,
        "eventNames": {"Page viewed": 50_000, "Sign up": 1234, "Order placed": 321},
        "otherDaysEventCount": 0,
        "otherEventCount": 99,
        "unmappedProperties": {"$city": 0.98, "plan": 0.031},
        "sampledEventCount": 1200,
        "windows": windows,
        "otherWindowCount": 0,
        "waits": [
            {"reason": "the hour's 60 queries, until 16:37 UTC", "start": 12.0, "end": 16.5},
        ],
        **changes,
    }


FAILED = {
    "status": "failed",
    "headline": "Failed: nothing of 2026-11-20 and later was written; the state is safe",
    "error": "could not download 2026-11-20: 5 tries, the last one ended with: the service "
    "answered 502. Nothing of these days was written; the next run asks for them again",
    "outputRecordCount": 0,
}


def failed(number: int = 0) -> dict[str, Any]:
    """A run that ended early and wrote nothing."""
    window = {**document()["windows"][0], "state": "failed", "tries": 5, "events": 0, "bytes": 0}
    return document(
        number, days=0, **FAILED, windows=[window], eventNames={}, unmappedProperties={}
    )
