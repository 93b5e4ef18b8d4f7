"""The service's clock, as its answers tell it."""

from __future__ import annotations

import threading
from datetime import datetime, timezone


def machine_now() -> datetime:
    """This machine's time."""
    return datetime.now(timezone.utc)


class ServerClock:
    """The service's time at the first request of a run.

    The watermark must come from the service's clock, because it is compared with the service's
    processing times, and from the first request, because later ones may miss what was processed
    in between.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: datetime | None = None

    def note(self, server_time: datetime | None) -> None:
        """Take an answer's time; the first one stays.

        Args:
            server_time: From the `Date` header; None when it has none (a proxy may drop it), then
                this machine's clock is taken.
        """
        with self._lock:
            if self._first is None:
                self._first = server_time or machine_now().replace(microsecond=0)

    @property
    def first(self) -> datetime:
        """The first answer's time.

        Raises:
            RuntimeError: There was no answer yet.
        """
        if self._first is None:
            raise RuntimeError("no answer has told the time yet")
        return self._first
