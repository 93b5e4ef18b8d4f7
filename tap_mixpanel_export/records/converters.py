"""Pure: the exported text of a property as the text of a column's value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from tap_mixpanel_export.json_text import NULL, encode
from tap_mixpanel_export.records.parsing import members_of
from tap_mixpanel_export.xdm.errors import ConversionError
from tap_mixpanel_export.xdm.schema.convert import converter
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmField, XdmType, integer_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_mixpanel_export.xdm.mapping.columns import Column

ValueText = bytes
"""JSON text of a column's value."""

_QUOTE = ord('"')
# Fewer than Python refuses to read, more than any integer type has.
_DIGITS = 20
_NESTED = b"{["

_KINDS = {
    b'"': "text",
    b"{": "an object",
    b"[": "a list",
    b"t": "a boolean",
    b"f": "a boolean",
    b"n": "null",
}
"""Kinds of JSON values in words, by their first character; all others are numbers."""


@dataclass(frozen=True, slots=True)
class ColumnValue:
    """A column to write.

    Attributes:
        name: The column's name.
        place: Index of its property among the wanted ones; behind the last one is the event's name.
        make: Gives the column's text for the property's text.
        is_text: Whether any JSON string is a value of it.
        kind: Type by which msgspec checks the property, None for not at all.
        expected: What it takes, in words.
        inner_path: Where in the property its value is.
    """

    name: str
    place: int
    make: Callable[[bytes], ValueText]
    is_text: bool
    kind: Any
    expected: str
    inner_path: tuple[str, ...] = ()

    @classmethod
    def of(cls, column: Column, wanted: Sequence[str]) -> ColumnValue:
        """Make one for a column.

        Args:
            column: The column.
            wanted: Names of the wanted properties.
        """
        is_whole = len(column.path) == 1
        return cls(
            name=column.name,
            place=wanted.index(column.path[0]) if column.path else len(wanted),
            make=value_maker(column.field, column.path[1:]),
            is_text=is_plain_text(column.field) and (is_whole or not column.path),
            kind=checked_type(column.field) if is_whole else None,
            expected=column.field.type.label,
            inner_path=column.path[1:],
        )

    def misfit(self, text: bytes) -> str:
        """What kind of value met what type, in words that tell nothing of the value.

        Args:
            text: The property's, which gives no value of the column.
        """
        inner = _descend(text, self.inner_path) or NULL
        return f"{_KINDS.get(inner[:1], 'a number')} where the type is {self.expected}"


def value_maker(field: XdmField, path: tuple[str, ...]) -> Callable[[bytes], ValueText]:
    """Make a function that gives a column's text for a property's text.

    What already fits the type is passed on as it is, after the cheapest check that tells.

    Args:
        field: The column's type.
        path: Where the value is inside of the property; empty for the property itself.

    Returns:
        A function that raises ConversionError when the value does not fit.
    """
    make = _maker(field)
    if not path:
        return make

    def make_nested(text: bytes) -> ValueText:
        inner = _descend(text, path)
        return NULL if inner is None else make(inner)

    return make_nested


def checked_type(field: XdmField) -> Any | None:
    """The type by which msgspec checks a column's value while it reads a line.

    Returns:
        A type annotation; None when the column needs a look at the value's text.
    """
    if field.enum:
        return None
    if field.type in INTEGER_BOUNDS:
        least, greatest = integer_bounds(field)
        return Annotated[int, msgspec.Meta(ge=least, le=greatest)] | None
    return bool | None if field.type is XdmType.BOOLEAN else None


def is_plain_text(field: XdmField) -> bool:
    """Whether any JSON string is a value of the column as it is."""
    return field.type is XdmType.STRING and not field.is_narrowed


def _maker(field: XdmField) -> Callable[[bytes], ValueText]:
    slow = _slow_maker(field)
    if is_plain_text(field):
        return lambda text: text if text[0] == _QUOTE else _quoted(text)
    if field.type in INTEGER_BOUNDS and not field.enum:
        least, greatest = integer_bounds(field)
        return lambda text: (
            text
            if len(text) < _DIGITS and text.isdigit() and least <= int(text) <= greatest
            else slow(text)
        )
    if field.type is XdmType.BOOLEAN and not field.enum:
        return lambda text: text if text in {b"true", b"false"} else slow(text)
    return slow


def _quoted(text: bytes) -> ValueText:
    """Numbers, booleans, objects and lists as text: as exported."""
    return b'"%b"' % text if text[0] not in _NESTED else encode(text.decode())


def _slow_maker(field: XdmField) -> Callable[[bytes], ValueText]:
    convert = converter(field)

    def make(text: bytes) -> ValueText:
        try:
            value = json.loads(text, parse_float=Decimal)
            converted = convert(value, text.decode)
            if converted is value:
                return text
            # Escapes keep lone surrogates, which have no UTF-8.
            return json.dumps(converted).encode() if type(converted) is str else encode(converted)
        except ConversionError:
            raise
        except (ValueError, ArithmeticError, RecursionError) as error:
            # The cause may quote the value.
            raise ConversionError("the value cannot be represented") from error

    return make


def _descend(text: bytes, path: tuple[str, ...]) -> bytes | None:
    inner = text.decode()
    for name in path:
        try:
            found = members_of(inner).get(name)
        except ValueError:
            # Not an object: there is nothing of that name in it.
            return None
        if found is None:
            return None
        inner = found
    return inner.encode()
