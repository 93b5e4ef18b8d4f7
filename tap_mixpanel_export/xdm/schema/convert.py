"""Values of events into values of XDM fields, when nothing is lost.

The rules are Data Prep's conversions: numbers, booleans, objects and lists become text as exported;
text becomes a number only if it is one, and a boolean only from Adobe's lists. What cannot be
converted is refused, and becomes null with the warning MAPPER-3700-400 wherever it is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
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
    from datetime import datetime

    from tap_mixpanel_export.xdm.regular_expressions import Pattern
    from tap_mixpanel_export.xdm.schema.documents import JsonObject

JsonText = Callable[[], str]
"""Gives the JSON text of a value as exported; called only when it is needed."""

Converter = Callable[[Any, JsonText], Any]
"""Takes a decoded JSON value and its text; returns the converted value, None for None."""

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

    Args:
        field: The field.

    Returns:
        A function of a decoded JSON value and a function that gives its JSON text as exported. It
        returns the value in the field's type, and None for None. It raises `ConversionError` when
        the value does not fit, and may be called by several threads at once.
    """
    base = _BUILDERS[field.type](field)
    checks = _checks(field)
    if not checks:
        return lambda value, text: None if value is None else base(value, text)

    def convert(value: Any, text: JsonText) -> Any:
        if value is None:
            return None
        converted = base(value, text)
        for check in checks:
            if not check(converted):
                raise _misfit(value, field)
        return converted

    return convert


def json_text(value: object) -> str:
    """Return compact JSON text of a decoded value whose exported text is not at hand."""
    return encode(value).decode()


def convert_static(field: XdmField, value: object) -> object:
    """Return the value of a `STATIC` line in the field's type.

    Raises:
        ConversionError: If it does not fit.
    """
    return converter(field)(value, lambda: json_text(value))


def _misfit(value: object, field: XdmField) -> ConversionError:
    return ConversionError(f"{_kind(value)} does not fit the type {field.label} of the field")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float, Decimal)):
        return "a number"
    return (
        "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"
    )


def _checks(field: XdmField) -> list[Callable[[Any], bool]]:
    """Return what a value of the type has to meet besides."""
    checks: list[Callable[[Any], bool]] = []
    if field.enum:
        checks.append(lambda value: value in field.enum)
    if field.pattern is not None:
        pattern = compiled(field.pattern)
        checks.append(lambda value: _matches(pattern, value))
    if field.min_length is not None or field.max_length is not None:
        least = field.min_length or 0
        greatest = float("inf") if field.max_length is None else field.max_length
        checks.append(lambda value: least <= len(value) <= greatest)
    if field.type is XdmType.NUMBER:
        minimum, maximum = field.minimum, field.maximum
        if minimum is not None:
            checks.append(lambda value: bool(value >= minimum))
        if maximum is not None:
            checks.append(lambda value: bool(value <= maximum))
    return checks


def _matches(pattern: Pattern, value: Any) -> bool:
    try:
        # JSON Schema has patterns for texts only.
        return not isinstance(value, str) or pattern.search(value) is not None
    except ValueError:
        # Too large a text for this pattern.
        return False


def _string(_field: XdmField) -> Converter:
    def convert(value: Any, text: JsonText) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        return text()

    return convert


def _uri(field: XdmField) -> Converter:
    def convert(value: Any, _text: JsonText) -> str:
        if isinstance(value, str) and _URI.fullmatch(value):
            return value
        raise _misfit(value, field)

    return convert


def _integer(field: XdmField) -> Converter:
    least, greatest = integer_bounds(field)

    def convert(value: Any, _text: JsonText) -> int:
        if isinstance(value, str):
            if not _INTEGER.fullmatch(value):
                raise _misfit(value, field)
            try:
                number: Any = int(value)
            except ValueError:  # More digits than Python converts are out of any bounds.
                raise _misfit(value, field) from None
        elif isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise _misfit(value, field)
        else:
            number = value
        # The bounds come first: the integer of 1e308 has 308 digits.
        if not least <= number <= greatest or number != int(number):
            raise _misfit(value, field)
        return int(number)

    return convert


def _number(field: XdmField) -> Converter:
    def convert(value: Any, _text: JsonText) -> int | float | Decimal:
        if isinstance(value, str):
            return _number_of_text(value, field)
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise _misfit(value, field)
        if not isinstance(value, int) and not isfinite(value):
            raise _misfit(value, field)
        return value

    return convert


def _number_of_text(text: str, field: XdmField) -> int | float:
    if not _NUMBER.fullmatch(text):
        raise _misfit(text, field)
    try:
        if _INTEGER.fullmatch(text):
            return int(text)
        number = float(text)
        if isfinite(number) and Decimal(repr(number)) == Decimal(text):
            return number
    except (ValueError, ArithmeticError):
        raise _misfit(text, field) from None
    raise _misfit(text, field)


def _boolean(field: XdmField) -> Converter:
    def convert(value: Any, _text: JsonText) -> bool:
        if isinstance(value, bool):
            return value
        word = boolean_of_word(value) if isinstance(value, str) else None
        if word is None:
            raise _misfit(value, field)
        return word

    return convert


def _moment(value: Any, field: XdmField) -> datetime:
    """Read a date of any of the formats that Data Prep reads by itself."""
    try:
        if isinstance(value, str):
            return read_date(value)
    except (ValueError, ArithmeticError):
        raise _misfit(value, field) from None
    raise _misfit(value, field)


def _date(field: XdmField) -> Converter:
    def convert(value: Any, _text: JsonText) -> str:
        moment = _moment(value, field)
        if any((moment.utcoffset(), moment.hour, moment.minute, moment.second, moment.microsecond)):
            # A time of day would be lost.
            raise _misfit(value, field)
        return moment.date().isoformat()

    return convert


def _date_time(field: XdmField) -> Converter:
    def convert(value: Any, _text: JsonText) -> str:
        if isinstance(value, str):
            try:
                text = rfc3339_text(value)
            except ValueError:
                raise _misfit(value, field) from None
            if text is not None:
                return text
        return iso_text(_moment(value, field))

    return convert


def _array(field: XdmField) -> Converter:
    convert_item = converter(field.items or XdmField(XdmType.STRING))

    def convert(value: Any, text: JsonText) -> list[Any]:
        if not isinstance(value, list):
            raise _misfit(value, field)
        raws: list[msgspec.Raw] = []

        def item_text(index: int) -> str:
            if not raws:
                raws.extend(msgspec.json.decode(text(), type=list[msgspec.Raw]))
            return bytes(raws[index]).decode()

        return [
            convert_item(item, lambda index=index: item_text(index))  # type: ignore[misc]
            for index, item in enumerate(value)
        ]

    return convert


def _members(field: XdmField, convert_member: Callable[[str], Converter | None]) -> Converter:
    def convert(value: Any, text: JsonText) -> JsonObject:
        if not isinstance(value, dict):
            raise _misfit(value, field)
        raws: dict[str, msgspec.Raw] = {}

        def member_text(name: str) -> str:
            if not raws:
                raws.update(msgspec.json.decode(text(), type=dict[str, msgspec.Raw]))
            return bytes(raws[name]).decode()

        converted: JsonObject = {}
        for name, member in value.items():
            convert_one = convert_member(name)
            if convert_one is None:
                # A name that the field does not have would be lost.
                raise _misfit(value, field)
            converted[name] = convert_one(member, lambda name=name: member_text(name))  # type: ignore[misc]
        return converted

    return convert


def _object(field: XdmField) -> Converter:
    return _members(field, {n: converter(child) for n, child in field.properties.items()}.get)


def _map(field: XdmField) -> Converter:
    convert_value = converter(field.items or XdmField(XdmType.STRING))
    return _members(field, lambda _name: convert_value)


_BUILDERS: dict[XdmType, Callable[[XdmField], Converter]] = {
    **dict.fromkeys(INTEGER_BOUNDS, _integer),
    XdmType.STRING: _string,
    XdmType.URI: _uri,
    XdmType.NUMBER: _number,
    XdmType.BOOLEAN: _boolean,
    XdmType.DATE: _date,
    XdmType.DATE_TIME: _date_time,
    XdmType.ARRAY: _array,
    XdmType.OBJECT: _object,
    XdmType.MAP: _map,
}
