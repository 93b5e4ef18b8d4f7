"""A quota that machines share by a directory: claims, each made only where there is none.

Claim n may be sent when claim n-60 is an hour old and claim n-3 a second. Who makes claim n may
send; who comes second finds it there, and starts over. That is an exact sliding window without a
lock and without a server, and a process that dies at any point blocks nobody.
"""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_right
from collections import deque
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from tap_mixpanel_export.api.lease import Leases
from tap_mixpanel_export.api.object_store import numbers_of
from tap_mixpanel_export.api.waiting import PAUSE_CAUSE, Quota, Turn, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from tap_mixpanel_export.api.object_store import ObjectStore

_CLAIM, _PAUSE = "claim-", "pause-"
_DIGITS = {_CLAIM: 12, _PAUSE: 15}

# More than any run counts: its own limit may be lower than that of the others.
_KEPT_CLAIMS = 80

# A process that was suspended between looking and claiming may have made a number that the others
# have long left behind.
_STALE_SECONDS = 5.0

# By how much the clocks of two machines may differ, once they are corrected.
_SKEW_SECONDS = 10.0

# A `Date` that is further off than this is no clock to go by.
_MOST_CORRECTION_SECONDS = 120.0

# What a fraction of a second that the header leaves out is on average, and by how much one answer's
# may differ from the next one's for that reason alone.
_HALF_SECOND = 0.5
_SAME_SECOND = 1.0

# How many of the last claims tell how long it takes to make one.
_MEASURED_CLAIMS = 5

# By how much a claim may take longer than it said.
_LATE_SECONDS = 0.2

# How long whoever was too late waits before the next look, at most.
_COLLISION_SECONDS = 0.1


class _Claim(NamedTuple):
    """What a claim says of itself.

    Attributes:
        at: When it was made, by the corrected clock of whoever made it.
        late: How long after it can be seen its query may be sent, in seconds.
    """

    at: float
    late: float


class SharedQuota(Quota):
    """Lets a query through when all machines that share a directory have room for it.

    Args:
        store: The directory of one project.
        max_per_hour: See `Quota`; those of the others are included.
        clock: See `Quota`. It may be wrong by seconds: the service's clock, which all share,
            corrects it (`note_server_time`).
        wait: See `Quota`.
        on_wait: See `Quota`.

    Raises:
        QuotaFileError: When the directory cannot be used.
        ValueError: When the limit is below 1.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        max_per_hour: int = 60,
        clock: Callable[[], float] = time.time,
        wait: Callable[[float, threading.Event], object] = wait,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        super().__init__(max_per_hour, clock, wait, on_wait)
        self._store = store
        self._lock = threading.Lock()
        self._correction = 0.0
        # What claims say of themselves, and when each was seen first, by this machine's clock.
        self._claims: dict[int, _Claim] = {}
        self._seen: dict[int, float] = {}
        self._durations: deque[float] = deque(maxlen=_MEASURED_CLAIMS)
        self.seconds_until_free()

    def penalize(self, seconds: float) -> None:
        """Let no query through for a while; see `Quota`."""
        until = self._now() + min(seconds, self._hour)
        self._store.create(_name(_PAUSE, max(0, round(until * 1000))), {})

    def seconds_until_free(self) -> float:
        """How long a query would have to wait now, in seconds; 0 if not at all."""
        with self._lock:
            names = self._store.names()
            now = self._now()
            return max(0.0, self._next_free(names, now)[0] - now)

    def left_in_hour(self) -> int:
        """How many of the hour's queries are left now."""
        with self._lock:
            names = self._store.names()
            now = self._now()
            self._next_free(names, now)
            numbers = numbers_of(names, _CLAIM)
            # Claims are in the order of time, and each one's is to be read: not all are.
            old = bisect_right(numbers, now - self._hour, key=lambda number: self._at(number, now))
            return max(0, self.max_per_hour - (len(numbers) - old))

    def note_server_time(self, server_time: datetime | None) -> None:
        """Correct this machine's clock by that of an answer that has just come."""
        if server_time is None:
            return
        ahead = server_time.timestamp() + _HALF_SECOND - self._clock()
        if abs(ahead) <= _MOST_CORRECTION_SECONDS and abs(ahead - self._correction) > _SAME_SECOND:
            self._correction = ahead

    @cached_property
    def _leases(self) -> Leases:
        return Leases(self._store, self._wait)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _now(self) -> float:
        return self._clock() + self._correction

    def _take(self, stop: threading.Event) -> Turn:  # noqa: ARG002 - no step takes long
        with self._lock:
            began = time.monotonic()
            names = self._store.names()
            now = self._now()
            free_at, cause = self._next_free(names, now)
            if free_at > now:
                return Turn(now, free_at, cause)
            numbers = numbers_of(names, _CLAIM)
            number = numbers[-1] + 1 if numbers else 1
            claim = _Claim(now, max(self._durations, default=0.0))
            soon = now + random.uniform(0, _COLLISION_SECONDS)  # noqa: S311 - spreads the runs
            looked = time.monotonic()
            is_ours = self._store.create(_name(_CLAIM, number), claim._asdict())
            self._durations.append(time.monotonic() - looked)
            if not is_ours:
                return Turn(now, soon, "another run's query")
            self._claims[number], self._seen[number] = claim, self._clock()
            if self._durations[-1] > claim.late + _LATE_SECONDS or (
                time.monotonic() - began > _STALE_SECONDS
            ):
                # The others count from when they saw it: by now it is too late to send.
                return Turn(now, soon, "a directory that answers slowly")
            self._clean(names, number, now)
            return Turn(now, now, "")

    def _next_free(self, names: Sequence[str], now: float) -> tuple[float, str]:
        """When there is room, and what for there is none until then."""
        numbers = numbers_of(names, _CLAIM)
        here = self._clock()
        for number in numbers:
            # A clock that was set back must not make them younger than just now.
            self._seen[number] = min(self._seen.get(number, here), here)
        second, hour = self._limits
        times = [(0.0, "")]
        if len(numbers) >= second.count:
            # Clocks of machines differ by more than a second: what counts is when it was seen.
            number = numbers[-second.count]
            claim = self._claim(number)
            at = min(self._at(number, now) + _SKEW_SECONDS, self._seen[number] + now - here)
            times.append((at + claim.late + second.window, second.name))
        if len(numbers) >= hour.count:
            times.append((self._at(numbers[-hour.count], now) + hour.window, hour.name))
        pauses = [ms / 1000 for ms in numbers_of(names, _PAUSE) if ms / 1000 <= now + self._hour]
        if pauses:
            times.append((max(pauses), PAUSE_CAUSE))
        return max(times)

    def _at(self, number: int, now: float) -> float:
        """When a claim was made; what its clock says is bounded by when it was seen."""
        at = self._claim(number).at
        if at > now + self._hour:
            # No run makes such a claim: nobody waits for it.
            return now - self._hour
        return min(at, self._seen[number] + now - self._clock())

    def _claim(self, number: int) -> _Claim:
        if number not in self._claims:
            content = self._store.read(_name(_CLAIM, number))
            at, late = content.get("at"), content.get("late")
            self._claims[number] = _Claim(
                at if isinstance(at, float) else self._seen[number] + self._correction,
                min(late, _STALE_SECONDS) if isinstance(late, float) else 0.0,
            )
        return self._claims[number]

    def _clean(self, names: Sequence[str], number: int, now: float) -> None:
        """Remove what counts no more. It may stay, or be gone already: nothing depends on it."""
        oldest = number - _KEPT_CLAIMS
        old = [_name(_CLAIM, n) for n in numbers_of(names, _CLAIM) if n < oldest]
        old += [_name(_PAUSE, ms) for ms in numbers_of(names, _PAUSE) if ms / 1000 < now]
        for name in old:
            with suppress(FileNotFoundError):
                self._store.remove(name)
        for n in [n for n in self._seen if n < oldest]:
            del self._seen[n]
            self._claims.pop(n, None)


def _name(prefix: str, number: int) -> str:
    return f"{prefix}{number:0{_DIGITS[prefix]}}"
