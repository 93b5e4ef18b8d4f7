"""What the operators compute.

They are those of Apache Commons JEXL. Where JEXL can be set either way (null operands, `+` of text
and number), the side is taken that invents no value: arithmetic with null is null, `+` joins as
soon as one side is text, and a comparison by order with null is false.
"""

from __future__ import annotations

import math
from operator import ge, gt, le, lt, mul, sub
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.errors import ValueRefusedError
from tap_mixpanel_export.xdm.expressions.bounds import check_characters, finite
from tap_mixpanel_export.xdm.expressions.values import alike, number, ordered, text, truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _add(left: object, right: object) -> object:
    if left is None or right is None:
        return None
    if isinstance(left, str) or isinstance(right, str):
        start, end = text(left), text(right)
        check_characters(len(start) + len(end))
        return start + end
    return finite(number(left) + number(right))


def _arithmetic(operation: Callable[[Any, Any], Any]) -> Callable[[object, object], object]:
    def calculate(left: object, right: object) -> object:
        if left is None or right is None:
            return None
        return finite(operation(number(left), number(right)))

    return calculate


def _divide(dividend: float, divisor: float) -> float:
    if not divisor:
        raise ValueRefusedError("cannot divide by zero")
    if isinstance(dividend, int) and isinstance(divisor, int):
        # JEXL divides whole numbers as Java does: towards zero, where Python goes down.
        quotient = abs(dividend) // abs(divisor)
        return quotient if (dividend < 0) == (divisor < 0) else -quotient
    return dividend / divisor


def _remainder(dividend: float, divisor: float) -> float:
    if not divisor:
        raise ValueRefusedError("cannot divide by zero")
    if isinstance(dividend, int) and isinstance(divisor, int):
        # The sign is the dividend's, as in Java.
        remainder = abs(dividend) % abs(divisor)
        return -remainder if dividend < 0 else remainder
    return math.fmod(dividend, divisor)


def _comparison(operation: Callable[[Any, Any], bool]) -> Callable[[object, object], object]:
    def compare(left: object, right: object) -> object:
        if left is None or right is None:
            return False
        return operation(*ordered(left, right))

    return compare


def _negative(value: object) -> object:
    return None if value is None else -number(value)


LAZY: dict[str, Callable[..., object]] = {
    "&&": lambda lookup, left, right: truth(left(lookup)) and truth(right(lookup)),
    "||": lambda lookup, left, right: truth(left(lookup)) or truth(right(lookup)),
    "-": lambda lookup, operand: _negative(operand(lookup)),
    "!": lambda lookup, operand: not truth(operand(lookup)),
}
"""The operators that may not need their second operand, and those that have one only."""

BINARY: dict[str, Callable[[object, object], object]] = {
    "+": _add,
    "-": _arithmetic(sub),
    "*": _arithmetic(mul),
    "/": _arithmetic(_divide),
    "%": _arithmetic(_remainder),
    "==": alike,
    "!=": lambda left, right: not alike(left, right),
    "<": _comparison(lt),
    "<=": _comparison(le),
    ">": _comparison(gt),
    ">=": _comparison(ge),
}
