"""From the parser's reductions to the tree. Imported with lark, at the first expression."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lark import Token, Transformer

from tap_mixpanel_export.xdm.errors import ExpressionError
from tap_mixpanel_export.xdm.expressions.paths import (
    RESERVED_WORDS,
    split_path,
    unescape,
    without_root,
)
from tap_mixpanel_export.xdm.expressions.tree import (
    MAX_DEPTH,
    Array,
    Attribute,
    Binary,
    Call,
    Literal,
    Unary,
)
from tap_mixpanel_export.xdm.expressions.values import number_of_text
from tap_mixpanel_export.xdm.surrogates import has_surrogates, joined_surrogates

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.expressions.tree import Node

_SIGNS = {
    "or": "||",
    "and": "&&",
    "eq": "==",
    "ne": "!=",
    "le": "<=",
    "lt": "<",
    "ge": ">=",
    "gt": ">",
    "div": "/",
    "mod": "%",
    "not": "!",
}
_CONSTANTS = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    '"': '"',
    "'": "'",
    "\\": "\\",
}
_Path = tuple[tuple[str, ...], int]


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1)
    if len(code) > 1:
        return chr(int(code[1:], 16))
    # As in JEXL, a backslash before any other character stays: regular expressions need it.
    return _ESCAPES.get(code, match.group())


def _bounded(node: Node) -> Node:
    if node.depth > MAX_DEPTH:
        raise ExpressionError(
            f"the expression is nested too deeply: {MAX_DEPTH} levels at most", node.at
        )
    return node


def _attribute(path: _Path) -> Attribute:
    names, at = path
    return Attribute(without_root(names), at)


class TreeBuilder(Transformer[Token, Any]):
    """One method per rule of `grammar.lark`, called while the text is read.

    Raises:
        ExpressionError: From its methods, for what the grammar cannot say: reserved words, depth.
    """

    def binary(self, children: list[Any]) -> Node:
        """Build an operation of two operands."""
        left, sign, right = children
        return _bounded(Binary(_SIGNS.get(sign, str(sign)), left, right, sign.start_pos))

    def unary_operation(self, children: list[Any]) -> Node:
        """Build an operation of one operand."""
        sign, operand = children
        return _bounded(Unary(_SIGNS.get(sign, str(sign)), operand, sign.start_pos))

    def text(self, children: list[Any]) -> Node:
        """Build a text literal."""
        (token,) = children
        # \ud83d\ude00 is one character written as two.
        text = joined_surrogates(_ESCAPE.sub(_unescaped, token[1:-1]))
        if has_surrogates(text):
            raise ExpressionError(
                "the text holds half a character (an escape from \\ud800 to \\udfff alone)",
                token.start_pos,
            )
        return Literal(text, token.start_pos)

    def number(self, children: list[Any]) -> Node:
        """Build a number literal: whole unless it has a fraction or an exponent."""
        (token,) = children
        value = number_of_text(str(token))
        if value is None:
            raise ExpressionError("the number is too large", token.start_pos)
        return Literal(value, token.start_pos)

    def constant(self, children: list[Any]) -> Node:
        """Build `true`, `false` or `null`."""
        (token,) = children
        return Literal(_CONSTANTS[token], token.start_pos)

    def array(self, children: list[Any]) -> Node:
        """Build a list."""
        bracket, items = children
        return _bounded(Array(items, bracket.start_pos))

    def call(self, children: list[Any]) -> Node:
        """Build a function call."""
        name, arguments = children
        return _bounded(Call(str(name), arguments, None, name.start_pos))

    def method(self, children: list[Any]) -> Node:
        """Build a method call."""
        receiver, name, arguments = children
        if isinstance(receiver, tuple):
            receiver = _attribute(receiver)
        return _bounded(Call(str(name), arguments, receiver, name.start_pos))

    def attribute(self, children: list[Any]) -> Node:
        """Build the value of an attribute."""
        return _attribute(children[0])

    def path(self, children: list[Any]) -> _Path:
        """Join the names of a path."""
        if len(children) == 1:
            return children[0]  # type: ignore[no-any-return]
        (names, at), (more, _) = children
        return names + more, at

    def segment(self, children: list[Any]) -> _Path:
        """Read one name of a path, or several in `${…}`."""
        (token,) = children
        if token.type == "NAME":
            if token in RESERVED_WORDS:
                raise ExpressionError(
                    f"'{token}' is a reserved word; as a field name write ${{{token}}}",
                    token.start_pos,
                )
            return (unescape(token),), token.start_pos
        try:
            return split_path(token[2:-1]), token.start_pos
        except ValueError as error:
            raise ExpressionError(str(error), token.start_pos) from None

    def arguments(self, children: list[Any]) -> tuple[Node, ...]:
        """Collect arguments."""
        # Lark fills an optional part that is missing with None.
        return tuple(child for child in children if child is not None)
