"""Pure: how long after their timestamp events were processed, and what that tells of the zone."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, tzinfo

_MINUTE_MS = 60_000
_DAY_MINUTES = 24 * 60

# Of a block of some hundred events: enough for a median, and next to no work.
_SAMPLES_OF_A_BLOCK = 16

# Fewer tell nothing. A lag can be long by chance, but no event is processed before it occurs.
_LEAST_SAMPLES = 10
_LEAST_SAMPLES_AHEAD = 2

# Zones differ by hours or half-hours (a few by quarters).
_STEP_MINUTES = 30

# Events of a running project are processed within seconds or minutes.
_NEARNESS_MINUTES = 8


class Lags:
    """A histogram of the time from an event's timestamp to its processing, by the minute.

    A project's `time` is its wall clock, or UTC. Read in a zone that is not the project's, the
    timestamps of all events are off by the same hours, and so is the typical lag. One event that is
    ahead of its processing is a device's clock.
    """

    def __init__(self) -> None:
        self._minutes: Counter[int] = Counter()

    def sample(self, instants: Sequence[int], processed: Sequence[int | None]) -> None:
        """Take some of the events of a block, in milliseconds since the epoch."""
        step = max(1, len(instants) // _SAMPLES_OF_A_BLOCK)
        lags = [
            (stamp - instant) // _MINUTE_MS
            for instant, stamp in zip(instants[::step], processed[::step], strict=True)
            if stamp is not None
        ]
        if lags and not -_DAY_MINUTES <= min(lags) <= max(lags) <= _DAY_MINUTES:
            lags = [max(-_DAY_MINUTES, min(_DAY_MINUTES, lag)) for lag in lags]
        self._minutes.update(lags)

    def add(self, other: Lags) -> None:
        """Take another histogram along."""
        self._minutes.update(other._minutes)

    @property
    def shift(self) -> timedelta | None:
        """By how much timestamps are early, if that is what a wrong zone does; else None."""
        count = sum(self._minutes.values())
        median = self._median(count)
        if count < (_LEAST_SAMPLES if median >= 0 else _LEAST_SAMPLES_AHEAD):
            return None
        steps = round(median / _STEP_MINUTES)
        shift = steps * _STEP_MINUTES
        near = range(shift - _NEARNESS_MINUTES, shift + _NEARNESS_MINUTES)
        # Imports have any lag: that the median one is so long says nothing then.
        if not steps or 2 * sum(self._minutes[minute] for minute in near) <= count:
            return None
        return timedelta(minutes=shift)

    def _median(self, count: int) -> int:
        passed = 0
        for minute, times in sorted(self._minutes.items()):
            passed += times
            if 2 * passed >= count:
                return minute
        return 0


def zone_advice(shift: timedelta, zone: tzinfo, name: str | None, now: datetime) -> str:
    """What a typical lag means for `project_timezone`.

    Args:
        shift: By how much timestamps are early; negative when they are later than the processing.
        zone: The zone that timestamps were read in.
        name: The setting; None when it is not set.
        now: The present.
    """
    direction = "later than" if shift < timedelta() else "before"
    what = (
        f"events typically have timestamps {_hours(abs(shift))} {direction} Mixpanel processed them"
    )
    offset = (now.astimezone(zone).utcoffset() or timedelta()) - shift
    clocks = f"UTC{'-' if offset < timedelta() else '+'}{_hours(abs(offset))}"
    if name is None:
        return (
            f"{what}: project_timezone looks missing. A project created before 2023-01-01 needs "
            f"it; this one's clocks seem to be at {clocks}"
        )
    # An hour is what the zone's clocks change by.
    if abs(offset) <= timedelta(hours=1) and abs(shift) > timedelta(hours=1):
        return (
            f"{what}: project_timezone looks wrong, and not needed. Leave it out for a project "
            "created since 2023-01-01"
        )
    return f"{what}: project_timezone looks wrong; the project's clocks seem to be at {clocks}"


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):g} h"
