"""What the tap says about itself, for what is generated from it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


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
