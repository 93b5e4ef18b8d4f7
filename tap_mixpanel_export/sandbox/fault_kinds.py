"""The table of the kinds of faults, and how a function gets into it: under its own name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.sandbox.faults import Fault
    from tap_mixpanel_export.sandbox.gzip_stream import Block
    from tap_mixpanel_export.sandbox.transfer import Transfer

    Change = Callable[[list[Block], Fault], list[Block]]
    Send = Callable[[Transfer, Fault], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes:
        description: What the server does.
        change: Changes what the export says.
        send: Sends the answer, as far as it is sent. It may raise `ApiError`.
        gzip: Whether the body is compressed, whatever its size and the request say.
        text: What the answer says when the fault has no `text`.
    """

    description: str
    change: Change | None = None
    send: Send | None = None
    gzip: bool | None = None
    text: str | None = None


KINDS: dict[str, Kind] = {}
"""Every kind of fault."""


def changes(function: Change) -> Change:
    """Let a function that changes what an export says be a kind of fault.

    Its name is the kind's, and its docstring says what the server does.
    """
    KINDS[function.__name__] = Kind(_description(function), change=function)
    return function


def sends(*, gzip: bool | None = None, text: str | None = None) -> Callable[[Send], Send]:
    """Let a function that sends an answer be a kind of fault, in the same way."""

    def enter(function: Send) -> Send:
        KINDS[function.__name__] = Kind(_description(function), None, function, gzip, text)
        return function

    return enter


def _description(function: Callable[..., object]) -> str:
    # Under `python -OO` there are none.
    first, _, _ = (function.__doc__ or " ").partition("\n\n")
    words = " ".join(first.split()).removesuffix(".")
    return words[:1].lower() + words[1:]
