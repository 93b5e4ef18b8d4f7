"""What values are to functions and operators: their kinds, and the conversions between them.

Values are those of decoded JSON, and `datetime` for what date functions pass to each other.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import cast

from tap_mixpanel_export.xdm.booleans import boolean_of_word
from tap_mixpanel_export.xdm.dates.instants import instant, iso_text
from tap_mixpanel_export.xdm.errors import ValueRefusedError
from tap_mixpanel_export.xdm.expressions.bounds import (
    MAX_DIGITS,
    check_characters,
    check_json,
    finite,
)

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def kind(value: object) -> str:
    """Return what a value is, in words for a message that must not hold the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    kinds = {str: "text", list: "a list", dict: "an object", datetime: "a date"}
    return kinds.get(type(value), "a value of another kind")


def is_number(value: object) -> bool:
    """Tell numbers from everything else; a boolean is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def text(value: object) -> str:
    """Return text as it is, numbers and booleans as in JSON, dates in ISO 8601.

    Raises:
        ValueRefusedError: For null, lists and objects.
    """
    if isinstance(value, str):
        check_characters(len(value))
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value):
        return repr(finite(cast("float", value)))
    if isinstance(value, datetime):
        return iso_text(value)
    raise ValueRefusedError(f"takes text, not {kind(value)}")


def any_text(value: object) -> str:
    """Return `text` of a value; lists and objects as their JSON text."""
    if isinstance(value, (list, dict)):
        check_json(value)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text(value)


def number_of_text(value: str) -> int | float | None:
    """Return the number that a text spells, or None: also for one that is too large."""
    trimmed = value.strip()
    if _WHOLE_NUMBER.fullmatch(trimmed):
        return int(trimmed) if len(trimmed) <= MAX_DIGITS else None
    result = float(trimmed) if _NUMBER.fullmatch(trimmed) else math.inf
    return result if math.isfinite(result) else None


def number(value: object) -> int | float:
    """Return a number as it is, and text that spells one as that number.

    Raises:
        ValueRefusedError: For everything else.
    """
    if is_number(value):
        return finite(cast("float", value))
    result = number_of_text(value) if isinstance(value, str) else None
    if result is None:
        what = "other text" if isinstance(value, str) else kind(value)
        raise ValueRefusedError(f"takes a number, not {what}")
    return result


def whole(value: object) -> int:
    """Return a number without a fraction.

    Raises:
        ValueRefusedError: If there is one, or for what is no number.
    """
    result = number(value)
    if result != result // 1:
        raise ValueRefusedError("takes a whole number, not a fraction")
    return int(result)


def truth(value: object) -> bool:
    """Return what a value is as a condition.

    Null is false and so is zero, as in JEXL; text is what Adobe's lists say (y, yes, on, true; n,
    no, off, false).

    Raises:
        ValueRefusedError: For other text, lists, objects and dates.
    """
    if isinstance(value, (bool, int, float)):
        return bool(value)
    if value is None:
        return False
    word = boolean_of_word(value) if isinstance(value, str) else None
    if word is not None:
        return word
    what = "other text" if isinstance(value, str) else kind(value)
    raise ValueRefusedError(f"takes true or false, not {what}")


def same(left: object, right: object) -> bool:
    """Tell whether two values are equal without any conversion; 1 and 1.0 are."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def alike(left: object, right: object) -> bool:
    """Tell whether two values are equal as the operator `==` sees it.

    As in JEXL, text that spells a number equals that number, and `"true"` equals true; null equals
    null only.
    """
    if isinstance(left, str) and not isinstance(right, str):
        left, right = right, left
    if isinstance(right, str) and not isinstance(left, str):
        if isinstance(left, bool):
            return right == text(left)
        if isinstance(left, (int, float)):
            return left == number_of_text(right)
        return isinstance(left, datetime) and iso_text(left) == right
    return same(left, right)


def ordered(left: object, right: object) -> tuple[object, object]:
    """Return two values in a form in which Python's order is the natural one.

    Two texts are compared character by character, two dates in time; a number with text that
    spells a number.

    Raises:
        ValueRefusedError: For values that have no order.
    """
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    if isinstance(left, datetime) or isinstance(right, datetime):
        return instant(left), instant(right)
    if is_number(left) or is_number(right):
        return number(left), number(right)
    raise ValueRefusedError(f"cannot put {kind(left)} and {kind(right)} in order")


def json_value(value: object) -> object:
    """Return a date as text and everything else as it is: what may go into lists, and out."""
    return iso_text(value) if isinstance(value, datetime) else value
