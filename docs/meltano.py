"""Writes what follows from code into `meltano.yml`: settings, capabilities, the stock stream map.

To be run as `python -m docs` whenever a setting or a column changes; a test compares.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from docs.hub import settings
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.stream_maps import stream_map, to_yaml

TARGET = Path(__file__).resolve().parents[1] / "meltano.yml"

_PLACE = r"( *)(# Of the {0}: written by `python -m docs`.*?\n).*?( *# End of what is written.\n)"

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
    """Return a project file with what is true today.

    Args:
        project: Its text.
        told: What `--about` printed.

    Raises:
        ValueError: The marks between which something is written are not there.
    """
    texts = {
        "tap": yaml.safe_dump(declaration(told), sort_keys=False),
        "columns": to_yaml(stream_map(load_mapping())),
    }
    for name, text in texts.items():
        place = re.compile(_PLACE.format(name), re.DOTALL)
        project, count = place.subn(
            lambda m, new=text: m[1] + m[2] + indent(new, m[1]) + m[3], project
        )
        if count != 1:
            raise ValueError(f"the project file has no place for what is of the {name}")
    return project
