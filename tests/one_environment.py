"""An environment of a test's own, for programs that do not live in that of the tests."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from meltano_project import BIN, environment

if TYPE_CHECKING:
    from pathlib import Path


def make_environment(folder: Path, *requirements: str) -> Path:
    """Make an environment with this Python, and return its interpreter; uv caches what it has."""
    venv = folder / "venv"
    for command in (
        ["venv", "--python", BIN / "python", venv],
        ["pip", "install", "--python", venv / "bin" / "python", *requirements],
    ):
        subprocess.run([BIN / "uv", "--quiet", *command], check=True, env=environment())
    return venv / "bin" / "python"
