"""Values of events into values of XDM fields, when nothing is lost.

The rules are Data Prep's conversions: numbers, booleans, objects and lists become text as exported;
text becomes a number only if it is one, and a boolean only from Adobe's lists. What cannot be
converted is refused, and becomes null with the warning MAPPER-3700-400 wherever it is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import time
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from tap_mixpanel_export.json_text import encode
from tap_mixpanel_export.xdm.booleans import boolean_of_word
from tap_mixpanel_export.xdm.dates.instants import iso_text, rfc3339_text
from tap_mixpanel_export.xdm.dates.parsing import read_date
from tap_mixpanel_export.xdm.errors import ConversionError
from tap_mixpanel_export.xdm.regular_expressions import compiled
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmField, XdmType, integer_bounds

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.regular_expressions import Pattern
    from tap_mixpanel_export.xdm.schema.documents import JsonObject

JsonText = Callable[[], str]
"""Gives the JSON text of a value as exported; called only when it is needed."""

Converter = Callable[[Any, JsonText], Any]
"""Takes a decoded JSON value and its text; returns the converted value, None for None."""

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_NUMBERS = frozenset({int, float, Decimal})
_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# RFC 3986, appendix A, without the forms of IPv6 addresses spelled out.
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:"
    r"(?://(?:(?:[\w.~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?"
    r"(?:\[[0-9A-Fa-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?(?=[/?#]|$))?"
    r"(?:[\w.~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
    r"(?:\?(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
    r"(?:\#(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?",
    re.ASCII,
)


def converter(field: XdmField) -> Converter:
    """Return the function that converts values for a field.

    Returns:
        A function of a decoded JSON value and a function that gives its JSON text as exported. It
        returns the value in the field's type, and None for None. It raises `ConversionError` when
        the value does not fit, and may be called by several threads at once.
    """
    convert_or_none = _CONVERTERS.get(field.type) or _BUILDERS[field.type](field)
    if checks := _checks(field):
        convert_or_none = _checked(convert_or_none, checks)

    def convert(value: Any, text: JsonText) -> Any:
        if value is None:
            return None
        converted = convert_or_none(value, text)
        if converted is None:
            raise _misfit(value, field)
        return converted

    return convert


def json_text(value: object) -> str:
    """Return compact JSON text of a decoded value whose exported text is not at hand."""
    return encode(value).decode()


def _misfit(value: object, field: XdmField) -> ConversionError:
    if isinstance(value, bool):
        kind = "a boolean"
    elif type(value) in _NUMBERS:
        kind = "a number"
    else:
        kinds: dict[type, str] = {str: "a text", list: "a list"}
        kind = kinds.get(type(value), "an object")
    return ConversionError(f"{kind} does not fit the type {field.label} of the field")


def _checked(convert: Converter, checks: list[Callable[[Any], bool]]) -> Converter:
    def convert_or_none(value: Any, text: JsonText) -> Any:
        converted = convert(value, text)
        if converted is not None:
            for check in checks:
                if not check(converted):
                    return None
        return converted

    return convert_or_none


def _checks(field: XdmField) -> list[Callable[[Any], bool]]:
    """Return what a value of the type has to meet besides."""
    checks: list[Callable[[Any], bool]] = []
    if field.enum:
        checks.append(lambda value: value in field.enum)
    # JSON Schema has patterns and lengths for texts only.
    if field.pattern is not None:
        pattern = compiled(field.pattern)
        checks.append(lambda value: not isinstance(value, str) or _matches(pattern, value))
    if field.min_length is not None or field.max_length is not None:
        least = field.min_length or 0
        most = float("inf") if field.max_length is None else field.max_length
        checks.append(lambda value: not isinstance(value, str) or least <= len(value) <= most)
    if field.type is XdmType.NUMBER:
        minimum, maximum = field.minimum, field.maximum
        if minimum is not None:
            checks.append(lambda value: bool(value >= minimum))
        if maximum is not None:
            checks.append(lambda value: bool(value <= maximum))
    return checks


def _matches(pattern: Pattern, text: str) -> bool:
    try:
        return pattern.search(text) is not None
    except ValueError:
        # Too large a text for this pattern.
        return False


def _string(value: Any, text: JsonText) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return text()


def _uri(value: Any, _text: JsonText) -> str | None:
    return value if isinstance(value, str) and _URI.fullmatch(value) else None


def _integer(field: XdmField) -> Converter:
    least, greatest = integer_bounds(field)

    def convert(value: Any, _text: JsonText) -> int | None:
        number = _integer_of_text(value) if isinstance(value, str) else value
        # The bounds come first: the integer of 1e308 has 308 digits.
        if type(number) not in _NUMBERS or not least <= number <= greatest or number != int(number):
            return None
        return int(number)

    return convert


def _integer_of_text(text: str) -> Any:
    try:
        return int(text) if _INTEGER.fullmatch(text) else None
    except ValueError:
        # More digits than Python converts are out of any bounds.
        return None


def _number(value: Any, _text: JsonText) -> int | float | Decimal | None:
    if isinstance(value, str):
        return _number_of_text(value)
    if type(value) not in _NUMBERS or not (type(value) is int or isfinite(value)):
        return None
    return value  # type: ignore[no-any-return]


def _number_of_text(text: str) -> int | float | None:
    if not _NUMBER.fullmatch(text):
        return None
    try:
        if _INTEGER.fullmatch(text):
            return int(text)
        number = float(text)
        return number if isfinite(number) and Decimal(repr(number)) == Decimal(text) else None
    except (ValueError, ArithmeticError):
        return None


def _boolean(value: Any, _text: JsonText) -> bool | None:
    if isinstance(value, str):
        return boolean_of_word(value)
    return value if isinstance(value, bool) else None


def _date(value: Any, _text: JsonText) -> str | None:
    try:
        date = read_date(value) if isinstance(value, str) else None
    except ValueError:
        return None
    # A time of day would be lost.
    is_date = date is not None and not date.utcoffset() and date.time() == time()
    return date.date().isoformat() if date is not None and is_date else None


def _date_time(value: Any, _text: JsonText) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return rfc3339_text(value) or iso_text(read_date(value))
    except (ValueError, ArithmeticError):
        # There is no such day or time; or not in UTC, in which years are 1 to 9999, too.
        return None


def _array(field: XdmField) -> Converter:
    convert_item = converter(field.item)

    def convert(value: Any, text: JsonText) -> list[Any] | None:
        if not isinstance(value, list):
            return None
        parts: list[Any] = []
        return [
            convert_item(item, partial(_part_text, parts, text, _decode_items, index))
            for index, item in enumerate(value)
        ]

    return convert


def _members(convert_member: Callable[[str], Converter | None]) -> Converter:
    def convert(value: Any, text: JsonText) -> JsonObject | None:
        if not isinstance(value, dict):
            return None
        parts: list[Any] = []
        converted: JsonObject = {}
        for name, member in value.items():
            convert_one = convert_member(name)
            if convert_one is None:
                # A name that the field does not have would be lost.
                return None
            converted[name] = convert_one(
                member, partial(_part_text, parts, text, _decode_members, name)
            )
        return converted

    return convert


def _part_text(parts: list[Any], text: JsonText, decode: Callable[[str], Any], key: Any) -> str:
    """Return the JSON text of a part; the whole is taken apart, into `parts`, for the first."""
    if not parts:
        parts.append(decode(text()))
    return bytes(parts[0][key]).decode()


def _object(field: XdmField) -> Converter:
    return _members({n: converter(child) for n, child in field.properties.items()}.get)


def _map(field: XdmField) -> Converter:
    convert_value = converter(field.item)
    return _members(lambda _name: convert_value)


_CONVERTERS: dict[XdmType, Converter] = {
    XdmType.STRING: _string,
    XdmType.URI: _uri,
    XdmType.NUMBER: _number,
    XdmType.BOOLEAN: _boolean,
    XdmType.DATE: _date,
    XdmType.DATE_TIME: _date_time,
}
_BUILDERS: dict[XdmType, Callable[[XdmField], Converter]] = {
    **dict.fromkeys(INTEGER_BOUNDS, _integer),
    XdmType.ARRAY: _array,
    XdmType.OBJECT: _object,
    XdmType.MAP: _map,
}
