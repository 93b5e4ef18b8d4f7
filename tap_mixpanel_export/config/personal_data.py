"""Pure: which properties `exclude_properties` and `hash_properties` name."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tap_mixpanel_export.records.redaction import Redaction
from tap_mixpanel_export.xdm.expressions.paths import split_path
from tap_mixpanel_export.xdm.mapping.columns import OWN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_mixpanel_export.config.declarations import DeclaredSettings
    from tap_mixpanel_export.records.redaction import Path
    from tap_mixpanel_export.xdm.mapping.columns import Column


def load_redaction(
    settings: DeclaredSettings, columns: Sequence[Column]
) -> tuple[Redaction | None, list[str]]:
    """Return what is to be hidden, None for nothing; and all problems, one sentence each.

    Args:
        settings: The settings.
        columns: The mapped columns, whose names stand for their properties.
    """
    problems: list[str] = []
    removed = _paths("exclude_properties", settings.exclude_properties, columns, problems)
    hashed = _paths("hash_properties", settings.hash_properties, columns, problems)
    named = {**removed, **hashed}
    problems += [
        f"{name} is in both exclude_properties and hash_properties"
        for name in dict.fromkeys(settings.exclude_properties)
        if name in settings.hash_properties
    ]
    if problems or not named:
        return None, problems
    salt = (settings.hash_salt or "").encode()
    return Redaction(set().union(*removed.values()), set().union(*hashed.values()), salt, named), []


def _paths(
    setting: str, names: Sequence[str], columns: Sequence[Column], problems: list[str]
) -> dict[str, set[Path]]:
    """All that each name can mean: to hide too much is mended later, to hide too little never."""
    of_column = {column.name: column.path for column in columns}
    found: dict[str, set[Path]] = {}
    for name in names:
        if name in OWN_COLUMNS or of_column.get(name) == ():
            problems.append(
                f"{setting}: the column {name} is no property; deselect it in the catalog"
            )
        else:
            found[name] = {(name,), of_column.get(name, (name,))}
            with suppress(ValueError):
                found[name].add(split_path(name))
    return found
