"""Files for BATCH messages: finished records in, complete files out."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4

from tap_mixpanel_export.output.storage import DAY_PLACEHOLDER, open_batch_file
from tap_mixpanel_export.private_files import open_temporary
from tap_mixpanel_export.records.spool import Records, pack_member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa
    from singer_sdk.helpers._batch import BatchConfig

    from tap_mixpanel_export.output.parquet import ParquetPart
    from tap_mixpanel_export.output.selection import Selection
    from tap_mixpanel_export.records.form import RecordForm
    from tap_mixpanel_export.xdm.mapping.columns import Column

_COPIED_BYTES = 1024 * 1024


class JsonLinesFiles:
    """The files of a run as JSON Lines, as a rule gzipped.

    Args:
        config: Says where, and how many rows a file has.
        name: Start of the files' names.
        selection: What is written.
        gzip_level: Of the compression, 0 to 3; None for none. Level 1 writes some five times faster
            than the SDK's zlib level 9 and needs a fifth more space.

    Attributes:
        form: How the records are wanted.
    """

    def __init__(
        self, config: BatchConfig, name: str, selection: Selection, gzip_level: int | None
    ) -> None:
        self.form = selection.text_form(gzip_level)
        self._storage = config.storage
        self._rows = config.batch_size
        self._stem = f"{config.storage.prefix or ''}{name}"
        self._suffix = ".json" if gzip_level is None else ".json.gz"
        self._selection = selection
        self._gzip_level = gzip_level

    def write(self, blocks: Iterable[Records]) -> Iterator[str]:
        """Write the records of a window; gives the address of each file, when it is complete.

        Raises:
            OutputError: A file cannot be written.
        """
        window = uuid4()
        groups = _rotated(self._selection.of(blocks), self._rows)
        for number, group in enumerate(groups, start=1):
            name = f"{self._stem}-{window}-{number}{self._suffix}"
            with open_batch_file(self._storage, name) as file:
                for records in group:
                    file.write(self._packed(records))
            yield self._storage.get_url(name)

    def _packed(self, records: Records) -> bytes:
        if self._gzip_level is None:
            return records.text
        return records.member or pack_member(records.text, self._gzip_level)


class ParquetFiles:
    """The files of a run as Parquet with typed columns; `properties` is JSON text.

    A file is named by the UTC days of its events and a number that no other file has, ever: loaders
    that know files by their names would pass over one that has the name of a file long gone. Later
    files have higher numbers.

    Args:
        config: Says where, and how many rows a file has. With `{date}` in the prefix each UTC day
            has files of its own.
        form: Of the records.
    """

    def __init__(self, config: BatchConfig, form: RecordForm) -> None:
        self.form = form
        self._storage = config.storage
        self._rows = config.batch_size
        self._prefix = config.storage.prefix or ""
        self._last_number = 0

    def write(self, blocks: Iterable[pa.RecordBatch]) -> Iterator[str]:
        """The same, see above."""
        from tap_mixpanel_export.output.parquet import ParquetParts  # noqa: PLC0415 - see below

        parts = ParquetParts(
            # What is in a file, and so its name, is known at its end.
            lambda _: open_temporary(),
            by_day=DAY_PLACEHOLDER in self._prefix,
            most_rows=self._rows,
        )
        with closing(parts):
            for batch in blocks:
                yield from map(self._published, parts.write(batch))
            yield from map(self._published, parts.finish())

    def _published(self, part: ParquetPart) -> str:
        """Put a complete file into the storage; gives its address."""
        self._last_number = max(self._last_number + 1, time.time_ns() // 1000)
        prefix = self._prefix.replace(DAY_PLACEHOLDER, f"{part.day}")
        name = f"{prefix}{part.stem}-{self._last_number}.parquet"
        with part.file as source, open_batch_file(self._storage, name) as file:
            source.seek(0)
            shutil.copyfileobj(source, file, _COPIED_BYTES)
        return self._storage.get_url(name)


BatchFiles = JsonLinesFiles | ParquetFiles


def batch_files(  # noqa: PLR0913 - keywords, each a setting
    config: BatchConfig,
    name: str,
    selection: Selection,
    columns: Sequence[Column],
    *,
    gzip_level: int,
    time_in_ms: bool,
) -> BatchFiles:
    """The files of the format that is asked for.

    Args:
        config: Says which.
        name: Start of the names of JSON Lines.
        selection: What is written.
        columns: The mapped columns.
        gzip_level: Of gzipped JSON Lines, 0 to 3.
        time_in_ms: Whether `time` is in milliseconds.
    """
    if config.encoding.format != "parquet":
        level = gzip_level if config.encoding.compression == "gzip" else None
        return JsonLinesFiles(config, name, selection, level)
    # An extra, and half a second to import.
    from tap_mixpanel_export.records.arrow import arrow_form  # noqa: PLC0415

    form = arrow_form(
        selection.columns_of(columns),
        selection.columns,
        selection.projections,
        time_in_ms=time_in_ms,
    )
    return ParquetFiles(config, form)


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
