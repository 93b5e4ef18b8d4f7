"""A project's zone and days, and exported `time` values as instants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""No event is older."""

DAY = timedelta(days=1)

_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
_MINUTE_SECONDS = 60

# The years that an RFC 3339 date-time can have (1 to 9999), with a day's room for any offset.
_EARLIEST_SECONDS = int((datetime(1, 1, 2, tzinfo=timezone.utc) - EPOCH).total_seconds())
_LATEST_SECONDS = int((datetime(9999, 12, 30, tzinfo=timezone.utc) - EPOCH).total_seconds())

_as_datetimes = partial(msgspec.convert, type=list[datetime])

# Minutes that are kept rendered: two 30-day windows' worth.
_CACHED_MINUTES = 90_000


def to_milliseconds(instant: datetime) -> int:
    """Whole milliseconds since the epoch."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(milliseconds: int) -> datetime:
    """The instant, in UTC, so many milliseconds after the epoch.

    Raises:
        OverflowError: When no date is so far away.
    """
    return EPOCH + timedelta(milliseconds=milliseconds)


def load_zone(name: str) -> tzinfo:
    """The zone of an IANA name (`America/Los_Angeles`) or Windows name (`Pacific Standard Time`).

    Adobe's Mixpanel source takes Windows names, hence users bring them. They mean what Unicode's
    CLDR says, whatever the letters' case.

    Raises:
        ValueError: When there is no such zone.
    """
    # Most projects need no zone; the table is imported for those that do.
    from tzlocal.windows_tz import win_tz  # noqa: PLC0415 - see above

    wanted = name.strip()
    iana = {windows.lower(): iana for windows, iana in win_tz.items()}.get(wanted.lower(), wanted)
    try:
        return ZoneInfo(iana)
    except (KeyError, OSError, ValueError) as error:
        # Names are looked up as paths: that of a folder (America) is no file to open.
        raise ValueError(
            f"there is no time zone {name!r}; use an IANA name such as America/Los_Angeles "
            "or a Windows name such as Pacific Standard Time"
        ) from error


def wall_to_instant(wall: datetime, zone: tzinfo) -> datetime:
    """The instant, in UTC, at which a clock in the zone showed the naive time `wall`.

    In the repeated hour of autumn it is the earlier instant; a time in the skipped hour of spring
    is read with the offset before the change. Both are what `fold=0` means (PEP 495).
    """
    offset = wall.replace(tzinfo=zone, fold=0).utcoffset()
    return (wall - (offset or timedelta())).replace(tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class DayRange:
    """Some days of the project.

    Attributes:
        first: First day.
        last: Last day, inclusive.
    """

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many they are."""
        return (self.last - self.first) // DAY + 1

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """The instant, in UTC, at which a day of the project begins."""
    return wall_to_instant(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 - wall time


def day_of(instant: datetime, zone: tzinfo) -> date:
    """The project's day at an instant."""
    return instant.astimezone(zone).date()


def until_text(end: datetime, now: datetime) -> str:
    """When a wait ends, for people; both in UTC."""
    day = "" if end.date() == now.date() else f"{end:%Y-%m-%d} "
    return f"until {day}{end:%H:%M} UTC"


class Instants:
    """Exported `time` values as instants, in whole numbers of their unit.

    For projects created before 2023-01-01 Mixpanel exports the project's wall clock written as if
    it were UTC; for newer ones (zone UTC) `time` is UTC.

    Unless `time` is UTC in seconds, rendering costs a dictionary look-up an event: events of a day
    share its minutes.

    Args:
        zone: The project's zone; UTC for newer projects.
        milliseconds: Whether `time` counts milliseconds instead of seconds.
    """

    def __init__(self, zone: tzinfo, *, milliseconds: bool) -> None:
        self._zone = zone
        self._unit = 1000 if milliseconds else 1
        self._per_minute = _MINUTE_SECONDS * self._unit
        self._is_utc_seconds = zone is timezone.utc and not milliseconds
        self._minutes: dict[int, tuple[str, int]] = {}
        self._tails = [
            f"{s:02}Z" if not milliseconds else f"{s // 1000:02}.{s % 1000:03}Z"
            for s in range(self._per_minute)
        ]

    def render(self, time: int) -> tuple[bytes, int]:
        """The instant of an exported `time`, seconds or milliseconds.

        Returns:
            RFC 3339 text in UTC, and milliseconds since the epoch.

        Raises:
            ValueError: When the time lies outside of the years 1 to 9999.
        """
        (text,), (instant,) = self._render_each((time,))
        return text.encode(), instant

    def render_all(
        self, times: Sequence[int], *, texts: bool = True
    ) -> tuple[Sequence[str | datetime], list[int]]:
        """The same of many, each part in a list.

        Args:
            times: As exported.
            texts: Whether texts are wanted.

        Returns:
            What JSON has the RFC 3339 text for, if that is wanted, and milliseconds since the
            epoch.

        Raises:
            ValueError: When one of them lies outside of the years 1 to 9999.
        """
        if (
            self._is_utc_seconds
            and min(times) >= _EARLIEST_SECONDS
            and max(times) <= _LATEST_SECONDS
        ):
            instants = [time * 1000 for time in times]
            return _as_datetimes(times, strict=False) if texts else (), instants
        return self._render_each(times)

    def _render_each(self, times: Sequence[int]) -> tuple[list[str], list[int]]:
        minutes, tails, length = self._minutes, self._tails, self._per_minute
        per_unit = 1000 // self._unit
        texts: list[str] = []
        instants: list[int] = []
        for time in times:
            minute = time // length
            cached = minutes.get(minute) or self._render_minute(minute)
            if cached is None:
                text, instant = self._render_alone(time)
                texts.append(text)
                instants.append(instant)
            else:
                prefix, start = cached
                rest = time - minute * length
                texts.append(prefix + tails[rest])
                instants.append(start + rest * per_unit)
        return texts, instants

    def _render_minute(self, minute: int) -> tuple[str, int] | None:
        instant = self._instant(minute * _MINUTE_SECONDS)
        if instant.second:
            # Before standard time, offsets had seconds: wall-clock minutes straddle UTC's.
            return None
        if len(self._minutes) >= _CACHED_MINUTES:
            self._minutes.clear()
        cached = (
            instant.date().isoformat() + instant.strftime("T%H:%M:"),
            to_milliseconds(instant),
        )
        self._minutes[minute] = cached
        return cached

    def _render_alone(self, time: int) -> tuple[str, int]:
        seconds, rest = divmod(time, self._unit)
        instant = self._instant(seconds)
        text = instant.date().isoformat() + instant.strftime("T%H:%M:%S")
        if self._unit != 1:
            text += f".{rest:03d}"
        return text + "Z", to_milliseconds(instant) + (rest if self._unit != 1 else 0)

    def _instant(self, seconds: int) -> datetime:
        if not _EARLIEST_SECONDS <= seconds <= _LATEST_SECONDS:
            raise ValueError("the time lies outside of the years 1 to 9999")
        return wall_to_instant(_NAIVE_EPOCH + timedelta(seconds=seconds), self._zone)
