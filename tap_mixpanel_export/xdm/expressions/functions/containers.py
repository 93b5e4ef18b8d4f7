"""Functions of lists, objects and attributes (Data Prep functions, sections Hierarchies)."""

from __future__ import annotations

from operator import gt, lt
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.xdm.errors import ValueRefusedError
from tap_mixpanel_export.xdm.expressions.functions.registry import function
from tap_mixpanel_export.xdm.expressions.values import json_value, kind, ordered, truth

if TYPE_CHECKING:
    from collections.abc import Callable


def _options(arguments: tuple[object, ...]) -> list[object]:
    # The documentation calls the parameter an array, and writes single values in its examples.
    if len(arguments) == 1 and isinstance(arguments[0], list):
        return arguments[0]
    return list(arguments)


@function("size", "size_of", method=True, takes_null=True)
def size(value: object) -> int:
    """Return how many characters, elements or keys there are; 0 of null, as JEXL's `size`."""
    if value is None:
        return 0
    if isinstance(value, (str, list, dict)):
        return len(value)
    raise ValueRefusedError(f"takes text, a list or an object, not {kind(value)}")


@function("is_empty", takes_null=True)
@function("isEmpty", method_only=True, takes_null=True)
def is_empty(value: object) -> bool:
    """Tell whether there is nothing: null, or no characters, elements (null is one) or keys."""
    return value is None or (isinstance(value, (str, list, dict)) and not value)


@function("is_set", "contains_key", takes_null=True, takes_path=True)
def is_set(value: object) -> bool:
    """Tell whether the event has an attribute, given as such or as text; null counts as absent."""
    return value is not None


@function("nullify")
def nullify() -> None:
    """Return null, which leaves the destination out."""


@function("first", takes_null=True)
def first(value: object, *more: object) -> object:
    """Return the first element of a list, or the first argument; null of an empty list."""
    options = _options((value, *more))
    return options[0] if options else None


@function("last", takes_null=True)
def last(value: object, *more: object) -> object:
    """Return the last element of a list, or the last argument; null of an empty list."""
    options = _options((value, *more))
    return options[-1] if options else None


@function("to_array", takes_null=True)
def to_array(include_nulls: object, *values: object) -> list[object]:
    """Make a list of the values, with or without those that are null."""
    nulls = truth(include_nulls)
    return [json_value(value) for value in values if value is not None or nulls]


@function("min", takes_null=True)
def minimum(value: object, *more: object) -> object:
    """Return the least of the values in natural order; null ones are passed over."""
    return _extreme(_options((value, *more)), lt)


@function("max", takes_null=True)
def maximum(value: object, *more: object) -> object:
    """Return the greatest of the values in natural order; null ones are passed over."""
    return _extreme(_options((value, *more)), gt)


def _extreme(options: list[object], is_better: Callable[[Any, Any], bool]) -> object:
    best = None
    for option in options:
        if option is not None and (best is None or is_better(*ordered(option, best))):
            best = option
    return best
