"""Functions of dates (Data Prep functions, section Date and time functions).

A date is what `date` returns, or ISO 8601 text; without a zone it is in UTC. Patterns are Java's,
see `xdm.dates.patterns`.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from tap_mixpanel_export.timezones import from_milliseconds
from tap_mixpanel_export.xdm.dates.instants import instant, zone
from tap_mixpanel_export.xdm.dates.parsing import date_reader, read_date
from tap_mixpanel_export.xdm.dates.patterns import date_writer
from tap_mixpanel_export.xdm.errors import ValueRefusedError
from tap_mixpanel_export.xdm.expressions.functions.registry import function
from tap_mixpanel_export.xdm.expressions.values import kind, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable


@function("dformat", checks={1: date_writer})
def dformat(timestamp: object, format_: object) -> str:
    """Write a time, in milliseconds since 1970 in UTC, by a pattern; in UTC."""
    return date_writer(text(format_))(from_milliseconds(whole(timestamp)))


@function("format", method=True, checks={1: date_writer})
def format_date(date: object, format_: object) -> str:
    """Write a date by a pattern, in the date's own zone."""
    return date_writer(text(format_))(instant(date))


@function("date", takes_null=True, checks={1: date_reader})
def date(date: object, format_: object = None, default_date: object = None) -> datetime | None:
    """Read a date by a pattern, or by the formats that Data Prep tries; null gives the default."""
    if date is None:
        return None if default_date is None else instant(default_date)
    if isinstance(date, datetime):
        return date
    if not isinstance(date, str):
        raise ValueRefusedError(
            f"takes text, not {kind(date)}; for milliseconds there is dformat()"
        )
    result = read_date(date) if format_ is None else date_reader(text(format_))(date)
    if result is None:
        raise ValueRefusedError("takes a date of the named format, not other text")
    return result


_COMPONENTS: dict[str, Callable[[datetime], int]] = {
    **dict.fromkeys(("year", "yyyy", "yy"), lambda value: value.year),
    **dict.fromkeys(("quarter", "qq", "q"), lambda value: (value.month + 2) // 3),
    **dict.fromkeys(("month", "mm", "m"), lambda value: value.month),
    **dict.fromkeys(("dayofyear", "dy", "y"), lambda value: value.timetuple().tm_yday),
    **dict.fromkeys(("day", "dd", "d"), lambda value: value.day),
    **dict.fromkeys(("week", "ww", "w"), lambda value: value.isocalendar()[1]),
    **dict.fromkeys(("weekday", "dw"), lambda value: value.isoweekday()),
    **dict.fromkeys(("hour", "hh", "hh24"), lambda value: value.hour),
    "hh12": lambda value: value.hour % 12 or 12,
    **dict.fromkeys(("minute", "mi", "n"), lambda value: value.minute),
    **dict.fromkeys(("second", "ss", "s"), lambda value: value.second),
    **dict.fromkeys(("millisecond", "ms", "sss"), lambda value: value.microsecond // 1000),
}


def _component(name: str) -> Callable[[datetime], int]:
    try:
        # The example in the documentation writes "MM" where its list has "mm".
        return _COMPONENTS[name.lower()]
    except KeyError:
        raise ValueRefusedError("takes a COMPONENT as year, month, day or hour") from None


@function("date_part", checks={0: _component})
def date_part(component: object, date: object) -> int:
    """Return a part of a date, in the date's own zone.

    Weeks and days of the week are ISO 8601's, Monday is 1. The documentation lists `w` twice: here
    it is the week.
    """
    return _component(text(component))(instant(date))


@function("zone_date_to_utc", method=True)
def zone_date_to_utc(date: object) -> datetime:
    """Return the same instant in UTC; text may end in an offset, an IANA name or as `PST`."""
    return instant(date).astimezone(timezone.utc)


@function("zone_date_to_zone", checks={1: zone})
def zone_date_to_zone(date: object, zone_: object) -> datetime:
    """Return the same instant in another zone."""
    return instant(date).astimezone(zone(text(zone_)))
