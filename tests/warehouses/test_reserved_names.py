"""Columns whose names SQL reserves: the loaders of the usual suite quote them, too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from meltano_project import environment
from one_environment import make_environment
from private_postgres import postgres_programs, private_postgres
from two_runs import QUOTED, Loaded, Piped, try_two_runs

pytestmark = [pytest.mark.warehouses, pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = yaml.safe_load((Path(__file__).parents[1] / "targets" / "meltano.yml").read_text())

ASK_DUCKDB = """
import duckdb, json, sys
rows = duckdb.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()
print(json.dumps([[str(v) if i == 2 else v for i, v in enumerate(row)] for row in rows]))
"""


def plugin(kind: str, name: str) -> dict[str, Any]:
    (found,) = [plugin for plugin in PROJECT["plugins"][kind] if plugin["name"] == name]
    return found


def test_duckdbs_loader_quotes_them(tmp_path):
    python = make_environment(tmp_path, plugin("loaders", "target-duckdb")["pip_url"])
    maps = plugin("extractors", "tap-mixpanel-export-duckdb")["config"]["stream_maps"]
    file = tmp_path / "mixpanel.duckdb"

    def rows() -> Loaded:
        query = f"SELECT {QUOTED} FROM events"  # noqa: S608 - the test's own
        done = subprocess.run(
            [python, "-c", ASK_DUCKDB, file, query],
            check=True,
            env=environment(),
            stdout=subprocess.PIPE,
        )
        # It cannot tell an empty text from none.
        return [[key, name or "", *rest] for key, name, *rest in json.loads(done.stdout)]

    try_two_runs(
        Piped(
            [python.with_name("target-duckdb")],
            tmp_path,
            {"filepath": str(file), "default_target_schema": "main"},
            {"TAP_MIXPANEL_EXPORT_STREAM_MAPS": json.dumps(maps)},
        ),
        rows,
    )


@pytest.mark.skipif(
    postgres_programs() is None, reason="PostgreSQL is not installed (Debian's `postgresql`)"
)
def test_postgresqls_loader_quotes_them(tmp_path):
    told = plugin("loaders", "target-postgres")
    python = make_environment(tmp_path, told["pip_url"])
    with private_postgres() as server:

        def rows() -> Loaded:
            query = f"SELECT json_build_array({QUOTED}) FROM mixpanel.events"  # noqa: S608 - the same
            return [json.loads(row) for row in server.query(query)]

        config = {
            **told["config"],
            "host": "127.0.0.1",
            "port": server.port,
            "user": server.user,
            "password": "any: the server trusts its own machine",
            "database": "postgres",
        }
        try_two_runs(
            Piped([python.with_name("target-postgres")], tmp_path, config, {}, told["env"]), rows
        )
