"""Snowflake: its loader's statements, run by fakesnow where no account can be had."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from meltano_project import environment
from one_environment import make_environment
from two_runs import QUOTED, Loaded, Piped, try_two_runs

pytestmark = [
    pytest.mark.warehouses,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="fakesnow is for Python 3.11 or newer"),
]

PROGRAM = Path(__file__).with_name("target_snowflake_on_fakesnow.py")
PACKAGES = (
    "meltanolabs-target-snowflake==0.20.4",
    "fakesnow==0.12.1",
    # fakesnow looks into it, and does not find in 5 what it looks for.
    "snowflake-connector-python<5",
)

READ = """
import fakesnow, json, snowflake.connector, sys
with fakesnow.patch(db_path=sys.argv[1]):
    cursor = snowflake.connector.connect(database="MIXPANEL", schema="RAW").cursor()
    rows = [[str(v) if i in (2, 3) else v for i, v in enumerate(row)]
            for row in cursor.execute(sys.argv[2]).fetchall()]
    types = {row[0]: row[1] for row in cursor.execute("describe table EVENTS").fetchall()}
print(json.dumps({"rows": rows, "types": types}))
"""


def test_snowflakes_loader_merges_every_event_once(tmp_path):
    python = make_environment(tmp_path, *PACKAGES)
    databases = tmp_path / "databases"
    databases.mkdir()

    query = f"SELECT {QUOTED} FROM EVENTS"  # noqa: S608 - the test's own

    def ask() -> dict[str, list[list[object]]]:
        done = subprocess.run(
            [python, "-W", "ignore", "-c", READ, databases, query.upper()],
            check=True,
            env=environment(TZ="UTC"),
            stdout=subprocess.PIPE,
        )
        return json.loads(done.stdout)

    def rows() -> Loaded:
        return ask()["rows"]

    config = {
        "account": "none",
        "user": "none",
        "password": "none",
        "database": "MIXPANEL",
        "default_target_schema": "RAW",
    }
    try_two_runs(Piped([python, PROGRAM, databases], tmp_path, config), rows)
    types = ask()["types"]
    assert types["TIMESTAMP"] == "TIMESTAMP_NTZ(9)"
    assert {types[name] for name in ("EVENT_ID", "PROPERTIES", "ORDER")} == {"VARCHAR(16777216)"}
    assert {types[name] for name in ("TIME", "GROUP")} == {"NUMBER(38,0)"}
    assert types["IMPORT"] == "BOOLEAN"
