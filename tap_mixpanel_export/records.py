"""Pure: a line of an export as a record of the stream `events`."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tap_mixpanel_export.cells import NULL, cell_maker
from tap_mixpanel_export.events import ABSENT, NotAnEventError, event_decoder
from tap_mixpanel_export.repeats import KEY_BYTES
from tap_mixpanel_export.xdm.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_mixpanel_export.timezones import Instants
    from tap_mixpanel_export.xdm.columns import Column

# Properties that every record needs, whatever the mapping.
_TIME = "time"
_DISTINCT_ID = "distinct_id"
_INSERT_ID = "$insert_id"
_PROCESSED = "mp_processing_time_ms"
_OWN = (_TIME, _DISTINCT_ID, _INSERT_ID, _PROCESSED)

# More than any instant has, in any unit.
_MOST_DIGITS = 20

_QUOTE = ord('"')
_NO_INSERT_IDS = (b'""', b"null")

_DAY_START = len(b'{"event_id":"",') + 64 + len(b'"timestamp":"')
DAY_OF_RECORD = slice(_DAY_START, _DAY_START + len(b"2026-11-22"))
"""Where the UTC day of a record's `timestamp` stands in its text."""


class Record(NamedTuple):
    """A finished record.

    Attributes:
        text: JSON object in one line; `event_id` and `timestamp` come first.
        key: What tells repeats of the event: a part of its digest; None without an `$insert_id`,
            when nothing tells a repeat from another event.
        instant: When it occurred, milliseconds since the epoch.
        processed: When Mixpanel processed it, milliseconds since the epoch; None when it does not
            say.
    """

    text: bytes
    key: bytes | None
    instant: int
    processed: int | None


class RecordMaker:
    """Makes records of the lines of an export.

    Args:
        columns: The mapped columns.
        instants: Reads `time`.
        selected: Names of the columns to write; None for all. `event_id` and `timestamp` are
            always written.
        properties_as_text: Whether `properties` is JSON text instead of an object.
        is_wanted: Whether an event is written, by its instant and processing time.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        instants: Instants,
        *,
        selected: frozenset[str] | None = None,
        properties_as_text: bool = False,
        is_wanted: Callable[[int, int | None], bool] = lambda _instant, _processed: True,
    ) -> None:
        written = [c for c in columns if selected is None or c.name in selected]
        roots = dict.fromkeys((*_OWN, *(c.path[0] for c in written if c.path)))
        self._decode = event_decoder(tuple(roots))
        place = {name: index for index, name in enumerate(roots)}
        self._cells = [
            (
                column.name,
                place[column.path[0]] if column.path else None,
                cell_maker(column.field, column.path[1:]),
            )
            for column in written
        ]
        self._instants = instants
        self._is_wanted = is_wanted
        self._with_properties = selected is None or "properties" in selected
        self._properties_as_text = properties_as_text
        # One pass of C over prepared text; names may hold a percent sign.
        self._template = (
            b",".join(
                [
                    b'{"event_id":"%b","timestamp":"%b"',
                    *(
                        msgspec.json.encode(column.name).replace(b"%", b"%%") + b":%b"
                        for column in written
                    ),
                    *([b'"properties":%b'] if self._with_properties else []),
                ]
            )
            + b"}"
        )
        self.conversion_warnings: Counter[str] = Counter()
        """Values that became null because they do not fit their column, by column."""

    def __call__(self, line: bytes) -> Record | None:
        """Make the record of a line.

        Args:
            line: One event as exported, without the line's end.

        Returns:
            The record, or None when it is not wanted.

        Raises:
            NotAnEventError: The line is malformed: no event, or without a usable `time`.
        """
        event = self._decode(line)
        values = event.values
        time = bytes(values[0])
        try:
            timestamp, instant = self._instants.render(int(time))
        except ValueError:
            timestamp, instant = self._render_fraction(time)
        processed_text = bytes(values[3])
        processed = int(processed_text) if processed_text.isdigit() else None
        if not self._is_wanted(instant, processed):
            return None
        distinct_id = b"" if values[1] is ABSENT else _plain(bytes(values[1]))
        insert_id = bytes(values[2])
        is_identified = insert_id not in _NO_INSERT_IDS
        digest = sha256(
            b"|".join(
                (
                    _plain(event.name),
                    time,
                    distinct_id,
                    _plain(insert_id)
                    if is_identified
                    else sha256(event.properties).hexdigest().encode(),
                )
            )
        )
        parts = [digest.hexdigest().encode(), timestamp]
        for name, place, make in self._cells:
            if place is None:
                value = event.name
            elif (raw := values[place]) is ABSENT:
                parts.append(NULL)
                continue
            else:
                value = bytes(raw)
            try:
                parts.append(NULL if value == NULL else make(value))
            except ConversionError:
                self.conversion_warnings[name] += 1
                parts.append(NULL)
        if self._with_properties:
            parts.append(
                _as_text(event.properties) if self._properties_as_text else event.properties
            )
        return Record(
            self._template % tuple(parts),
            digest.digest()[:KEY_BYTES] if is_identified else None,
            instant,
            processed,
        )

    def _render_fraction(self, time: bytes) -> tuple[bytes, int]:
        """A `time` that is not a whole number: the instant of its unit that it lies in."""
        try:
            number = Decimal(time.decode())
            if number.adjusted() > _MOST_DIGITS:
                # The integer of 1e400 has 401 digits, that of 1e999999999 does not fit in memory.
                raise NotAnEventError("no usable `time`")
            return self._instants.render(int(number.to_integral_value("ROUND_FLOOR")))
        except (InvalidOperation, ValueError) as error:
            raise NotAnEventError("no usable `time`") from error


def _plain(text: bytes) -> bytes:
    """What `event_id` is made of: a string as is, anything else as its JSON text."""
    if text[0] != _QUOTE:
        return text
    if b"\\" not in text:
        return text[1:-1]
    # A lone surrogate has no UTF-8 of its own; this form is the one that loses nothing.
    return str(json.loads(text)).encode("utf-8", "surrogatepass")


def _as_text(properties: bytes) -> bytes:
    return msgspec.json.encode(properties.decode())
