"""What this machine brings along: proxy, clock, disk."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tap_mixpanel_export.api.proxies import proxy_for
from tap_mixpanel_export.export.check.finding import note, ok, problem

if TYPE_CHECKING:
    from tap_mixpanel_export.export.check.finding import Finding
    from tap_mixpanel_export.sync.server_clock import ServerClock

CLOCK = "clock"
CONNECTION = "connection"
DISK = "disk"

_MEGABYTE = 1_000_000


def connection_finding(url: str) -> Finding:
    """How the service was reached."""
    parts = urlsplit(url)
    proxy = proxy_for(url)
    way = "directly" if proxy is None else f"through the proxy of {proxy.variable}"
    tls = "its certificate was accepted" if parts.scheme == "https" else "this machine, no TLS"
    return ok(CONNECTION, f"{parts.hostname} answers {way}; {tls}")


def clock_finding(clock: ServerClock) -> Finding:
    """Whether this machine's clock and the service's agree."""
    if clock.agrees:
        return ok(CLOCK, "this machine's clock and the service's agree within 2 minutes")
    return problem(
        CLOCK,
        f"this machine's clock and the service's do not agree: taken is {clock.describe()}. Set "
        "this machine's clock (NTP); until then runs write some late events again, rather than "
        "lose any",
    )


def disk_finding(needed_bytes: float, concurrency: int) -> Finding:
    """Whether the temporary folder has room for a run.

    Args:
        needed_bytes: An estimate of what a run takes at most.
        concurrency: Downloads at once.
    """
    try:
        folder = tempfile.gettempdir()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
            file.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return problem(
            DISK,
            f"temporary files cannot be written: {error.strerror or error}; set TMPDIR to a folder "
            "with room",
        )
    need = f"{max(needed_bytes / _MEGABYTE, 1):,.0f} MB"
    have = f"{free / _MEGABYTE:,.0f} MB"
    if free < needed_bytes:
        fewer = ", or max_concurrent_queries to less" if concurrency > 1 else ""
        return problem(
            DISK,
            f"a run takes about {need} of temporary files, and TMPDIR has {have}: set TMPDIR to a "
            f"folder with more room{fewer}",
        )
    if free < 2 * needed_bytes:
        return note(
            DISK, f"a run takes about {need} of temporary files, and TMPDIR has {have} only"
        )
    return ok(DISK, f"a run takes about {need} of temporary files, and TMPDIR has {have}")
