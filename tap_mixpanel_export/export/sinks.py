"""Where `mixpanel-export read` puts batches: what was committed stays, and nothing else."""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.private_files import make_private_folder, open_private, write_private
from tap_mixpanel_export.record_layout import EVENT_ID, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFAULT_TABLE = "events"
_STATE_FILE = "_state.json"
_STATE_ADVICE = "use that of a backup, or an empty folder"
_STATE_TABLE = "_mixpanel_export_state"

# The mark of a message of 8 bytes, which do not follow.
_BROKEN_MESSAGE = b"\xff\xff\xff\xff\x08\x00\x00\x00"


class Sink(Protocol):
    """Takes batches, and makes them durable together with the state that belongs to them."""

    def load_state(self) -> dict[str, Any] | None:
        """The state that was committed last; None when there is none, or it is kept elsewhere."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch; it may be lost until it is committed."""

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Keep all batches so far, and the state after them."""

    def finish(self) -> None:
        """Take notice that all has come."""

    def close(self) -> None:
        """End; what was not committed, or of a whole that is not finished, is dropped."""


def open_sink(target: str, schema: pa.Schema, *, by_day: bool = False) -> Sink:
    """Open the sink that a target names.

    Args:
        target: `-`, `duckdb:///file.db#table`, a file that ends with `.parquet`, or a folder.
        schema: Of all batches.
        by_day: Whether a folder has one of its own for each day.

    Raises:
        OutputError: It cannot be used.
    """
    if target == "-":
        return StdoutSink(schema)
    if target.startswith("duckdb:"):
        return DuckDbSink(target, schema)
    if "://" in target:
        raise OutputError(f"--to {target}: use a file, a folder, duckdb:///file.db#table, or -")
    path = Path(target).expanduser()
    if path.suffix == ".parquet" and not path.is_dir():
        return ParquetFileSink(path, schema)
    return ParquetFolderSink(path, schema, by_day=by_day)


class StdoutSink:
    """Arrow's IPC stream on stdout.

    Args:
        schema: Of all batches.
    """

    def __init__(self, schema: pa.Schema) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and half a second to import

        self._writer: Any = pa.ipc.new_stream(sys.stdout.buffer, schema)

    def load_state(self) -> dict[str, Any] | None:
        """None: it is kept in a file, if anywhere."""
        return None

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        self._writer.write_batch(batch)

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Hand on what was written."""
        del state
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        """End the stream, so that its reader knows that it is whole."""
        self._writer.close()
        self._writer = None
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Break off a stream that is not whole: an end between messages would look like one."""
        if self._writer is not None:
            sys.stdout.buffer.write(_BROKEN_MESSAGE)
            sys.stdout.buffer.flush()


class ParquetFileSink:
    """One Parquet file, there when it is complete.

    Args:
        path: Of the file; one that is there stays as it is, and ends the command.
        schema: Of all batches.

    Raises:
        OutputError: It is there already, or cannot be made.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        if path.exists():
            raise OutputError(f"--to {path}: it is there already; move it, or name another")
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._writer = _parquet_writer(self._part, schema)

    def load_state(self) -> dict[str, Any] | None:
        """None: it is kept in a file of its own, if anywhere."""
        return None

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        self._writer.write_batch(batch)

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Nothing yet: the file is whole at the end only."""

    def finish(self) -> None:
        """Put the complete file in its place."""
        self._writer.close()
        self._part.rename(self._path)

    def close(self) -> None:
        """Drop an incomplete file."""
        self._writer.close()
        self._part.unlink(missing_ok=True)


class ParquetFolderSink:
    """A folder of Parquet files, and the state behind them.

    A file is there when it is complete; the state says what is in complete files. A run that was
    ended early goes on behind them.

    Args:
        folder: It is made when it is missing.
        schema: Of all batches.
        by_day: Whether each UTC day has a folder of its own, `date=2026-11-22/`.

    Raises:
        OutputError: The folder cannot be made.
    """

    def __init__(self, folder: Path, schema: pa.Schema, *, by_day: bool) -> None:
        try:
            make_private_folder(folder)
        except OSError as error:
            raise OutputError(f"--to {folder}: {error.strerror}") from error
        self._folder = folder
        self._schema = schema
        self._by_day = by_day
        self._parts: dict[str, Any] = {}
        self._spans: dict[str, tuple[str, str]] = {}
        for old in folder.rglob(".*.part"):
            # Of a run that was killed.
            old.unlink()

    def load_state(self) -> dict[str, Any] | None:
        """The state behind the complete files.

        Raises:
            OutputError: The file is no state.
        """
        path = self._folder / _STATE_FILE
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise OutputError(
                f"{path} is not JSON; use that of a backup, or an empty folder"
            ) from error
        if not isinstance(state, dict):
            raise OutputError(f"{path} is no state; {_STATE_ADVICE}")
        return state

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch, to the file of each day if that is wanted."""
        import pyarrow.compute as pc  # noqa: PLC0415 - an extra, and half a second to import

        days = pc.strftime(batch.column(TIMESTAMP), format="%Y-%m-%d")
        if not self._by_day:
            bounds = pc.min_max(days).as_py()
            self._write("", batch, bounds["min"], bounds["max"])
            return
        for day in pc.unique(days).to_pylist():
            self._write(f"date={day}", batch.filter(pc.equal(days, day)), day, day)

    def _write(self, place: str, batch: pa.RecordBatch, first: str, last: str) -> None:
        if place not in self._parts:
            make_private_folder(self._folder / place)
            self._parts[place] = _parquet_writer(
                self._folder / place / ".events.part", self._schema
            )
            self._spans[place] = (first, last)
        self._parts[place].write_batch(batch)
        known = self._spans[place]
        self._spans[place] = (min(first, known[0]), max(last, known[1]))

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Put the files in their places, and the state behind them."""
        for place, writer in self._parts.items():
            writer.close()
            folder, (first, last) = self._folder / place, self._spans[place]
            (folder / ".events.part").rename(_free_name(folder, f"events-{first}-{last}"))
        self._parts, self._spans = {}, {}
        if state is not None:
            write_private(self._folder / _STATE_FILE, json.dumps(state).encode() + b"\n")

    def finish(self) -> None:
        """Nothing: what was committed is in its place."""

    def close(self) -> None:
        """Drop the files that are not complete."""
        for place, writer in self._parts.items():
            writer.close()
            with suppress(FileNotFoundError):
                (self._folder / place / ".events.part").unlink()


class DuckDbSink:
    """A table of a DuckDB database, upserted by `event_id`; the state is committed with it.

    Args:
        url: `duckdb:///relative.db#table` or `duckdb:////absolute.db#table`.
        schema: Of all batches.

    Raises:
        OutputError: DuckDB is missing, or the database or the table cannot be used.
    """

    def __init__(self, url: str, schema: pa.Schema) -> None:
        location, _, table = url.partition("#")
        path = unquote(location.removeprefix("duckdb://").removeprefix("/"))
        self._table = table or _DEFAULT_TABLE
        if not path or not location.startswith("duckdb:///") or not _TABLE.fullmatch(self._table):
            raise OutputError("--to: a DuckDB table is named so: duckdb:///file.db#table")
        try:
            import duckdb  # noqa: PLC0415 - installed by those who load into it
        except ImportError as error:
            raise OutputError("--to duckdb: pip install duckdb") from error
        try:
            self._connection = duckdb.connect(path)
            empty = schema.empty_table()
            self._connection.register("_schema", empty)
            self._execute(f"CREATE TABLE IF NOT EXISTS {self._table} AS FROM _schema LIMIT 0")
            self._execute(
                f"CREATE UNIQUE INDEX IF NOT EXISTS {self._table}_key ON {self._table} ({EVENT_ID})"
            )
            self._execute(
                f"CREATE TABLE IF NOT EXISTS {_STATE_TABLE} (name TEXT PRIMARY KEY, state TEXT)"
            )
        except duckdb.Error as error:
            raise OutputError(f"--to {url}: {str(error).splitlines()[0]}") from error
        self._execute("BEGIN")

    def load_state(self) -> dict[str, Any] | None:
        """The state that was committed with the rows."""
        rows = self._execute(
            f"SELECT state FROM {_STATE_TABLE} WHERE name = ?",  # noqa: S608 - a constant
            [self._table],
        )
        return json.loads(rows[0][0]) if rows else None

    def write(self, batch: pa.RecordBatch) -> None:
        """Upsert a batch."""
        import pyarrow as pa  # noqa: PLC0415 - an extra, and half a second to import

        self._connection.register("_batch", pa.Table.from_batches([batch]))
        self._execute(
            f"INSERT OR REPLACE INTO {self._table} BY NAME "  # noqa: S608 - checked above
            # Of the copies of an event within a batch one is taken: a key can be given once.
            f"SELECT * FROM _batch QUALIFY row_number() OVER (PARTITION BY {EVENT_ID}) = 1"
        )

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Commit rows and state together."""
        if state is not None:
            self._execute(
                f"INSERT OR REPLACE INTO {_STATE_TABLE} VALUES (?, ?)",  # noqa: S608 - a constant
                [self._table, json.dumps(state)],
            )
        self._execute("COMMIT")
        self._execute("BEGIN")

    def finish(self) -> None:
        """Nothing: what was committed is in the table."""

    def close(self) -> None:
        """Roll back what was not committed."""
        self._connection.close()

    def _execute(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Execute a statement to its end: the connection takes no other before."""
        rows: list[Any] = self._connection.execute(statement, list(values)).fetchall()
        return rows


def _parquet_writer(path: Path, schema: pa.Schema) -> Any:
    import pyarrow.parquet as pq  # noqa: PLC0415 - an extra, and half a second to import

    try:
        return _OwnedWriter(pq.ParquetWriter, open_private(path), schema)
    except OSError as error:
        raise OutputError(f"--to {path.parent}: {error.strerror}") from error


class _OwnedWriter:
    """A Parquet writer, and the file that it writes to."""

    def __init__(self, kind: Any, file: Any, schema: pa.Schema) -> None:
        self._file = file
        self._writer = kind(file, schema, compression="zstd")

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Write the end of the file, once."""
        if not self._file.closed:
            self._writer.close()
            self._file.close()


def _free_name(folder: Path, stem: str) -> Path:
    number = 1
    while (path := folder / f"{stem}-{number}.parquet").exists():
        number += 1
    return path
