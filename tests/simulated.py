"""A project that lives for weeks, and a schedule of runs: what came out, and what it cost.

Nothing is compressed, so that bytes on the wire are bytes of events.
"""

from __future__ import annotations

import gc
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from harness import facts, hasty, instant, run_tap

from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from harness import Run
    from typing_extensions import Self

    from tap_mixpanel_export.sandbox import Behaviour, LoggedRequest

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LOOKBACK_DAYS = 5
NO_GZIP = Fault("never_gzip", times=None)


@dataclass
class Simulation:
    """A project, and the runs that export it.

    Attributes:
        start: First instant of the project.
        now: When the first run is.
        settings: Of every run.
        behaviour: Of the service.
        chance: The same in every test.
    """

    start: datetime
    now: datetime
    settings: dict[str, Any] = field(default_factory=dict)
    behaviour: Behaviour | None = None

    def __post_init__(self) -> None:
        self.clock = SandboxClock.fixed(self.now)
        self.sandbox = Sandbox([], clock=self.clock, faults=[NO_GZIP], behaviour=self.behaviour)
        self.state: dict[str, Any] | None = None
        self.rows: dict[str, dict[str, Any]] = {}
        self.times: Counter[str] = Counter()
        # Repeatable, not secret.
        self.chance = random.Random(1)  # noqa: S311
        self._numbers = count()

    def __enter__(self) -> Self:
        self.sandbox.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.stop()

    def add(self, at: datetime, processed: datetime | None = None, **more: Any) -> None:
        """Let an event come in, half a minute after it happened if nothing else is said."""
        number = next(self._numbers)
        self.sandbox.add(
            [
                Event.at(
                    at,
                    processed=processed or at + timedelta(seconds=30),
                    insert_id=f"{number:08}",
                    **more,
                )
            ]
        )

    def add_all(self, first: datetime, last: datetime, every: timedelta) -> None:
        """Let events come in at a steady pace."""
        while first < last:
            self.add(first)
            first += every

    def run(self, **settings: Any) -> Run:
        """Run once, and hold the run to what holds of every one."""
        before = self.state
        settings = {"start_date": self.start.isoformat(), **self.settings, **settings}
        with hasty():
            got = run_tap(self.sandbox, before, **settings)
        assert got.error is None
        self.state = got.state(before)
        self.rows.update({record["event_id"]: record for record in got.records})
        self.times.update(got.ids)
        return got

    def run_every(self, step: timedelta, times: int) -> Iterator[Run]:
        """Run again and again, each time so much later."""
        # Each run is followed by a collection, which need not look at all the events.
        gc.collect()
        gc.freeze()
        for _ in range(times):
            self.clock.advance(step)
            yield self.run()

    def missing(self, before: datetime | None = None) -> set[str]:
        """Ids of the events that were shown, and processed before a time, and did not come out."""
        shown = set()
        for line in self.sandbox.visible():
            name, _, _, processed = facts(line)
            if before is None or (processed is not None and processed < before):
                shown.add(name)
        return shown - self.rows.keys()

    @property
    def entry(self) -> dict[str, Any]:
        assert self.state is not None
        entry: dict[str, Any] = self.state["bookmarks"]["events"]
        return entry

    @property
    def oldest_watermark(self) -> datetime:
        """What was processed before it has come out, on whatever day it happened."""
        marks = [instant(at) for _, at in self.entry.get("watermarks", [])]
        return min([*marks, instant(self.entry["processed_before"])])

    def requests_since(self, moment: datetime) -> list[LoggedRequest]:
        return [request for request in self.sandbox.requests if request.time >= moment]

    def sweeps_since(self, moment: datetime) -> list[LoggedRequest]:
        """Queries for late events of days before the look-back."""
        border = timedelta(days=LOOKBACK_DAYS + 2)
        return [
            request
            for request in self.requests_since(moment)
            if request.where is not None
            and request.to_date is not None
            and request.to_date < (request.time - border).date()
        ]

    def new_bytes(self, since: datetime) -> int:
        """Size of the events that were processed since."""
        return sum(
            len(line) + 1
            for line in self.sandbox.visible()
            if json.loads(line)["properties"]["mp_processing_time_ms"] >= since.timestamp() * 1000
        )

    def largest_day(self) -> int:
        """Size of the events of the day that has most."""
        days: Counter[date] = Counter()
        for line in self.sandbox.visible():
            days[facts(line)[2].date()] += len(line) + 1
        return max(days.values())


def most_within(times: Iterable[datetime], span: timedelta) -> int:
    """How many lie within any span, at most."""
    ordered, first, most = sorted(times), 0, 0
    for last, time in enumerate(ordered):
        while ordered[first] <= time - span:
            first += 1
        most = max(most, last - first + 1)
    return most
