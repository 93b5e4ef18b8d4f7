"""Read what dlt has loaded with the library of its place.

usage: read_what_dlt_loaded.py KIND COLUMN…; rows go to stdout as JSON, times and texts as they are.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

kind, *columns = sys.argv[1:]


def sqlite() -> Iterable[Iterable[Any]]:
    names = ", ".join(f'"{name}"' for name in columns)
    return sqlite3.connect("mixpanel.sqlite").execute(f"SELECT {names} FROM events")  # noqa: S608 - the test's own


def mysql() -> Iterable[Iterable[Any]]:
    from sqlalchemy import create_engine, text  # noqa: PLC0415 - of this destination only

    names = ", ".join(f"`{name}`" for name in columns)
    engine = create_engine(os.environ["DESTINATION__SQLALCHEMY__CREDENTIALS"])
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT {names} FROM mixpanel.events")).fetchall()  # noqa: S608 - the same


def delta() -> Iterable[Iterable[Any]]:
    from deltalake import DeltaTable  # noqa: PLC0415 - the same

    return rows_of(DeltaTable("lake/raw/events").to_pyarrow_table())


def iceberg() -> Iterable[Iterable[Any]]:
    from pyiceberg.table import StaticTable  # noqa: PLC0415 - the same

    metadata = max(Path("lake/raw/events/metadata").resolve().glob("*.metadata.json"))
    return rows_of(StaticTable.from_metadata(f"file://{metadata}").scan().to_arrow())


def rows_of(table: Any) -> Iterable[Iterable[Any]]:
    return [[row[name] for name in columns] for row in table.to_pylist()]


found = {"sqlite": sqlite, "mysql": mysql, "delta": delta, "iceberg": iceberg}[kind]()
shown = [[v if v is None or isinstance(v, (int, str)) else str(v) for v in row] for row in found]
sys.stdout.write(json.dumps(shown))
