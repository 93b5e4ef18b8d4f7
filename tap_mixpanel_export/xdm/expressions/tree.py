"""The checked form of an expression: immutable nodes that compare by meaning, not by place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DEPTH = 100
"""Deepest tree that is taken: evaluation recurses, and stays far from the interpreter's limit."""


def _depth(children: Iterable[Node]) -> int:
    return 1 + max((child.depth for child in children), default=0)


def _place() -> int:
    # Two spellings of one expression are equal trees, wherever their parts stand.
    return field(default=0, compare=False, repr=False)


@dataclass(frozen=True)
class Literal:
    """A constant: text, whole number, floating point number, boolean or null."""

    value: str | int | float | bool | None
    at: int = _place()

    @property
    def depth(self) -> int:
        """Levels of the tree from here down."""
        return 1


@dataclass(frozen=True)
class Attribute:
    """A value of the event, by its path without the leading `data`."""

    path: tuple[str, ...]
    at: int = _place()

    @property
    def depth(self) -> int:
        """Levels of the tree from here down."""
        return 1


@dataclass(frozen=True)
class Array:
    """A list written in brackets."""

    items: tuple[Node, ...]
    at: int = _place()
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth(self.items))


@dataclass(frozen=True)
class Unary:
    """An operator before its operand: `-` or `!` (also written `not`)."""

    operator: str
    operand: Node
    at: int = _place()
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth((self.operand,)))


@dataclass(frozen=True)
class Binary:
    """An operator between two operands, always by its sign: `eq` is kept as `==`."""

    operator: str
    left: Node
    right: Node
    at: int = _place()
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth((self.left, self.right)))


@dataclass(frozen=True)
class Call:
    """A function call, or a method call when there is a receiver."""

    name: str
    arguments: tuple[Node, ...]
    receiver: Node | None = None
    at: int = _place()
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth(self.operands))

    @property
    def operands(self) -> tuple[Node, ...]:
        """The arguments, with the receiver of a method as the first."""
        return self.arguments if self.receiver is None else (self.receiver, *self.arguments)


Node = Literal | Attribute | Array | Unary | Binary | Call
"""Any part of an expression."""
