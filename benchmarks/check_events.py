"""How many events an output holds, and which: a sum over their `$insert_id`s, in whatever order.

In a process of its own: the size of the measuring one counts for the memory of its children.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGEST_BITS = 64


def main(output: str, path: str) -> None:
    """Print the count and the sum, as JSON.

    Args:
        output: A file of JSON Lines or Parquet, or a DuckDB database; `service` for what is
            served.
        path: Where an id stands: members' names with dots between, or schema, table and column.
            For `service`, the day.
    """
    if output == "service":
        ids = _served(path)
    elif output.endswith(".duckdb"):
        ids = _of_database(output, *path.split("."))
    elif output.endswith(".parquet"):
        ids = _of_parquet(output, path)
    else:
        ids = _of_lines(Path(output), path.split("."))
    count = total = 0
    for insert_id in ids:
        digest = hashlib.blake2b(insert_id.encode(), digest_size=_DIGEST_BITS // 8).digest()
        total += int.from_bytes(digest, "big")
        count += 1
    print(json.dumps([count, total % 2**_DIGEST_BITS]))


def _of_lines(file: Path, members: list[str]) -> Iterator[str]:
    with file.open("rb") as lines:
        for line in lines:
            value = orjson.loads(line)
            for name in members:
                # Logs, schemas and states stand between some programs' records.
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                yield value


def _of_database(file: str, schema: str, table: str, column: str) -> Iterator[str]:
    import duckdb  # noqa: PLC0415 - for databases only

    with duckdb.connect(file, read_only=True) as database:
        database.execute(f'SELECT "{column}" FROM "{schema}"."{table}"')  # noqa: S608 - our names
        while rows := database.fetchmany(10_000):
            for (insert_id,) in rows:
                yield insert_id


def _of_parquet(file: str, column: str) -> Iterator[str]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - for such files only

    for batch in pq.ParquetFile(file).iter_batches(columns=[column]):
        yield from batch.column(column).to_pylist()


def _served(day: str) -> Iterator[str]:
    from benchmarks.asking import ask  # noqa: PLC0415 - for the service only

    with ask(day, os.environ) as response:
        for line in response.iter_lines(chunk_size=65_536, delimiter=b"\n"):
            if line:
                yield orjson.loads(line)["properties"]["$insert_id"]


if __name__ == "__main__":
    main(*sys.argv[1:])
