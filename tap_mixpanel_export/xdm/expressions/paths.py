r"""Attribute paths as text: `data.a.b`, `data.Plan\.Name`, `${data.Plan Name}`.

Data Prep's documentation (Functions, section Fields, and the troubleshooting guide): a name is a
letter, `$` or `_` and then letters, digits, `$` and `_`; any other name and the reserved words
stand in `${…}`; a dot that belongs to a name is written `\.`, inside of `${…}` too.
"""

from __future__ import annotations

import re

RESERVED_WORDS = frozenset(
    [
        "_errors",
        "and",
        "break",
        "continue",
        "div",
        "else",
        "eq",
        "false",
        "for",
        "ge",
        "gt",
        "if",
        "le",
        "lt",
        "mod",
        "ne",
        "new",
        "not",
        "null",
        "or",
        "return",
        "true",
        "var",
        "while",
    ]
)
"""Names that the language keeps for itself (Data Prep functions, section Fields)."""

_SEGMENT = re.compile(r"(?:\\.|[^\\.])+", re.DOTALL)
_PLAIN_NAME = re.compile(r"(?:[^\W\d]|[$_])[\w$]*")
_SPECIAL = re.compile(r"[\\.}]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def unescape(name: str) -> str:
    """Return a name without its backslashes."""
    return _ESCAPED.sub(r"\1", name)


def split_path(text: str) -> tuple[str, ...]:
    """Return the names of a dotted path.

    Raises:
        ValueError: If there is a name of no characters, or a backslash at the end.
    """
    names = []
    position = 0
    while True:
        match = _SEGMENT.match(text, position)
        if match is None:
            raise ValueError("an attribute path needs a name on both sides of each dot")
        names.append(unescape(match.group()))
        position = match.end()
        if position == len(text):
            return tuple(names)
        if text[position] != ".":
            raise ValueError("a backslash in an attribute path needs a character after it")
        position += 1


def without_root(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path inside of an event: `data`, the root of Adobe's samples, is left out."""
    return path[1:] if len(path) > 1 and path[0] == "data" else path


def print_path(path: tuple[str, ...]) -> str:
    """Return the text of a path: with the root, and in `${…}` when a name needs it."""
    # Always with the root: an event's own property `data` would be taken for it otherwise.
    names = ("data", *path)
    if all(_PLAIN_NAME.fullmatch(name) and name not in RESERVED_WORDS for name in names):
        return ".".join(names)
    return "${" + ".".join(_SPECIAL.sub(r"\\\g<0>", name) for name in names) + "}"
