"""How far a run is: a bar on a terminal, a line every half minute in a log."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from typing_extensions import Self

logger = logging.getLogger("tap-mixpanel-export.progress")

_LOG_INTERVAL_SECONDS = 30.0


class ProgressReport:
    """Tells on stderr what is done and what is left.

    Args:
        max_queries_per_hour: Of the run; the time left is no shorter than the quota allows.
    """

    def __init__(self, max_queries_per_hour: int) -> None:
        self._per_hour = max_queries_per_hour
        self._started = time.monotonic()
        self._logged = self._started
        self._done = 0
        self._left = 0
        self._events = 0
        self._is_sweeping = False
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            # The import costs more than a short run into a pipe or log.
            from rich.console import Console  # noqa: PLC0415
            from rich.progress import (  # noqa: PLC0415
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
            )

            self._bar = Progress(
                TextColumn("windows"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, left: int, events: int, *, is_sweeping: bool = False) -> None:
        """Take a change.

        Args:
            done: Windows written.
            left: Windows to come, an estimate.
            events: Records written.
            is_sweeping: Whether older days are asked for late events.
        """
        self._done, self._left, self._events = done, left, events
        self._is_sweeping = is_sweeping
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, completed=done, total=done + left, description=self._text()
            )
        self.tick()

    def tick(self) -> None:
        """Log a line when it is time to."""
        if self._bar is None and time.monotonic() - self._logged >= _LOG_INTERVAL_SECONDS:
            self._logged = time.monotonic()
            logger.info("%d windows done, %d to do, %s", self._done, self._left, self._text())

    def _text(self) -> str:
        elapsed = time.monotonic() - self._started
        rate = self._events / elapsed if elapsed else 0.0
        text = f"{self._events:,} events, {rate:,.0f}/s"
        if self._done and self._left:
            # At the pace so far; and no query sooner than the quota has room for it.
            seconds = max(
                self._left * elapsed / self._done,
                (self._left - self._per_hour) * 3600 / self._per_hour,
            )
            text += f", about {_duration(seconds)} left"
        if self._is_sweeping:
            text += ", looking for late events of older days"
        return text


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
