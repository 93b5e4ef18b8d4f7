"""From the parser's reductions to the tree. Imported with lark, at the first expression."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lark import Token, Transformer, v_args

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


def _place(token: Token) -> int:
    # Only tokens that no lexer has made have none.
    return token.start_pos or 0


def _bounded(node: Node) -> Node:
    if node.depth > MAX_DEPTH:
        raise ExpressionError(
            f"the expression is nested too deeply: {MAX_DEPTH} levels at most", node.at
        )
    return node


def _attribute(path: _Path) -> Attribute:
    names, at = path
    return Attribute(without_root(names), at=at)


@v_args(inline=True)
class TreeBuilder(Transformer[Token, Any]):
    """One method per rule of `grammar.lark`, called while the text is read.

    Raises:
        ExpressionError: From its methods, for what the grammar cannot say: reserved words, depth.
    """

    def binary(self, left: Node, sign: Token, right: Node) -> Node:
        """Build an operation of two operands."""
        return _bounded(Binary(_SIGNS.get(sign, str(sign)), left, right, at=_place(sign)))

    def unary_operation(self, sign: Token, operand: Node) -> Node:
        """Build an operation of one operand."""
        return _bounded(Unary(_SIGNS.get(sign, str(sign)), operand, at=_place(sign)))

    def text(self, token: Token) -> Node:
        """Build a text literal."""
        # \ud83d\ude00 is one character written as two.
        text = joined_surrogates(_ESCAPE.sub(_unescaped, token[1:-1]))
        if has_surrogates(text):
            raise ExpressionError(
                "the text holds half a character (an escape from \\ud800 to \\udfff alone)",
                token.start_pos,
            )
        return Literal(text, at=_place(token))

    def number(self, token: Token) -> Node:
        """Build a number literal: whole unless it has a fraction or an exponent."""
        value = number_of_text(str(token))
        if value is None:
            raise ExpressionError("the number is too large", token.start_pos)
        return Literal(value, at=_place(token))

    def constant(self, token: Token) -> Node:
        """Build `true`, `false` or `null`."""
        return Literal(_CONSTANTS[token], at=_place(token))

    def array(self, bracket: Token, items: tuple[Node, ...]) -> Node:
        """Build a list."""
        return _bounded(Array(items, at=_place(bracket)))

    def call(self, name: Token, arguments: tuple[Node, ...]) -> Node:
        """Build a function call."""
        return _bounded(Call(str(name), arguments, at=_place(name)))

    def method(self, receiver: Node | _Path, name: Token, arguments: tuple[Node, ...]) -> Node:
        """Build a method call."""
        value = _attribute(receiver) if isinstance(receiver, tuple) else receiver
        return _bounded(Call(str(name), arguments, value, at=_place(name)))

    def attribute(self, path: _Path) -> Node:
        """Build the value of an attribute."""
        return _attribute(path)

    def path(self, *parts: _Path) -> _Path:
        """Join the names of a path."""
        return sum((names for names, _ in parts), ()), parts[0][1]

    def segment(self, token: Token) -> _Path:
        """Read one name of a path, or several in `${…}`."""
        at = _place(token)
        if token.type == "NAME":
            if token in RESERVED_WORDS:
                raise ExpressionError(
                    f"'{token}' is a reserved word; as a field name write ${{{token}}}", at
                )
            return (unescape(token),), at
        try:
            return split_path(token[2:-1]), at
        except ValueError as error:
            raise ExpressionError(str(error), at) from None

    def arguments(self, *nodes: Node | None) -> tuple[Node, ...]:
        """Collect arguments."""
        # Lark fills an optional part that is missing with None.
        return tuple(node for node in nodes if node is not None)
