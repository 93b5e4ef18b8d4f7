"""The project's quota, however it is shared: threads, processes of a machine, machines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from tap_mixpanel_export.api.object_store import open_store
from tap_mixpanel_export.api.rate_limit import QueryLimiter
from tap_mixpanel_export.api.shared_quota import SharedQuota
from tap_mixpanel_export.api.waiting import wait as wait_for_seconds

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime


class Quota(Protocol):
    """Mixpanel's limits of a project: 60 queries in an hour, 3 in a second.

    All methods may be called from any thread, and raise QuotaFileError when what the quota is
    shared by cannot be used any more.
    """

    max_per_hour: int
    """Queries in any hour."""

    def acquire(self, stop: threading.Event | None = None) -> None:
        """Wait until a query may be sent, and count it.

        Args:
            stop: Ends the wait when set.

        Raises:
            LimiterStopped: When `stop` is set before the query is let through.
        """

    def penalize(self, seconds: float) -> None:
        """Let no query through for a while, whoever shares the quota.

        Args:
            seconds: From now; an hour at most is taken.
        """

    def seconds_until_free(self) -> float:
        """How long a query would have to wait now, in seconds; 0 if not at all."""

    def left_in_hour(self) -> int:
        """How many of the hour's queries are left now."""

    def note_server_time(self, server_time: datetime | None) -> None:
        """Take the `Date` of an answer that has just come, the one clock that all machines share.

        Args:
            server_time: None when the answer had none.
        """

    def lease(self, key: str, stop: threading.Event | None = None) -> AbstractContextManager[None]:
        """Hold a key that only one at a time may have, of all that share the quota.

        Args:
            key: Of a window, say.
            stop: Ends the wait for it when set.

        Raises:
            LimiterStopped: When `stop` is set before the key is free.
        """

    def close(self) -> None:
        """Close what is open. The quota must not be used afterwards."""


def open_quota(  # noqa: PLR0913 - keywords only, each with a default
    url: str | Path | None,
    *,
    project: str = "",
    max_per_hour: int = 60,
    clock: Callable[[], float] = time.time,
    wait: Callable[[float, threading.Event], object] = wait_for_seconds,
    on_wait: Callable[[float, str], None] | None = None,
) -> Quota:
    """Open a quota.

    Args:
        url: What it is shared by: a file (SQLite, for the processes of one machine), a directory
            that is there (for machines that share a file system), or the URL of a directory on any
            file system that fsspec knows, such as `s3://bucket/quota`. None shares it with nobody.
        project: Whose quota.
        max_per_hour: Queries in any hour, from 1, those of all who share it.
        clock: Gives seconds since the epoch.
        wait: Waits some seconds, or until the event is set.
        on_wait: Called from the waiting thread with the seconds and the cause of a longer wait.

    Returns:
        The quota; close it in the end.

    Raises:
        QuotaFileError: It cannot be used.
        ValueError: The limit is below 1.
    """
    if url is not None and is_directory(str(url)):
        return SharedQuota(
            open_store(str(url), quote(project, safe="") or "default"),
            max_per_hour=max_per_hour,
            clock=clock,
            wait=wait,
            on_wait=on_wait,
        )
    return QueryLimiter(
        max_per_hour=max_per_hour,
        quota_file=None if url is None else Path(url).expanduser(),
        project=project,
        clock=clock,
        wait=wait,
        on_wait=on_wait,
    )


def is_directory(url: str) -> bool:
    """Whether a quota is shared by a directory: a URL, or a path that is one."""
    return "://" in url or url.endswith("/") or Path(url).expanduser().is_dir()
