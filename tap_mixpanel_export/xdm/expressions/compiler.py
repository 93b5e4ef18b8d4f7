"""From tree to closures.

Every name and count is checked first: no event finds a mistake of the writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.errors import EvaluationError, ExpressionError, ValueRefusedError
from tap_mixpanel_export.xdm.expressions.bounds import check_json
from tap_mixpanel_export.xdm.expressions.functions import check_call
from tap_mixpanel_export.xdm.expressions.operators import BINARY, LAZY
from tap_mixpanel_export.xdm.expressions.parser import parse_expression
from tap_mixpanel_export.xdm.expressions.paths import split_path, without_root
from tap_mixpanel_export.xdm.expressions.tree import (
    Array,
    Attribute,
    Binary,
    Call,
    Literal,
    Node,
)
from tap_mixpanel_export.xdm.expressions.values import json_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.xdm.expressions.functions.registry import Evaluator, Function, Lookup

# What a value can make these raise; anything else is a mistake of this program, and shows itself.
_REFUSALS = (ValueError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Expression:
    """A compiled expression. May be evaluated by several threads at once.

    Attributes:
        text: The expression as it was written.
    """

    text: str
    _evaluator: Evaluator

    def evaluate(self, lookup: Lookup) -> object:
        """Compute the value for one event.

        Args:
            lookup: Gives the decoded JSON value of an attribute path, None when the event has none.

        Returns:
            The value, as decoded JSON; dates as ISO 8601 text.

        Raises:
            EvaluationError: If a function or operator cannot take a value; its message holds none.
        """
        value = json_value(self._evaluator(lookup))
        try:
            check_json(value)
        except ValueRefusedError as error:
            raise EvaluationError(f"the result: {error}", 0) from None
        return value


def compile_expression(text: str) -> Expression:
    """Read, check and compile an expression, as it is in the `source` of an `EXPRESSION` mapping.

    Raises:
        ExpressionError: If the text is no expression, or names an unknown or non-idempotent
            function, or gives a function the wrong number of arguments, or a format, pattern or
            component that it does not know.
    """
    return Expression(text, _compile(parse_expression(text)))


def _compile(node: Node) -> Evaluator:
    if isinstance(node, Literal):
        value = node.value
        return lambda _lookup: value
    if isinstance(node, Attribute):
        path = node.path
        return lambda lookup: lookup(path)
    if isinstance(node, Call):
        return _call(node)
    operands = list(map(_compile, node.children))
    if isinstance(node, Array):
        return lambda lookup: [json_value(item(lookup)) for item in operands]
    if isinstance(node, Binary) and node.operator in BINARY:
        return _binary(node, *operands)
    return _lazy(node.operator, node.at, LAZY[node.operator], operands)


def _call(node: Call) -> Evaluator:
    function = check_call(node)
    operands = node.children
    if function.takes_path:
        operands = tuple(map(_as_attribute, operands))
    arguments = list(map(_compile, operands))
    if function.lazy:
        return _lazy(function.name, node.at, function.implementation, arguments)
    return _eager(function, node.at, arguments)


def _as_attribute(operand: Node) -> Node:
    if not isinstance(operand, Literal) or not isinstance(operand.value, str):
        return operand
    try:
        return Attribute(without_root(split_path(operand.value)), at=operand.at)
    except ValueError as error:
        raise ExpressionError(str(error), operand.at) from None


def _binary(node: Binary, left: Evaluator, right: Evaluator) -> Evaluator:
    sign, at, operation = node.operator, node.at, BINARY[node.operator]

    def evaluate(lookup: Lookup) -> object:
        try:
            return operation(left(lookup), right(lookup))
        except _REFUSALS as error:
            raise _explained(sign, at, error) from None

    return evaluate


def _lazy(
    name: str, at: int, compute: Callable[..., object], operands: list[Evaluator]
) -> Evaluator:
    """Return what computes from operands that are evaluated when they are needed."""

    def evaluate(lookup: Lookup) -> object:
        try:
            return compute(lookup, *operands)
        except _REFUSALS as error:
            raise _explained(name, at, error) from None

    return evaluate


def _eager(function: Function, at: int, operands: list[Evaluator]) -> Evaluator:
    name, implementation, takes_null = function.name, function.implementation, function.takes_null

    def evaluate(lookup: Lookup) -> object:
        values = []
        for operand in operands:
            value = operand(lookup)
            if value is None and not takes_null:
                return None
            values.append(value)
        try:
            return implementation(*values)
        except _REFUSALS as error:
            raise _explained(name, at, error) from None

    return evaluate


def _explained(name: str, at: int, error: Exception) -> EvaluationError:
    if isinstance(error, EvaluationError):
        return error
    # Python's own messages may quote the value.
    reason = str(error) if isinstance(error, ValueRefusedError) else "cannot take this value"
    return EvaluationError(f"{name}: {reason}", at)
