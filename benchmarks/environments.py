"""Environments of the peers: each from the package index, each on its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import CACHE

_RUNNERS = Path(__file__).resolve().parent / "peers"


def python_of(requirement: str) -> Path:
    """The interpreter of the environment with a package; made when it does not exist.

    Args:
        requirement: Name and version of the package.

    Raises:
        subprocess.CalledProcessError: It cannot be installed; the tool has said why.
    """
    folder = CACHE / "environments" / requirement
    python = folder / "bin" / "python"
    finished = folder / "finished"
    if not finished.exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {requirement}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run(
            [
                *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                requirement,
            ],
            check=True,
        )
        finished.touch()
    return python


def peer(requirement: str, runner: str, *arguments: str) -> tuple[str, ...]:
    """The command of a peer in its own environment; how it is called is in a file of `peers/`."""
    return (str(python_of(requirement)), str(_RUNNERS / runner), *arguments)
