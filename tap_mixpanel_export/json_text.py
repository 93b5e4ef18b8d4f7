"""Pure: JSON as text, with the oddities that Mixpanel's customers send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

NULL = b"null"

encode = msgspec.json.Encoder().encode
"""JSON text of a value. It refuses lone surrogates, which have no UTF-8."""

_QUOTE = ord('"')


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
