"""Faults in what an export says, which leave the transfer itself intact: a function for each kind.

Each takes the text as it should be, every line ended, and the fault; it gives the text to be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox.gzip_stream import Block

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.sandbox.faults import Fault

    OnText = Callable[[bytes, Fault], bytes]
    OnBlocks = Callable[[list[Block], Fault], list[Block]]

_MEGABYTE = 1024 * 1024
_LINES_A_BLOCK = 1_000_000


def on_text(change: OnText) -> OnBlocks:
    """Let a change of the text be one of the compressed blocks that hold it."""
    return lambda blocks, fault: [Block.of(change(b"".join(b.data() for b in blocks), fault))]


def empty(_data: bytes, _fault: Fault) -> bytes:
    """Leave all out."""
    return b""


def no_trailing_newline(data: bytes, _fault: Fault) -> bytes:
    """Leave the last line end out."""
    return data.removesuffix(b"\n")


def last_words(data: bytes, fault: Fault) -> bytes:
    """Leave the lines after the share out, and end with a text that has no line end."""
    lines = data.split(b"\n")[:-1]
    return _joined(lines[: int(len(lines) * fault.share)]) + fault.message.encode()


def cut_last_line(data: bytes, fault: Fault) -> bytes:
    """End in the middle of a line."""
    lines = data.split(b"\n")[:-1]
    kept = lines[: max(1, int(len(lines) * fault.share))]
    return b"\n".join([*kept[:-1], *(line[: len(line) // 2] for line in kept[-1:])])


def split_event(data: bytes, fault: Fault) -> bytes:
    """Break some lines in two."""
    lines = data.split(b"\n")[:-1]
    for index in _spread(len(lines), min(fault.lines, len(lines))):
        cut = max(1, int(len(lines[index]) * fault.share))
        lines[index] = lines[index][:cut] + b"\n" + lines[index][cut:]
    return _joined(lines)


def extra_lines(usual: bytes) -> OnText:
    """Return a function that adds a line, or the fault's own text, at some places."""

    def add(data: bytes, fault: Fault) -> bytes:
        lines = data.split(b"\n")[:-1]
        extra = usual if fault.text is None else fault.text.encode()
        for place in reversed(_spread(len(lines) + 1, fault.lines)):
            lines.insert(place, extra)
        return _joined(lines)

    return add


def empty_lines(blocks: list[Block], fault: Fault) -> list[Block]:
    """Add empty lines in the middle; they cost nothing to send, however many they are."""
    whole, rest = divmod(fault.lines, _LINES_A_BLOCK)
    extra = [Block.of(b"\n" * rest)]
    if whole:
        extra += [Block.of(b"\n" * _LINES_A_BLOCK)] * whole
    half = len(blocks) // 2
    return [*blocks[:half], *extra, *blocks[half:]]


def zeros(blocks: list[Block], fault: Fault) -> list[Block]:
    """Add a last line of zero bytes, which gzip makes a thousandth of."""
    return [*blocks, *[Block.of(bytes(_MEGABYTE))] * fault.megabytes]


def _spread(length: int, count: int) -> list[int]:
    """Return `count` of `length` places, evenly spread."""
    return [(2 * number + 1) * length // (2 * count) for number in range(count)]


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
