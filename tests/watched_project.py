"""A clone of the project with what the chapter on alerts has a user add."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from meltano_project import ROOT, MeltanoProject, clone_of_the_project
from readme import Follower, blocks

from tap_mixpanel_export.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

JOB = "mixpanel-watched"
SCRIPTS = ROOT / "tests" / "targets"


def watched_project(folder: Path) -> MeltanoProject:
    """Make a clone whose job `mixpanel-watched` fails on a day without events, too."""
    root = clone_of_the_project(folder)
    with Sandbox() as sandbox:
        follower = Follower(root, sandbox, {})
        for block in blocks():
            if block.language == "yaml" and JOB in block.text:
                follower.follow(block)
    for name in ("no-events.sh", "cron.sh"):
        shutil.copy2(SCRIPTS / name, root / name)
        (root / name).chmod(0o755)
    return MeltanoProject(root)
