"""Functions of numbers.

The documentation lists none: they are those of `java.lang.Math`, with whole numbers as results.
"""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal

from tap_mixpanel_export.xdm.expressions.functions.registry import function
from tap_mixpanel_export.xdm.expressions.values import number

_HALF = Decimal("0.5")


@function("round", method=True)
def round_(value: object) -> int:
    """Return the nearest whole number; of two the greater, as Java: 3 of 2.5, -2 of -2.5."""
    exact = number(value)
    if exact == exact // 1:
        # Of a large one, 28 digits of a decimal would be too few.
        return int(exact)
    # In binary, 0.49999999999999994 + 0.5 is 1.
    return int((Decimal(exact) + _HALF).to_integral_value(ROUND_FLOOR))


@function("ceil", method=True)
def ceil(value: object) -> int:
    """Return the least whole number that is not less."""
    return math.ceil(number(value))


@function("floor", method=True)
def floor(value: object) -> int:
    """Return the greatest whole number that is not greater."""
    return math.floor(number(value))
