"""From text to tree."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tap_mixpanel_export.xdm.errors import ExpressionError
from tap_mixpanel_export.xdm.expressions.paths import RESERVED_WORDS

if TYPE_CHECKING:
    from lark import Lark
    from lark.exceptions import UnexpectedInput

    from tap_mixpanel_export.xdm.expressions.tree import Node

MAX_LENGTH = 4096
"""Longest expression, in characters (Data Prep troubleshooting guide)."""

_CHARACTER_HINTS = {
    '"': "the text that starts here has no closing quote",
    "'": "the text that starts here has no closing quote",
    "=": "'=' assigns nothing here; write == to compare",
    "&": "write && for 'and'",
    "|": "write || for 'or'",
    "{": "the name that starts here has no closing brace",
    "?": "there is no '?' operator here; write iif(CONDITION, VALUE, OTHER_VALUE)",
}


@cache
def _grammar() -> Lark:
    # Imported here: lark takes longer to import than a command takes that needs no expression.
    from lark import Lark  # noqa: PLC0415 - see above

    from tap_mixpanel_export.xdm.expressions.builder import TreeBuilder  # noqa: PLC0415 - the same

    return Lark(
        Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8"),
        parser="lalr",
        # The contextual lexer would read `a orb` as `a or b`.
        lexer="basic",
        transformer=TreeBuilder(),
        maybe_placeholders=True,
    )


def _explained(text: str, error: UnexpectedInput) -> ExpressionError:
    token = getattr(error, "token", None)
    offset: int = getattr(error, "pos_in_stream", None) or 0
    if getattr(token, "type", "") == "$END":
        return ExpressionError("the expression ends too early", len(text.rstrip()))
    if token is None:
        character = text[offset]
        hint = _CHARACTER_HINTS.get(character, f"'{character}' has no meaning here")
        return ExpressionError(hint, offset)
    if token in RESERVED_WORDS and text[:offset].rstrip().endswith("."):
        return ExpressionError(
            f"'{token}' is a reserved word; as a field name write it within ${{…}}", offset
        )
    return ExpressionError(f"'{token}' is not expected here", offset)


def parse_expression(text: str) -> Node:
    """Read an expression; its functions and their arguments `compile_expression` looks at.

    Raises:
        ExpressionError: If the text is no expression, longer than `MAX_LENGTH` or nested deeper
            than `tree.MAX_DEPTH`.
    """
    if not text.strip():
        raise ExpressionError("the expression is empty")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression has {len(text)} characters; {MAX_LENGTH} are allowed"
        )
    grammar = _grammar()
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - loaded by now, see _grammar

    try:
        # With a transformer, what the parser returns is the transformer's result.
        return cast("Node", grammar.parse(text))
    except UnexpectedInput as error:
        raise _explained(text, error) from None
