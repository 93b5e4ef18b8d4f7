"""Mixpanel's segmentation expressions, as far as documented, compiled to a test of one event.

The grammar is strict on purpose. What the real service would take and this page does not know is
refused like a mistake, so that a client can't come to rely on it.
"""

from __future__ import annotations

import json
import operator
import re
import struct
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lark import Lark, Token, Transformer, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import VisitError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_GRAMMAR = r"""
?start: either
?either: both (_OR both)*
?both: negated (_AND negated)*
?negated: test | _NOT negated             -> negated
?test: "(" either ")"
    | "defined" "(" property ")"            -> defined
    | "boolean" "(" operand ")"             -> is_true
    | operand COMPARISON operand            -> compare
    | operand _IN list                      -> one_of
    | operand _IN property                  -> contained
?operand: property | event_time | literal
    | "number" "(" operand ")"              -> to_number
    | "string" "(" operand ")"              -> to_string
    | "boolean" "(" operand ")"             -> to_boolean
property: "properties" "[" STRING "]"
event_time: "event" "[" STRING "]"
list: "[" [literal ("," literal)*] "]"
?literal: "datetime" "(" STRING ")"         -> date_time
    | STRING                                -> text
    | NUMBER                                -> number
    | _TRUE                                 -> true
    | _FALSE                                -> false
COMPARISON: "==" | "!=" | "<=" | ">=" | "<" | ">"
STRING: /"(?:[^"\\\x00-\x1f]|\\.)*"/
_OR: /or\b/
_AND: /and\b/
_NOT: /not\b/
_IN: /in\b/
_TRUE: /true\b/
_FALSE: /false\b/
NUMBER: /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/
%ignore /[ \t\r\n]+/
"""

_DATE_TIME = "%Y-%m-%dT%H:%M:%S"
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class WhereError(ValueError):
    """A `where` that is not understood; the text says what and at which column."""


@dataclass(frozen=True, slots=True, order=True)
class _Moment:
    """A point of the project's time: wall clock for projects created before 2023, else UTC."""

    seconds: float


class _Undefined:
    """The value of a property that an event does not have."""


_UNDEFINED = _Undefined()

if TYPE_CHECKING:
    Predicate = Callable[[Mapping[str, Any]], bool]
    """Says whether an event passes, given its exported properties with `time` in whole seconds."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an expression is read other than documented; as it stands, nothing is.

    Attributes:
        stamp: The property that `stamp_tests` and `bits` are about.
        stamp_tests: What every comparison with the stamp gives, whatever its value.
        defined: What `defined` gives, whatever the property.
        bits: Comparisons with the stamp take so many low bits of both numbers only.
        most: Comparisons with the stamp take larger numbers for this one.
        single: Comparisons with the stamp have the precision of 32-bit floating point.
        knows_number: Whether `number` gives numbers; undefined otherwise.
    """

    stamp: str = "mp_processing_time_ms"
    stamp_tests: bool | None = None
    defined: bool | None = None
    bits: int | None = None
    most: int | None = None
    single: bool = False
    knows_number: bool = True

    def reduced(self, value: object) -> object:
        """Return a value as it is compared with the stamp."""
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return value
        if self.bits is not None:
            return int(value) & ((1 << self.bits) - 1)
        if self.single:
            rounded: float = struct.unpack("f", struct.pack("f", value))[0]
            return rounded
        return value if self.most is None else min(value, self.most)


DOCUMENTED = Dialect()


@dataclass(frozen=True, slots=True)
class _Operand:
    read: Callable[[Mapping[str, Any]], object]
    on_stamp: bool = False


@lru_cache(maxsize=256)
def compile_where(expression: str, dialect: Dialect = DOCUMENTED) -> Predicate:
    """Compile an expression.

    Comparisons with a property that the event lacks, or that is null, are false, `!=` too. Values
    of different types are not equal and in no order; numbers compare as numbers whatever their
    notation.

    Args:
        expression: The expression.
        dialect: How it is read other than documented.

    Raises:
        WhereError: The expression is outside the grammar.
    """
    try:
        tree = _PARSER.parse(expression)
        predicate: Predicate = _Compiler(dialect).transform(tree)
    except UnexpectedInput as error:
        at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        column = len(expression) + 1 if at_end else error.column
        raise WhereError(f"where is not a valid expression at column {column}") from error
    except VisitError as error:
        raise WhereError(str(error.orig_exc)) from error
    except RecursionError as error:
        raise WhereError("where is nested too deeply") from error
    return predicate


@v_args(inline=True)
class _Compiler(Transformer[Token, "Predicate"]):
    """Turns the tree into closures, from the leaves up."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect

    def either(self, *tests: Predicate) -> Predicate:
        return lambda properties: any(test(properties) for test in tests)

    def both(self, *tests: Predicate) -> Predicate:
        return lambda properties: all(test(properties) for test in tests)

    def negated(self, inner: Predicate) -> Predicate:
        return lambda properties: not inner(properties)

    def defined(self, value: _Operand) -> Predicate:
        if (always := self._dialect.defined) is not None:
            return lambda _: always
        return lambda properties: value.read(properties) is not _UNDEFINED

    def is_true(self, value: _Operand) -> Predicate:
        return lambda properties: _as_boolean(value.read(properties))

    def compare(self, left: _Operand, sign: Token, right: _Operand) -> Predicate:
        read_left, read_right = left.read, right.read
        if left.on_stamp or right.on_stamp:
            if (always := self._dialect.stamp_tests) is not None:
                return lambda _: always
            read_left, read_right = self._reducing(left), self._reducing(right)
        if sign == "==":
            return lambda properties: _equal(read_left(properties), read_right(properties))
        if sign == "!=":
            return lambda properties: _differ(read_left(properties), read_right(properties))
        holds = _COMPARE[sign]
        return lambda properties: _ordered(read_left(properties), read_right(properties), holds)

    def _reducing(self, operand: _Operand) -> Callable[[Mapping[str, Any]], object]:
        reduced = self._dialect.reduced
        return lambda properties: reduced(operand.read(properties))

    def one_of(self, value: _Operand, choices: list[object]) -> Predicate:
        return lambda properties: any(_equal(value.read(properties), choice) for choice in choices)

    def contained(self, value: _Operand, whole: _Operand) -> Predicate:
        return lambda properties: _contains(whole.read(properties), value.read(properties))

    def to_number(self, value: _Operand) -> _Operand:
        if not self._dialect.knows_number:
            return _Operand(lambda _: _UNDEFINED, value.on_stamp)
        return _Operand(lambda properties: _as_number(value.read(properties)), value.on_stamp)

    def to_string(self, value: _Operand) -> _Operand:
        return _Operand(lambda properties: _as_string(value.read(properties)), value.on_stamp)

    def to_boolean(self, value: _Operand) -> _Operand:
        return _Operand(lambda properties: _as_boolean(value.read(properties)), value.on_stamp)

    def property(self, name: Token) -> _Operand:
        key = _unquote(name)

        def read(properties: Mapping[str, Any]) -> object:
            value = properties.get(key)
            return _UNDEFINED if value is None else value

        return _Operand(read, on_stamp=key == self._dialect.stamp)

    def event_time(self, name: Token) -> _Operand:
        if _unquote(name) != "$time":
            raise WhereError('of event[...] only event["$time"] is known')
        return _Operand(lambda properties: _moment_of(properties.get("time")))

    def list(self, *choices: _Operand | None) -> list[object]:
        return [choice.read({}) for choice in choices if choice is not None]

    def date_time(self, text: Token) -> _Operand:
        moment = _parse_moment(_unquote(text))
        if moment is None:
            raise WhereError(f"datetime({text}) is not of the form YYYY-MM-DDTHH:MM:SS")
        return _Operand(lambda _: moment)

    def text(self, text: Token) -> _Operand:
        value = _unquote(text)
        return _Operand(lambda _: value)

    def number(self, digits: Token) -> _Operand:
        value: float = json.loads(digits)
        return _Operand(lambda _: value)

    def true(self) -> _Operand:
        return _Operand(lambda _: True)

    def false(self) -> _Operand:
        return _Operand(lambda _: False)


_PARSER = Lark(_GRAMMAR, parser="lalr", lexer="contextual")


def _unquote(text: str) -> str:
    try:
        value: str = json.loads(text)
    except ValueError as error:
        raise WhereError(f"{text} is not a valid string") from error
    return value


def _as_number(value: object) -> object:
    """Cast as documented: text that is a decimal number, booleans as 1 and 0, else undefined."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        return _UNDEFINED
    return float(value) if "." in value else int(value)


def _as_string(value: object) -> object:
    """Cast as documented: numbers in decimal notation, booleans as words, else undefined."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return format(Decimal(repr(value)), "f")
    return value if isinstance(value, str) else _UNDEFINED


def _as_boolean(value: object) -> bool:
    """Cast as documented: what is unset, empty, 0 or the text "false" is false, all else true."""
    if value is _UNDEFINED or isinstance(value, bool):
        return value is True
    return value not in {"", "false"} if isinstance(value, str) else value != 0


def _kind(value: object) -> type:
    # In Python a boolean is a number and 1 == True; in Mixpanel they are different types.
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, (int, float)) else type(value)


def _aligned(left: object, right: object) -> tuple[Any, Any] | None:
    """Return two comparable values, ISO text beside a date-time read as one; or `None`."""
    if left is _UNDEFINED or right is _UNDEFINED:
        return None
    if isinstance(left, _Moment) and isinstance(right, str):
        right = _parse_moment(right)
    elif isinstance(right, _Moment) and isinstance(left, str):
        left = _parse_moment(left)
    return (left, right) if _kind(left) is _kind(right) else None


def _equal(left: object, right: object) -> bool:
    pair = _aligned(left, right)
    return pair is not None and pair[0] == pair[1]


def _differ(left: object, right: object) -> bool:
    return left is not _UNDEFINED and right is not _UNDEFINED and not _equal(left, right)


def _ordered(left: object, right: object, holds: Callable[[Any, Any], bool]) -> bool:
    pair = _aligned(left, right)
    return pair is not None and _kind(pair[0]) in {float, str, _Moment} and holds(*pair)


def _contains(whole: object, part: object) -> bool:
    if isinstance(whole, str):
        return isinstance(part, str) and part in whole
    return isinstance(whole, list) and any(_equal(part, item) for item in whole)


def _parse_moment(text: str) -> _Moment | None:
    try:
        wall = datetime.strptime(text, _DATE_TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return _Moment(wall.timestamp())


def _moment_of(time: object) -> object:
    return _Moment(time) if isinstance(time, (int, float)) else _UNDEFINED
