"""Bounds for the expressions of the SDK's stream maps.

Their language bounds texts and lists that `+`, `*` and comprehensions make, but not widths in
formats (`f"{plan:>{size}}"`), methods such as `ljust`, and whole numbers of millions of digits
(`number ** number`): with such an expression an event decides how much memory and time a run needs.
What goes beyond is refused like any other expression that fails.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import simpleeval

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CHARACTERS = simpleeval.MAX_STRING_LENGTH
"""Of a text that an expression makes: what the language itself allows elsewhere."""

# Digits enough for any number that an event can have; more than 4,300 Python cannot print.
_MAX_BITS = 14_000
_NUMBER = re.compile(r"\d+")
# Their whole numbers say how long the result gets.
_WIDTHS = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs", "to_bytes"})


def bound_expressions(evaluator: simpleeval.SimpleEval) -> None:
    """Bound what an evaluator of expressions makes, by changing it in place."""
    operators, nodes = evaluator.operators, evaluator.nodes
    operators[ast.Pow] = _bounded_power
    operators[ast.Mult] = _bounded_product(operators[ast.Mult])
    operators[ast.Mod] = _bounded_remainder(operators[ast.Mod])
    formatted, attribute = nodes[ast.FormattedValue], nodes[ast.Attribute]

    def format_value(node: ast.FormattedValue) -> Any:
        if node.format_spec is not None:
            _check_format(str(nodes[ast.JoinedStr](node.format_spec)))
        return formatted(node)

    def attribute_of(node: ast.Attribute) -> Any:
        found = attribute(node)
        # Modules have their functions, texts and numbers their methods.
        owner = getattr(found, "__self__", None)
        return _bounded_method(found, owner) if isinstance(owner, (str, bytes, int)) else found

    nodes[ast.FormattedValue] = format_value
    nodes[ast.Attribute] = attribute_of


def _check_characters(count: int) -> None:
    if count > MAX_CHARACTERS:
        raise simpleeval.IterableTooLong(f"a text of more than {MAX_CHARACTERS} characters")


def _check_bits(count: int) -> None:
    if count > _MAX_BITS:
        raise simpleeval.NumberTooHigh(f"a number of more than {_MAX_BITS} bits")


def _check_format(text: str) -> None:
    for number in _NUMBER.findall(text):
        # Compared by length first: the number may have a million digits itself.
        _check_characters(MAX_CHARACTERS + 1 if len(number) > len("999999") else int(number))


def _bounded_power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        _check_bits(base.bit_length() * exponent)
    return simpleeval.safe_power(base, exponent)


def _bounded_product(product: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def multiply(left: Any, right: Any) -> Any:
        if isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() + right.bit_length())
        return product(left, right)

    return multiply


def _bounded_remainder(remainder: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def divide(left: Any, right: Any) -> Any:
        if isinstance(left, (str, bytes)):
            pattern = left if isinstance(left, str) else left.decode("latin-1")
            _check_format(pattern)
            if "*" in pattern:
                raise simpleeval.FeatureNotAvailable("a width that a format takes from its values")
        return remainder(left, right)

    return divide


def _bounded_method(method: Callable[..., Any], owner: Any) -> Callable[..., Any]:
    name = getattr(method, "__name__", "")

    def call(*arguments: Any, **named: Any) -> Any:
        values = [*arguments, *named.values()]
        if name in _WIDTHS:
            times = len(owner) if name == "expandtabs" else 1
            _check_characters(max((v for v in values if isinstance(v, int)), default=0) * times)
        elif name == "replace" and len(values) > 1:
            _check_characters(len(owner) + owner.count(values[0]) * len(values[1]))
        elif name == "join" and values:
            parts = list(values[0])
            _check_characters(sum(map(len, parts)) + len(owner) * len(parts))
            return method(parts)
        elif name == "translate" and values and isinstance(values[0], dict):
            longest = max((len(v) for v in values[0].values() if isinstance(v, str)), default=1)
            _check_characters(len(owner) * longest)
        return method(*arguments, **named)

    return call
