"""Faults in what an export says, which leave the transfer itself intact."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox.fault_kinds import KINDS, Kind, changes
from tap_mixpanel_export.sandbox.gzip_stream import Block

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.sandbox.fault_kinds import Change
    from tap_mixpanel_export.sandbox.faults import Fault

_MEGABYTE = 1024 * 1024
_LINES_A_BLOCK = 1_000_000


def _of_lines(change: Callable[[list[bytes], Fault], bytes]) -> Change:
    """Let a change of the lines, from which their ends are taken, be one of compressed blocks."""

    @wraps(change)
    def of_blocks(blocks: list[Block], fault: Fault) -> list[Block]:
        lines = b"".join(block.data() for block in blocks).split(b"\n")[:-1]
        return [Block.of(change(lines, fault))]

    return of_blocks


@changes
def empty(_blocks: list[Block], _fault: Fault) -> list[Block]:
    """Answers 200 with an empty body."""
    return []


@changes
@_of_lines
def no_trailing_newline(lines: list[bytes], _fault: Fault) -> bytes:
    """Leaves the line end of the last line out, which is valid."""
    return b"\n".join(lines)


@changes
@_of_lines
def cut_last_line(lines: list[bytes], fault: Fault) -> bytes:
    """Sends a complete gzip stream whose last line is incomplete."""
    kept = lines[: max(1, int(len(lines) * fault.share))]
    return b"\n".join([*kept[:-1], *(line[: len(line) // 2] for line in kept[-1:])])


@changes
@_of_lines
def split_event(lines: list[bytes], fault: Fault) -> bytes:
    """Breaks `lines` events over two physical lines each."""
    for index in _spread(len(lines), min(fault.lines, len(lines))):
        cut = max(1, int(len(lines[index]) * fault.share))
        lines[index] = lines[index][:cut] + b"\n" + lines[index][cut:]
    return _joined(lines)


@changes
def empty_lines(blocks: list[Block], fault: Fault) -> list[Block]:
    """Adds `lines` empty lines."""
    # In the middle; they cost nothing to send, however many they are.
    whole, rest = divmod(fault.lines, _LINES_A_BLOCK)
    extra = [Block.of(b"\n" * rest)]
    if whole:
        extra += [Block.of(b"\n" * _LINES_A_BLOCK)] * whole
    half = len(blocks) // 2
    return [*blocks[:half], *extra, *blocks[half:]]


@_of_lines
def _extra_lines(lines: list[bytes], fault: Fault) -> bytes:
    extra = fault.message.encode(errors="surrogateescape")
    for place in reversed(_spread(len(lines) + 1, fault.lines)):
        lines.insert(place, extra)
    return _joined(lines)


@_of_lines
def last_words(lines: list[bytes], fault: Fault) -> bytes:
    """Leave the lines after the share out, and end with a text that has no line end."""
    return _joined(lines[: int(len(lines) * fault.share)]) + fault.message.encode()


def _spread(length: int, count: int) -> list[int]:
    """Return `count` of `length` places, evenly spread."""
    return [(2 * number + 1) * length // (2 * count) for number in range(count)]


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _zeros(blocks: list[Block], fault: Fault) -> list[Block]:
    # Gzip makes a thousandth of them.
    return [*blocks, *[Block.of(bytes(_MEGABYTE))] * fault.megabytes]


LAST = "leaves the lines after `share` out (0: all); the last line is "

_EXTRA_LINES = {
    "malformed_line": ("lines that are not JSON", '{"event": <not JSON>'),
    "no_event": (
        "objects without `event`",
        '{"properties":{"time":1,"distinct_id":"nobody"}}',
    ),
    "no_properties": ("objects without `properties`", '{"event":"No properties"}'),
    "no_time": (
        "events without `time`",
        '{"event":"No time","properties":{"distinct_id":"nobody","$insert_id":"no-time"}}',
    ),
    # The byte E9, which is no UTF-8.
    "invalid_utf8": (
        "events whose name is not UTF-8",
        '{"event":"Caf\udce9","properties":{"time":1,"distinct_id":"nobody"}}',
    ),
}
_LAST_WORDS = {
    "terminated_early": ("the bare `text`", "terminated early"),
    "error_object": (
        "an error as an object",
        '{"error": "Internal error, please try again", "status": 0}',
    ),
    "error_text": ("an error in words", "Internal Server Error"),
}

for _name, (_what, _text) in _EXTRA_LINES.items():
    KINDS[_name] = Kind(f"adds `lines` {_what}", _extra_lines, text=_text)
for _name, (_what, _text) in _LAST_WORDS.items():
    KINDS[_name] = Kind(LAST + _what, last_words, text=_text)
KINDS["gzip_bomb"] = Kind(
    "sends a last line of `megabytes` (2048) of zero bytes, compressed", _zeros, gzip=True
)
KINDS["always_gzip"] = Kind("compresses however small the body is", gzip=True)
KINDS["never_gzip"] = Kind("does not compress however large the body is", gzip=False)
