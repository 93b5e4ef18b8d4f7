"""JSON text of records, read as far as a mapping needs it, and whatever it holds.

What no strict decoder takes is read all the same: halves of characters, whole numbers of thousands
of digits, nesting without end. An event that has them comes again in every run.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from tap_mixpanel_export.json_text import levels_exceed, struct_type
from tap_mixpanel_export.xdm.errors import ConversionError
from tap_mixpanel_export.xdm.expressions.bounds import MAX_DIGITS
from tap_mixpanel_export.xdm.surrogates import without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.xdm.schema.field import FieldPath

MAX_LEVELS = 100
"""Deepest nesting of a value that is looked into; Mixpanel's own events have three levels."""

MAX_MESSAGE_LEVELS = 500
"""Deepest nesting of a message: what every version of Python can take apart."""

_NESTED = b"[{"

_decode_texts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# Decimals keep the digits of a number as they came.
_decode_value = msgspec.json.Decoder(float_hook=Decimal).decode


class TooDeep:
    """Stands for a value that is nested deeper than `MAX_LEVELS`; its text is all there is."""


_TOO_DEEP = TooDeep()


def is_too_deep(line: bytes) -> bool:
    """Tell whether a message is nested too deeply to be taken apart."""
    # A short line has no room for so many brackets and their ends.
    return len(line) > 2 * MAX_MESSAGE_LEVELS and levels_exceed(line, MAX_MESSAGE_LEVELS)


def decode_members(text: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Return the JSON text of each member of an object.

    Raises:
        msgspec.DecodeError: If the text is no JSON object.
        RecursionError: If it is nested too deeply for the decoder.
    """
    try:
        return _decode_texts(text)
    except msgspec.DecodeError:
        return _decode_texts(without_lone_surrogates(bytes(text)))


def decode_value(text: bytes | msgspec.Raw) -> Any:
    """Return a decoded JSON value.

    Numbers with a fraction or exponent are a `Decimal`, exactly, and so are whole ones of more than
    a thousand digits; nested values of more than `MAX_LEVELS` levels are `TooDeep`.

    Raises:
        ValueError: If the text is no JSON.
    """
    data = bytes(text)
    if data[:1] in _NESTED and levels_exceed(data, MAX_LEVELS):
        return _TOO_DEEP
    try:
        return _decode_value(data)
    except ValueError:
        whole = without_lone_surrogates(data)
        return json.loads(whole, parse_float=Decimal, parse_int=_integer)


def _integer(text: str) -> int | Decimal:
    # Below Python's own limit for a conversion, which other programs may have changed.
    return int(text) if len(text) <= MAX_DIGITS else Decimal(text)


def computable(value: Any) -> Any:
    """Return a value with floats for decimals, which expressions compute with.

    Raises:
        ConversionError: If a number or the nesting is too large for that.
    """
    if isinstance(value, Decimal):
        number = float(value)
        if number in {float("inf"), float("-inf")}:
            raise ConversionError("a number is too large to compute with")
        return number
    if isinstance(value, TooDeep):
        raise ConversionError("a value is nested too deeply to compute with")
    if isinstance(value, list):
        return [computable(item) for item in value]
    if isinstance(value, dict):
        return {name: computable(member) for name, member in value.items()}
    return value


def properties_text(raw: msgspec.Raw | None) -> bytes:
    """Return the JSON text of `properties`, an object or its JSON text; `{}` of anything else."""
    text = b"" if raw is None else bytes(raw)
    if text.startswith(b'"'):
        text = decode_value(text).encode()
    return text if text.startswith(b"{") else b"{}"


def properties_texts(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    """Return the JSON text of each property."""
    return decode_members(properties_text(raw))


def inside(raw: msgspec.Raw, path: FieldPath) -> msgspec.Raw | None:
    """Return the JSON text at a path inside of a value, None if there is nothing."""
    found: msgspec.Raw | None = raw
    for name in path:
        if found is None or not bytes(found).startswith(b"{"):
            return None
        found = decode_members(found).get(name)
    return found


def members_reader(names: list[str], undecoded: set[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that takes an object's JSON text and gives its members of these names.

    Args:
        names: The names; the values are in the same order, None for what is not there.
        undecoded: Those of them whose JSON text is wanted instead of the value.
    """

    def read_each(text: bytes | msgspec.Raw) -> tuple[Any, ...]:
        texts = decode_members(text)
        return tuple(
            raw if raw is None or name in undecoded else decode_value(raw)
            for name in names
            for raw in (texts.get(name),)
        )

    members = struct_type((n, msgspec.Raw if n in undecoded else Any, None) for n in names)
    if members is None:
        return read_each
    decode: Callable[[Any], Any] = msgspec.json.Decoder(members, float_hook=Decimal).decode
    astuple = msgspec.structs.astuple

    def read(text: bytes | msgspec.Raw) -> tuple[Any, ...]:
        try:
            return astuple(decode(text))
        except (ValueError, RecursionError):
            return read_each(text)

    return read
