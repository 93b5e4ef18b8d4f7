"""Pure: finished records as Arrow record batches; needs the extra `arrow`.

A column's values are gathered as they are read, over some thousand events, before Arrow sees them:
a call of Arrow for a block of lines costs as much as a hundred events.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from msgspec import Raw

from tap_mixpanel_export.record_layout import EVENT_ID, PROPERTIES, TIMESTAMP
from tap_mixpanel_export.records.parsing import ABSENT
from tap_mixpanel_export.records.spool import TemporarySpool
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmField, XdmType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_mixpanel_export.xdm.mapping.columns import Column

# What becomes one batch: large enough that a call of Arrow costs little, small enough that memory
# stays flat, however large events are.
_BATCH_ROWS = 8192
_BATCH_BYTES = 8 * 1024 * 1024

_QUOTE = ord('"')


class Rows(NamedTuple):
    """Some records, column by column.

    Attributes:
        ids: `event_id` of each.
        instants: When each occurred, milliseconds since the epoch.
        columns: The values of each mapped column: Python's values, or JSON text as `msgspec.Raw`.
        properties: `properties` of each as exported; empty when it is not written.
    """

    ids: Sequence[str]
    instants: Sequence[int]
    columns: Sequence[Sequence[Any]]
    properties: Sequence[bytes]


class ArrowEncoder:
    """Makes rows of what the record maker has read.

    Args:
        columns: The mapped columns.
        selected: Names of the columns to write; None for all.
    """

    def __init__(self, columns: Sequence[Column], selected: frozenset[str] | None = None) -> None:
        written = [c for c in columns if selected is None or c.name in selected]
        self.writes_properties = selected is None or PROPERTIES in selected
        self.schema = arrow_schema(written, properties=self.writes_properties)
        self._arrays = [_array_maker(column.field) for column in written]
        self.column_count = len(written)
        """How many mapped columns there are."""

    def encode_block(
        self,
        ids: Sequence[str],
        timestamps: Sequence[Any],  # noqa: ARG002 - the instants say it in Arrow's own form
        instants: Sequence[int],
        columns: Sequence[Sequence[Any]],
        properties: Sequence[bytes],
    ) -> Rows:
        """The rows of a block of events."""
        return Rows(ids, instants, columns, properties)

    def encode_line(
        self,
        event_id: str,
        timestamp: str,  # noqa: ARG002 - see above
        instant: int,
        values: Sequence[Any],
        properties: bytes,
    ) -> Rows:
        """The row of one event."""
        texts = (properties,) if self.writes_properties else ()
        return Rows((event_id,), (instant,), [(value,) for value in values], texts)

    def batch(self, rows: Rows) -> pa.RecordBatch:
        """Rows as a record batch of `schema`."""
        arrays = [
            pa.array(rows.ids, pa.string()),
            pa.array(rows.instants, pa.int64()).cast(pa.timestamp("ms", "UTC")).cast(_TIMESTAMP),
            *(make(values) for make, values in zip(self._arrays, rows.columns, strict=True)),
        ]
        if self.writes_properties:
            arrays.append(_texts_of(rows.properties))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


_TIMESTAMP = pa.timestamp("us", "UTC")


def arrow_schema(columns: Iterable[Column], *, properties: bool = True) -> pa.Schema:
    """The Arrow schema of records.

    Args:
        columns: The mapped columns.
        properties: Whether there is a column `properties`, JSON text.
    """
    return pa.schema(
        [
            pa.field(EVENT_ID, pa.string(), nullable=False),
            pa.field(TIMESTAMP, _TIMESTAMP, nullable=False),
            *(pa.field(column.name, arrow_type(column.field)) for column in columns),
            *([pa.field(PROPERTIES, pa.string(), nullable=False)] if properties else []),
        ]
    )


def arrow_type(field: XdmField) -> pa.DataType:
    """The Arrow type of an XDM field; dates and date-times are text, as they are in JSON."""
    if field.type in INTEGER_BOUNDS:
        return pa.int64()
    if field.type is XdmType.NUMBER:
        return pa.float64()
    if field.type is XdmType.BOOLEAN:
        return pa.bool_()
    if field.type is XdmType.ARRAY:
        return pa.list_(arrow_type(field.items or XdmField(XdmType.STRING)))
    if field.type is XdmType.OBJECT:
        return pa.struct(
            [pa.field(name, arrow_type(child)) for name, child in field.properties.items()]
        )
    return pa.string()


def _array_maker(field: XdmField) -> Callable[[Sequence[Any]], pa.Array]:
    kind = arrow_type(field)
    read = _reader(field)

    def make(values: Sequence[Any]) -> pa.Array:
        # One look at the types tells of most columns that nothing is to be read.
        if not {Raw}.isdisjoint(map(type, values)):
            values = [
                None if value is ABSENT else read(bytes(value)) if type(value) is Raw else value
                for value in values
            ]
        return pa.array(values, kind)

    return make


def _reader(field: XdmField) -> Callable[[bytes], Any]:
    """What reads a column's JSON text as Arrow can hold it."""
    if field.type is XdmType.NUMBER:
        # Beyond a double it is infinite.
        return float
    if pa.types.is_string(arrow_type(field)):
        return _read_text
    shape = _shaper(field)
    return lambda text: shape(without_surrogates(json.loads(text)))


def _read_text(text: bytes) -> Any:
    if text[0] == _QUOTE and b"\\" not in text:
        return text[1:-1].decode()
    return without_surrogates(json.loads(text))


def _shaper(field: XdmField) -> Callable[[Any], Any]:
    """What gives the numbers inside of lists and objects their type: Arrow refuses 1 for 1.0."""
    if field.type is XdmType.NUMBER:
        return lambda value: None if value is None else float(value)
    if field.type is XdmType.ARRAY:
        shape_item = _shaper(field.items or XdmField(XdmType.STRING))
        return lambda value: None if value is None else list(map(shape_item, value))
    if field.type is XdmType.OBJECT:
        members = {name: _shaper(child) for name, child in field.properties.items()}
        return lambda value: (
            None
            if value is None
            else {name: shape(value.get(name)) for name, shape in members.items()}
        )
    return lambda value: value


def without_surrogates(value: Any) -> Any:
    """The same JSON value with U+FFFD for lone surrogates, which UTF-8 does not have."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


def _texts_of(properties: Sequence[bytes]) -> pa.Array:
    # The lines were found to be UTF-8 before their records were made.
    return pa.array(properties, pa.binary()).cast(pa.string())


class ArrowSpool(TemporarySpool):
    """Records of a window as Arrow batches in a compressed temporary file, until it is verified.

    The file is written once and read once.

    Args:
        encoder: Makes batches of rows.
    """

    def __init__(self, encoder: ArrowEncoder) -> None:
        super().__init__()
        self._encoder = encoder
        self._writer: Any = None
        self._ids: list[str] = []
        self._instants: list[int] = []
        self._columns = self._empty_columns()
        self._properties: list[bytes] = []
        self._pending_bytes = 0

    def write(self, encoded: Rows, count: int) -> None:
        """Append records.

        Args:
            encoded: The records.
            count: How many they are.
        """
        if not count:
            return
        self._ids += encoded.ids
        self._instants += encoded.instants
        for pending, values in zip(self._columns, encoded.columns, strict=True):
            pending.extend(values)
        self._properties += encoded.properties
        self._pending_bytes += sum(map(len, encoded.properties))
        self.count += count
        if len(self._ids) >= _BATCH_ROWS or self._pending_bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._ids:
            return
        rows = Rows(self._ids, self._instants, self._columns, self._properties)
        batch = self._encoder.batch(rows)
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
            self._writer = pa.ipc.new_stream(self._file, self._encoder.schema, options=options)
        self._writer.write_batch(batch)
        self._ids, self._instants, self._properties = [], [], []
        self._columns = self._empty_columns()
        self._pending_bytes = 0

    def _empty_columns(self) -> list[list[Any]]:
        return [[] for _ in range(self._encoder.column_count)]

    def records(self) -> Iterator[pa.RecordBatch]:
        """Read all records, in order of writing; none of the batches is empty."""
        self._flush()
        if self._writer is None:
            return
        self._writer.close()
        self._file.seek(0)
        first = 0
        with pa.ipc.open_stream(self._file) as reader:
            for batch in reader:
                dropped = self._dropped_of(first, batch.num_rows)
                first += batch.num_rows
                if dropped:
                    kept = [not dropped >> at & 1 for at in range(batch.num_rows)]
                    batch = batch.filter(pa.array(kept, pa.bool_()))  # noqa: PLW2901 - the rest of it
                if batch.num_rows:
                    yield batch
