"""Functions of regular expressions (Data Prep functions, String and Regular expression functions).

The dialect is Python's: what only Java's has, as classes of Unicode properties, is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tap_mixpanel_export.xdm.expressions.functions.registry import function
from tap_mixpanel_export.xdm.expressions.values import text


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        message = f"the regular expression cannot be read: {error}"
        raise ValueError(message) from None


@function("explode", checks={1: _compiled})
def explode(string: object, regex: object = ",") -> list[str]:
    """Split at a regular expression, by default a comma; empty parts at the end are left out."""
    value = text(string)
    parts = []
    position = 0
    for match in _compiled(text(regex)).finditer(value):
        # As in Java, an empty match at the beginning makes no empty part.
        if match.end():
            parts.append(value[position : match.start()])
            position = match.end()
    parts.append(value[position:])
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts


@function("extract_regex", checks={1: _compiled})
def extract_regex(string: object, regex: object) -> list[str | None]:
    """Return what a regular expression and its groups match first; nothing matched, no elements."""
    match = _compiled(text(regex)).search(text(string))
    return [] if match is None else [match.group(), *match.groups()]


@function("matches_regex", checks={1: _compiled})
def matches_regex(string: object, regex: object) -> bool:
    """Tell whether a regular expression matches the whole text."""
    return _compiled(text(regex)).fullmatch(text(string)) is not None
