"""Every way in which an export that was granted (200) turns out to be none, or not whole.

One table: a kind that is found in practice is one more entry here, and one more line in
`tests/fault_tables.py`. Whatever the kind, the answer does not count, and is asked for again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tap_mixpanel_export.api.service_text import error_of
from tap_mixpanel_export.errors import IncompleteExportError, printable

if TYPE_CHECKING:
    from collections.abc import Callable

TAIL_BYTES = 4096
"""How much of what is no event has to be kept to tell its kind."""


class _Kind(NamedTuple):
    """A kind of text that stands where events should be.

    Attributes:
        pattern: Finds it in what follows the last event.
        words: What it is, for people. Never the text itself: it may be half an event.
    """

    pattern: re.Pattern[bytes]
    words: str


# Mixpanel's own way to say that it stopped: a bare text, on a line of its own or behind half an
# event. It ends the answer wherever it stands.
_TERMINATED = re.compile(rb"terminated early\s*\Z")

_KINDS = (
    _Kind(_TERMINATED, "the service ended the export early and said so in its text"),
    _Kind(
        re.compile(rb"\A\s*(?:<!doctype|<html|<head|<body|<\?xml|<!--)|</html>", re.IGNORECASE),
        "a web page (of a proxy, or to log in?)",
    ),
    _Kind(
        re.compile(
            rb"^\W*(?:\d{3} )?(?:internal server error|bad gateway|service (?:temporarily )?"
            rb"unavailable|gateway time-?out|upstream (?:connect error|request timeout)"
            rb"|too many requests|error)\b",
            re.IGNORECASE | re.MULTILINE,
        ),
        "an error in words, such as `Internal Server Error`",
    ),
    _Kind(re.compile(rb"\A\s*\{[^\n]*\Z"), "a line that begins like an event and is none"),
)


def check_line(line: bytes) -> None:
    """Tell the service's own way to say that an answer is not whole from a malformed line.

    Args:
        line: A line that is no event, wherever it stands.

    Raises:
        IncompleteExportError: The line says so.
    """
    if _TERMINATED.search(line):
        raise IncompleteExportError(_KINDS[0].words)


class NotAnExportError(IncompleteExportError):
    """The answer does not end with an event, or has none.

    Args:
        tail: What follows the last event, as far as `TAIL_BYTES`.
        has_events: Whether there is any event.
        show: Makes a text of the service fit to be shown.
    """

    def __init__(
        self, tail: bytes, has_events: bool, show: Callable[[str], str] = printable
    ) -> None:
        self._what = tail, has_events
        where = "ends, behind its events, with" if has_events else "has no event, but"
        super().__init__(f"the answer {where} {_kind(tail, show)}")

    def __reduce__(self) -> tuple[type[NotAnExportError], tuple[bytes, bool]]:
        # A worker process finds it, which knows no secrets to take out of the text.
        return NotAnExportError, self._what

    def shown(self, show: Callable[[str], str]) -> NotAnExportError:
        """The same error, its text shown in another way."""
        return NotAnExportError(*self._what, show)


def _kind(tail: bytes, show: Callable[[str], str]) -> str:
    for text in (tail, *tail.splitlines()):
        error = error_of(text)
        if error is not None:
            said = show(error)
            return f"an error of the service: {said}" if said else "an error object"
    for kind in _KINDS:
        if kind.pattern.search(tail):
            return kind.words
    return "a text of no known kind"
