"""Functions of text (Data Prep functions, section String functions).

Numbers and booleans are taken as their JSON text; positions count from 0, in characters; null gives
null unless said otherwise.
"""

from __future__ import annotations

import re
from itertools import groupby

from tap_mixpanel_export.xdm.errors import ValueRefusedError
from tap_mixpanel_export.xdm.expressions.bounds import check_characters, check_items, check_json
from tap_mixpanel_export.xdm.expressions.functions.registry import function
from tap_mixpanel_export.xdm.expressions.values import any_text, kind, same, text, whole

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@function("concat", takes_null=True)
def concat(*strings: object) -> str | None:
    """Join texts.

    Undocumented: null counts as no text here, and nothing but null gives null.
    """
    present = [text(string) for string in strings if string is not None]
    return _joined("", present) if present else None


@function("lower", "lcase", method=True)
@function("toLowerCase", method_only=True)
def lower(value: object) -> str:
    """Return the text in lower case."""
    return text(value).lower()


@function("upper", "ucase", method=True)
@function("toUpperCase", method_only=True)
def upper(value: object) -> str:
    """Return the text in upper case."""
    return text(value).upper()


@function("trim", method=True)
def trim(value: object) -> str:
    """Remove white space, as Unicode defines it, from both ends."""
    return text(value).strip()


@function("ltrim", method=True)
def ltrim(value: object) -> str:
    """Remove white space from the beginning."""
    return text(value).lstrip()


@function("rtrim", method=True)
def rtrim(value: object) -> str:
    """Remove white space from the end."""
    return text(value).rstrip()


@function("replacestr", method=True)
def replacestr(value: object, to_find: object, to_replace: object) -> str:
    """Replace each occurrence of a text by another; an empty one occurs nowhere."""
    characters, searched, new = text(value), text(to_find), text(to_replace)
    if not searched:
        return characters
    growth = max(len(new) - len(searched), 0)
    check_characters(len(characters) + characters.count(searched) * growth)
    return characters.replace(searched, new)


@function("substr", method=True)
def substr(value: object, start_index: object, length: object) -> str:
    """Return a part of the text; less than asked for where the text ends."""
    start, size = whole(start_index), whole(length)
    if start < 0 or size < 0:
        raise ValueRefusedError("takes a start and a length from 0 up")
    return text(value)[start : start + size]


@function("left", method=True)
def left(value: object, count: object) -> str:
    """Return the first characters; none for a negative count."""
    return text(value)[: max(whole(count), 0)]


@function("right", method=True)
def right(value: object, count: object) -> str:
    """Return the last characters; none for a negative count."""
    characters = text(value)
    return characters[max(len(characters) - max(whole(count), 0), 0) :]


def _separators(separator: str) -> frozenset[str]:
    characters = _ESCAPED.sub(r"\1", separator)
    if not characters:
        raise ValueRefusedError("takes a separator of at least one character")
    return frozenset(characters)


@function("split", method=True, checks={1: _separators})
def split(value: object, separator: object) -> list[str]:
    r"""Split at each of the separator's characters; empty parts are left out.

    Both as documented: several separators split at any of them, and only `explode` keeps empty
    parts. A backslash before a separator is dropped, since the documentation has some written with
    one; two stand for a backslash.
    """
    between = _separators(text(separator))
    parts = []
    for is_between, characters in groupby(text(value), between.__contains__):
        if not is_between:
            parts.append("".join(characters))
            check_items(len(parts))
    return parts


@function("join")
def join(separator: object, objects: object) -> str:
    """Join the elements of a list, null ones as no text."""
    if not isinstance(objects, list):
        raise ValueRefusedError(f"takes a list to join, not {kind(objects)}")
    check_json(objects)
    return _joined(text(separator), ["" if item is None else any_text(item) for item in objects])


def _joined(separator: str, strings: list[str]) -> str:
    between = len(separator) * max(len(strings) - 1, 0)
    check_characters(sum(map(len, strings)) + between)
    return separator.join(strings)


@function("instr", method=True)
def instr(
    value: object, substring: object, start_position: object = 0, occurrence: object = 1
) -> int:
    """Return where a text occurs in another, -1 if it does not."""
    searched, position = text(substring), whole(start_position) - 1
    if position < -1 or whole(occurrence) < 1:
        raise ValueRefusedError("takes a start from 0 and an occurrence from 1 up")
    characters = text(value)
    for _ in range(min(whole(occurrence), len(characters) + 1)):
        position = characters.find(searched, position + 1)
        if position < 0:
            return -1
    return position if whole(occurrence) <= len(characters) + 1 else -1


@function("equals", method=True, takes_null=True)
def equals(string1: object, string2: object) -> bool:
    """Tell whether two values are equal without conversion: `"1"` is not 1, null only null."""
    return same(string1, string2)


@function("equalsIgnoreCase", method=True, takes_null=True)
def equals_ignore_case(string1: object, string2: object) -> bool:
    """Tell whether two texts are equal but for letter case; other values as `equals`."""
    if isinstance(string1, str) and isinstance(string2, str):
        return string1.casefold() == string2.casefold()
    return same(string1, string2)


# What follows are methods of Java's String, as `equals` is one: JEXL lets expressions call them.


@function("startsWith", method_only=True)
def starts_with(value: object, prefix: object) -> bool:
    """Tell whether the text starts with another."""
    return text(value).startswith(text(prefix))


@function("endsWith", method_only=True)
def ends_with(value: object, suffix: object) -> bool:
    """Tell whether the text ends with another."""
    return text(value).endswith(text(suffix))


@function("contains", method_only=True)
def contains(value: object, element: object) -> bool:
    """Tell whether the text has another within, or the list such an element."""
    if isinstance(value, list):
        return any(same(item, element) for item in value)
    return text(element) in text(value)


@function("indexOf", method_only=True)
def index_of(value: object, substring: object) -> int:
    """Return where a text first occurs in the text, -1 if it does not."""
    return text(value).find(text(substring))


@function("lastIndexOf", method_only=True)
def last_index_of(value: object, substring: object) -> int:
    """Return where a text last occurs in the text, -1 if it does not."""
    return text(value).rfind(text(substring))


@function("length", method_only=True)
def length(value: object) -> int:
    """Return how many characters the text has."""
    return len(text(value))
