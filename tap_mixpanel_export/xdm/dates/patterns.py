"""Java's date patterns (`yyyy-MM-dd'T'HH:mm:ss.SSSX`), as Data Prep's date functions take them.

Letters and meanings: Data Prep, Handling data formats, section Date/time format strings; the
effect of a letter's count: `java.time.format.DateTimeFormatter`. Names are English. Not taken: `W`,
which depends on a locale, and the long names of time zones (`zzzz`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_SHORT = 3
_FULL = 4
_NARROW = 5
_QUARTERS = ("1st", "2nd", "3rd", "4th")

# Patterns may come with events, and are kept compiled.
_MAX_LENGTH = 256
_TOKEN = re.compile(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|([^A-Za-z'])", re.DOTALL)


@dataclass(frozen=True)
class Field:
    """A run of one pattern letter."""

    letter: str
    count: int


def tokens(pattern: str) -> list[Field | str]:
    """Split a pattern into its fields and the text between them.

    Raises:
        ValueError: If a letter has no meaning or comes too often, or a quote stays open, or the
            pattern is too long.
    """
    if len(pattern) > _MAX_LENGTH:
        raise ValueError(f"a date pattern has at most {_MAX_LENGTH} characters")
    result: list[Field | str] = []
    position = 0
    while position < len(pattern):
        match = _TOKEN.match(pattern, position)
        if match is None:
            raise ValueError(f"the quote in the date pattern '{pattern}' has no end")
        quoted, run, letter, other = match.groups()
        position = match.end()
        if run is None:
            # Two quotes are one, in quoted text and outside of it.
            result.append(other or quoted.replace("''", "'") or "'")
            continue
        if letter not in _LONGEST:
            raise ValueError(f"'{letter}' has no meaning in a date pattern; text stands in quotes")
        if len(run) > _LONGEST[letter]:
            raise ValueError(f"'{run}' is too long for a date pattern")
        result.append(Field(letter, len(run)))
    return result


def _name(names: list[str], index: int, count: int) -> str:
    return {_FULL: names[index], _NARROW: names[index][0]}.get(count, names[index][:3])


def _year(year: int, count: int) -> str:
    return f"{year % 100:02d}" if count == len("yy") else f"{year:0{count}d}"


def _month(value: datetime, count: int) -> str:
    return f"{value.month:0{count}d}" if count < _SHORT else _name(MONTHS, value.month - 1, count)


def _quarter(value: datetime, count: int) -> str:
    quarter = (value.month + 2) // 3
    names = {_SHORT: f"Q{quarter}", _FULL: f"{_QUARTERS[quarter - 1]} quarter"}
    return names.get(count, f"{quarter:0{count}d}")


def _offset(value: datetime) -> tuple[str, int, int]:
    minutes = int((value.utcoffset() or timedelta()).total_seconds()) // 60
    return "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60


def _basic_offset(value: datetime, separator: str = "") -> str:
    sign, hours, minutes = _offset(value)
    return f"{sign}{hours:02d}{separator}{minutes:02d}"


def _iso_offset(value: datetime, count: int) -> str:
    if not value.utcoffset():
        return "Z"
    sign, hours, minutes = _offset(value)
    if count == 1:
        return f"{sign}{hours:02d}{minutes:02d}" if minutes else f"{sign}{hours:02d}"
    return _basic_offset(value, ":" if count == _SHORT else "")


def _rfc_offset(value: datetime, count: int) -> str:
    if count == _NARROW:
        return _iso_offset(value, _SHORT)
    if count == _FULL:
        return "GMT" + (_basic_offset(value, ":") if value.utcoffset() else "")
    return _basic_offset(value)


def _short_offset(value: datetime, _count: int) -> str:
    sign, hours, minutes = _offset(value)
    if not hours and not minutes:
        return "GMT"
    return f"GMT{sign}{hours}" + (f":{minutes:02d}" if minutes else "")


def _zone_name(value: datetime, _count: int) -> str:
    if isinstance(value.tzinfo, timezone):
        return "UTC" if not value.utcoffset() else f"GMT{_basic_offset(value, ':')}"
    return value.tzname() or ""


def _zone_id(value: datetime, _count: int) -> str:
    key = getattr(value.tzinfo, "key", None)
    return key if isinstance(key, str) else _iso_offset(value, _SHORT)


def _padded(component: Callable[[datetime], int]) -> Callable[[datetime, int], str]:
    def write(value: datetime, count: int) -> str:
        return f"{component(value):0{count}d}"

    return write


_WRITERS: dict[str, Callable[[datetime, int], str]] = {
    "G": lambda _value, _count: "AD",
    "Y": lambda value, count: _year(value.isocalendar()[0], count),
    "y": lambda value, count: _year(value.year, count),
    "M": _month,
    "L": _month,
    "w": _padded(lambda value: value.isocalendar()[1]),
    "D": _padded(lambda value: value.timetuple().tm_yday),
    "d": _padded(lambda value: value.day),
    "F": _padded(lambda value: (value.day - 1) // 7 + 1),
    "E": lambda value, count: _name(DAYS, value.weekday(), count),
    "u": _padded(datetime.isoweekday),
    "a": lambda value, _count: "AM" if value.hour < 12 else "PM",  # noqa: PLR2004 - noon
    "H": _padded(lambda value: value.hour),
    "k": _padded(lambda value: value.hour or 24),
    "K": _padded(lambda value: value.hour % 12),
    "h": _padded(lambda value: value.hour % 12 or 12),
    "m": _padded(lambda value: value.minute),
    "s": _padded(lambda value: value.second),
    "S": lambda value, count: f"{value.microsecond:06d}000"[:count],
    "z": _zone_name,
    "Z": _rfc_offset,
    "X": _iso_offset,
    "V": _zone_id,
    "O": _short_offset,
    "Q": _quarter,
    "q": _quarter,
}
# The most of each letter that has a meaning here; `zzzz` would be a name in a language.
_LONGEST = (
    dict.fromkeys(_WRITERS, 2)
    | dict.fromkeys("GauFO", 1)
    | dict.fromkeys("DzX", 3)
    | dict.fromkeys("Qq", 4)
    | dict.fromkeys("MLEZ", 5)
    | dict.fromkeys("yYS", 9)
)


@lru_cache(maxsize=256)
def date_writer(pattern: str) -> Callable[[datetime], str]:
    """Return what writes a date as the pattern says, in the date's own zone.

    Raises:
        ValueError: If the pattern has no meaning.
    """
    parts = tokens(pattern)
    return lambda date: "".join(
        part if isinstance(part, str) else _WRITERS[part.letter](date, part.count) for part in parts
    )
