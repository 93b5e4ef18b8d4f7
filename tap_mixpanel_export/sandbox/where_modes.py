"""Other readings of `where` than documented, for expressions on the processing stamp.

Nobody outside can ask the real service how it reads such an expression. These are the ways in which
it could be otherwise than its documentation says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from zlib import crc32

from tap_mixpanel_export.sandbox.http import ApiError
from tap_mixpanel_export.sandbox.where import Dialect, compile_where

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_mixpanel_export.sandbox.where import Predicate

STAMP = "mp_processing_time_ms"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_]+|[^A-Za-z_"]')
_MOST_31_BITS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class WhereMode:
    """A reading of expressions on the stamp.

    Attributes:
        description: What the server does.
        read: Gives the test of an event, from an expression and the number, from 0, of expressions
            on the stamp before it. It may raise `ApiError`.
        leaves_out: Whether exports may lack events that were asked for.
    """

    description: str
    read: Callable[[str, int], Predicate]
    leaves_out: bool = False


def read_where(expression: str, mode: str, turn: int) -> Predicate:
    """Compile an expression as a mode reads it.

    Args:
        expression: The expression.
        mode: A key of `WHERE_MODES`; only expressions on the stamp are read by it.
        turn: Number of expressions on the stamp before this one.

    Raises:
        WhereError: The expression is outside the grammar.
        ApiError: The mode refuses it.
    """
    # Whatever the mode, what is no expression is refused as such.
    documented = compile_where(expression)
    return WHERE_MODES[mode].read(expression, turn) if STAMP in expression else documented


def _documented(expression: str, _turn: int) -> Predicate:
    return compile_where(expression)


def _in(dialect: Dialect) -> Callable[[str, int], Predicate]:
    return lambda expression, _turn: compile_where(expression, dialect)


def _constant(*, passes: bool) -> Callable[[str, int], Predicate]:
    return lambda _expression, _turn: lambda _properties: passes


def _raising(status: int, text: str, word: str = "") -> Callable[[str, int], Predicate]:
    def read(expression: str, _turn: int) -> Predicate:
        if word in expression:
            raise ApiError(status, text)
        return compile_where(expression)

    return read


def _in_turn(
    *readings: Callable[[str, int], Predicate],
) -> Callable[[str, int], Predicate]:
    return lambda expression, turn: readings[turn % len(readings)](expression, turn)


def _half(expression: str, _turn: int) -> Predicate:
    passes = compile_where(expression)

    def passes_and_is_even(properties: Mapping[str, Any]) -> bool:
        identity = f"{properties.get('$insert_id')}{properties.get('time')}"
        return passes(properties) and crc32(identity.encode(errors="replace")) % 2 == 0

    return passes_and_is_even


def _wide_not(expression: str, _turn: int) -> Predicate:
    """Let each `not` reach to the end of its parentheses."""
    pieces: list[str] = []
    open_nots = [0]
    for word in _TOKEN.findall(expression):
        if word == "(":
            open_nots.append(0)
        elif word == ")":
            word = ")" * open_nots.pop() + ")"  # noqa: PLW2901 - the text to go out
        elif word == "not":
            open_nots[-1] += 1
            word = "not ("  # noqa: PLW2901 - the text to go out
        pieces.append(word)
    return compile_where("".join(pieces) + ")" * open_nots.pop())


def _widest_not(expression: str, _turn: int) -> Predicate:
    """Let a `not` reach over all of its parentheses, to both sides."""
    levels: list[tuple[list[str], bool]] = [([], False)]
    for word in _TOKEN.findall(expression):
        pieces, negated = levels[-1]
        if word == "(":
            levels.append(([], False))
        elif word == ")":
            levels.pop()
            levels[-1][0].append(f"({_negated(pieces, negated=negated)})")
        elif word == "not":
            levels[-1] = (pieces, True)
        else:
            pieces.append(word)
    pieces, negated = levels.pop()
    return compile_where(_negated(pieces, negated=negated))


def _negated(pieces: list[str], *, negated: bool) -> str:
    inner = "".join(pieces)
    return f"not ({inner})" if negated else inner


_REFUSED = (HTTPStatus.BAD_REQUEST, "Invalid where expression")
_FAILING = (HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error")

WHERE_MODES = {
    "documented": WhereMode("reads it as documented", _documented),
    "ignored": WhereMode("takes every comparison with it for true", _in(Dialect(stamp_tests=True))),
    "all_ignored": WhereMode("ignores the whole `where`", _constant(passes=True)),
    "nothing": WhereMode("exports nothing", _constant(passes=False), leaves_out=True),
    "half": WhereMode("leaves out about half of what passes", _half, leaves_out=True),
    "31_bits": WhereMode(
        "compares the low 31 bits of numbers", _in(Dialect(bits=31)), leaves_out=True
    ),
    "31_bits_most": WhereMode(
        "takes numbers beyond 31 bits for the largest of them",
        _in(Dialect(most=_MOST_31_BITS)),
        leaves_out=True,
    ),
    "single_precision": WhereMode(
        "compares numbers as 32-bit floating point: equal within two minutes",
        _in(Dialect(single=True)),
        leaves_out=True,
    ),
    "defined": WhereMode(
        "takes every property for set", _in(Dialect(defined=True)), leaves_out=True
    ),
    "undefined": WhereMode("takes every property for not set", _in(Dialect(defined=False))),
    "wide_not": WhereMode(
        "lets `not` reach to the end of its parentheses", _wide_not, leaves_out=True
    ),
    "widest_not": WhereMode(
        "lets `not` reach over all of its parentheses", _widest_not, leaves_out=True
    ),
    "no_number": WhereMode(
        "takes what `number()` gives for undefined",
        _in(Dialect(knows_number=False)),
        leaves_out=True,
    ),
    "number_refused": WhereMode(
        "400 where `number()` is used",
        _raising(HTTPStatus.BAD_REQUEST, "Unknown function", "number"),
    ),
    "refused": WhereMode("400", _raising(*_REFUSED)),
    "failing": WhereMode("500", _raising(*_FAILING)),
    "ignored_by_turns": WhereMode(
        "ignores it in every second query", _in_turn(_documented, _constant(passes=True))
    ),
    "nothing_by_turns": WhereMode(
        "exports nothing in every second query",
        _in_turn(_documented, _constant(passes=False)),
        leaves_out=True,
    ),
    "refused_by_turns": WhereMode(
        "400 to every second query", _in_turn(_documented, _raising(*_REFUSED))
    ),
    "failing_by_turns": WhereMode(
        "500 to every second query", _in_turn(_documented, _raising(*_FAILING))
    ),
}
"""Every reading of an expression on the processing stamp."""
