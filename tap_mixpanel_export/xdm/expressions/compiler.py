"""From tree to closures.

Every name and count is checked first: no event finds a mistake of the writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.errors import EvaluationError, ExpressionError, ValueRefusedError
from tap_mixpanel_export.xdm.expressions import operators
from tap_mixpanel_export.xdm.expressions.bounds import check_json
from tap_mixpanel_export.xdm.expressions.functions import check_call
from tap_mixpanel_export.xdm.expressions.parser import parse_expression
from tap_mixpanel_export.xdm.expressions.paths import split_path, without_root
from tap_mixpanel_export.xdm.expressions.tree import (
    Array,
    Attribute,
    Binary,
    Call,
    Literal,
    Node,
    Unary,
)
from tap_mixpanel_export.xdm.expressions.values import json_value, truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.xdm.expressions.functions import Function, Lookup

    Evaluator = Callable[[Lookup], object]

# What a value can make these raise; anything else is a mistake of this program, and shows itself.
_REFUSALS = (ValueError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Expression:
    """A compiled expression. May be evaluated by several threads at once.

    Attributes:
        text: The expression as it was written.
    """

    text: str
    _evaluator: Callable[[Lookup], object]

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
    """Read, check and compile an expression.

    Args:
        text: The expression, as in the `source` of an `EXPRESSION` mapping.

    Returns:
        The expression, ready to be evaluated.

    Raises:
        ExpressionError: If the text is no expression, or names an unknown or non-idempotent
            function, or gives a function the wrong number of arguments, or a format, pattern or
            component that it does not know.
    """
    return Expression(text, _compile(parse_expression(text)))


def _explained(name: str, at: int, error: Exception) -> EvaluationError:
    if isinstance(error, EvaluationError):
        return error
    # Python's own messages may quote the value.
    reason = str(error) if isinstance(error, ValueRefusedError) else "cannot take this value"
    return EvaluationError(f"{name}: {reason}", at)


def _compile(node: Node) -> Evaluator:
    if isinstance(node, Literal):
        value = node.value
        return lambda _lookup: value
    if isinstance(node, Attribute):
        path = node.path
        return lambda lookup: lookup(path)
    if isinstance(node, Array):
        items = list(map(_compile, node.items))
        return lambda lookup: [json_value(item(lookup)) for item in items]
    if isinstance(node, Unary):
        return _unary(node, _compile(node.operand))
    if isinstance(node, Binary):
        left, right = _compile(node.left), _compile(node.right)
        return (
            _logical(node, left, right)
            if node.operator in {"&&", "||"}
            else _binary(node, left, right)
        )
    function = check_call(node)
    operands = node.operands
    if function.takes_path:
        operands = tuple(map(_as_attribute, operands))
    return _call(function, [_compile(operand) for operand in operands], node)


def _as_attribute(operand: Node) -> Node:
    if not isinstance(operand, Literal) or not isinstance(operand.value, str):
        return operand
    try:
        return Attribute(without_root(split_path(operand.value)), operand.at)
    except ValueError as error:
        raise ExpressionError(str(error), operand.at) from None


def _unary(node: Unary, operand: Evaluator) -> Evaluator:
    sign, at = node.operator, node.at

    def evaluate(lookup: Lookup) -> object:
        try:
            value = operand(lookup)
            return operators.negative(value) if sign == "-" else not truth(value)
        except _REFUSALS as error:
            raise _explained(sign, at, error) from None

    return evaluate


def _binary(node: Binary, left: Evaluator, right: Evaluator) -> Evaluator:
    sign, at, operation = node.operator, node.at, operators.BINARY[node.operator]

    def evaluate(lookup: Lookup) -> object:
        try:
            return operation(left(lookup), right(lookup))
        except _REFUSALS as error:
            raise _explained(sign, at, error) from None

    return evaluate


def _logical(node: Binary, left: Evaluator, right: Evaluator) -> Evaluator:
    sign, at, decided = node.operator, node.at, node.operator == "||"

    def evaluate(lookup: Lookup) -> object:
        try:
            return decided if truth(left(lookup)) is decided else truth(right(lookup))
        except _REFUSALS as error:
            raise _explained(sign, at, error) from None

    return evaluate


def _call(function: Function, arguments: list[Evaluator], node: Call) -> Evaluator:
    name, at, implementation = function.name, node.at, function.implementation

    def evaluate_lazily(lookup: Lookup) -> object:
        try:
            return implementation(lookup, *arguments)
        except _REFUSALS as error:
            raise _explained(name, at, error) from None

    def evaluate(lookup: Lookup) -> object:
        values = []
        for argument in arguments:
            value = argument(lookup)
            if value is None and not takes_null:
                return None
            values.append(value)
        try:
            return implementation(*values)
        except _REFUSALS as error:
            raise _explained(name, at, error) from None

    takes_null = function.takes_null
    return evaluate_lazily if function.lazy else evaluate
