"""Functions that choose (Data Prep functions, sections Logical operators and Arrays).

Only what is chosen is evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.expressions.functions.registry import function
from tap_mixpanel_export.xdm.expressions.values import alike, truth

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.expressions.functions.registry import Evaluator, Lookup


@function("iif", lazy=True)
def iif(
    lookup: Lookup, expression: Evaluator, true_value: Evaluator, false_value: Evaluator
) -> object:
    """Return one value or the other; a condition that is null chooses the second."""
    return (true_value if truth(expression(lookup)) else false_value)(lookup)


@function("decode", lazy=True)
def decode(
    lookup: Lookup, key: Evaluator, option: Evaluator, value: Evaluator, *options: Evaluator
) -> object:
    """Return the value that follows the key among the options, else the default, else null.

    The default is the last option of an odd number. Keys are compared as `==` does, so that a
    number finds the text that spells it.
    """
    pairs = (option, value, *options)
    searched = key(lookup)
    for position in range(0, len(pairs) - 1, 2):
        if alike(searched, pairs[position](lookup)):
            return pairs[position + 1](lookup)
    return pairs[-1](lookup) if len(pairs) % 2 else None


@function("coalesce", lazy=True)
def coalesce(lookup: Lookup, value: Evaluator, *more: Evaluator) -> object:
    """Return the first value that is not null, of the arguments or of the one list given."""
    first = value(lookup)
    if not more and isinstance(first, list):
        return next((item for item in first if item is not None), None)
    if first is not None:
        return first
    results = (option(lookup) for option in more)
    return next((result for result in results if result is not None), None)
