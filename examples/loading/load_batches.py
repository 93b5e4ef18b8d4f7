#!/usr/bin/env -S uv run --quiet --script
# /// script
# requires-python = ">=3.10"
# dependencies = ["duckdb==2.0.1", "psycopg[binary]==3.3.6"]
# ///
"""Loads BATCH files of tap-mixpanel-export into PostgreSQL or DuckDB: a Singer target.

LOAD_BATCHES_INTO says where to: `postgresql://user@host/database` (the password is PGPASSWORD's),
which needs JSON Lines and psycopg; or the name of a DuckDB file, which needs Parquet and duckdb.

The table is `events`, in PostgreSQL in the schema `mixpanel`; one that target-postgres or
target-duckdb has made goes on being used, by them, too. A row takes the place of an older one with
its `event_id`. Each file is one transaction, and removed when it is in the table; a state is passed
on when all files before it are.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

KEY = "event_id"


class DuckDb:
    """Reads Parquet files.

    Args:
        path: Name of the database's file.
    """

    def __init__(self, path: str) -> None:
        import duckdb  # noqa: PLC0415 - one of the two is enough

        self._connection = duckdb.connect(path)
        # The table's timestamps have no zone; they are UTC.
        self._connection.execute("SET TimeZone = 'UTC'")
        self._columns = ""

    def prepare(self, columns: dict[str, Any]) -> None:
        """Make the table, or what it lacks of the columns."""
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS events ({KEY} VARCHAR PRIMARY KEY)")
        for name, schema in columns.items():
            kind = self._kind(schema)
            self._connection.execute(
                f"ALTER TABLE events ADD COLUMN IF NOT EXISTS {_quoted(name)} {kind}"
            )
        self._columns = ", ".join(map(_quoted, columns))

    def load(self, file: Path) -> None:
        """Put all rows of a file into the table; of the copies of an event the last one."""
        self._connection.execute(
            f"""
            INSERT OR REPLACE INTO events ({self._columns})
            SELECT {self._columns} FROM read_parquet(?, file_row_number = true)
            QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY file_row_number DESC) = 1
            """,  # noqa: S608 - the columns' names are quoted
            [str(file)],
        )

    @staticmethod
    def _kind(schema: dict[str, Any]) -> str:
        # What target-duckdb takes: it would rename a column of another type.
        if schema.get("format") == "date-time":
            return "TIMESTAMP"
        if "integer" in schema["type"]:
            return _integer(schema, ("SMALLINT", "INTEGER", "BIGINT"))
        kinds = {"number": "DOUBLE", "boolean": "BOOLEAN", "object": "JSON", "array": "JSON"}
        return next((kinds[name] for name in kinds if name in schema["type"]), "VARCHAR")


class Postgres:
    """Copies JSON Lines, gzipped or not.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        import psycopg  # noqa: PLC0415 - one of the two is enough

        self._connection = psycopg.connect(url, autocommit=True)
        self._upsert = ""

    def prepare(self, columns: dict[str, Any]) -> None:
        """Make the table, or what it lacks of the columns."""
        run = self._connection.execute
        run("CREATE SCHEMA IF NOT EXISTS mixpanel")
        run(f"CREATE TABLE IF NOT EXISTS mixpanel.events ({KEY} text PRIMARY KEY)")
        for name, schema in columns.items():
            kind = self._kind(schema)
            run(f"ALTER TABLE mixpanel.events ADD COLUMN IF NOT EXISTS {_quoted(name)} {kind}")
        names = [*map(_quoted, columns)]
        # In a table that has just been filled, `ctid` is the order of the lines: the last copy of
        # an event counts.
        self._upsert = f"""
            INSERT INTO mixpanel.events ({", ".join(names)})
            SELECT DISTINCT ON (event.{KEY}) {", ".join(f"event.{name}" for name in names)}
            FROM lines, json_populate_record(NULL::mixpanel.events, line) AS event
            ORDER BY event.{KEY}, lines.ctid DESC
            ON CONFLICT ({KEY}) DO UPDATE
            SET {", ".join(f"{name} = EXCLUDED.{name}" for name in names)}
            """  # noqa: S608 - the columns' names are quoted

    def load(self, file: Path) -> None:
        """Put all rows of a file into the table; of the copies of an event the last one."""
        with (
            gzip.open(file) if file.suffix == ".gz" else file.open("rb") as text,
            self._connection.transaction(),
            self._connection.cursor() as cursor,
        ):
            cursor.execute("CREATE TEMPORARY TABLE lines (line json) ON COMMIT DROP")
            # A line is one value: JSON has neither of these two characters in it.
            with cursor.copy(
                r"COPY lines FROM STDIN (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"
            ) as copy:
                while piece := text.read(1024 * 1024):
                    copy.write(piece)
            cursor.execute(self._upsert)

    @classmethod
    def _kind(cls, schema: dict[str, Any]) -> str:
        # What target-postgres takes.
        formats = {"date-time": "timestamp", "date": "date"}
        if schema.get("format") in formats:
            return formats[schema["format"]]
        if "integer" in schema["type"]:
            return _integer(schema, ("smallint", "integer", "bigint"))
        if "array" in schema["type"]:
            return cls._kind({"type": schema["items"]["type"]}) + "[]"
        kinds = {"number": "decimal", "boolean": "boolean", "object": "jsonb"}
        return next((kinds[name] for name in kinds if name in schema["type"]), "text")


def _integer(schema: dict[str, Any], kinds: tuple[str, str, str]) -> str:
    """The smallest of three types, of 2, 4 and 8 bytes, that holds an integer."""
    most = schema.get("maximum", 2**63 - 1)
    limits = (2**15, 2**31)
    return kinds[sum(most >= limit for limit in limits)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def main() -> None:
    """Do what the messages on stdin say."""
    into = os.environ.get("LOAD_BATCHES_INTO") or sys.exit("set LOAD_BATCHES_INTO")
    database = (Postgres if into.startswith(("postgresql:", "postgres:")) else DuckDb)(into)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message["type"] == "SCHEMA":
            database.prepare(message["schema"]["properties"])
        elif message["type"] == "BATCH":
            for url in message["manifest"]:
                file = Path(url2pathname(urlsplit(url).path))
                database.load(file)
                file.unlink()
        elif message["type"] == "STATE":
            print(json.dumps(message["value"]), flush=True)  # noqa: T201 - what a target does
        elif message["type"] == "RECORD":
            sys.exit("a record came, not a file: set batch_config of the tap")


if __name__ == "__main__":
    main()
