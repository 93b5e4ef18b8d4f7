"""An event as the project holds it: the exported line, and when Mixpanel had processed it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.sandbox.clock import epoch_milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo


_EPOCH = date(1970, 1, 1)
_DAY_MS = 86_400_000
_DEFAULT_DELAY = timedelta(seconds=40)


class Verbatim(str):
    """JSON text that goes into a line as it stands: `1.0`, `1e400`, an escaped lone surrogate."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the project.

    The line is kept as bytes cut at the number of `time`, because everything else must come out as
    it came in, and that number depends on the query (`time_in_ms`).

    Attributes:
        head: The exported line, without its line end, up to the number of `time`; the whole line
            when it has no `time`.
        time_ms: The exported `time` in milliseconds. In a project created before 2023 that is the
            project's wall clock as if it were UTC. It decides the day of the event in queries.
        tail: The line after that number; `None` when the line has no `time`.
        processed_ms: When Mixpanel had processed the event, true UTC milliseconds: the event exists
            from then on.
    """

    head: bytes
    time_ms: int
    tail: bytes | None
    processed_ms: int

    @classmethod
    def of(
        cls,
        name: str,
        properties: Mapping[str, Any],
        *,
        time_ms: int | None = None,
        processed_ms: int | None = None,
    ) -> Event:
        """Build an event from its name and the properties as they are to be exported.

        Args:
            name: Name of the event.
            properties: The properties; `time` in whole seconds is needed unless `time_ms` is given.
                It comes first in the line. Values may be `Verbatim`.
            time_ms: Exported time in milliseconds, for a time that has a part of a second.
            processed_ms: When Mixpanel had processed it; by default the property
                `mp_processing_time_ms`, or else the time.

        Raises:
            ValueError: There is no time.
        """
        if time_ms is None:
            seconds = properties.get("time")
            if not isinstance(seconds, int):
                raise ValueError(f"event {name!r} needs a `time` in whole seconds, or `time_ms`")
            time_ms = seconds * 1000
        if processed_ms is None:
            processed_ms = int(properties.get("mp_processing_time_ms", time_ms))
        rest = [
            f",{_text(key)}:{_text(value)}" for key, value in properties.items() if key != "time"
        ]
        head = f'{{"event":{_text(name)},"properties":{{"time":'
        return cls(head.encode(), time_ms, ("".join(rest) + "}}").encode(), processed_ms)

    @classmethod
    def at(
        cls,
        instant: datetime,
        name: str = "Signed up",
        *,
        zone: ZoneInfo | None = None,
        processed: datetime | None = None,
        stamped: bool = True,
        **properties: Any,
    ) -> Event:
        """Build an event that happened at an instant, exported as the project's zone has it.

        Args:
            instant: When it happened; needs a zone.
            name: Name of the event.
            zone: Zone of a project created before 2023, whose wall clock is exported; `None` for
                UTC.
            processed: When Mixpanel had processed it; 40 seconds later by default.
            stamped: Whether the line says so in `mp_processing_time_ms`.
            **properties: More properties; `insert_id` goes in as `$insert_id`.

        Raises:
            ValueError: A time has no zone.
        """
        processed_ms = epoch_milliseconds(processed or instant + _DEFAULT_DELAY)
        values: dict[str, Any] = {"distinct_id": "u1"}
        values.update(properties)
        if "insert_id" in values and "$insert_id" not in values:
            values["$insert_id"] = values.pop("insert_id")
        if stamped:
            values["mp_processing_time_ms"] = processed_ms
        return cls.of(
            name, values, time_ms=exported_milliseconds(instant, zone), processed_ms=processed_ms
        )

    @property
    def day(self) -> date:
        """The day of the event: UTC, or the project's own for projects created before 2023."""
        return _EPOCH + timedelta(days=self.time_ms // _DAY_MS)

    def line(self, *, time_in_ms: bool = False) -> bytes:
        """Return the exported line without its line end."""
        if self.tail is None:
            return self.head
        number = self.time_ms if time_in_ms else self.time_ms // 1000
        return b"%s%d%s" % (self.head, number, self.tail)


def exported_milliseconds(instant: datetime, zone: ZoneInfo | None) -> int:
    """Return an instant as `time` is exported, in milliseconds.

    Projects created before 2023-01-01 export the project's wall clock written as if it were UTC.
    """
    if zone is None:
        return epoch_milliseconds(instant)
    return epoch_milliseconds(instant.astimezone(zone).replace(tzinfo=timezone.utc))


def _text(value: Any) -> str:
    if isinstance(value, Verbatim):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
