"""The project's quota for the threads of a run, and the runs of a machine that share a file."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from tap_mixpanel_export.api.lease import Leases
from tap_mixpanel_export.api.object_store import open_store
from tap_mixpanel_export.api.quota_file import Ledger, QuotaFile, QuotaFileBusyError
from tap_mixpanel_export.api.waiting import PAUSE_CAUSE, Quota, Turn, wait
from tap_mixpanel_export.errors import LongPauseError
from tap_mixpanel_export.stopping import StoppedError
from tap_mixpanel_export.timezones import until_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_Result = TypeVar("_Result")

# A run holds the quota file for milliseconds; one that holds it for this long is suspended.
_FILE_TIMEOUT_SECONDS = 60.0

LONGEST_PAUSE_SECONDS = 3600.0
"""The longest pause that a run waits for; past it a run ends, and a later one goes on."""


def until(seconds: float) -> str:
    """When a wait that begins now ends, for people."""
    now = datetime.now(timezone.utc)
    return until_text(now + timedelta(seconds=seconds), now)


def check_pause(seconds: float | None) -> float:
    """How long to wait when the service asks for a pause.

    Args:
        seconds: Its `Retry-After`; None when it did not say.

    Returns:
        The seconds, 0 when it did not say.

    Raises:
        LongPauseError: It asks for more than an hour. No later run is kept from trying.
    """
    if seconds is None or seconds <= LONGEST_PAUSE_SECONDS:
        return seconds or 0.0
    # Needed for this message only, and slow to import.
    from pendulum import duration  # noqa: PLC0415

    raise LongPauseError(
        f"Mixpanel asks for a pause of {duration(seconds=round(seconds)).in_words()} "
        f"(Retry-After), {until(seconds)}; a run waits for an hour at most. What is finished is "
        "written, and the state is safe: start the tap again then"
    )


class QueryLimiter(Quota):
    """Lets a query through when the quota has room for it, first come, first served.

    Any number of threads may share one limiter. Processes on one machine that name the same
    `quota_file` share one quota, and a run sees the queries of the runs before it.

    Args:
        max_per_hour: See `Quota`.
        quota_file: The file to share the quota by; without it the quota is this limiter's own.
        project: Whose quota; one file may hold those of several projects.
        clock: See `Quota`; the same for all processes that share the file.
        wait: See `Quota`.
        on_wait: See `Quota`.

    Raises:
        QuotaFileError: When the quota file cannot be used.
        ValueError: When the limit is below 1.
    """

    def __init__(  # noqa: PLR0913 - keywords only, each with a default
        self,
        *,
        max_per_hour: int = 60,
        quota_file: Path | None = None,
        project: str = "",
        clock: Callable[[], float] = time.time,
        wait: Callable[[float, threading.Event], object] = wait,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        super().__init__(max_per_hour, clock, wait, on_wait)
        self._ledger = Ledger()
        self._ledger_lock = threading.Lock()
        self._quota_file = quota_file
        self._project = quote(project, safe="") or "default"
        self._file = None if quota_file is None else QuotaFile(quota_file, project)
        try:
            # A file that cannot be used is a bad setting, to be refused before the first request.
            self.seconds_until_free()
        except BaseException:
            self.close()
            raise

    def penalize(self, seconds: float) -> None:
        """Let no query through for a while; see `Quota`."""
        bounded = min(seconds, self._hour)

        def pause(ledger: Ledger, now: float) -> None:
            if ledger.pause is None or ledger.pause[1] < now + bounded:
                ledger.pause = (now, now + bounded)

        self._locked(pause)

    def seconds_until_free(self) -> float:
        """How long a query would have to wait now, in seconds; 0 if not at all."""
        return self._locked(lambda ledger, now: max(0.0, self._next_free(ledger)[0] - now))

    def left_in_hour(self) -> int:
        """How many of the hour's queries are left now."""
        # A ledger that is settled holds those of the last hour only.
        return self._locked(lambda ledger, _: self.max_per_hour - len(ledger.sent))

    def note_server_time(self, server_time: datetime | None) -> None:
        """Nothing: all that share the quota share this machine's clock."""

    @cached_property
    def _leases(self) -> Leases:
        url = None if self._quota_file is None else f"{self._quota_file}.leases"
        return Leases(open_store(url, self._project), self._wait)

    def close(self) -> None:
        """Close the quota file. The limiter must not be used afterwards."""
        if self._file is not None:
            with self._ledger_lock:
                self._file.close()

    def _take(self, stop: threading.Event) -> Turn:
        def count(ledger: Ledger, now: float) -> Turn:
            free_at, cause = self._next_free(ledger)
            if free_at <= now:
                ledger.sent.append(now)
            return Turn(now, free_at, cause)

        return self._locked(count, stop)

    def _next_free(self, ledger: Ledger) -> tuple[float, str]:
        times = [(limit.free_at(ledger.sent), limit.name) for limit in self._limits]
        if ledger.pause is not None:
            times.append((ledger.pause[1], PAUSE_CAUSE))
        return max(times)

    def _locked(
        self, action: Callable[[Ledger, float], _Result], stop: threading.Event | None = None
    ) -> _Result:
        """Run `action` on the ledger while no other thread or process can."""
        give_up = time.monotonic() + _FILE_TIMEOUT_SECONDS
        while True:
            try:
                with (
                    self._ledger_lock,
                    self._file.exclusive() if self._file else nullcontext(self._ledger) as ledger,
                ):
                    # Only now: time spent waiting for the lock must not make a query look older.
                    now = self._clock()
                    if self._file:
                        ledger.drop_impossible(now, self._hour)
                    ledger.settle(now, self._hour)
                    return action(ledger, now)
            except QuotaFileBusyError:
                if stop is not None and stop.is_set():
                    raise StoppedError("stopped while waiting for the quota file") from None
                if time.monotonic() > give_up:
                    raise
