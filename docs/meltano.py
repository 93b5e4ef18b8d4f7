"""Writes the tap's settings and capabilities into `meltano.yml`, from what it says about itself.

To be run as `python -m docs` whenever a setting changes; a test compares.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from docs.hub import settings

TARGET = Path(__file__).resolve().parents[1] / "meltano.yml"

_PLACE = re.compile(
    r"( *)(# Of the tap: written by `python -m docs`.\n).*?( *# End of what is written.\n)",
    re.DOTALL,
)

# Meltano takes a setting without a kind for a text; and it writes the file anew when it finds a
# secret of kind `password`, `sensitive` says the same.
_WITHOUT_KIND = frozenset({"string", "password", "date_iso8601", "options"})


def declaration(told: dict[str, Any]) -> dict[str, Any]:
    """What Meltano has to know of the tap: it passes no setting on that is not declared.

    Args:
        told: What `--about` printed.
    """
    properties: dict[str, dict[str, Any]] = told["settings"]["properties"]
    return {
        "capabilities": list(told["capabilities"]),
        "settings": [_setting(setting) for setting in settings(properties)],
    }


def _setting(of_the_hub: dict[str, Any]) -> dict[str, Any]:
    setting: dict[str, Any] = {"name": of_the_hub["name"]}
    kind = of_the_hub["kind"]
    if kind not in _WITHOUT_KIND:
        setting["kind"] = kind
    if kind == "password":
        setting["sensitive"] = True
    return setting


def render(project: str, told: dict[str, Any]) -> str:
    """Return a project file with the declaration of today.

    Args:
        project: Its text.
        told: What `--about` printed.

    Raises:
        ValueError: The marks between which the declaration stands are not there.
    """
    text = yaml.safe_dump(declaration(told), sort_keys=False)
    written, count = _PLACE.subn(lambda m: m[1] + m[2] + indent(text, m[1]) + m[3], project)
    if count != 1:
        raise ValueError("the project file has no place for the tap's settings")
    return written
