"""`start_date` and `end_date`: what people write as an instant."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo

from tap_mixpanel_export.timezones import start_of_day, wall_to_instant

FIRST_DAY = date(2011, 7, 10)
"""The first day that the export API takes as `from_date` (Mixpanel's reference of it)."""

# No day that is read lies outside: around the years 1 and 9999, which people write for "always" and
# "never", an offset or a day more is no date any more.
_EARLIEST = FIRST_DAY - timedelta(days=7)
_LATEST = date(9999, 12, 1)

_ZONE_WORD = re.compile(r"\s*(?:UTC|GMT)$", re.IGNORECASE)
_BLANK_BEFORE_OFFSET = re.compile(r"\s+(?=[+-]\d|[Zz]$)")

# A year, month (2026-11) or week stands for its first day as a start, and for its last as an end.
_DIGITS_OF_A_DAY = 7


# What needs no more than Python to be read.
_USUAL = re.compile(
    r"\d{4}-\d\d-\d\d(?P<time>T([01]\d|2[0-3]):\d\d(:\d\d)?(Z|[+-]([01]\d|2[0-3]):\d\d)?)?",
    re.ASCII,
)


def read_instant(text: str, zone: tzinfo, *, is_end: bool) -> tuple[datetime, bool]:
    """Read a date or date-time.

    Args:
        text: ISO 8601, or close to it.
        zone: The project's: a date is a day of the project; a date-time without an offset is what
            the project's clocks show, as all times in Mixpanel are.
        is_end: Whether a date stands for its end.

    Returns:
        The instant in UTC, and whether it was given as a date.

    Raises:
        ValueError: It is neither.
    """
    read = _parse(_BLANK_BEFORE_OFFSET.sub("", _ZONE_WORD.sub("Z", text.strip())).upper())
    day = date(read.year, read.month, read.day)
    bounded = min(max(day, _EARLIEST), _LATEST)
    if not isinstance(read, datetime):
        return start_of_day(bounded + timedelta(days=1) if is_end else bounded, zone), True
    if bounded != day:
        return start_of_day(bounded, zone), False
    moment = datetime.combine(day, read.time(), read.tzinfo)
    if moment.tzinfo is None:
        return wall_to_instant(moment, zone), False
    return moment.astimezone(timezone.utc), False


def _parse(text: str) -> date:
    """A date, or a date-time, which stays naive without an offset.

    Raises:
        ValueError: It is neither.
    """
    if usual := _USUAL.fullmatch(text):
        # Python 3.10 does not know `Z`.
        kind = datetime if usual["time"] else date
        return kind.fromisoformat(text.replace("Z", "+00:00"))
    # A tenth of a start.
    import pendulum  # noqa: PLC0415 - see above

    if len(re.findall(r"\d", text)) < _DIGITS_OF_A_DAY:
        raise ValueError("it names no day")
    read: object = pendulum.parse(text, exact=True, tz=None)
    if not isinstance(read, date):
        raise ValueError("it is a time or a duration")  # noqa: TRY004 - of its text
    return read
