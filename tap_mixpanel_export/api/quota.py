"""The project's quota, however it is shared: threads, processes of a machine, machines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tap_mixpanel_export.api.object_store import open_store
from tap_mixpanel_export.api.rate_limit import QueryLimiter
from tap_mixpanel_export.api.shared_quota import SharedQuota
from tap_mixpanel_export.api.waiting import Quota
from tap_mixpanel_export.api.waiting import wait as wait_for_seconds

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


__all__ = ["Quota", "is_directory", "open_quota"]


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
