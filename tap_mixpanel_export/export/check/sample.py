"""What some events show of a project: names, times, and what loaders stumble over.

Names of properties and their values are looked at, counted, and never kept for a message.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from statistics import median_low
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.records.lines import whole_lines
from tap_mixpanel_export.sync.filter_proof import EventDigest
from tap_mixpanel_export.sync.lags import Lags
from tap_mixpanel_export.timezones import Instants, day_of, from_milliseconds
from tap_mixpanel_export.xdm.surrogates import has_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date, tzinfo

STAMP = "mp_processing_time_ms"
_MOST_NAMES = 20_000
# So many events' stamps have the day's middle among them.
_ENOUGH_STAMPS = 200
_LONG_INTEGER = re.compile(rb"[0-9]{16}")
_EXACT_IN_DOUBLES = 2**53
# The longest text of a column in Redshift; others take more.
_LONG_TEXT_BYTES = 65_535


class Oddity(Enum):
    """What some loaders do not take as it is, and which setting helps."""

    NULL_CHARACTERS = (
        "U+0000 or half of a surrogate pair, which PostgreSQL's jsonb refuses: set "
        "properties_format to string for such a loader"
    )
    LONG_INTEGERS = (
        "whole numbers past 2^53, which loaders and readers that use doubles round (DuckDB's, "
        "JavaScript): set properties_format to string, or give the property a column of type "
        "string with `columns`"
    )
    LONG_TEXTS = (
        "a text of more than 65,535 bytes, too long for a column in Redshift: leave the property "
        "out with exclude_properties, or load into a type without that bound"
    )


@dataclass(slots=True)
class Sample:
    """Events of an answer, looked at as they come by; memory does not grow with them.

    Attributes:
        zone: The project's zone.
        milliseconds: Whether `time` counts milliseconds.
        events: How many.
        malformed: Lines that are none.
        text_bytes: Size of their text.
        stamped: How many say when they were processed.
        names: How often each event name occurs.
        days: How many events each day has.
        lags: How long after their time events were processed.
        oddities: How many events have each.
    """

    zone: tzinfo
    milliseconds: bool
    events: int = 0
    malformed: int = 0
    text_bytes: int = 0
    stamped: int = 0
    names: Counter[str] = field(default_factory=Counter)
    days: Counter[date] = field(default_factory=Counter)
    lags: Lags = field(default_factory=Lags)
    oddities: Counter[Oddity] = field(default_factory=Counter)
    _properties: set[str] = field(default_factory=set)

    @property
    def case_pairs(self) -> int:
        """How many names of properties differ from another one by case only."""
        return len(self._properties) - len({name.casefold() for name in self._properties})

    def take(self, block: bytes) -> list[int]:
        """Take some whole lines; the last one may lack its end.

        Returns:
            The processing stamps of those that have one.
        """
        instants, stamps = [], []
        clock = Instants(self.zone, milliseconds=self.milliseconds)
        for line in whole_lines(block):
            if not line.strip():
                continue
            self.text_bytes += len(line) + 1
            try:
                event = json.loads(line)
                properties = event["properties"]
                (instant,) = clock.render_all([int(properties["time"])])[1]
                self._note(str(event["event"]), properties, line)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                self.malformed += 1
                continue
            self.events += 1
            self.days[day_of(from_milliseconds(instant), self.zone)] += 1
            stamp = properties.get(STAMP)
            if isinstance(stamp, int):
                instants.append(instant)
                stamps.append(stamp)
        self.stamped += len(stamps)
        if stamps:
            self.lags.sample(instants, stamps)
        return stamps

    def _note(self, name: str, properties: dict[str, Any], line: bytes) -> None:
        if len(self.names) < _MOST_NAMES or name in self.names:
            self.names[name] += 1
        if len(self._properties) < _MOST_NAMES:
            self._properties.update(properties)
        if b"\\u" in line and any(
            "\0" in text or has_surrogates(text) for text in _texts(properties)
        ):
            self.oddities[Oddity.NULL_CHARACTERS] += 1
        if _LONG_INTEGER.search(line) and any(
            isinstance(value, int) and abs(value) > _EXACT_IN_DOUBLES
            for value in _values(properties)
        ):
            self.oddities[Oddity.LONG_INTEGERS] += 1
        if len(line) > _LONG_TEXT_BYTES and any(
            len(text.encode(errors="replace")) > _LONG_TEXT_BYTES for text in _texts(properties)
        ):
            self.oddities[Oddity.LONG_TEXTS] += 1


class ProofDay:
    """A day's whole answer, to hold the filter for late events against.

    The watermark that the filter is tried with is in the middle of the first events' processing
    stamps, so that events lie on both sides of it.

    Args:
        sample: Looks at the events, too.
        until_ms: Gives up to when all that was processed is in an answer, in milliseconds; asked
            for when the answer has begun.
    """

    def __init__(self, sample: Sample, until_ms: Callable[[], int]) -> None:
        self._sample = sample
        self._until_ms = until_ms
        self._waiting: list[bytes] = []
        self._stamps: list[int] = []
        self._digest: EventDigest | None = None

    def take(self, block: bytes) -> None:
        """Take some whole lines."""
        stamps = self._sample.take(block)
        if self._digest is not None:
            self._digest.take(block)
            return
        self._stamps += stamps
        self._waiting.append(block)
        if len(self._stamps) >= _ENOUGH_STAMPS:
            self.digest()

    def digest(self) -> EventDigest | None:
        """What the answers are compared by; None when no event says when it was processed."""
        if self._digest is None and self._stamps:
            self._digest = EventDigest(median_low(self._stamps), self._until_ms())
            for block in self._waiting:
                self._digest.take(block)
            self._waiting = []
        return self._digest


def _values(value: Any) -> Iterator[Any]:
    """All values inside of a value, names of members included."""
    # No recursion: events are nested as deeply as their sender likes.
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
            waiting += one.keys()
        elif isinstance(one, list):
            waiting += one
        else:
            yield one


def _texts(value: Any) -> Iterator[str]:
    return (one for one in _values(value) if isinstance(one, str))
