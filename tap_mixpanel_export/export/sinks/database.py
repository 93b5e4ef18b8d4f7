"""A DuckDB table as a sink."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.record_layout import EVENT_ID, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFAULT_TABLE = "events"
_STATE_TABLE = "_mixpanel_export_state"
_SCHEMA = "_mixpanel_export_schema"
_NEW_KEYS = "_mixpanel_export_keys"

# DuckDB takes most of a machine's memory if it may. What is more lies on the disk.
_MEMORY_MB = 48
_MEMORY_MB_PER_COLUMN = 2
# Keys that are looked for at once; they have to fit in memory.
_KEYS_AT_ONCE = 400_000
# Rows are compressed when so many are there. Of DuckDB's own 122,880 events take 150 MB.
_ROW_GROUP = 16_384
# A key says the time as it was exported. Another zone moves the instant by a day at most.
_ZONES_APART_US = 2 * 24 * 60 * 60 * 1_000_000


class DuckDbSink:
    """A table of a DuckDB database, upserted by `event_id`; the state is committed with it.

    Upserted without an index, which DuckDB would hold in memory, and which costs as much time as
    all the rest: rows are appended, and older ones of the same key removed before all is committed.

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
            self._connection = duckdb.connect(config={"threads": 1})
        try:
            self._open(path, len(schema))
            self._set_up(schema)
        except BaseException:
            self.close()
            raise

    def _open(self, path: str, columns: int) -> None:
        megabytes = _MEMORY_MB + columns * _MEMORY_MB_PER_COLUMN
        self._execute(f"SET memory_limit = '{megabytes}MB'")
        # Where it is when the file is opened as such.
        self._execute(f"SET temp_directory = {_quoted(path + '.tmp')}")
        self._execute(f"ATTACH {_quoted(path)} AS target (ROW_GROUP_SIZE {_ROW_GROUP})")
        self._execute("USE target")

    def _set_up(self, schema: pa.Schema) -> None:
        """Make what is missing: the table, its columns, and the table of the states."""
        self._connection.register(_SCHEMA, schema.empty_table())
        table = f'"{self._table}"'
        self._execute(f"CREATE TABLE IF NOT EXISTS {table} AS FROM {_SCHEMA} LIMIT 0")
        # Of earlier versions.
        self._execute(f'DROP INDEX IF EXISTS "{self._table}_key"')
        self._refuse_keys()
        self._add_columns(table)
        self._execute(
            f"CREATE TABLE IF NOT EXISTS {_STATE_TABLE} (name TEXT PRIMARY KEY, state TEXT)"
        )
        self._begin()

    def _refuse_keys(self) -> None:
        keys = self._execute(
            "SELECT 1 FROM duckdb_constraints() WHERE database_name = 'target' AND table_name = ? "
            "AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') UNION ALL "
            "SELECT 1 FROM duckdb_indexes() WHERE database_name = 'target' AND table_name = ? "
            "AND is_unique",
            [self._table, self._table],
        )
        if keys:
            raise OutputError(
                f"{self._place}: the table has a key, to which new rows cannot be added before old "
                f"ones are removed; drop it ({EVENT_ID} is unique without), or name another table"
            )

    def _add_columns(self, table: str) -> None:
        """Add the columns that are asked for now, and were not before."""
        known = dict(
            self._execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})")  # noqa: S608 - checked above
        )
        wanted = self._execute(
            f"SELECT column_name, column_type FROM (DESCRIBE {_SCHEMA})"  # noqa: S608 - a constant
        )
        for name, kind in wanted:
            if known.get(name, kind) != kind:
                raise OutputError(
                    f"{self._place}: its column {name} is {known[name]}, and would have to be "
                    f"{kind}; name another table"
                )
        for name, kind in wanted:
            if name not in known:
                quoted = name.replace('"', '""')
                self._execute(f'ALTER TABLE {table} ADD COLUMN "{quoted}" {kind}')

    def _begin(self) -> None:
        """Begin a transaction, whose rows come behind all others."""
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {_NEW_KEYS} ({EVENT_ID} TEXT, {TIMESTAMP} TIMESTAMPTZ)"
        )
        self._execute("BEGIN")
        ((self._last_row,),) = self._execute(
            f'SELECT coalesce(max(rowid), -1) FROM "{self._table}"'  # noqa: S608 - checked above
        )

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
        """Append a batch."""
        import pyarrow as pa  # noqa: PLC0415 - an extra, and half a second to import

        # DuckDB finds it by its name. One that is registered is kept until all is committed.
        _mixpanel_export_rows = pa.Table.from_batches([batch])
        with self._told():
            self._connection.execute(
                f'INSERT INTO "{self._table}" BY NAME FROM _mixpanel_export_rows'
            )
            self._connection.execute(
                f"INSERT INTO {_NEW_KEYS} SELECT {EVENT_ID}, {TIMESTAMP} FROM _mixpanel_export_rows"  # noqa: S608 - constants
            )

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Commit rows and state together."""
        self._remove_copies()
        if state is not None:
            self._execute(
                f"INSERT OR REPLACE INTO {_STATE_TABLE} VALUES (?, ?)",  # noqa: S608 - a constant
                [self._table, json.dumps(state)],
            )
        self._execute("COMMIT")
        self._begin()

    def _remove_copies(self) -> None:
        """Remove all rows of a key but the last one."""
        ((first, last, count),) = self._execute(
            f"SELECT epoch_us(min({TIMESTAMP})), epoch_us(max({TIMESTAMP})), count(*) "  # noqa: S608 - constants
            f"FROM {_NEW_KEYS}"
        )
        if first is None:
            return
        digits = 0
        while count > _KEYS_AT_ONCE * 16**digits:
            digits += 1
        # A key is a number in hex: all parts have about as many.
        for part in range(16**digits):
            self._remove_copies_of(f"{part:0{digits}x}" if digits else "", first, last)

    def _remove_copies_of(self, prefix: str, first: int, last: int) -> None:
        """The same of keys that begin with a prefix.

        Args:
            prefix: Of the keys.
            first: When the first of the new events occurred, microseconds since the epoch.
            last: When the last one did.
        """
        table = f'"{self._table}"'
        keys = f"SELECT {EVENT_ID} FROM {_NEW_KEYS} WHERE starts_with({EVENT_ID}, '{prefix}')"  # noqa: S608 - constants
        twice = f"{keys} GROUP BY {EVENT_ID} HAVING count(*) > 1"
        self._execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM (SELECT rowid, row_number() "  # noqa: S608 - checked above
            f"OVER (PARTITION BY {EVENT_ID} ORDER BY rowid DESC) AS place FROM {table} "
            f"WHERE rowid > {self._last_row} AND {EVENT_ID} IN ({twice})) WHERE place > 1)"
        )
        older = (
            f"rowid <= {self._last_row} AND {TIMESTAMP} BETWEEN "
            f"make_timestamptz({first - _ZONES_APART_US}) AND "
            f"make_timestamptz({last + _ZONES_APART_US})"
        )
        # As a rule the new rows are later than all that is there.
        if self._execute(f"SELECT 1 FROM {table} WHERE {older} LIMIT 1"):  # noqa: S608 - checked above
            # To remove millions of rows takes what memory it takes.
            self._execute("RESET memory_limit")
            self._execute(
                f"DELETE FROM {table} WHERE {older} "  # noqa: S608 - checked above
                f"AND {EVENT_ID} IN ({keys})"
            )

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


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
