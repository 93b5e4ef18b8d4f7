"""Pure: JSON as text, with the oddities that Mixpanel's customers send."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

NULL = b"null"

_encoder = msgspec.json.Encoder(decimal_format="number")

encode = _encoder.encode
"""JSON text of a value, a number for a `Decimal`. Lone surrogates, which have no UTF-8, raise
UnicodeEncodeError."""

encode_lines = _encoder.encode_lines
"""The same of each value of a list, with a line end behind each."""

_QUOTE = ord('"')
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = re.compile(rb"[^\[\]{}]+")
_OPENING = b"[{"


def plain(text: bytes) -> bytes:
    """What identities and digests are made of: a string as it is, anything else as its JSON text.

    Args:
        text: JSON text of one value.
    """
    if text[0] != _QUOTE:
        return text
    if b"\\" not in text:
        return text[1:-1]
    # A lone surrogate has no UTF-8 of its own; this form is the one that loses nothing.
    return str(json.loads(text)).encode("utf-8", "surrogatepass")


def encode_members(members: Mapping[str, msgspec.Raw]) -> bytes:
    """JSON text of an object whose values are text already."""
    try:
        return encode(members)
    except UnicodeEncodeError:
        # Escapes keep the lone surrogates in names.
        pairs = (json.dumps(name).encode() + b":" + bytes(v) for name, v in members.items())
        return b"{" + b",".join(pairs) + b"}"


def struct_type(fields: Iterable[tuple[str, Any, Any]]) -> type | None:
    """A type of objects by which msgspec reads, or writes, members of these names.

    Args:
        fields: Name, type and default of each.

    Returns:
        None when msgspec takes one of the names for none of a member: those that JSON escapes, and
        those that have no UTF-8.
    """
    members = [
        (f"member_{index}", kind, msgspec.field(name=name, default=default))
        for index, (name, kind, default) in enumerate(fields)
    ]
    try:
        return msgspec.defstruct("Members", members, gc=False)
    except ValueError:
        return None


def levels_exceed(text: bytes, most: int) -> bool:
    """Whether objects and lists are nested deeper than that.

    How deep a decoder goes depends on it, on the version of Python, and on the stack.

    Args:
        text: JSON text, or what was to become one.
        most: Levels; the outermost object or list is one.
    """
    if text.count(b"[") + text.count(b"{") <= most:
        return False
    level = 0
    for bracket in _NO_BRACKETS.sub(b"", _STRING.sub(b"", text)):
        level += 1 if bracket in _OPENING else -1
        if level > most:
            return True
    return False


def is_closed(text: bytes) -> bool:
    """Whether as many objects and lists end as begin: a text that is cut off has more of these."""
    brackets = _STRING.sub(b"", text)
    return all(brackets.count(begin) == brackets.count(end) for begin, end in (b"{}", b"[]"))
