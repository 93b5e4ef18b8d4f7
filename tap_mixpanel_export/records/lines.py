"""Pure: pieces of an answer's text put together to blocks of whole lines."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import IncompleteExportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LINE_BYTES = 64 * 1024 * 1024
"""The longest line: the API's events have a megabyte. Without a bound, a text without line ends
would take the memory of the machine."""


def blocks_of_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Cut a text at line ends only.

    Lines end with ``\n`` only: U+2028, U+2029 and U+0085 occur inside values.

    Args:
        pieces: The text in order; piece borders have nothing to do with line borders.

    Yields:
        Blocks of whole lines with their ends; the last one may lack it.

    Raises:
        IncompleteExportError: A line is longer than any event.
    """
    rest: list[bytes] = []
    length = 0
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            rest.append(piece[:end])
            yield b"".join(rest)
            rest = [piece[end:]]
            length = len(piece) - end
        elif piece:
            rest.append(piece)
            length += len(piece)
            if length > _LINE_BYTES:
                raise IncompleteExportError(
                    f"a line of the answer is longer than {_LINE_BYTES // 2**20} MB, which no "
                    "event is"
                )
    if last := b"".join(rest):
        yield last


def lines_of(text: bytes) -> list[bytes]:
    r"""The lines of a text, each with its end; the last one is given one if it lacks it.

    They end with ``\n`` only: others are blanks of JSON.
    """
    # A file's lines are found by the C library's `memchr`, some ten times as fast as `split` does.
    return BytesIO(text if text.endswith(b"\n") else text + b"\n").readlines()


def whole_lines(text: bytes) -> list[bytes]:
    """The lines of a text, without their ends."""
    return [line[:-1] for line in lines_of(text)] if text else []
