"""Functions of types (Data Prep functions, section Type conversions). Null stays null.

Whole numbers are not cut to Java's 32 or 64 bits: the type of the destination bounds them.
"""

from __future__ import annotations

from tap_mixpanel_export.xdm.errors import ValueRefusedError
from tap_mixpanel_export.xdm.expressions.functions.registry import function
from tap_mixpanel_export.xdm.expressions.values import any_text, number, truth


@function("to_integer", "to_bigint", "to_long", method=True)
def to_integer(value: object) -> int:
    """Return a whole number: a number without its fraction, or the whole one that text spells."""
    if isinstance(value, bool):
        return int(value)
    result = number(value)
    if isinstance(value, str) and not isinstance(result, int):
        raise ValueRefusedError("takes text of digits only; to_float() takes a fraction")
    return int(result)


@function("to_float", "to_decimal", "to_double", method=True)
def to_float(value: object) -> float:
    """Return a floating point number.

    Of 64 bits: with 32 the documentation's example gives 12.34566 for "12.3456".
    """
    return float(value if isinstance(value, bool) else number(value))


@function("to_bool", method=True)
def to_bool(value: object) -> bool:
    """Return a boolean: of text by Adobe's lists, of a number whether it is not zero."""
    return truth(value)


@function("to_string", method=True)
def to_string(value: object) -> str:
    """Return the text: of lists and objects their JSON, of dates ISO 8601."""
    return any_text(value)
