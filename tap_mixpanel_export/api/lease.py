"""A window for one reader at a time, wherever the others run.

A lease is a chain of objects: the holder is whoever made the one of the highest number, which can
be made by one only. It is renewed while it is held, so that it ends with a process that dies.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tap_mixpanel_export.api.quota_file import QuotaFileError
from tap_mixpanel_export.stopping import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_mixpanel_export.api.object_store import ObjectStore

logger = logging.getLogger("tap-mixpanel-export.quota")

_DIGITS = 6
_KEY_CHARACTERS = 32
PREFIX = "lease-"


class Leases:
    """Leases on one store.

    Args:
        store: Where they are.
        wait: Waits some seconds, or until the event is set.
    """

    RENEWAL_SECONDS = 10.0
    """How often a lease is renewed."""

    DEAD_SECONDS = 40.0
    """How long a lease may stay as it is, on the clock of whoever waits for it."""

    POLL_SECONDS = 2.0
    """How often whoever waits for a lease looks at it."""

    def __init__(
        self, store: ObjectStore, wait: Callable[[float, threading.Event], object]
    ) -> None:
        self._store = store
        self._wait = wait

    @contextmanager
    def hold(self, key: str, stop: threading.Event) -> Iterator[None]:
        """Hold the lease of a key; wait for it while somebody else does.

        Args:
            key: What is leased.
            stop: Ends the wait when set.

        Raises:
            StoppedError: When `stop` is set before the lease is free.
            QuotaFileError: When the store cannot be used.
        """
        name = self._take(f"{PREFIX}{sha256(key.encode()).hexdigest()[:_KEY_CHARACTERS]}-", stop)
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(name, ended), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()
            self._store.write(name, {"free": True})

    def _take(self, prefix: str, stop: threading.Event) -> str:
        seen: tuple[str, dict[str, Any]] | None = None
        since = time.monotonic()
        while True:
            if stop.is_set():
                raise StoppedError("stopped while waiting for another run's lease")
            names = sorted(name for name in self._store.names() if name.startswith(prefix))
            latest = (names[-1], self._store.read(names[-1])) if names else None
            if latest != seen:
                # Clocks differ between machines: that it changes is what tells that it is held.
                seen, since = latest, time.monotonic()
            is_dead = time.monotonic() - since > self.DEAD_SECONDS
            if latest is None or latest[1].get("free") or is_dead:
                number = int(latest[0].removeprefix(prefix)) + 1 if latest else 1
                name = f"{prefix}{number:0{_DIGITS}}"
                if self._store.create(name, _renewal()):
                    for older in names:
                        self._store.remove(older)
                    return name
                continue
            self._wait(self.POLL_SECONDS, stop)

    def _renew(self, name: str, ended: threading.Event) -> None:
        while not ended.wait(self.RENEWAL_SECONDS):
            try:
                self._store.write(name, _renewal())
            except QuotaFileError as error:
                # The next time it may work; after some of them another run takes over.
                logger.warning("a lease was not renewed: %s", error)


def _renewal() -> dict[str, str]:
    return {"renewal": uuid4().hex}
