"""Pure: pieces of an answer's text put together to blocks of whole lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import IncompleteExportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EARLY_END = b"terminated early"


def blocks_of_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Cut a text at line ends only.

    Lines end with ``\n`` only: U+2028, U+2029 and U+0085 occur inside values.

    Args:
        pieces: The text in order; piece borders have nothing to do with line borders.

    Yields:
        Blocks of whole lines with their ends; the last one may lack it.
    """
    rest: list[bytes] = []
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            rest.append(piece[:end])
            yield b"".join(rest)
            rest = [piece[end:]]
        else:
            rest.append(piece)
    if last := b"".join(rest):
        yield last


def whole_lines(text: bytes) -> list[bytes]:
    r"""The lines of a text that ends with a line end, without their ends.

    They end with ``\n`` only: others are blanks of JSON.
    """
    return text.split(b"\n")[:-1]


def check_not_terminated(line: bytes) -> None:
    """Tell Mixpanel's own way to say that an answer is not whole from a malformed line.

    The status is 200 by then; the text may be on a line of its own or behind half an event.

    Raises:
        IncompleteExportError: When the line says so.
    """
    if line.rstrip().endswith(_EARLY_END):
        raise IncompleteExportError("the service ended the export early and said so in its text")
