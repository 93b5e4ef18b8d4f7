"""Pure: a line of an export as a record of the stream `events`."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Raw

from tap_mixpanel_export.json_text import NULL, plain
from tap_mixpanel_export.records.converters import ColumnValue
from tap_mixpanel_export.records.event_filter import EventFilter
from tap_mixpanel_export.records.fast import BlockMaker
from tap_mixpanel_export.records.json_encoder import json_encoder
from tap_mixpanel_export.records.parsing import ABSENT, Malformed, NotAnEventError, event_decoder
from tap_mixpanel_export.xdm.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_mixpanel_export.records.event_filter import EventSelector, Skip
    from tap_mixpanel_export.records.json_encoder import Encoder
    from tap_mixpanel_export.records.parsing import Event
    from tap_mixpanel_export.records.redaction import Redaction
    from tap_mixpanel_export.timezones import Instants
    from tap_mixpanel_export.xdm.mapping.columns import Column

# Properties that every record needs, whatever the mapping.
_TIME = "time"
_DISTINCT_ID = "distinct_id"
_INSERT_ID = "$insert_id"
_PROCESSED = "mp_processing_time_ms"
# What `distinct_id` was before Mixpanel merged the event's user with another one.
_BEFORE_MERGE = "$distinct_id_before_identity"
_OWN = (_TIME, _DISTINCT_ID, _INSERT_ID, _PROCESSED, _BEFORE_MERGE)

# More than any instant has, in any unit.
_MOST_DIGITS = 20
_ENDLESS = 2**63

_NO_IDS = (b'""', b"null")


class Record(NamedTuple):
    """A finished record.

    Attributes:
        encoded: What the encoder makes of a block with no other record.
        key: What tells repeats of the event: its digest; None without an `$insert_id`, when
            nothing tells a repeat from another event.
        instant: When it occurred, milliseconds since the epoch.
        processed: When Mixpanel processed it, milliseconds since the epoch; None when it does not
            say.
    """

    encoded: Any
    key: bytes | None
    instant: int
    processed: int | None


class RecordMaker:
    """Makes records of the lines of an export.

    There are two paths to the same records. On the fast one `make_block` makes those of many lines
    at once, msgspec checking the types of the mapped properties while it reads. A line that it
    leaves is taken apart value by value on the slow one, each converted as Data Prep does.

    Args:
        columns: The mapped columns.
        instants: Reads `time`.
        selected: Names of the columns to write; None for all. `event_id` and `timestamp` are
            always written.
        properties_as_text: Whether `properties` is JSON text instead of an object.
        event_filter: Says which events are written.
        redaction: Hides properties in what is written; None when nothing is hidden. The key, the
            timestamp and the filter see them all.
        encoder: Gives records their form; JSON text when there is none.
    """

    def __init__(  # noqa: PLR0913 - keywords, each a part of its own
        self,
        columns: Sequence[Column],
        instants: Instants,
        *,
        selected: frozenset[str] | None = None,
        properties_as_text: bool = False,
        event_filter: EventSelector = EventFilter(),  # noqa: B008 - it is immutable
        redaction: Redaction | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        written = [c for c in columns if selected is None or c.name in selected]
        wanted = tuple(dict.fromkeys((*_OWN, *(c.path[0] for c in written if c.path))))
        self._written = [ColumnValue.of(column, wanted) for column in written]
        self._decode = event_decoder(wanted)
        self._instants = instants
        self._event_filter = event_filter
        self._redaction = redaction
        self._encoder = encoder or json_encoder(written, selected, as_text=properties_as_text)
        self.make_block = BlockMaker(
            written=self._written,
            names=wanted,
            encoder=self._encoder,
            instants=instants,
            event_filter=event_filter,
            redaction=redaction,
            convert=self._convert,
        )
        """Makes the records of usual lines."""
        self.conversion_warnings: Counter[str] = Counter()
        """Values that became null because they do not fit their column, by column."""
        self.conversion_kinds: Counter[tuple[str, str]] = Counter()
        """The same by column, and what kind of value met what type."""

    def make_line(self, line: bytes) -> Record | Skip:
        """Make the record of any line, value by value.

        Args:
            line: One event as exported, without the line's end.

        Returns:
            The record, or why it is not written.

        Raises:
            NotAnEventError: The line is malformed: no event, or without a usable `time`.
        """
        event = self._decode(line)
        time = bytes(event.values[0])
        try:
            timestamp, instant = self._instants.render(int(time))
        except ValueError:
            timestamp, instant = self._render_fraction(time)
        _, distinct_id, insert_id, processed_raw, before_merge = event.values[: len(_OWN)]
        processed = read_processed(bytes(processed_raw))
        name = plain(event.name)
        reason = self._event_filter.reason_to_skip(
            instant, processed, name.decode("utf-8", "surrogatepass")
        )
        if reason is not None:
            return reason
        shown = self._redacted(event)
        values = (*shown.values, shown.name)
        values_written = [
            ABSENT
            if values[column.place] is ABSENT
            else self._convert(column, bytes(values[column.place]))
            for column in self._written
        ]
        if bytes(before_merge) not in _NO_IDS:
            distinct_id = before_merge
        insert_text = bytes(insert_id)
        is_identified = insert_text not in _NO_IDS
        digest = sha256(
            b"|".join(
                (
                    name,
                    time,
                    b"" if distinct_id is ABSENT else plain(bytes(distinct_id)),
                    plain(insert_text)
                    if is_identified
                    else sha256(event.properties).hexdigest().encode(),
                )
            )
        ).digest()
        encoded = self._encoder.encode_line(
            digest, timestamp.decode(), instant, values_written, shown.properties
        )
        return Record(encoded, digest if is_identified else None, instant, processed)

    def _redacted(self, event: Event) -> Event:
        if self._redaction is None:
            return event
        properties = self._redaction(event.properties)
        return self._decode(b'{"event":%b,"properties":%b}' % (event.name, properties))

    def _convert(self, column: ColumnValue, text: bytes) -> Raw:
        if text == NULL:
            return ABSENT
        try:
            return Raw(column.make(text))
        except ConversionError:
            self.conversion_warnings[column.name] += 1
            self.conversion_kinds[column.name, column.misfit(text)] += 1
            return ABSENT

    def _render_fraction(self, time: bytes) -> tuple[bytes, int]:
        """A `time` that is not a whole number: the instant of its unit that it lies in."""
        try:
            number = Decimal(time.decode())
            if number.adjusted() > _MOST_DIGITS:
                # The integer of 1e400 has 401 digits, that of 1e999999999 does not fit in memory.
                raise NotAnEventError(Malformed.NO_TIME)
            return self._instants.render(int(number.to_integral_value("ROUND_FLOOR")))
        except (InvalidOperation, ValueError) as error:
            raise NotAnEventError(Malformed.NO_TIME) from error


def read_processed(text: bytes) -> int | None:
    """When an event was processed; None for what is no time of any clock."""
    try:
        at = int(text) if len(text) <= _MOST_DIGITS else None
    except ValueError:
        return None
    return at if at is not None and -_ENDLESS <= at < _ENDLESS else None
