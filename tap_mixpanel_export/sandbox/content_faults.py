"""Faults in what an export says: they leave the transfer itself intact."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_mixpanel_export.sandbox.faults import Fault

__all__ = ["CONTENT_KINDS", "spoil"]

_EXTRA = {
    "malformed_line": b'{"event": <not JSON>',
    "no_event": b'{"properties":{"time":1,"distinct_id":"nobody"}}',
    "no_properties": b'{"event":"No properties"}',
    "no_time": b'{"event":"No time","properties":{"distinct_id":"nobody","$insert_id":"no-time"}}',
    "invalid_utf8": b'{"event":"Caf\xe9","properties":{"time":1,"distinct_id":"nobody"}}',
}

CONTENT_KINDS = frozenset(
    {"terminated_early", "cut_last_line", "empty", "split_event", "no_trailing_newline", *_EXTRA}
)
"""Kinds of faults that `spoil` knows."""


def spoil(data: bytes, fault: Fault) -> bytes:
    """Return the text of an export with a fault in it.

    Args:
        data: The text as it should be, each line ended.
        fault: A fault of one of `CONTENT_KINDS`.
    """
    if fault.kind == "empty":
        return b""
    if fault.kind == "no_trailing_newline":
        return data.removesuffix(b"\n")
    lines = data.split(b"\n")[:-1]
    if fault.kind == "terminated_early":
        # The text is bare: neither JSON nor ended.
        return _joined(lines[: int(len(lines) * fault.share)]) + fault.message.encode()
    if fault.kind == "cut_last_line":
        kept = lines[: max(1, int(len(lines) * fault.share))]
        return b"\n".join([*kept[:-1], *(line[: len(line) // 2] for line in kept[-1:])])
    if fault.kind == "split_event":
        for index in _spread(len(lines), min(fault.lines, len(lines))):
            cut = max(1, int(len(lines[index]) * fault.share))
            lines[index] = lines[index][:cut] + b"\n" + lines[index][cut:]
        return _joined(lines)
    extra = _EXTRA[fault.kind] if fault.text is None else fault.text.encode()
    for place in reversed(_spread(len(lines) + 1, fault.lines)):
        lines.insert(place, extra)
    return _joined(lines)


def _spread(length: int, count: int) -> list[int]:
    """Return `count` of `length` places, evenly spread."""
    return [(2 * number + 1) * length // (2 * count) for number in range(count)]


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
