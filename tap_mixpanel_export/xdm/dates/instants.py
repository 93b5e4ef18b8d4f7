"""Dates: reading ISO 8601 text, zones, and writing them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from tap_mixpanel_export.xdm.errors import ValueRefusedError

_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?"
    r"\s*([Zz]|[+-]\d{2}(?::?\d{2})?|[A-Za-z][\w/+-]*)?",
    re.ASCII,
)
_RFC3339_IN_UTC = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z", re.ASCII)
_SECONDS = len("2022-05-16T18:20:00")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})?", re.ASCII)
_ZONE_NAME = re.compile(r"[A-Za-z][\w+-]*(?:/[A-Za-z][\w+-]*)*", re.ASCII)

# The abbreviations with one meaning in the standard of mail dates (RFC 5322, section 4.3). They are
# fixed offsets: in Data Prep's documentation 2019-10-17T11:55:12 PST is 19:55:12 UTC, eight hours,
# though California had daylight time.
_ABBREVIATIONS = {
    "Z": 0,
    "z": 0,
    "UT": 0,
    "UTC": 0,
    "GMT": 0,
    "EDT": -4,
    "EST": -5,
    "CDT": -5,
    "CST": -6,
    "MDT": -6,
    "MST": -7,
    "PDT": -7,
    "PST": -8,
}


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """Return the zone of an offset (`Z`, `-08`, `-0800`, `-08:00`), abbreviation or IANA name.

    Raises:
        ValueRefusedError: If there is no such zone.
    """
    if name in _ABBREVIATIONS:
        return timezone(timedelta(hours=_ABBREVIATIONS[name]))
    offset = _OFFSET.fullmatch(name)
    if offset:
        size = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if size < timedelta(days=1):
            return timezone(-size if offset[1] == "-" else size)
    elif _ZONE_NAME.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            # KeyError: unknown; OSError: a folder of the zone database, as `America` is.
            raise ValueRefusedError("knows no such time zone") from None
    raise ValueRefusedError("knows no such time zone")


def read_iso(value: str) -> datetime | None:
    """Read ISO 8601 text, with a blank for the `T` or without a time too; UTC without a zone.

    Returns:
        The date, or None for text of another form.

    Raises:
        ValueRefusedError: If the zone is unknown.
        ValueError: If there is no such day or time.
    """
    match = _ISO.fullmatch(value.strip())
    return None if match is None else _instant_of(match)


def rfc3339_text(value: str) -> str | None:
    """Return the RFC 3339 text of an ISO 8601 text that `read_iso` takes, with all its digits.

    Returns:
        The text, or None for text of another form.

    Raises:
        ValueError: As `read_iso`.
    """
    if _RFC3339_IN_UTC.fullmatch(value):
        # As the tap writes them, one in each event; the rest of this takes some microseconds.
        datetime.fromisoformat(value[:_SECONDS])
        return value
    match = _ISO.fullmatch(value.strip())
    if match is None:
        return None
    moment, fraction = _instant_of(match), match[7]
    text = iso_text(moment.replace(microsecond=0))
    # A date has no more than six digits of a second.
    return text if fraction is None else f"{text[:_SECONDS]}.{fraction}{text[_SECONDS:]}"


def _instant_of(match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second, fraction, zone_name = match.groups(default="")
    return datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int(fraction.ljust(6, "0")[:6]),
        zone(zone_name or "Z"),
    )


def instant(value: object) -> datetime:
    """Return a date, or the date that an ISO 8601 text spells.

    Raises:
        ValueRefusedError: For everything else.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            result = read_iso(value)
        except ValueRefusedError:
            raise
        except ValueError:
            result = None
        if result is None:
            raise ValueRefusedError("takes a date in ISO 8601; date() reads other formats")
        return result
    raise ValueRefusedError("takes a date; for milliseconds there is dformat()")


def iso_text(value: datetime) -> str:
    """Return a date in ISO 8601: `Z` for UTC, and as many digits of the second as it has."""
    offset = value.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):
        # Clocks of before standard time: RFC 3339 has offsets of whole minutes only.
        value = value.astimezone(timezone.utc)
    precision = "auto" if value.microsecond % 1000 else "milliseconds"
    if not value.microsecond:
        precision = "seconds"
    result = value.isoformat(timespec=precision)
    return result[:-6] + "Z" if result.endswith("+00:00") else result
