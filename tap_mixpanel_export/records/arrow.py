"""Pure: finished records as Arrow record batches; needs the extra `arrow`.

A column's values are gathered as they are read, over some thousand events, before Arrow sees them:
a call of Arrow for a block of lines costs as much as a hundred events.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from tap_mixpanel_export.private_files import open_temporary
from tap_mixpanel_export.record_layout import PROPERTIES
from tap_mixpanel_export.records.arrow_values import INSTANT, array_maker, arrow_schema
from tap_mixpanel_export.records.form import RecordForm
from tap_mixpanel_export.records.spool import TemporarySpool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_mixpanel_export.xdm.mapping.columns import Column

# What becomes one batch: large enough that a call of Arrow costs little, small enough that memory
# stays flat, however large events are.
_BATCH_ROWS = 8192
_BATCH_BYTES = 8 * 1024 * 1024
# Below 0 it is LZ4's acceleration: a fifth less time than without, and a fourteenth more space.
_COMPRESSION = pa.Codec("lz4", compression_level=-10)


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
        projections: By column, what gives the part of its JSON text that is written, where that
            is not all of it.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        selected: frozenset[str] | None = None,
        projections: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType({}),
        *,
        time_in_ms: bool = False,
    ) -> None:
        written = [c for c in columns if selected is None or c.name in selected]
        self.writes_properties = selected is None or PROPERTIES in selected
        self.schema = arrow_schema(
            written, properties=self.writes_properties, time_in_ms=time_in_ms
        )
        self._project = projections.get(PROPERTIES)
        self._arrays = [
            array_maker(column.field, projections.get(column.name)) for column in written
        ]
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
            pa.array(rows.instants, pa.int64()).cast(pa.timestamp("ms", "UTC")).cast(INSTANT),
            *(make(values) for make, values in zip(self._arrays, rows.columns, strict=True)),
        ]
        if self.writes_properties:
            texts = rows.properties
            if self._project is not None:
                texts = list(map(self._project, texts))
            arrays.append(_texts_of(texts))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _texts_of(properties: Sequence[bytes]) -> pa.Array:
    # The lines were found to be UTF-8 before their records were made.
    return pa.array(properties, pa.binary()).cast(pa.string())


def arrow_form(
    columns: Sequence[Column],
    selected: frozenset[str] | None,
    projections: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType({}),
    *,
    time_in_ms: bool = False,
) -> RecordForm:
    """Records as Arrow batches.

    Args:
        columns: The mapped columns.
        selected: Names of the columns to write; None for all.
        projections: By column, what gives the part of its JSON text that is written, where that
            is not all of it.
        time_in_ms: Whether `time` is in milliseconds.
    """
    encoder = ArrowEncoder(columns, selected, projections, time_in_ms=time_in_ms)
    return RecordForm(selected, lambda _: ArrowSpool(encoder), encoder)


class ArrowSpool(TemporarySpool):
    """Records of a window as Arrow batches in a compressed temporary file, until it is verified.

    The file is written once and read once.

    Args:
        encoder: Makes batches of rows.
    """

    def __init__(self, encoder: ArrowEncoder) -> None:
        super().__init__(open_temporary())
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
            options = pa.ipc.IpcWriteOptions(compression=_COMPRESSION, use_threads=False)
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
