"""Record batches in Parquet files: of a useful size, by day when that is wanted, and named by day.

Events stand in a file as Mixpanel sent them, in no order.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.record_layout import EVENT_ID, PROPERTIES, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Bytes in memory that become one row group: large enough to compress well and to be read in
# parallel, small enough that memory stays flat.
_ROW_GROUP_BYTES = 16 * 1024 * 1024
# Of all days together: a window of a year has a file for each.
_PENDING_BYTES = 48 * 1024 * 1024
# Files open at once; many systems allow a process 256.
_OPEN_FILES = 64
# Of each row another text: a dictionary of them is made to be given up.
_UNIQUE = frozenset({EVENT_ID, PROPERTIES, "insert_id"})
_EPOCH = date(1970, 1, 1)
_DAY_US = 24 * 60 * 60 * 1_000_000


class ParquetPart:
    """A Parquet file that is being written, and which UTC days its events are of.

    Args:
        file: To write to; its owner closes it, if it was taken.
        schema: Of all batches.
        day: The day of all its events; None for any.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema, day: date | None = None) -> None:
        self.file = file
        self.day = day
        self.rows = 0
        self.pending_bytes = 0
        self._pending: list[pa.RecordBatch] = []
        try:
            self._writer: Any = pq.ParquetWriter(
                file,
                schema,
                compression="zstd",
                # Numbers take less time, and less space, without one.
                use_dictionary=[
                    field.name
                    for field in schema
                    if pa.types.is_string(field.type) and field.name not in _UNIQUE
                ],
            )
        except BaseException:
            _close_incomplete(file)
            raise
        self._schema = schema
        self._days: tuple[int, int] | None = None

    @property
    def stem(self) -> str:
        """`events-<first day>-<last day>`, of its events."""
        first, last = (_EPOCH + timedelta(days=at) for at in self._days or (0, 0))
        return f"events-{first}-{last}"

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch that is not empty."""
        least, greatest = _bounds_of(batch)
        first, last = self._days or (least, greatest)
        self._days = min(first, least), max(last, greatest)
        self.rows += batch.num_rows
        self._pending.append(batch)
        self.pending_bytes += batch.nbytes
        if self.pending_bytes >= _ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as a row group."""
        if self._pending:
            self._writer.write_table(pa.Table.from_batches(self._pending, self._schema))
        self._pending, self.pending_bytes = [], 0

    def finish(self) -> None:
        """Write the end of the file."""
        self.flush()
        self._writer.close()

    def drop(self) -> None:
        """Close a file that is not complete."""
        # It would be completed when it is collected, and say that its file is closed.
        self._writer.is_open = False
        _close_incomplete(self.file)


def _close_incomplete(file: BinaryIO) -> None:
    # What is dropped needs no room.
    with suppress(OSError, OutputError):
        file.close()


class ParquetParts:
    """Batches in as many files as are wanted.

    Args:
        open_file: Opens the file for a day's events, or for those of any day.
        by_day: Whether each UTC day has files of its own.
        most_rows: Of a file; None for any number.
    """

    def __init__(
        self,
        open_file: Callable[[date | None], BinaryIO],
        *,
        by_day: bool,
        most_rows: int | None = None,
    ) -> None:
        self._open_file = open_file
        self._by_day = by_day
        self._most_rows = most_rows
        # The one that was written to last comes last.
        self._parts: dict[date | None, ParquetPart] = {}

    def write(self, batch: pa.RecordBatch) -> Iterator[ParquetPart]:
        """Take a batch; gives files that are complete, whose owner closes them."""
        if not self._by_day:
            yield from self._write(None, batch)
            return
        # 40 ms to import.
        import pyarrow.compute as pc  # noqa: PLC0415 - see above

        days = _days_of(batch)
        for at in pc.unique(days).sort().to_pylist():
            rows = batch.filter(pc.equal(days, at))
            yield from self._write(_EPOCH + timedelta(days=at), rows)

    def _write(self, day: date | None, batch: pa.RecordBatch) -> Iterator[ParquetPart]:
        while batch.num_rows:
            part = self._parts.pop(day, None)
            if part is None:
                if len(self._parts) >= _OPEN_FILES:
                    yield self._finished(next(iter(self._parts)))
                part = ParquetPart(self._open_file(day), batch.schema, day)
            self._parts[day] = part
            room = batch.num_rows if self._most_rows is None else self._most_rows - part.rows
            part.write(batch.slice(0, room))
            batch = batch.slice(room)
            if part.rows == self._most_rows:
                yield self._finished(day)
        if sum(part.pending_bytes for part in self._parts.values()) >= _PENDING_BYTES:
            max(self._parts.values(), key=lambda part: part.pending_bytes).flush()

    def finish(self) -> Iterator[ParquetPart]:
        """Complete the other files."""
        for day in sorted(self._parts, key=str):
            yield self._finished(day)

    def _finished(self, day: date | None) -> ParquetPart:
        # What fails to be completed is closed with the others.
        self._parts[day].finish()
        return self._parts.pop(day)

    def close(self) -> None:
        """Close the files that are not complete."""
        for part in self._parts.values():
            part.drop()
        self._parts = {}


def _bounds_of(batch: pa.RecordBatch) -> tuple[int, int]:
    """The first and the last UTC day of its events, counted from 1970-01-01."""
    column = batch.column(TIMESTAMP)
    instants = memoryview(column.buffers()[1]).cast("q")
    instants = instants[column.offset : column.offset + len(column)]
    return min(instants) // _DAY_US, max(instants) // _DAY_US


def _days_of(batch: pa.RecordBatch) -> pa.Array:
    """The UTC day of each event, counted from 1970-01-01."""
    # The cast floors, also before 1970; without a zone it needs none of the system's tables.
    instants = batch.column(TIMESTAMP).cast(pa.int64()).cast(pa.timestamp("us"))
    return instants.cast(pa.date32()).cast(pa.int32())
