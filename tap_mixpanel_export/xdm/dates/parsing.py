"""Reading dates by Java's date patterns."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.dates.instants import read_iso, zone
from tap_mixpanel_export.xdm.dates.patterns import DAYS, MONTHS, Field, tokens
from tap_mixpanel_export.xdm.errors import ValueRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

_SHORT = 3
_ZONE = r"([Zz]|[+-]\d{2}(?::?\d{2})?|[A-Za-z][A-Za-z0-9_/+-]*)"
_NUMERIC = frozenset("MLdHkKhms")
_ALIASES = {"L": "M", "k": "H", "K": "h", "Z": "zone", "z": "zone", "X": "zone", "V": "zone"}

# The longest zone with the longest date, and blanks around them.
_LONGEST_DATE = 100

# Data Prep, Handling data formats, section Date function conversions: tried in this order.
_DEFAULT_PATTERNS = (
    "yyyy-MM-dd HH:mm:ssZ",
    "yyyy-MM-dd HH:mm:ss.SSSZ",
    "yyyy-MM-dd HH:mm:ss.SSS",
    "yyyy-MM-dd'T'HH:mm:ss.SSSX",
    "yyyy-MM-dd'T'HH:mm:ss'Z'",
    "yyyy-MM-dd",
    "yyyy/MM/dd",
    "yyyy.MM.dd",
    "yyyy-MMM-dd",
    "yyyyMMdd",
    "MM-dd-yyyy",
    "MMddyyyy",
    "M/dd/yyyy",
    "dd.M.yyyy",
    "M/dd/yyyy hh:mm:ss a",
    "dd.M.yyyy hh:mm:ss a",
    "dd.MMM.yyyy",
    "dd-MMM-yyyy",
)


def _names(names: list[str], count: int) -> str:
    shown = (name[:_SHORT] for name in names) if count == _SHORT else names
    return f"({'|'.join(shown)})"


def _expression(field: Field) -> str:
    letter, count = field.letter, field.count
    if letter in "ML" and count >= _SHORT:
        return _names(MONTHS, count)
    if letter == "E":
        return _names(DAYS, max(count, _SHORT))
    if letter in _NUMERIC:
        return r"(\d{1,2})" if count == 1 else r"(\d{2})"
    if letter == "y":
        return r"(\d{1,4})" if count == 1 else rf"(\d{{{min(count, 4)}}})"
    other = {"S": rf"(\d{{{count}}})", "a": "([AP]M)", **dict.fromkeys("zZXV", _ZONE)}
    if letter not in other:
        raise ValueError(f"'{letter}' in a date pattern can be written, not read")
    return other[letter]


@lru_cache(maxsize=256)
def date_reader(pattern: str) -> Callable[[str], datetime | None]:
    """Return what reads a date that fits a pattern, and gives None for other text.

    What the pattern lacks is the first of January, midnight, UTC. The function raises ValueError if
    there is no such day or time.

    Raises:
        ValueError: If the pattern has no meaning, has fields that say no date, or lacks the year.
    """
    parts = tokens(pattern)
    fields = [part for part in parts if isinstance(part, Field)]
    meanings = [_ALIASES.get(field.letter, field.letter) for field in fields]
    if len(set(meanings)) < len(meanings):
        # Which of the two counts? And many of them, in turn, can be tried for years.
        raise ValueError(f"the date pattern '{pattern}' has a field twice")
    if "y" not in meanings:
        raise ValueError(f"the date pattern '{pattern}' lacks the year (yyyy)")
    expression = re.compile(
        "".join(re.escape(part) if isinstance(part, str) else _expression(part) for part in parts),
        re.ASCII | re.IGNORECASE,
    )

    def read(value: str) -> datetime | None:
        match = expression.fullmatch(value)
        if match is None:
            return None
        groups = zip(fields, match.groups(), strict=True)
        return _date_of(dict(zip(meanings, groups, strict=True)))

    return read


def _date_of(found: dict[str, tuple[Field, str]]) -> datetime:
    numbers = {letter: int(group) for letter, (_, group) in found.items() if group.isdecimal()}
    year_field, year = found["y"]
    return datetime(
        # Two digits are years of this century, as in java.time.
        int(year) + (2000 if year_field.count == len("yy") else 0),
        numbers.get("M") or _month_number(found.get("M")),
        numbers.get("d", 1),
        _hour(numbers, found),
        numbers.get("m", 0),
        numbers.get("s", 0),
        int(found["S"][1].ljust(6, "0")[:6]) if "S" in found else 0,
        zone(found["zone"][1]) if "zone" in found else timezone.utc,
    )


def _month_number(found: tuple[Field, str] | None) -> int:
    if found is None:
        return 1
    start = found[1][:_SHORT].title()
    # Zero is no month and refused as such: the text of a numeric month was "00".
    return next((n for n, name in enumerate(MONTHS, 1) if name.startswith(start)), 0)


def _hour(numbers: dict[str, int], found: dict[str, tuple[Field, str]]) -> int:
    if "h" in numbers:
        afternoon = "a" in found and found["a"][1].upper() == "PM"
        return numbers["h"] % 12 + (12 if afternoon else 0)
    hour = numbers.get("H", 0)
    # 24 is how `k`, hours from 1 to 24, writes midnight.
    return 0 if hour == 24 and found["H"][0].letter == "k" else hour  # noqa: PLR2004 - hours


def read_date(value: str) -> datetime:
    """Read a date of any format that Data Prep tries when it is told none, ISO 8601 first.

    Raises:
        ValueRefusedError: If the text is a date in none of the formats.
    """
    if len(value) > _LONGEST_DATE:
        raise ValueRefusedError("finds no date in a long text")
    for read in _default_readers():
        try:
            date = read(value)
        except ValueError:
            # 12112020 looks like yyyyMMdd until its month is 20; a later format fits it.
            continue
        if date is not None:
            return date
    raise ValueRefusedError("finds no date in the text; name its format")


@cache
def _default_readers() -> tuple[Callable[[str], datetime | None], ...]:
    return (read_iso, *map(date_reader, _DEFAULT_PATTERNS))
