"""Keeps out of packages what git ignores: exported events, secrets, environments.

Hatchling reads the ignore file at the root only; `output/` and tools' folders have their own.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NothingIgnored(BuildHookInterface):
    """Excludes each such file and folder by its name; from the sdist all untracked ones."""

    PLUGIN_NAME = "nothing-ignored"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - given
        """Run before the files are chosen."""
        if not Path(self.root, ".git").exists():
            # An unpacked source archive: it holds what was tracked where it was made.
            return
        command = ["git", "ls-files", "--others", "--directory", "-z"]
        if self.target_name == "wheel":
            # A new module is in a wheel before it is committed.
            command += ["--ignored", "--exclude-standard"]
        listed = subprocess.run(  # noqa: S603 - fixed arguments
            command, check=True, cwd=self.root, stdout=subprocess.PIPE
        )
        names = listed.stdout.decode().split("\0")[:-1]
        excluded = self.build_config.target_config.setdefault("exclude", [])
        excluded += ["/" + _escaped(name) for name in names]


def _escaped(name: str) -> str:
    """A pattern of an ignore file that stands for this name alone."""
    return re.sub(r"([\\*?\[ ])", r"\\\1", name)
