"""A DuckDB table as a sink."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.record_layout import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFAULT_TABLE = "events"
_STATE_TABLE = "_mixpanel_export_state"


class DuckDbSink:
    """A table of a DuckDB database, upserted by `event_id`; the state is committed with it.

    Args:
        url: `duckdb:///relative.db#table` or `duckdb:////absolute.db#table`.
        schema: Of all batches.

    Raises:
        OutputError: DuckDB is missing, or the database or the table cannot be used.
    """

    keeps_committed = True

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
        self._error: type[Exception] = duckdb.Error
        self._place = f"--to {url}"
        with self._told():
            self._connection = duckdb.connect(path)
        try:
            self._set_up(schema)
        except BaseException:
            self.close()
            raise

    def _set_up(self, schema: pa.Schema) -> None:
        """Make what is missing: the table, its columns, its key, and the table of the states."""
        self._connection.register("_schema", schema.empty_table())
        table = f'"{self._table}"'
        self._execute(f"CREATE TABLE IF NOT EXISTS {table} AS FROM _schema LIMIT 0")
        self._add_columns(table)
        self._execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {self._key} ON {table} ({EVENT_ID})")
        self._execute(
            f"CREATE TABLE IF NOT EXISTS {_STATE_TABLE} (name TEXT PRIMARY KEY, state TEXT)"
        )
        self._execute("BEGIN")

    @property
    def _key(self) -> str:
        return f'"{self._table}_key"'

    def _add_columns(self, table: str) -> None:
        """Add the columns that are asked for now, and were not before."""
        known = dict(
            self._execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})")  # noqa: S608 - checked above
        )
        wanted = self._execute("SELECT column_name, column_type FROM (DESCRIBE _schema)")
        for name, kind in wanted:
            if known.get(name, kind) != kind:
                raise OutputError(
                    f"{self._place}: its column {name} is {known[name]}, and would have to be "
                    f"{kind}; name another table"
                )
        for name, kind in wanted:
            if name not in known:
                # Some versions change no table that has an index.
                self._execute(f"DROP INDEX IF EXISTS {self._key}")
                quoted = name.replace('"', '""')
                self._execute(f'ALTER TABLE {table} ADD COLUMN "{quoted}" {kind}')

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say of DuckDB's errors which of the user's tables they are about."""
        try:
            yield
        except self._error as error:
            raise OutputError(f"{self._place}: {str(error).splitlines()[0]}") from error

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
            f'INSERT OR REPLACE INTO "{self._table}" BY NAME '  # noqa: S608 - checked above
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
        with self._told():
            rows: list[Any] = self._connection.execute(statement, list(values)).fetchall()
        return rows
