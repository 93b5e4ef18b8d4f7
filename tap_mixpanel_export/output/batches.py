"""Files for BATCH messages: blocks of finished records in, complete files out."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from tap_mixpanel_export.output.storage import open_batch_file
from tap_mixpanel_export.record_layout import EVENT_ID, PROPERTIES, TIMESTAMP
from tap_mixpanel_export.records.lines import whole_lines
from tap_mixpanel_export.records.spool import Records, pack_member
from tap_mixpanel_export.xdm.surrogates import replaced_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa
    from singer_sdk.helpers._batch import BatchConfig

    from tap_mixpanel_export.output.selection import Selection
    from tap_mixpanel_export.xdm.mapping.columns import Column

# Bytes of text that become one row group: large enough to compress well, small enough that memory
# stays flat.
_ROW_GROUP = 8 * 1024 * 1024


class BatchWriter(Protocol):
    """Writes one batch file format."""

    suffix: str
    gzip_level: int | None
    """How it likes the records best; see `Spool`."""

    def write(self, file: Any, blocks: Iterable[Records]) -> None:
        """Write all records to a file opened for writing bytes."""


class JsonLinesWriter:
    """JSON Lines, as a rule gzipped.

    Args:
        gzip_level: Of the compression, 0 to 3; None for none. Level 1 writes some five times faster
            than the SDK's zlib level 9 and needs a fifth more space.
    """

    def __init__(self, gzip_level: int | None) -> None:
        self.suffix = ".json" if gzip_level is None else ".json.gz"
        self.gzip_level = gzip_level

    def write(self, file: Any, blocks: Iterable[Records]) -> None:
        """Write all records, one a line."""
        for records in blocks:
            if self.gzip_level is None:
                file.write(records.text)
            else:
                file.write(records.member or pack_member(records.text, self.gzip_level))


class ParquetWriter:
    """Parquet with typed columns; `properties` is JSON text.

    Args:
        columns: The mapped columns.
        selected: Names of the columns to write.
    """

    suffix = ".parquet"
    gzip_level: int | None = None

    def __init__(self, columns: Sequence[Column], selected: frozenset[str]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and half a second to import

        from tap_mixpanel_export.records.arrow import arrow_type  # noqa: PLC0415 - see above

        self._schema = pa.schema(
            [
                pa.field(EVENT_ID, pa.string(), nullable=False),
                pa.field(TIMESTAMP, pa.timestamp("ms", tz="UTC"), nullable=False),
                *(
                    pa.field(column.name, arrow_type(column.field))
                    for column in columns
                    if column.name in selected
                ),
                *([pa.field(PROPERTIES, pa.string())] if PROPERTIES in selected else []),
            ]
        )

    def write(self, file: Any, blocks: Iterable[Records]) -> None:
        """Write all records, in row groups of some megabytes."""
        import pyarrow.parquet as pq  # noqa: PLC0415 - see above

        with pq.ParquetWriter(file, self._schema, compression="zstd") as writer:
            for text in _joined(blocks):
                writer.write_table(self._table(text))

    def _table(self, text: bytes) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415 - see above
        from pyarrow import json as arrow_json  # noqa: PLC0415 - see above

        try:
            return arrow_json.read_json(
                pa.BufferReader(text),
                read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
                parse_options=arrow_json.ParseOptions(
                    explicit_schema=self._schema, unexpected_field_behavior="ignore"
                ),
            ).cast(self._schema)
        except pa.ArrowInvalid:
            # Arrow's strings are UTF-8, which has no lone surrogates: U+FFFD takes their place. Its
            # parser refuses numbers beyond a double, too: they become infinite.
            rows = [_replace_surrogates(json.loads(line)) for line in whole_lines(text)]
            for row in rows:
                row[TIMESTAMP] = datetime.fromisoformat(row[TIMESTAMP].replace("Z", "+00:00"))
            return pa.Table.from_pylist(rows, schema=self._schema)


def batch_writer(
    config: BatchConfig, columns: Sequence[Column], selection: Selection, gzip_level: int
) -> BatchWriter:
    """The writer of the format that is asked for.

    Args:
        config: Says which.
        columns: The mapped columns.
        selection: Which of them are written.
        gzip_level: Of gzipped JSON Lines, 0 to 3.
    """
    if config.encoding.format == "parquet":
        return ParquetWriter(columns, selection.columns)
    return JsonLinesWriter(gzip_level if config.encoding.compression == "gzip" else None)


def write_batches(
    writer: BatchWriter, config: BatchConfig, name: str, blocks: Iterable[Records]
) -> Iterator[str]:
    """Write records into files of `batch_size` rows.

    Args:
        writer: Knows the format.
        config: Says where, and how many rows a file has.
        name: Start of the files' names.
        blocks: The records.

    Yields:
        The address of each file, when it is complete.

    Raises:
        OutputError: A file cannot be written.
    """
    storage = config.storage
    run = uuid4()
    for number, rows in enumerate(_rotated(blocks, config.batch_size), start=1):
        file_name = f"{storage.prefix or ''}{name}-{run}-{number}{writer.suffix}"
        with open_batch_file(storage, file_name) as file:
            writer.write(file, rows)
        yield storage.get_url(file_name)


def _rotated(blocks: Iterable[Records], size: int) -> Iterator[Iterator[Records]]:
    """The same records in groups of `size`; a group is to be used up before the next one."""
    rest = iter(blocks)
    for block in rest:
        pending = [block]
        while pending:
            yield _group(pending, rest, size)


def _group(pending: list[Records], rest: Iterator[Records], size: int) -> Iterator[Records]:
    """Up to `size` records; what is left of the last block stays in `pending`."""
    room = size
    while room:
        block = pending.pop() if pending else next(rest, None)
        if block is None:
            return
        if block.count > room:
            lines = block.lines()
            pending.append(Records(block.count - room, b"\n".join((*lines[room:], b""))))
            block = Records(room, b"\n".join((*lines[:room], b"")))
        yield block
        room -= block.count


def _joined(blocks: Iterable[Records]) -> Iterator[bytes]:
    texts: list[bytes] = []
    size = 0
    for records in blocks:
        texts.append(records.text)
        size += len(records.text)
        if size >= _ROW_GROUP:
            yield b"".join(texts)
            texts, size = [], 0
    if texts:
        yield b"".join(texts)


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return replaced_surrogates(value)
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {key: _replace_surrogates(item) for key, item in value.items()}
    return value
