"""From tree to text, one spelling for each meaning: what the parser is tested with."""

from __future__ import annotations

import re

from tap_mixpanel_export.xdm.expressions.paths import print_path
from tap_mixpanel_export.xdm.expressions.tree import (
    Array,
    Attribute,
    Binary,
    Call,
    Literal,
    Node,
    Unary,
)

_LEVELS = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_UNARY_LEVEL = 7
_OPERAND_LEVEL = 8
# A comparison takes no comparison of its level as an operand, on either side.
_COMPARISONS = frozenset({3, 4})

_TO_ESCAPE = re.compile(r'["\\\x00-\x1f\x7f\ud800-\udfff]')
_CONSTANTS = {True: "true", False: "false", None: "null"}


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return f"\\{character}" if character in '"\\' else f"\\u{ord(character):04x}"


def _literal(value: str | float | None) -> str:
    if isinstance(value, str):
        return f'"{_TO_ESCAPE.sub(_escape, value)}"'
    return _CONSTANTS[value] if value is None or isinstance(value, bool) else repr(value)


def _level(node: Node) -> int:
    if isinstance(node, Binary):
        return _LEVELS[node.operator]
    return _UNARY_LEVEL if isinstance(node, Unary) else _OPERAND_LEVEL


def _at_least(level: int, node: Node) -> str:
    text = print_expression(node)
    return text if _level(node) >= level else f"({text})"


def _arguments(nodes: tuple[Node, ...]) -> str:
    return ", ".join(map(print_expression, nodes))


def _unary(node: Unary) -> str:
    # Not `--a`, which other readers of the language take for a decrement.
    doubled = node.operator == "-" and isinstance(node.operand, Unary)
    return node.operator + _at_least(_OPERAND_LEVEL if doubled else _UNARY_LEVEL, node.operand)


def _binary(node: Binary) -> str:
    level = _LEVELS[node.operator]
    left = _at_least(level + 1 if level in _COMPARISONS else level, node.left)
    return f"{left} {node.operator} {_at_least(level + 1, node.right)}"


def _call(node: Call) -> str:
    call = f"{node.name}({_arguments(node.arguments)})"
    if node.receiver is None:
        return call
    return f"{_at_least(_OPERAND_LEVEL, node.receiver)}.{call}"


def print_expression(node: Node) -> str:
    """Return the text of a tree; `parse_expression` gives the same tree for it.

    Signs stand for word forms, double quotes for single ones, and parentheses only where the
    meaning needs them.
    """
    if isinstance(node, Literal):
        return _literal(node.value)
    if isinstance(node, Attribute):
        return print_path(node.path)
    if isinstance(node, Array):
        return f"[{_arguments(node.items)}]"
    if isinstance(node, Unary):
        return _unary(node)
    return _binary(node) if isinstance(node, Binary) else _call(node)
