"""Destinations that no Singer loader of PyPI serves, by way of dlt: the programs of the page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from meltano_project import ROOT, environment
from one_environment import make_environment
from private_mariadb import mariadb_server, private_mariadb
from two_runs import COLUMNS, SETTINGS, Loaded, try_two_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_mixpanel_export.sandbox import Sandbox

pytestmark = [
    pytest.mark.warehouses,
    pytest.mark.slow,
    pytest.mark.xdist_group("dlt destinations"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="not every driver has wheels for it"),
]

HERE = Path(__file__).parent
PACKAGES = (
    *(f"{ROOT}[dlt]", "tzdata", "pymysql"),
    "dlt[deltalake,filesystem,pyiceberg,sqlalchemy]==1.31.0",
)


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    return make_environment(tmp_path_factory.mktemp("dlt"), *PACKAGES)


@pytest.fixture(params=["sqlite", "mysql", "delta", "iceberg"])
def kind(request) -> Iterator[tuple[str, dict[str, str]]]:
    """A destination, and what it needs in the environment."""
    if request.param != "mysql":
        yield request.param, {}
    elif mariadb_server() is None:
        pytest.skip("MariaDB is not installed (Debian's package `mariadb-server`)")
    else:
        with private_mariadb() as address:
            yield "mysql", {"DESTINATION__SQLALCHEMY__CREDENTIALS": address}


def test_dlt_merges_every_event_once(python, kind, tmp_path):
    name, credentials = kind
    runs = iter("12")

    def run(program: Path, *arguments: str, **settings: str) -> bytes:
        done = subprocess.run(
            [python, program, *arguments],
            check=False,
            cwd=tmp_path,
            env=environment(**SETTINGS, **credentials, **settings, TZ="UTC"),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()[-6000:]
        return done.stdout

    def load(sandbox: Sandbox) -> None:
        run(
            ROOT / "examples" / "dlt" / f"{name}.py",
            **sandbox.environment,
            # As if on another machine each time: the state comes from the destination.
            DLT_DATA_DIR=str(tmp_path / next(runs)),
            RUNTIME__DLTHUB_TELEMETRY="false",
        )

    def rows() -> Loaded:
        return json.loads(run(HERE / "read_what_dlt_loaded.py", name, *COLUMNS))

    try_two_runs(load, rows)
