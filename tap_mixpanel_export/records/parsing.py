"""Pure: one line of an export taken apart, each value as the text that was exported.

Values are kept as text because decoding and encoding again would change some of them: integers
beyond 64 bits, 1e400, 1.0, escapes of lone surrogates.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Raw

from tap_mixpanel_export.json_text import is_closed, levels_exceed, struct_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_LEVELS = 200
"""How deep a line may be nested, its own object included. Mixpanel's own events have five levels;
every supported Python reads twice as many as these."""

_HALF_OF_LEVELS = MAX_LEVELS // 2
"""With fewer objects and fewer lists than that, a line is surely not nested too deeply."""

ABSENT = Raw(b"null")
"""Stands for a property that an event does not have; told from an exported null by identity."""

# What Mixpanel writes before and after the event's name, and at the end of a line.
_BETWEEN = b'","properties":{'
_BEFORE = b'{"event":"'
_AFTER = b"}}\n"
_NAME = len(_BEFORE)
_TO_PROPERTIES = len(_BETWEEN) - 1
_PROPERTIES = b'"properties"'
# Its letters may be written so, as all of ASCII may.
_ESCAPED_LETTER = b"\\u00"
_TO_MEMBER = len('",')
_TO_END = len("}\n")
# From the end of one `properties` to the end of a line that has another one.
_SECOND = len('},"properties":{}}\n')
_skip_value = msgspec.json.Decoder(Raw).decode


class Event(NamedTuple):
    """An exported event, each part as exported JSON text."""

    name: bytes
    properties: bytes
    values: tuple[Raw, ...]
    """One for each property that the decoder was asked for, or `ABSENT`."""


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """What no event is."""


class Malformed(str, Enum):
    """Why a line is no event that can be used; the value says so without quoting it."""

    NOT_JSON = "not a JSON object"
    NO_EVENT = "no `event`"
    NO_PROPERTIES = "no `properties`, or they are no object"
    NO_TIME = "no usable `time`"
    TOO_DEEP = "nested too deeply"


class NotAnEventError(ValueError):
    """A line that is no event: not a JSON object with `event` and an object `properties`.

    Args:
        reason: What is wrong with it.
    """

    def __init__(self, reason: Malformed) -> None:
        self.reason = reason
        super().__init__(reason.value)


def event_decoder(properties: Sequence[str]) -> Callable[[bytes], Event]:
    """Make a function that takes lines apart.

    Args:
        properties: Names of the properties whose values are wanted.

    Returns:
        A function from a line, without its end, to its event; raises NotAnEventError.
    """
    decode_usual = _line_decoder([(name, Raw, ABSENT) for name in properties], Raw).decode
    values_of: Callable[[Any], tuple[Raw, ...]] = msgspec.structs.astuple

    def decode(line: bytes) -> Event:
        if levels_exceed(line, MAX_LEVELS):
            # One that is cut off is no JSON on any version.
            raise NotAnEventError(Malformed.TOO_DEEP if is_closed(line) else Malformed.NOT_JSON)
        try:
            parts = decode_usual(line)
        except (msgspec.MsgspecError, RecursionError):
            return _decode_unusual(line, properties)
        name = bytes(parts.event)
        if not (found := all_properties([line + b"\n"], [len(name) - len('""')])):
            return _decode_unusual(line, properties)
        return Event(name, found[0], values_of(parts.properties))

    return decode


def lines_decoder(fields: Sequence[tuple[str, Any, Any]]) -> Callable[[bytes], list[Any]]:
    """Make a decoder of many events at once, each with nothing but `event` and `properties`.

    Args:
        fields: The properties that are wanted: name, type, and default for events without it.

    Returns:
        A function from lines to objects with `event`, a string, and `properties`, a struct of the
        wanted values in their order. It raises msgspec.MsgspecError (or RecursionError) when
        something else is among them, or a value of another type.
    """
    decode: Callable[[bytes], list[Any]] = _line_decoder(fields, str).decode_lines
    return decode


def properties_decoder(names: Sequence[str]) -> Callable[[bytes], list[Any]]:
    """Make a decoder of the properties of many events at once.

    Args:
        names: The properties that are wanted.

    Returns:
        A function from lines, the properties of an event each, to structs of the wanted values as
        text, or `ABSENT`.
    """
    wanted = struct_type((name, Raw, ABSENT) for name in names) or _Nothing
    decode: Callable[[bytes], list[Any]] = msgspec.json.Decoder(wanted).decode_lines
    return decode


def _line_decoder(fields: Sequence[tuple[str, Any, Any]], event: Any) -> msgspec.json.Decoder[Any]:
    wanted = struct_type(fields)
    if wanted is None:
        # Every line is an unusual one.
        return msgspec.json.Decoder(_Nothing)
    line = msgspec.defstruct(
        "Line", [("event", event), ("properties", wanted)], forbid_unknown_fields=True, gc=False
    )
    return msgspec.json.Decoder(line)


def all_properties(lines: Sequence[bytes], lengths: Iterable[int]) -> list[bytes]:
    """The text of `properties` of each line, without reading the lines again.

    In front of it stands nothing but the event's name, a string, in which quotes are escaped: a
    place that looks like the border is the border. The text ends before the line's last brace.

    Args:
        lines: Lines with their ends that a decoder took, with a string for `event`.
        lengths: How many characters each event's name has; with escapes and beyond ASCII it takes
            more bytes than that.

    Returns:
        The texts; fewer than lines when a line is not laid out as Mixpanel does it, or is nested
        too deeply.
    """
    return [
        line[at + _TO_PROPERTIES : -_TO_END]
        for line, length in zip(lines, lengths, strict=True)
        if line.startswith(_BEFORE)
        and (
            line.startswith(_BETWEEN, at := _NAME + length)
            or (at := line.find(_BETWEEN, _NAME)) > 0
        )
        and line.endswith(_AFTER)
        # Of a repeated `properties` the last one counts: that is not for this short cut. Most
        # lines have a brace only near the end, and to look for one character is quick.
        and (
            line.find(b"}", at) > len(line) - _SECOND
            or (
                (
                    (line.rfind(_PROPERTIES) == at + _TO_MEMBER and _ESCAPED_LETTER not in line)
                    or _is_one_value(line[at + _TO_PROPERTIES : -_TO_END])
                )
                and not _is_deep(line, b"{", at + _TO_PROPERTIES + 1)
            )
        )
        # As a rule there is one list or none: two looks for one character find that out.
        and (line.rfind(b"[") == line.find(b"[") or not _is_deep(line, b"["))
    ]


def _is_deep(line: bytes, bracket: bytes, start: int = 0) -> bool:
    """Whether a line is nested too deeply, if it is because of objects or lists from there on.

    Args:
        line: A whole line.
        bracket: What such an object or list begins with.
        start: Where to look.
    """
    first, last = line.find(bracket, start), line.rfind(bracket, start)
    # To count takes Python ten times as long as to find.
    return (
        last - first >= _HALF_OF_LEVELS
        and line.count(bracket, first, last + 1) >= _HALF_OF_LEVELS
        and levels_exceed(line, MAX_LEVELS)
    )


def _is_one_value(text: bytes) -> bool:
    """Whether a text is one JSON value, and not the end of one and the start of another."""
    try:
        _skip_value(text)
    except msgspec.DecodeError:
        return False
    return True


def _decode_unusual(line: bytes, properties: Sequence[str]) -> Event:
    """The same for lines that msgspec refuses or that have other members or blanks.

    msgspec refuses escapes of lone surrogates, which JavaScript clients do send.
    """
    # The causes would quote the line.
    try:
        members = members_of(line.decode())
    except (ValueError, RecursionError):
        raise NotAnEventError(Malformed.NOT_JSON) from None
    if "event" not in members:
        raise NotAnEventError(Malformed.NO_EVENT)
    name, properties_text = members["event"], members.get("properties", "")
    try:
        values = members_of(properties_text)
    except ValueError:
        raise NotAnEventError(Malformed.NO_PROPERTIES) from None
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
        members[key], at = _value(text, _expect(text, _skip(text, at), ":"))
    _expect_end(text, at + 1)
    return members


def items_of(text: str) -> list[str]:
    """The items of a JSON list, as the text they are written in.

    Raises:
        ValueError: When the text is no JSON list.
    """
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise ValueError("not a JSON list")
    items: list[str] = []
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        if items:
            at = _expect(text, at, ",")
        item, at = _value(text, at)
        items.append(item)
    _expect_end(text, at + 1)
    return items


def _value(text: str, start: int) -> tuple[str, int]:
    """The text of the value that begins there, and where the next thing begins."""
    _, end = _DECODER.raw_decode(text, start)
    return text[start:end], _skip(text, end)


def _expect_end(text: str, at: int) -> None:
    if _skip(text, at) != len(text):
        raise ValueError("something stands behind the value")


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANKS and at < len(text):
        at += 1
    return at


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise ValueError(f"{character!r} is missing")
    return _skip(text, at + 1)
