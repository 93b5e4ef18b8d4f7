"""The checked form of an expression: immutable nodes that compare by meaning, not by place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

MAX_DEPTH = 100
"""Deepest tree that is taken: evaluation recurses, and stays far from the interpreter's limit."""


@dataclass(frozen=True)
class _Node:
    # Two spellings of one expression are equal trees, wherever their parts stand.
    at: int = field(default=0, compare=False, repr=False, kw_only=True)

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes right below."""
        return ()

    @cached_property
    def depth(self) -> int:
        """Levels of the tree from here down."""
        return 1 + max((child.depth for child in self.children), default=0)


@dataclass(frozen=True)
class Literal(_Node):
    """A constant: text, whole number, floating point number, boolean or null."""

    value: str | int | float | bool | None


@dataclass(frozen=True)
class Attribute(_Node):
    """A value of the event, by its path without the leading `data`."""

    path: tuple[str, ...]


@dataclass(frozen=True)
class Array(_Node):
    """A list written in brackets."""

    items: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        """Its items."""
        return self.items


@dataclass(frozen=True)
class Unary(_Node):
    """An operator before its operand: `-` or `!` (also written `not`)."""

    operator: str
    operand: Node

    @property
    def children(self) -> tuple[Node, ...]:
        """The operand."""
        return (self.operand,)


@dataclass(frozen=True)
class Binary(_Node):
    """An operator between two operands, always by its sign: `eq` is kept as `==`."""

    operator: str
    left: Node
    right: Node

    @property
    def children(self) -> tuple[Node, ...]:
        """Both operands."""
        return (self.left, self.right)


@dataclass(frozen=True)
class Call(_Node):
    """A function call, or a method call when there is a receiver."""

    name: str
    arguments: tuple[Node, ...]
    receiver: Node | None = None

    @property
    def children(self) -> tuple[Node, ...]:
        """The arguments, with the receiver of a method as the first."""
        return self.arguments if self.receiver is None else (self.receiver, *self.arguments)


Node = Literal | Attribute | Array | Unary | Binary | Call
"""Any part of an expression."""
