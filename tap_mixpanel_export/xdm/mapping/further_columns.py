"""Columns that a user names in the setting `columns`, without any of Adobe's files."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.expressions.paths import split_path
from tap_mixpanel_export.xdm.mapping.column_names import MAX_NAME_BYTES, column_key
from tap_mixpanel_export.xdm.mapping.columns import OWN_COLUMNS, Column, is_own_column
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmField, XdmType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLUMN_TYPES: dict[str, XdmType] = {
    "string": XdmType.STRING,
    "integer": XdmType.LONG,
    "number": XdmType.NUMBER,
    "boolean": XdmType.BOOLEAN,
    "date": XdmType.DATE,
    "date-time": XdmType.DATE_TIME,
}
"""What a type may be called, as in JSON Schema."""

_WORDS = {kind: word for word, kind in COLUMN_TYPES.items()}
_SPECIAL = re.compile(r"[\\.]")
_NOT_IN_NAMES = re.compile(r"\W+")


def add_columns(
    columns: Sequence[Column], entries: Iterable[str]
) -> tuple[tuple[Column, ...], list[str]]:
    """Add the columns of the setting `columns`.

    Args:
        columns: Those that there are already. An entry that names one of them, or its property,
            adds none; its type, if it has one, becomes the column's.
        entries: `name` or `name:type`; a name is that of a property as exported, or a path into
            nested ones with dots.

    Returns:
        All columns, and the problems, one sentence each.
    """
    found = list(columns)
    problems: list[str] = []
    seen: set[tuple[str, ...]] = set()
    for entry in entries:
        try:
            path, field = _parse(entry)
            if path in seen:
                raise ValueError("the property is there twice")  # noqa: TRY301 - one way out
        except ValueError as error:
            problems.append(f"columns: {entry!r}: {error}")
            continue
        seen.add(path)
        place = next((i for i, c in enumerate(found) if path in {c.source, c.path}), None)
        if place is None:
            name = _name(path, {column_key(n) for n in (*OWN_COLUMNS, *(c.name for c in found))})
            found.append(Column(name, path, path, field or XdmField(XdmType.STRING)))
        elif field is not None:
            found[place] = replace(found[place], field=field)
    return tuple(found), problems


def column_entry(path: tuple[str, ...], kind: XdmType) -> str | None:
    """Write an entry of the setting `columns`.

    Args:
        path: Where the property is.
        kind: The type of its values; what has no name in the setting is text there.

    Returns:
        The entry; None when the tap itself has a column of the name.
    """
    if is_own_column(path):
        return None
    name = ".".join(_SPECIAL.sub(r"\\\g<0>", part) for part in path)
    word = "integer" if kind in INTEGER_BOUNDS else _WORDS.get(kind, "string")
    return name if word == "string" and ":" not in name else f"{name}:{word}"


def _parse(entry: str) -> tuple[tuple[str, ...], XdmField | None]:
    """The property of an entry, and its type if it has one.

    Raises:
        ValueError: It has no name, or a type that is none; the message says so.
    """
    name, colon, kind = entry.rpartition(":")
    if not colon:
        name, kind = entry, ""
    elif kind not in COLUMN_TYPES:
        raise ValueError(
            f"the type is none of {', '.join(COLUMN_TYPES)} (a name that has a colon needs a type)"
        )
    if not name.strip():
        raise ValueError("the name of a property is missing")
    path = split_path(name)
    if is_own_column(path):
        raise ValueError("every record has this column")
    return path, XdmField(COLUMN_TYPES[kind]) if kind else None


def _name(path: tuple[str, ...], taken: set[str]) -> str:
    """A name that databases take without quotes, and for no other column's.

    Letters of any alphabet stay; all else, the `$` of Mixpanel's own names included, does not.
    """
    name = _NOT_IN_NAMES.sub("_", "_".join(path)).strip("_").lower() or "column"
    if name[0].isdigit():
        name = f"_{name}"
    number = 1
    unique = _cut(name, "")
    while column_key(unique) in taken:
        number += 1
        unique = _cut(name, f"_{number}")
    return unique


def _cut(name: str, end: str) -> str:
    """The name and the end, in at most as many bytes as databases keep."""
    return name.encode()[: MAX_NAME_BYTES - len(end)].decode(errors="ignore") + end
