"""What the tap and the mapper say about themselves, for what is generated from it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

# `--about` does not tell whose a setting is: these beginnings are the SDK's.
_OF_THE_SDK = ("stream_map", "faker_config", "flattening_", "batch_config", "emit_")


def about(program: str = "main") -> dict[str, Any]:
    """Ask the tap, or the mapper: settings with their JSON schema, and capabilities.

    Args:
        program: A function of the package's `__main__`, as `pyproject.toml` names it.
    """
    answer: dict[str, Any] = json.loads(_told(program))
    return answer


@cache
def _told(program: str) -> str:
    start = f"from tap_mixpanel_export.__main__ import {program}; {program}()"
    return subprocess.run(  # noqa: S603 - this project's own
        [sys.executable, "-c", start, "--about", "--format=json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def is_own(name: str) -> bool:
    """Tell the tap's own settings from those of the SDK, which every such tap has."""
    return not name.startswith(_OF_THE_SDK)
