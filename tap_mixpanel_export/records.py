"""Pure: a line of an export as a record of the stream `events`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from tap_mixpanel_export.cells import NULL, cell_maker, checked_type, is_plain_text
from tap_mixpanel_export.events import (
    ABSENT,
    NotAnEventError,
    event_decoder,
    find_properties,
    line_decoder,
)
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

_encode = msgspec.json.Encoder().encode
_PROPERTIES = b',"properties":'
_values_of = msgspec.structs.astuple
_QUOTE = ord('"')
_NO_INSERT_IDS = (b'""', b"null")

KEY_BYTES = 16
"""How much of an event's SHA-256 tells it from others."""

Record = tuple[bytes, bytes | None, int, int | None]
"""A finished record, as a plain tuple because there are so many.

- Its text: a JSON object in one line; `event_id` and `timestamp` come first.
- What tells repeats of the event: a part of its digest; None without an `$insert_id`, when nothing
  tells a repeat from another event.
- When it occurred, milliseconds since the epoch.
- When Mixpanel processed it, milliseconds since the epoch; None when it does not say.
"""


@dataclass(frozen=True, slots=True)
class _Cell:
    """A column to write.

    Attributes:
        name: The column's name.
        place: Index of its property among the wanted ones; behind the last one is the event's name.
        make: Gives the column's text for the property's text.
        is_text: Whether any JSON string is a value of it.
        kind: Type by which msgspec checks the property, None for not at all.
    """

    name: str
    place: int
    make: Callable[[bytes], bytes]
    is_text: bool
    kind: Any


class RecordMaker:
    """Makes records of the lines of an export.

    There are two ways to the same record, and the line decides. Usually msgspec checks the types of
    the mapped properties while it reads the line. A line that it refuses is taken apart value by
    value, each converted as Data Prep does.

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
        wanted = tuple(dict.fromkeys((*_OWN, *(c.path[0] for c in written if c.path))))
        self._cells = [
            _Cell(
                name=column.name,
                place=wanted.index(column.path[0]) if column.path else len(wanted),
                make=cell_maker(column.field, column.path[1:]),
                is_text=is_plain_text(column.field) and len(column.path) < 2,  # noqa: PLR2004
                kind=checked_type(column.field) if len(column.path) == 1 else None,
            )
            for column in written
        ]
        fields = [self._wanted_field(place, name) for place, name in enumerate(wanted)]
        self._decode = line_decoder(fields, event=str)
        self._decode_any = event_decoder(wanted)
        # What msgspec has not checked needs a look.
        kinds = [*(kind for _, kind, _ in fields), str]
        self._looks = [
            (index, cell)
            for index, cell in enumerate(self._cells)
            if kinds[cell.place] not in ((str, str | None) if cell.is_text else (cell.kind,))
        ]
        self._arrange = _arranger([cell.place for cell in self._cells])
        self._instants = instants
        self._is_wanted = is_wanted
        self._with_properties = selected is None or "properties" in selected
        self._properties_as_text = properties_as_text
        self._columns = _struct(["event_id", "timestamp", *(cell.name for cell in self._cells)])
        self.conversion_warnings: Counter[str] = Counter()
        """Values that became null because they do not fit their column, by column."""

    def _wanted_field(self, place: int, name: str) -> tuple[str, Any, Any]:
        """How msgspec is to read a property; what it refuses is taken apart value by value."""
        kinds = [cell.kind for cell in self._cells if cell.place == place]
        if name in {_TIME, _PROCESSED}:
            kind = kinds[0] if kinds and kinds[0] not in {None, bool | None} else int | None
            return name, kind, None
        if name == _DISTINCT_ID:
            return name, str | int, None
        if name == _INSERT_ID:
            return name, str | None, None
        if len(kinds) == 1 and kinds[0] is not None:
            return name, kinds[0], None
        return name, Raw, ABSENT

    def __call__(self, line: bytes) -> Record | None:
        """Make the record of a line.

        Args:
            line: One event as exported, without the line's end.

        Returns:
            The record, or None when it is not wanted.

        Raises:
            NotAnEventError: The line is malformed: no event, or without a usable `time`.
        """
        try:
            parts = self._decode(line)
            values = _values_of(parts.properties)
            time, distinct_id, insert_id, processed = values[:4]
            timestamp, instant = self._instants.render(time)
        except (msgspec.MsgspecError, RecursionError, TypeError, ValueError):
            # TypeError: there is no `time`.
            return self._make_any(line)
        start = find_properties(line)
        if not start:
            return self._make_any(line)
        if not self._is_wanted(instant, processed):
            return None
        name = parts.event
        if insert_id:
            digest = sha256(
                f"{name}|{time}|{'' if distinct_id is None else distinct_id}|{insert_id}".encode()
            ).digest()
            key = digest[:KEY_BYTES]
        else:
            body = sha256(line[start:-1]).hexdigest()
            digest = sha256(
                f"{name}|{time}|{'' if distinct_id is None else distinct_id}|{body}".encode()
            ).digest()
            key = None
        cells = self._arrange((*values, name))
        for index, cell in self._looks:
            value = cells[index]
            if value is ABSENT or value is None:
                continue
            text = bytes(value) if type(value) is Raw else _encode(value)
            if not (cell.is_text and text[0] == _QUOTE):
                cells = (*cells[:index], self._convert(cell, text), *cells[index + 1 :])
        text = _encode(self._columns(digest.hex(), timestamp.decode(), *cells))
        if self._with_properties:
            # The last brace of the line closes the record.
            rest = line[start:] if not self._properties_as_text else _quoted(line[start:-1])
            text = text[:-1] + _PROPERTIES + rest
        return text, key, instant, processed

    def _make_any(self, line: bytes) -> Record | None:
        """The same, value by value."""
        event = self._decode_any(line)
        time = bytes(event.values[0])
        try:
            timestamp, instant = self._instants.render(int(time))
        except ValueError:
            timestamp, instant = self._render_fraction(time)
        _, distinct_id, insert_id, processed_raw = event.values[:4]
        processed_text = bytes(processed_raw)
        processed = int(processed_text) if processed_text.isdigit() else None
        if not self._is_wanted(instant, processed):
            return None
        values = (*event.values, event.name)
        cells = [
            ABSENT
            if values[cell.place] is ABSENT
            else self._convert(cell, bytes(values[cell.place]))
            for cell in self._cells
        ]
        insert_text = bytes(insert_id)
        is_identified = insert_text not in _NO_INSERT_IDS
        digest = sha256(
            b"|".join(
                (
                    _plain(event.name),
                    time,
                    b"" if distinct_id is ABSENT else _plain(bytes(distinct_id)),
                    _plain(insert_text)
                    if is_identified
                    else sha256(event.properties).hexdigest().encode(),
                )
            )
        ).digest()
        text = _encode(self._columns(digest.hex(), timestamp.decode(), *cells))
        if self._with_properties:
            rest = (
                _quoted(event.properties) if self._properties_as_text else event.properties + b"}"
            )
            text = text[:-1] + _PROPERTIES + rest
        return text, digest[:KEY_BYTES] if is_identified else None, instant, processed

    def _convert(self, cell: _Cell, text: bytes) -> Raw:
        if text == NULL:
            return ABSENT
        try:
            return Raw(cell.make(text))
        except ConversionError:
            self.conversion_warnings[cell.name] += 1
            return ABSENT

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


def _quoted(properties: bytes) -> bytes:
    return _encode(properties.decode()) + b"}"


def _struct(names: Sequence[str]) -> Callable[..., Any]:
    """A struct whose members have the columns' names, which need not be names in Python."""
    return msgspec.defstruct(
        "Columns",
        [(f"c{i}", Any, msgspec.field(name=name)) for i, name in enumerate(names)],
        gc=False,
    )


def _arranger(places: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A function that gives the values at some places; always a tuple, unlike itemgetter."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


def _plain(text: bytes) -> bytes:
    """What `event_id` is made of: a string as is, anything else as its JSON text."""
    if text[0] != _QUOTE:
        return text
    if b"\\" not in text:
        return text[1:-1]
    # A lone surrogate has no UTF-8 of its own; this form is the one that loses nothing.
    return str(json.loads(text)).encode("utf-8", "surrogatepass")
