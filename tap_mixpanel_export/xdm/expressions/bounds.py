"""How large values of expressions get.

Customers' texts decide what functions are given, and functions decide what they make of it: a
replacement inside of a replacement makes gigabytes of a hundred characters. Beyond these bounds a
value is refused, before it is made.
"""

from __future__ import annotations

from math import isfinite

from tap_mixpanel_export.xdm.errors import ValueRefusedError

MAX_CHARACTERS = 1 << 20
"""Of a text: Mixpanel takes no event of more than 1 MB."""

MAX_ITEMS = 10_000
"""Of a list that an expression makes: Mixpanel's own lists have 255."""

MAX_DIGITS = 1000
"""Of a whole number; a floating point number has 309."""

_MAX_INTEGER = 10**MAX_DIGITS


def check_characters(count: int) -> None:
    """Refuse a text of so many characters if that is too many.

    Raises:
        ValueRefusedError: If it is.
    """
    if count > MAX_CHARACTERS:
        raise ValueRefusedError(f"takes and gives no text of more than {MAX_CHARACTERS} characters")


def check_items(count: int) -> None:
    """Refuse a list of so many elements if that is too many.

    Raises:
        ValueRefusedError: If it is.
    """
    if count > MAX_ITEMS:
        raise ValueRefusedError(f"gives no list of more than {MAX_ITEMS} elements")


def finite(value: float) -> float:
    """Return a number unless it is none that JSON has, or too large.

    Raises:
        ValueRefusedError: If it is infinite or no number, or has too many digits.
    """
    if isinstance(value, int):
        if not -_MAX_INTEGER < value < _MAX_INTEGER:
            raise ValueRefusedError(f"takes and gives no number of more than {MAX_DIGITS} digits")
    elif not isfinite(value):
        raise ValueRefusedError("takes and gives no number that is too large")
    return value


def check_json(value: object) -> None:
    """Refuse a value whose JSON text would be too long, or none, without making the text.

    One value may stand in a list many times, so that the text is far larger than the value.

    Raises:
        ValueRefusedError: If it would be.
    """
    left = MAX_CHARACTERS
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            left -= len(part)
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            left -= sum(map(len, part))
        elif isinstance(part, (int, float)):
            finite(part)
        left -= 1
        if left < 0:
            check_characters(MAX_CHARACTERS - left)
