"""How far a run is: a bar on a terminal, a line every half minute in a log."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_mixpanel_export.sync.activity import phase_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, TaskID
    from typing_extensions import Self

    from tap_mixpanel_export.sync.activity import Activity

logger = logging.getLogger("tap-mixpanel-export.progress")

_LOG_INTERVAL_SECONDS = 30.0
_HOUR_SECONDS = 3600.0

# A terminal is not drawn on more often: it is asked for after each block of records.
_DRAW_INTERVAL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run is.

    Attributes:
        done: Windows written.
        left: Windows to come, an estimate; those under way included.
        events: Records written.
        received: Bytes of the windows that are written, as transferred.
    """

    done: int
    left: int
    events: int
    received: int


class ProgressReport:
    """Tells on stderr what is done and what is left.

    Args:
        max_queries_per_hour: Of the run; the time left is no shorter than the quota allows.
        activity: What the run is doing.
        standing: Gives how far it is.
    """

    def __init__(
        self, max_queries_per_hour: int, activity: Activity, standing: Callable[[], Standing]
    ) -> None:
        self._per_hour = max_queries_per_hour
        self._activity = activity
        self._standing = standing
        self._told = activity.elapsed()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            # The import costs more than a short run into a pipe or log.
            from rich import console, progress  # noqa: PLC0415

            self._bar = progress.Progress(
                progress.TextColumn("windows"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("{task.description}"),
                console=console.Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tick(self) -> None:
        """Tell how far the run is, when it is time to."""
        now = self._activity.elapsed()
        interval = _LOG_INTERVAL_SECONDS if self._bar is None else _DRAW_INTERVAL_SECONDS
        if now - self._told < interval:
            return
        self._told = now
        standing = self._standing()
        if self._bar is None:
            logger.info("%s", self.sentence(standing))
        elif self._task is not None:
            self._bar.update(
                self._task,
                completed=standing.done,
                total=standing.done + standing.left,
                description=self._details(standing),
            )

    def sentence(self, standing: Standing) -> str:
        """All that is known, in one line."""
        under_way = self._activity.under_way()
        phases = dict.fromkeys(phase_of(one.window) for one in under_way)
        phase = f"{' and '.join(phases)}: " if phases else ""
        return (
            f"{phase}{standing.done:,} windows done, {len(under_way):,} under way, "
            f"{max(standing.left, len(under_way)):,} to do, {self._details(standing)}"
        )

    def _details(self, standing: Standing) -> str:
        activity = self._activity
        elapsed = activity.elapsed()
        rate = standing.events / elapsed if elapsed else 0.0
        received = standing.received + sum(one.received for one in activity.under_way())
        text = f"{standing.events:,} events, {rate:,.0f}/s, {_size(received)}"
        if (wait := activity.current_wait()) is not None:
            text += f", waiting {activity.until(wait)} for {wait.reason}"
        if (seconds := self._seconds_left(standing)) is not None:
            text += f", about {duration(seconds)} left"
        return text

    def _seconds_left(self, standing: Standing) -> float | None:
        """An estimate, from the quota and from the speed so far; None before there is a speed."""
        if not standing.left:
            return None
        activity = self._activity
        now = activity.elapsed()
        pace = (now - self._waited(now)) / standing.done if standing.done else None
        asked = sum(one.is_sent for one in activity.under_way())
        batch, quota = self._quota_seconds(standing.left - asked, now)
        if pace is None:
            return quota or None
        # What the last hour lets through takes its time, too.
        return max(pace * standing.left, quota + pace * batch if quota else 0.0)

    def _quota_seconds(self, queries: int, now: float) -> tuple[int, float]:
        """How many of some queries the last hour lets through, and when it does, in seconds."""
        sent = self._activity.sent_in_hour()
        wait = self._activity.current_wait()
        until = 0.0 if wait is None else wait.until - now
        free = 0 if wait is not None else max(0, self._per_hour - len(sent))
        if queries <= free:
            return 0, until if queries > 0 else 0.0
        hours, batch = divmod(queries - free - 1, self._per_hour)
        first = until if wait is not None else sent[0] + _HOUR_SECONDS - now if sent else 0.0
        return batch + 1, first + hours * _HOUR_SECONDS

    def _waited(self, now: float) -> float:
        """Seconds during which some thread waited: no measure of the speed."""
        waited = covered = 0.0
        for wait in sorted(self._activity.waits, key=lambda wait: wait.start):
            end = min(now, wait.until) if wait.end is None else wait.end
            start = max(wait.start, covered)
            waited += max(0.0, end - start)
            covered = max(covered, end)
        return waited


def duration(seconds: float) -> str:
    """A time in words."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - the next unit
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
