"""Run `target-snowflake` on fakesnow, and what the loader wants of Snowflake that fakesnow lacks.

usage: target_snowflake_on_fakesnow.py FOLDER OPTION…

fakesnow 0.12.1 stops at each of these statements of the loader's:

- `put … '@~/…'`: it takes no stage in quotes, and has no user's stage; here its files stay where
  they lie;
- `merge … using (select $1:… from '@~/…'(file_format => …) …)`: it reads no stage in a merge; here
  the lines are put into a table first, in their order, and what is chosen of them into another;
- `SEQ8()`: it makes a window function of it, within another; here it is the line's number;
- `remove '@~/…'` and `drop file format`: it has neither.

All the rest runs as the loader says it: types, casts, names, which copy of a row stays, the merge.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import fakesnow
import snowflake.connector
from fakesnow.cursor import FakeSnowflakeCursor
from target_snowflake.target import TargetSnowflake

PUT = re.compile(r"put %\(file_uri\)s '(@~/.+)'")
STAGE = re.compile(r"from '(@~/[^']+)'\(file_format => [^)]+\)")
SOURCE = re.compile(r"using \((select .*)\) s on ")

run = FakeSnowflakeCursor.execute
files: dict[str, list[str]] = {}


def execute(
    cursor: FakeSnowflakeCursor, command: str, params: Any = None, *args: Any, **options: Any
) -> Any:
    if put := PUT.fullmatch(command):
        files.setdefault(put[1], []).append(params["file_uri"].removeprefix("file://"))
        return run(cursor, "select 1")
    if command.startswith(("remove ", "drop file format ")):
        return run(cursor, "select 1")
    if stage := STAGE.search(command):
        command = merge_of_lines(cursor, command, stage)
    return run(cursor, command, params, *args, **options)


def merge_of_lines(cursor: FakeSnowflakeCursor, command: str, stage: re.Match[str]) -> str:
    """Read the staged lines, and say the merge of what the loader chooses of them."""
    cursor._duck_conn.execute(
        "CREATE OR REPLACE TABLE MIXPANEL.RAW.LINES AS SELECT row_number() OVER () AS N, json AS V"  # noqa: S608 - our own files
        f" FROM read_json_objects({files[stage[1]]!r}, format='newline_delimited')"
    )
    command = command.replace(stage[0], "from LINES").replace("$1:", "V:").replace("SEQ8()", "N")
    source = SOURCE.search(command)
    assert source is not None
    run(cursor, "use schema MIXPANEL.RAW")
    run(cursor, f"create or replace table S as {source[1]}")
    return command.replace(source[0], "using S on ")


FakeSnowflakeCursor.execute = execute
with fakesnow.patch(db_path=sys.argv[1]):
    snowflake.connector.connect(database="MIXPANEL", schema="RAW").close()
    TargetSnowflake.cli(sys.argv[2:], standalone_mode=False)
