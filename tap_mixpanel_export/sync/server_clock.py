"""What time it is, as far as the service's clock and this machine's agree."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone

from tap_mixpanel_export.timezones import from_milliseconds

# Mixpanel is not older: a clock that says otherwise was never set.
EARLIEST = datetime(2009, 1, 1, tzinfo=timezone.utc)

AGREEMENT = timedelta(minutes=2)
"""How far two clocks that are right may differ: the header has whole seconds, and is on its way."""


def machine_now() -> datetime:
    """This machine's time."""
    return datetime.now(timezone.utc)


class ServerClock:
    """The present: the time at the first request of a run.

    The watermark is compared with the service's processing stamps, so that it comes from the
    service's clock; and from the first request, because later answers may miss what was processed
    in between. But a header can be wrong, and a wrong watermark loses events: the header, this
    machine's clock, and the stamps of the events themselves are held against each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._present: datetime | None = None
        self._latest: datetime | None = None
        self.agrees = False
        """Whether the service's clock and this machine's agree."""
        self._told = ""
        self._started = 0.0
        self._proven_ms: int | None = None

    def note(self, server_time: datetime | None, sent: datetime | None = None) -> None:
        """Take an answer's time; the first one stays.

        Args:
            server_time: From the `Date` header; None when there is none that can be read.
            sent: This machine's time when the request was sent; now when missing.
        """
        with self._lock:
            if self._present is not None:
                return
            self._started = time.monotonic()
            received = machine_now().replace(microsecond=0)
            self._latest = max(received, server_time or received)
            self._present, self.agrees, self._told = _compare(
                server_time, (sent or received).replace(microsecond=0), received
            )

    def note_stamp(self, newest_ms: int | None) -> None:
        """Take the newest processing stamp of an answer that was not filtered.

        What Mixpanel has stamped was processed before the answer was complete: the time at the
        first request is at least that, less what has passed since.
        """
        with self._lock:
            if newest_ms is not None:
                passed_ms = int(time.monotonic() - self._started) * 1000
                self._proven_ms = max(newest_ms - passed_ms, self._proven_ms or 0)

    @property
    def is_known(self) -> bool:
        """Whether an answer has told the time."""
        return self._present is not None

    @property
    def first(self) -> datetime:
        """The present, at the first request.

        Raises:
            RuntimeError: There was no answer yet.
        """
        if self._present is None:
            raise RuntimeError("no answer has told the time yet")
        return self._present

    @property
    def present(self) -> datetime:
        """The same, or this machine's time while no answer has told it."""
        return machine_now() if self._present is None else self._present

    def is_ahead(self, instant: datetime) -> bool:
        """Whether an instant is a day or more ahead of every clock."""
        return self._latest is not None and instant - self._latest >= timedelta(days=1)

    def describe(self) -> str:
        """Which clock was used, for people."""
        return self._told

    def watermark(self, delay: timedelta) -> datetime | None:
        """What was processed before this time is in the answers of this run.

        Args:
            delay: How long after its processing stamp an event may take to show up in an answer.

        Returns:
            The time; None when no clock can be trusted, and no event has told it either.
        """
        if self.agrees:
            return self.first - delay
        if self._proven_ms is None:
            return None
        return min(self.first, from_milliseconds(self._proven_ms)) - delay


def _compare(
    service: datetime | None, sent: datetime, received: datetime
) -> tuple[datetime, bool, str]:
    """The present, whether both clocks agree, and in words which one was taken.

    Args:
        service: When the service answered, by its own clock.
        sent: When the request was sent, by this machine's.
        received: When the answer came.
    """
    if service is None or service < EARLIEST:
        return sent, False, "this machine's (the service's answer tells no time)"
    if sent < EARLIEST:
        return service, False, "the service's (this machine's was never set)"
    if sent - AGREEMENT <= service <= received + AGREEMENT:
        return service, True, "the service's (this machine's agrees)"
    if service > received:
        return sent, False, f"this machine's (the service's is {service - received} ahead of it)"
    return service, False, f"the service's (this machine's is {sent - service} ahead of it)"
