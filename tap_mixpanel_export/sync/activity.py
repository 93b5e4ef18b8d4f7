"""What a run is doing right now, told by its threads: queries under way, tries, waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING

from tap_mixpanel_export.sync.windows import Purpose
from tap_mixpanel_export.timezones import until_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.api.client import Transfer
    from tap_mixpanel_export.sync.windows import Window

MOST_KEPT = 2000
"""How many windows, and how many waits, are remembered one by one."""

_HOUR_SECONDS = 3600.0


def phase_of(window: Window) -> str:
    """What part of a run a window belongs to, in words: a backfill's days are new, too."""
    return Purpose.NEW.value if window.purpose is Purpose.BACKFILL else window.kind


class WindowState(str, Enum):
    """How far a window has come."""

    UNDER_WAY = "unfinished"
    """It is asked for, or waits to be written."""
    WRITTEN = "written"
    FAILED = "failed"
    REPLACED = "replaced"
    """Its days are asked for in another way: in halves, or without the filter."""


@dataclass(slots=True, eq=False)
class WindowActivity:
    """A window from its first request on. Times are seconds since the start of the run.

    Attributes:
        window: Its days.
        start: When a thread took it up.
        end: When it was downloaded, or failed; None until then.
        tries: How often it was asked for.
        is_sent: Whether a request went out for it.
        state: How far it has come.
        events: Records that were written of it.
        transfer: Of its last response.
    """

    window: Window
    start: float
    end: float | None = None
    tries: int = 1
    is_sent: bool = False
    state: WindowState = WindowState.UNDER_WAY
    events: int = 0
    transfer: Transfer | None = None

    @property
    def received(self) -> int:
        """Bytes as transferred, by now."""
        return 0 if self.transfer is None else self.transfer.received


@dataclass(slots=True)
class Wait:
    """A pause of one thread. Times are seconds since the start of the run.

    Attributes:
        reason: What it waits for.
        start: When it began.
        until: When it is going to end.
        end: When it ended; None while it lasts.
    """

    reason: str
    start: float
    until: float
    end: float | None = None


class Activity:
    """Remembers what the threads of a run do. All methods may be called from any thread.

    Args:
        clock: Gives seconds, never fewer than before.
        started_at: When the run began.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, started_at: datetime | None = None
    ) -> None:
        self.started_at = started_at or datetime.now(timezone.utc)
        """When the run began."""
        self.windows: list[WindowActivity] = []
        """The first ones, in order of their start."""
        self.waits: list[Wait] = []
        """The first ones, in order of their start."""
        self.other_windows = 0
        """How many windows are not in the list."""
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        # Its `window` is what a thread is at.
        self._mine = threading.local()
        self._waits_by_thread: dict[int, Wait] = {}
        self._under_way: dict[Window, WindowActivity] = {}
        self._sent: deque[float] = deque()

    def elapsed(self) -> float:
        """Seconds since the start of the run."""
        return self._clock() - self._start

    def at(self, seconds: float) -> datetime:
        """The time so many seconds after the start of the run."""
        return self.started_at + timedelta(seconds=seconds)

    def begin(self, window: Window) -> None:
        """Note that this thread takes up a window."""
        with self._lock:
            one = WindowActivity(window, self.elapsed())
            self._mine.window = one
            self._under_way[window] = one
            if len(self.windows) < MOST_KEPT:
                self.windows.append(one)
            else:
                self.other_windows += 1

    def sent(self) -> None:
        """Note that this thread sends a request, which its wait, if any, was for."""
        self.end_wait()
        with self._lock:
            now = self.elapsed()
            self._sent.append(now)
            while self._sent[0] <= now - _HOUR_SECONDS:
                self._sent.popleft()
            if (one := self._window) is not None:
                one.is_sent = True

    def answered(self, transfer: Transfer) -> None:
        """Note a response to this thread, which is going to be read."""
        if (one := self._window) is not None:
            one.transfer = transfer

    def try_again(self) -> None:
        """Note that this thread's window is asked for once more."""
        if (one := self._window) is not None:
            one.tries += 1

    def downloaded(self) -> None:
        """Note that this thread's window is whole and verified."""
        if (one := self._window) is not None:
            one.end, self._mine.window = self.elapsed(), None

    def ended(self, state: WindowState) -> None:
        """Note that this thread's window did not come."""
        self.end_wait()
        if (one := self._window) is not None:
            one.end, one.state, self._mine.window = self.elapsed(), state, None
            self._under_way.pop(one.window, None)

    @property
    def _window(self) -> WindowActivity | None:
        """What this thread is at."""
        return getattr(self._mine, "window", None)

    def replaced(self, window: Window) -> None:
        """Note that the days of a window that failed are asked for in another way."""
        for one in reversed(self.windows):
            if one.window == window:
                one.state = WindowState.REPLACED
                return

    def written(self, window: Window, events: int) -> None:
        """Note that the records of a window are written."""
        if (one := self._under_way.pop(window, None)) is not None:
            one.state, one.events = WindowState.WRITTEN, events

    def wait(self, seconds: float, reason: str) -> None:
        """Note that this thread is going to wait.

        Args:
            seconds: How long, as far as is known.
            reason: What for. A wait for something that turns out to take longer keeps its reason.
        """
        with self._lock:
            now, me = self.elapsed(), threading.get_ident()
            if (wait := self._waits_by_thread.get(me)) is not None:
                wait.until = max(wait.until, now + seconds)
                return
            self._waits_by_thread[me] = wait = Wait(reason, now, now + seconds)
            if len(self.waits) < MOST_KEPT:
                self.waits.append(wait)

    def end_wait(self) -> None:
        """Note that this thread waits no more."""
        with self._lock:
            if (wait := self._waits_by_thread.pop(threading.get_ident(), None)) is not None:
                wait.end = self.elapsed()

    def current_wait(self) -> Wait | None:
        """The wait that ends last, of those that are going on; None when there is none."""
        with self._lock:
            now = self.elapsed()
            waits = [wait for wait in self._waits_by_thread.values() if wait.until > now]
            return max(waits, key=lambda wait: wait.until, default=None)

    def under_way(self) -> list[WindowActivity]:
        """Windows that were taken up and are not written yet."""
        with self._lock:
            return list(self._under_way.values())

    def sent_in_hour(self) -> list[float]:
        """When the requests of the last hour were sent, in seconds since the start of the run."""
        with self._lock:
            oldest = self.elapsed() - _HOUR_SECONDS
            return [at for at in self._sent if at > oldest]

    def until(self, wait: Wait) -> str:
        """When a wait is going to end, for people."""
        return until_text(self.at(wait.until), self.at(self.elapsed()))
