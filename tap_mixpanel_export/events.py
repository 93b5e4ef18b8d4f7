"""Pure: one line of an export taken apart, each value as the text that was exported.

Values are kept as text because decoding and encoding again would change some of them: integers
beyond 64 bits, 1e400, 1.0, escapes of lone surrogates.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ABSENT = Raw(b"null")
"""Stands for a property that an event does not have; told from an exported null by identity."""

# What Mixpanel writes before and after the event's name, and at the end of a line.
_BETWEEN = b',"properties":{'
_BEFORE = b'{"event":"'
_AFTER = b"}}"


class Event(NamedTuple):
    """An exported event, each part as exported JSON text."""

    name: bytes
    properties: bytes
    values: tuple[Raw, ...]
    """One for each property that the decoder was asked for, or `ABSENT`."""


class NotAnEventError(ValueError):
    """A line that is not a JSON object with `event` and an object `properties`."""


def event_decoder(properties: Sequence[str]) -> Callable[[bytes], Event]:
    """Make a function that takes lines apart.

    Args:
        properties: Names of the properties whose values are wanted.

    Returns:
        A function from a line, without its end, to its event; raises NotAnEventError.
    """
    decode_usual = line_decoder([(name, Raw, ABSENT) for name in properties])
    values_of: Callable[[Any], tuple[Raw, ...]] = msgspec.structs.astuple

    def decode(line: bytes) -> Event:
        try:
            parts = decode_usual(line)
        except (msgspec.MsgspecError, RecursionError):
            return _decode_unusual(line, properties)
        start = find_properties(line)
        if not start:
            return _decode_unusual(line, properties)
        return Event(bytes(parts.event), line[start:-1], values_of(parts.properties))

    return decode


def line_decoder(
    fields: Sequence[tuple[str, Any, Any]], event: Any = Raw
) -> Callable[[bytes], Any]:
    """Make a decoder of lines that have nothing but `event` and `properties`.

    Args:
        fields: The properties that are wanted: name, type, and default for events without it.
        event: Type of the event's name.

    Returns:
        A function from a line to an object with `event`, and `properties`, a struct of the
        wanted values in their order, as attributes `p0`, `p1`, …. It raises msgspec.MsgspecError
        (or RecursionError) when the line is another one, or a value of another type.
    """
    wanted = msgspec.defstruct(
        "Properties",
        [
            (f"p{index}", kind, msgspec.field(name=name, default=default))
            for index, (name, kind, default) in enumerate(fields)
        ],
        gc=False,
    )
    line = msgspec.defstruct(
        "Line", [("event", event), ("properties", wanted)], forbid_unknown_fields=True, gc=False
    )
    return msgspec.json.Decoder(line).decode


def find_properties(line: bytes) -> int:
    """Where the text of `properties` begins, without reading the line again.

    In front of it stands nothing but the event's name, a string, in which quotes are escaped: the
    first place that looks like the border is the border. The text ends before the last character.

    Args:
        line: A line that the decoder took, with a string for `event`.

    Returns:
        The index, or 0 when the line is not laid out as Mixpanel does it.
    """
    at = line.find(_BETWEEN, len(_BEFORE))
    # Of a repeated `properties` the last one counts: that is not for this short cut.
    if at < 0 or not (
        line.startswith(_BEFORE) and line.endswith(_AFTER) and line.rfind(_BETWEEN) == at
    ):
        return 0
    return at + len(_BETWEEN) - 1


def _decode_unusual(line: bytes, properties: Sequence[str]) -> Event:
    """The same for lines that msgspec refuses or that have other members or blanks.

    msgspec refuses escapes of lone surrogates, which JavaScript clients do send.
    """
    try:
        members = members_of(line.decode())
        name = members["event"]
        properties_text = members["properties"]
        values = members_of(properties_text)
    except (ValueError, KeyError, RecursionError) as error:
        # The cause would quote the line.
        raise NotAnEventError("not a JSON object with `event` and `properties`") from error
    return Event(
        name.encode(),
        properties_text.encode(),
        tuple(Raw(values[p].encode()) if p in values else ABSENT for p in properties),
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Numbers are not converted: only their place in the text is wanted, and Python refuses some.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
_BLANKS = " \t\n\r"


def members_of(text: str) -> dict[str, str]:
    """The members of a JSON object, their values as the text they are written in.

    Raises:
        ValueError: When the text is no JSON object.
    """
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("not a JSON object")
    members: dict[str, str] = {}
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        if members:
            at = _expect(text, at, ",")
        if text[at : at + 1] != '"':
            raise ValueError("a name is missing")
        key, at = _DECODER.raw_decode(text, at)
        start = _expect(text, _skip(text, at), ":")
        _, at = _DECODER.raw_decode(text, start)
        members[key] = text[start:at]
        at = _skip(text, at)
    if _skip(text, at + 1) != len(text):
        raise ValueError("something stands behind the object")
    return members


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANKS and at < len(text):
        at += 1
    return at


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise ValueError(f"{character!r} is missing")
    return _skip(text, at + 1)
