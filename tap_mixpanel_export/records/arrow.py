"""Pure: finished records as Arrow record batches; needs the extra `arrow`.

A column's values are gathered as they are read, over some thousand events, before Arrow sees them:
a call of Arrow for a block of lines costs as much as a hundred events.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import accumulate, repeat
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from tap_mixpanel_export.private_files import open_temporary
from tap_mixpanel_export.record_layout import PROPERTIES
from tap_mixpanel_export.records.arrow_values import INSTANT, array_maker, arrow_schema
from tap_mixpanel_export.records.form import RecordForm
from tap_mixpanel_export.records.spool import TemporarySpool, received_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tap_mixpanel_export.xdm.mapping.columns import Column

# What becomes one batch: large enough that a call of Arrow costs little, small enough that memory
# stays flat, however large events are.
_BATCH_ROWS = 4096
_BATCH_BYTES = 4 * 1024 * 1024
# What becomes one array: few enough that the values are still in the processor's cache.
_ARRAY_ROWS = 1024
# Of a SHA-256 in hex.
_ID_CHARACTERS = 64
# Below 0 it is LZ4's acceleration: a fifth less time than without, and a fourteenth more space.
_COMPRESSION = pa.Codec("lz4", compression_level=-10)


class Rows(NamedTuple):
    """Some records, column by column.

    Attributes:
        digests: SHA-256 of each, which `event_id` has in hex.
        instants: When each occurred, milliseconds since the epoch.
        columns: The values of each mapped column: Python's values, or JSON text as `msgspec.Raw`.
        properties: `properties` of each as exported; empty when it is not written.
    """

    digests: Sequence[bytes]
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
        self._arguments = columns, selected, projections, time_in_ms
        written = [c for c in columns if selected is None or c.name in selected]
        # The instants say it in Arrow's own form.
        self.writes_timestamps = False
        self.writes_properties = selected is None or PROPERTIES in selected
        self.schema = arrow_schema(
            written, properties=self.writes_properties, time_in_ms=time_in_ms
        )
        self._project = projections.get(PROPERTIES)
        self._makers = [
            array_maker(column.field, projections.get(column.name)) for column in written
        ]

    def __reduce__(self) -> tuple[Callable[..., ArrowEncoder], tuple[Any, ...]]:
        # For a worker process, which makes its own arrays.
        return _encoder, self._arguments

    def encode_block(
        self,
        digests: Sequence[bytes],
        timestamps: Sequence[Any],  # noqa: ARG002 - see above
        instants: Sequence[int],
        columns: Sequence[Sequence[Any]],
        properties: Sequence[bytes],
    ) -> Rows:
        """The rows of a block of events."""
        return Rows(digests, instants, columns, properties)

    def encode_line(
        self,
        digest: bytes,
        timestamp: str,  # noqa: ARG002 - see above
        instant: int,
        values: Sequence[Any],
        properties: bytes,
    ) -> Rows:
        """The row of one event."""
        texts = (properties,) if self.writes_properties else ()
        return Rows((digest,), (instant,), [(value,) for value in values], texts)

    def pending_rows(self) -> PendingRows:
        """What gathers rows for one batch."""
        return PendingRows(self.schema, self._makers, self._project)


class PendingRows:
    """Rows that will be one batch.

    Args:
        schema: Of the batch.
        makers: Give the array of each mapped column for its values.
        project: Gives the part of the text of `properties` that is written; None when all of it is.
    """

    def __init__(
        self,
        schema: pa.Schema,
        makers: Sequence[Callable[[Sequence[Any]], pa.Array]],
        project: Callable[[bytes], bytes] | None,
    ) -> None:
        self._schema = schema
        self._project = project
        self._digests: list[bytes] = []
        self._instants: list[int] = []
        self._columns = list(map(_PendingColumn, makers))
        # One after the other, as Arrow has them: an object for each would be copied when it has
        # left the processor's cache.
        self._properties = BytesIO()
        self._lengths: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._digests)

    @property
    def are_enough(self) -> bool:
        """Whether they should be a batch now."""
        return len(self._digests) >= _BATCH_ROWS or self._properties.tell() >= _BATCH_BYTES

    def add(self, rows: Rows) -> None:
        """Add rows."""
        self._digests += rows.digests
        self._instants += rows.instants
        for column, values in zip(self._columns, rows.columns, strict=True):
            column.add(values)
        texts = rows.properties
        if self._project is not None:
            texts = list(map(self._project, texts))
        self._properties.writelines(texts)
        self._lengths += map(len, texts)

    def batch(self) -> pa.RecordBatch:
        """All of them as a record batch, which must be let go before they are cleared."""
        ids = b"".join(self._digests).hex().encode()
        # No cast, and so no import of Arrow's functions: 40 ms.
        instants = pa.array([instant * 1000 for instant in self._instants], INSTANT)
        arrays = [
            _texts(ids, repeat(_ID_CHARACTERS, len(self._digests))),
            instants,
            *(column.array() for column in self._columns),
        ]
        if PROPERTIES in self._schema.names:
            # The lines were found to be UTF-8 before their records were made.
            written = self._properties.getbuffer()[: self._properties.tell()]
            arrays.append(_texts(written, self._lengths))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def clear(self) -> None:
        """Forget them."""
        self._digests, self._instants, self._lengths = [], [], []
        for column in self._columns:
            column.clear()
        if self._properties.tell() > 2 * _BATCH_BYTES:
            self._properties = BytesIO()
        # The same memory again: to get 4 MB anew costs as much as to fill them.
        self._properties.seek(0)


class _PendingColumn:
    """Values of a mapped column.

    Args:
        make: Gives the array of some of them.
    """

    def __init__(self, make: Callable[[Sequence[Any]], pa.Array]) -> None:
        self._make = make
        self._values: list[Any] = []
        self._arrays: list[pa.Array] = []

    def add(self, values: Sequence[Any]) -> None:
        """Add values."""
        self._values += values
        if len(self._values) >= _ARRAY_ROWS:
            self._make_array()

    def _make_array(self) -> None:
        self._arrays.append(self._make(self._values))
        self._values.clear()

    def array(self) -> pa.Array:
        """The array of all of them."""
        self._make_array()
        return pa.concat_arrays(self._arrays)

    def clear(self) -> None:
        """Forget them."""
        self._arrays = []


def _texts(joined: Any, lengths: Iterable[int]) -> pa.Array:
    """Texts of these lengths, in bytes."""
    offsets = array("i", accumulate(lengths, initial=0))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(joined)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


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
    return RecordForm(selected, partial(_spool, encoder), encoder)


def _encoder(
    columns: Sequence[Column],
    selected: frozenset[str] | None,
    projections: Mapping[str, Callable[[bytes], bytes]],
    time_in_ms: bool,
) -> ArrowEncoder:
    return ArrowEncoder(columns, selected, projections, time_in_ms=time_in_ms)


def _spool(encoder: ArrowEncoder, _memory_bytes: int) -> ArrowSpool:
    return ArrowSpool(encoder)


@dataclass(frozen=True, slots=True)
class ArrowContents:
    """What another process needs to read a spool, besides its file.

    Attributes:
        dropped: A bit for each record that is left out.
        count: Records, those included.
    """

    dropped: bytearray
    count: int

    def received(self, descriptor: int | None) -> ReceivedArrowSpool:
        """The spool in the other process."""
        return ReceivedArrowSpool(self, descriptor)


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
        self._pending = encoder.pending_rows()

    def write(self, encoded: Rows, count: int) -> None:
        """Append records.

        Args:
            encoded: The records.
            count: How many they are.
        """
        if not count:
            return
        self._pending.add(encoded)
        self.count += count
        if self._pending.are_enough:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression=_COMPRESSION, use_threads=False)
            self._writer = pa.ipc.new_stream(self._file, self._encoder.schema, options=options)
        self._writer.write_batch(self._pending.batch())
        self._pending.clear()

    def hand_over(self) -> tuple[ArrowContents, int]:
        """What another process needs to read this spool, and the descriptor of its file.

        Raises:
            OutputError: The file cannot be written to its end.
        """
        self._finish()
        self._file.flush()
        return ArrowContents(self._dropped, self.count), self._file.fileno()

    def _finish(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def records(self) -> Iterator[pa.RecordBatch]:
        """Read all records, in order of writing; none of the batches is empty."""
        self._finish()
        if not self.count:
            return
        self._file.seek(0)
        first = 0
        options = pa.ipc.IpcReadOptions(use_threads=False)
        with pa.ipc.open_stream(self._file, options=options) as reader:
            for batch in reader:
                dropped = self._dropped_of(first, batch.num_rows)
                first += batch.num_rows
                if dropped:
                    kept = [not dropped >> at & 1 for at in range(batch.num_rows)]
                    batch = batch.filter(pa.array(kept, pa.bool_()))  # noqa: PLW2901 - the rest of it
                if batch.num_rows:
                    yield batch


class ReceivedArrowSpool(ArrowSpool):
    """The spool of another process, to be read.

    Args:
        contents: What it has told.
        descriptor: Of the file, which is closed with the spool.
    """

    def __init__(self, contents: ArrowContents, descriptor: int | None) -> None:
        TemporarySpool.__init__(self, received_file(descriptor))
        self._dropped, self.count = contents.dropped, contents.count

    def _finish(self) -> None:
        """It is finished."""
