"""Events of a sandbox made from lines as exported, byte for byte; they may be malformed."""

from __future__ import annotations

import json
import re
from datetime import date

from tap_mixpanel_export.sandbox import Event

_EPOCH = date(1970, 1, 1)
_DAY_MS = 86_400_000
_TIME = re.compile(rb'"time"[ \t]*:[ \t]*(-?[0-9]+)')


def event_of_line(
    line: bytes | str, *, processed_ms: int | None = None, day: date | None = None
) -> Event:
    """Build an event from a line as exported in seconds.

    Args:
        line: The line without its line end.
        processed_ms: When Mixpanel had processed it; by default the property
            `mp_processing_time_ms`, or else the time.
        day: The day that a line without a usable `time` belongs to.

    Raises:
        ValueError: The line has no `time` and no `day` is given, or it holds a line end.
    """
    raw = line.encode() if isinstance(line, str) else line
    if b"\n" in raw:
        raise ValueError("a line can't hold a line end")
    found = _find_time(raw)
    if found is None:
        if day is None:
            raise ValueError("a line without a usable `time` needs a `day`")
        noon = (day - _EPOCH).days * _DAY_MS + _DAY_MS // 2
        return Event(raw, noon, None, noon if processed_ms is None else processed_ms)
    head, seconds, tail = raw[: found.start(1)], int(found[1]), raw[found.end(1) :]
    if processed_ms is None:
        stamp = json.loads(raw)["properties"].get("mp_processing_time_ms")
        processed_ms = stamp if isinstance(stamp, int) else seconds * 1000
    return Event(head, seconds * 1000, tail, processed_ms)


def _find_time(raw: bytes) -> re.Match[bytes] | None:
    """Find the number of `properties.time`, which may not be the first `"time"` of the line."""
    try:
        told = json.loads(raw)["properties"]["time"]
    except (ValueError, TypeError, KeyError):
        return None
    for match in _TIME.finditer(raw):
        other = b"%s%d%s" % (raw[: match.start(1)], int(match[1]) + 1, raw[match.end(1) :])
        if int(match[1]) == told and json.loads(other)["properties"]["time"] != told:
            return match
    return None
