"""What `pyproject.toml` says of Spark's package, so that nobody has to unpack it to know."""

from __future__ import annotations

from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 has it")

pytestmark = pytest.mark.spark


def needs(lines: list[str], extra: str) -> set[str]:
    found = map(Requirement, lines)
    return {
        one.name for one in found if one.marker is None or one.marker.evaluate({"extra": extra})
    }


@pytest.mark.parametrize("extra", ["", "connect"])
def test_the_declared_requirements_are_those_of_the_package(extra):
    pytest.importorskip("pyspark", reason="needs the extra `spark`")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (declared,) = project["tool"]["uv"]["dependency-metadata"]
    assert needs(declared["requires-dist"], extra) == needs(requires("pyspark"), extra)
