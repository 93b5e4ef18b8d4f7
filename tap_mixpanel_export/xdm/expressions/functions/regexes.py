"""Functions of regular expressions (Data Prep functions, String and Regular expression functions).

A pattern is a text literal, and RE2's (see `regular_expressions`): what comes with an event is
never run.
"""

from __future__ import annotations

from tap_mixpanel_export.xdm.expressions.bounds import check_items
from tap_mixpanel_export.xdm.expressions.functions.registry import function
from tap_mixpanel_export.xdm.expressions.values import text
from tap_mixpanel_export.xdm.regular_expressions import compiled


@function("explode", literals={1: compiled})
def explode(string: object, regex: object = ",") -> list[str]:
    """Split at a regular expression, by default a comma; empty parts at the end are left out."""
    value = text(string)
    parts = []
    position = 0
    for match in compiled(text(regex)).finditer(value):
        # As in Java, an empty match at the beginning makes no empty part.
        if match.end():
            parts.append(value[position : match.start()])
            check_items(len(parts))
            position = match.end()
    parts.append(value[position:])
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts


@function("extract_regex", literals={1: compiled})
def extract_regex(string: object, regex: object) -> list[str | None]:
    """Return what a regular expression and its groups match first; nothing matched, no elements."""
    match = compiled(text(regex)).search(text(string))
    return [] if match is None else [match.group(), *match.groups()]


@function("matches_regex", literals={1: compiled})
def matches_regex(string: object, regex: object) -> bool:
    """Tell whether a regular expression matches the whole text."""
    return compiled(text(regex)).fullmatch(text(string)) is not None
