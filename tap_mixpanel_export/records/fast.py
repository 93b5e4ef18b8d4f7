"""Pure: many lines of an export as records of the stream `events`, at once."""

from __future__ import annotations

from hashlib import sha256
from itertools import compress
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Raw

from tap_mixpanel_export.json_text import NULL, encode
from tap_mixpanel_export.records.event_filter import NOTHING_SKIPPED
from tap_mixpanel_export.records.lines import lines_of
from tap_mixpanel_export.records.parsing import (
    ABSENT,
    all_properties,
    lines_decoder,
    properties_decoder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from tap_mixpanel_export.records.converters import ColumnValue
    from tap_mixpanel_export.records.event_filter import EventSelector, Skip
    from tap_mixpanel_export.records.json_encoder import Encoder
    from tap_mixpanel_export.records.redaction import Redaction
    from tap_mixpanel_export.timezones import Instants

_properties_of = attrgetter("properties")
_name_of = attrgetter("event")
_values_of = msgspec.structs.astuple
_QUOTE = ord('"')
_TEXT_STARTS = frozenset(b'"n')
_NUMBER = frozenset(b"-0123456789")
_IN_NUMBERS = b"-+.0123456789Ee"
_TEXT = str | None
_TEXT_TYPES = frozenset({str, NoneType})

# What 64 bits hold, as no more is kept of a processing time.
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

# Copying a hash is quicker than to make one.
_new_hash = sha256().copy


class RecordBlock(NamedTuple):
    """Finished records, part by part: there are too many for an object each.

    Attributes:
        encoded: The records, as the encoder makes them.
        keys: What tells repeats of each event: its digest; None without an
            `$insert_id`, when nothing tells a repeat from another event.
        instants: When each occurred, milliseconds since the epoch.
        processed: When Mixpanel processed each, milliseconds since the epoch; None when it does
            not say.
        skipped: How many other events were in the lines, by the reason why they are not written.
    """

    encoded: Any
    keys: Sequence[bytes | None]
    instants: Sequence[int]
    processed: Sequence[int | None]
    skipped: Mapping[Skip, int] = NOTHING_SKIPPED


class BlockMaker:
    """Makes the records of many usual lines at once.

    This is the fast path to a record. Its speed comes from doing each step for
    all lines before the next step, most of them inside of C: a call for each line costs as much as
    the work. It takes only what needs no thought, and leaves a block with anything else in it to
    its caller.

    Text columns are read as strings, until something else turns up in them.

    Args:
        written: The columns to write.
        names: The wanted properties: `time`, `distinct_id`, `$insert_id`, `mp_processing_time_ms`
            and `$distinct_id_before_identity`, then those of the columns.
        encoder: Gives records their form.
        instants: Reads `time`.
        event_filter: Says which events are written.
        redaction: Hides properties in what is written.
        convert: Gives a column's value for a property's text.
    """

    def __init__(  # noqa: PLR0913 - keywords, each a part of its own
        self,
        *,
        written: Sequence[ColumnValue],
        names: Sequence[str],
        encoder: Encoder,
        instants: Instants,
        event_filter: EventSelector,
        redaction: Redaction | None,
        convert: Callable[[ColumnValue, bytes], Raw],
    ) -> None:
        self._names = names
        self._any_kinds = [
            _kind(
                name,
                [column.kind for column in written if column.place == place],
            )
            for place, name in enumerate(names)
        ]
        self._decode_any = self._decoder(self._any_kinds)
        self._written = written
        self._redaction = redaction
        self._redacted_places = (
            [] if redaction is None else [p for p, n in enumerate(names) if n in redaction.names]
        )
        self._decode_redacted = properties_decoder([names[p] for p in self._redacted_places])
        texts = {column.place for column in written if column.is_text}
        self._expect(
            [
                _TEXT if kind is Raw and place in texts else kind
                for place, kind in enumerate(self._any_kinds)
            ]
        )
        self._encoder = encoder
        self._instants = instants
        self._event_filter = event_filter
        self._convert = convert

    def __call__(self, text: bytes) -> RecordBlock | None:
        """Make the records of a block.

        Args:
            text: One or more lines, UTF-8; the last one may lack its end.

        Returns:
            The records of the events to write; None when a line is not a usual one.
        """
        lines = lines_of(text)
        try:
            events = self._events(text)
        except (msgspec.MsgspecError, RecursionError):
            return None
        # With the usual layout, as many events as lines are one on each.
        if not 0 < len(events) == len(lines):
            return None
        names = list(map(_name_of, events))
        properties = all_properties(lines, map(len, names))
        if len(properties) != len(lines):
            return None
        columns = list(zip(*map(_values_of, map(_properties_of, events)), strict=True))
        times, distinct_ids, _, processed = columns[:4]
        # 0 may have been written -0, which is another text in `event_id`.
        if not all(times) or (not all(distinct_ids) and 0 in distinct_ids):
            return None
        try:
            timestamps, instants = self._instants.render_all(
                times, texts=self._encoder.writes_timestamps
            )
        except ValueError:
            return None
        parts: list[Sequence[Any]] = [
            properties,
            timestamps,
            instants,
            names,
            *columns,
        ]
        accepted, skipped = self._event_filter.select(instants, processed, names)
        if accepted is not None:
            parts = [list(compress(part, accepted)) for part in parts]
        return self._make(*parts)._replace(skipped=skipped)

    def _events(self, text: bytes) -> list[Any]:
        """Decode lines.

        Raises:
            msgspec.MsgspecError: One of them is not a usual one.
        """
        try:
            return self._decode(text)
        except msgspec.ValidationError:
            if self._kinds == self._any_kinds:
                raise
        events = self._decode_any(text)
        values = list(zip(*map(_values_of, map(_properties_of, events)), strict=True))
        # What held something else than strings is likely to do so again.
        self._expect(
            [
                any_kind if any_kind is Raw and not _are_texts(values[place]) else kind
                for place, (kind, any_kind) in enumerate(
                    zip(self._kinds, self._any_kinds, strict=True)
                )
            ]
        )
        return self._decode(text)

    def _expect(self, kinds: list[Any]) -> None:
        """Read properties as these types from now on."""
        self._kinds = kinds
        self._decode = self._decoder(kinds)
        # What msgspec has not checked while reading needs a look. The event's name comes last.
        read = [*kinds, str]
        self._checked = [
            (
                column,
                column.place in self._redacted_places
                or (
                    not (column.is_text and read[column.place] in {str, _TEXT})
                    and (column.kind is None or column.kind != read[column.place])
                ),
            )
            for column in self._written
        ]

    def _decoder(self, kinds: Sequence[Any]) -> Callable[[bytes], list[Any]]:
        return lines_decoder(
            [
                (name, kind, ABSENT if kind is Raw else None)
                for name, kind in zip(self._names, kinds, strict=True)
            ]
        )

    def _make(
        self,
        properties: Sequence[bytes],
        timestamps: Sequence[str | datetime],
        instants: Sequence[int],
        names: Sequence[str],
        *values: Sequence[Any],
    ) -> RecordBlock:
        """Make records of usual events that are written."""
        times, distinct_ids, insert_ids, processed, before_merge = values[:5]
        if any(before_merge):
            # It stays what it was when a merge changes `distinct_id`, and so does `event_id`.
            distinct_ids = [
                before or known for before, known in zip(before_merge, distinct_ids, strict=True)
            ]
        if not all(distinct_ids):
            distinct_ids = ["" if known is None else known for known in distinct_ids]
        own_ids = insert_ids
        if not all(insert_ids):
            own_ids = [
                known or sha256(text).hexdigest()
                for known, text in zip(insert_ids, properties, strict=True)
            ]
        digests = _digests(zip(names, times, distinct_ids, own_ids, strict=True))
        values = (*values, names)
        if self._redaction is not None:
            values, properties = self._redact(self._redaction, values, properties)
        columns = [
            self._looked_at(column, values[column.place]) if needs_look else values[column.place]
            for column, needs_look in self._checked
        ]
        if not self._encoder.writes_properties:
            properties = ()
        encoded = self._encoder.encode_block(digests, timestamps, instants, columns, properties)
        keys: Sequence[bytes | None] = digests
        if own_ids is not insert_ids:
            keys = [
                digest if known else None for digest, known in zip(digests, insert_ids, strict=True)
            ]
        return RecordBlock(encoded, keys, instants, processed)

    def _redact(
        self,
        redaction: Redaction,
        values: tuple[Sequence[Any], ...],
        properties: Sequence[bytes],
    ) -> tuple[tuple[Sequence[Any], ...], list[bytes]]:
        """Values and texts of `properties` without what is hidden."""
        shown = list(map(redaction, properties))
        if shown and self._redacted_places:
            read = map(_values_of, self._decode_redacted(b"\n".join(shown)))
            redacted = list(values)
            for place, anew in zip(self._redacted_places, zip(*read, strict=True), strict=True):
                redacted[place] = anew
            values = tuple(redacted)
        return values, shown

    def _looked_at(self, column: ColumnValue, values: Sequence[Any]) -> Sequence[Any]:
        """The values of a column whose type msgspec has not checked."""
        types = set(map(type, values))
        if column.is_text and types == {Raw}:
            if (texts := _number_texts(values)) is not None:
                return texts
            return [
                value
                if value is ABSENT
                else Raw(b'"%b"' % text)
                if (text := bytes(value))[0] in _NUMBER
                else value
                if text[0] == _QUOTE
                else self._converted(column, value)
                for value in values
            ]
        if column.is_text and types <= _TEXT_TYPES:
            return values
        return [self._converted(column, value) for value in values]

    def _converted(self, column: ColumnValue, value: Any) -> Any:
        if value is None or value is ABSENT:
            return value
        return self._convert(column, bytes(value) if type(value) is Raw else encode(value))


def _kind(name: str, kinds: Sequence[Any]) -> Any:
    """The type by which msgspec is to check a property while it reads.

    Args:
        name: The property's name.
        kinds: Types of the columns that it fills.
    """
    if name in {"time", "mp_processing_time_ms"}:
        return kinds[0] if kinds and kinds[0] not in {None, bool | None} else _Integer | None
    if name == "distinct_id":
        return str | int
    if name in {"$insert_id", "$distinct_id_before_identity"}:
        return str | None
    return kinds[0] if len(kinds) == 1 and kinds[0] is not None else Raw


def _number_texts(values: Sequence[Raw]) -> Sequence[str | None] | None:
    """The texts of values that are all numbers or null, as exported; None when one is not."""
    text = b"\n".join(values)
    others, border = text.translate(None, _IN_NUMBERS), b"\n" * (len(values) - 1)
    if others == border:
        return text.decode().split("\n")
    if others.replace(NULL, b"") == border:
        return [None if value == "null" else value for value in text.decode().split("\n")]
    return None


def _are_texts(values: Sequence[Raw]) -> bool:
    return all(value is ABSENT or bytes(value)[0] in _TEXT_STARTS for value in values)


def _digests(identities: Iterable[tuple[str, int, str | int, str]]) -> list[bytes]:
    """SHA-256 of what identifies each event, see `event_id`."""
    digests = []
    for name, time, distinct_id, insert_id in identities:
        digest = _new_hash()
        digest.update(f"{name}|{time}|{distinct_id}|{insert_id}".encode())
        digests.append(digest.digest())
    return digests
