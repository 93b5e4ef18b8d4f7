"""A Meltano project in a folder of its own, run as a user runs it: through the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_mixpanel_export.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class MeltanoProject:
    """A folder with a `meltano.yml`.

    Meltano's own files, its database and the plugins' environments among them, stay in it: two
    projects never meet.

    Attributes:
        root: The folder.
        settings: More environment variables for each command.
    """

    root: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def run(
        self, *arguments: str, sandbox: Sandbox | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `meltano`, against a sandbox if one is given, and return when it has ended well.

        Raises:
            AssertionError: It failed; holds what it said.
        """
        done = subprocess.run(
            [BIN / "meltano", *arguments],
            check=False,
            cwd=self.root,
            env=environment(sandbox, **self.settings, **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done


def environment(sandbox: Sandbox | None = None, **settings: str) -> dict[str, str]:
    """Build a command's environment: this one's programs first, nothing of a user's Meltano."""
    own = ("MELTANO_", "TAP_", "TARGET_")
    outer = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    # What pytest sets for itself would change what the command finds.
    for name in ("VIRTUAL_ENV", "PYTEST_CURRENT_TEST"):
        outer.pop(name, None)
    outer["PATH"] = f"{BIN}{os.pathsep}{outer['PATH']}"
    outer["NO_PROXY"] = outer["no_proxy"] = "127.0.0.1,localhost"
    return {**outer, **(sandbox.environment if sandbox else {}), **settings}


def clone_of_the_project(folder: Path) -> Path:
    """Make a real clone that has everything of the working tree committed.

    Returns:
        The folder.
    """
    _git(ROOT, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder))
    _git(folder, "rm", "--quiet", "-r", ".")
    for name in tracked_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    _git(folder, "add", "--all")
    author = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    _git(folder, *author, "commit", "--quiet", "--allow-empty", "-mx")
    return folder


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, cwd=folder, env=environment())


def tracked_files() -> list[str]:
    """Name the project's own files: what git has, or would have if asked to add everything."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())
