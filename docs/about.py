"""What the tap says about itself, for what is generated from it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

# `--about` does not tell whose a setting is: these beginnings are the SDK's.
_OF_THE_SDK = ("stream_map", "faker_config", "flattening_", "batch_config", "emit_")


def about() -> dict[str, Any]:
    """Ask the tap: its settings with their JSON schema, and its capabilities."""
    told = subprocess.run(
        [sys.executable, "-m", "tap_mixpanel_export", "--about", "--format=json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    answer: dict[str, Any] = json.loads(told)
    return answer


def is_own(name: str) -> bool:
    """Tell the tap's own settings from those of the SDK, which every such tap has."""
    return not name.startswith(_OF_THE_SDK)
