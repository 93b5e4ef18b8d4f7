"""ClickHouse: a loader from PyPI, before the engine of today's server."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest
from meltano_project import environment
from one_environment import make_environment
from two_runs import QUOTED, Loaded, Piped, try_two_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.warehouses, pytest.mark.slow, pytest.mark.timeout(600)]

SERVER = Path(__file__).with_name("chdb_server.py")
# Its SDK needs a part of setuptools that newer ones do not have.
LOADER = ("shaped-target-clickhouse==0.2.5", "setuptools<80")
ENGINE = "chdb-core-lite==26.5.0"


@contextmanager
def clickhouse(python: Path, folder: Path) -> Iterator[int]:
    """Serve a database for the time of the context, and tell its port."""
    with subprocess.Popen(
        [python, SERVER, folder / "data"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Its columns are times without a zone: read and written as a server in UTC has them.
        env=environment(TZ="UTC"),
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.stdin.close()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the loader is for Python up to 3.11")
def test_clickhouse_has_every_event_once_when_it_is_asked_with_final(tmp_path):
    loader = make_environment(made(tmp_path, "loader"), *LOADER)
    engine = make_environment(made(tmp_path, "engine"), ENGINE)
    with clickhouse(engine, tmp_path) as port:

        def rows() -> Loaded:
            query = f"SELECT {QUOTED} FROM events FINAL FORMAT JSONCompactEachRow"  # noqa: S608 - the test's own
            with urlopen(Request(f"http://127.0.0.1:{port}", query.encode())) as response:
                return [json.loads(line) for line in response.read().split(b"\n")[:-1]]

        config = {
            "driver": "http",
            "host": "127.0.0.1",
            "port": port,
            "username": "default",
            "password": "",
            "database": "default",
            "engine_type": "ReplacingMergeTree",
        }
        try_two_runs(
            Piped([loader.with_name("target-clickhouse")], tmp_path, config),
            rows,
            # Its columns take no null.
            null={"import": False, "order": "", "group": 0},
        )


def made(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    return folder
