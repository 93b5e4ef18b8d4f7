"""Writes the table of settings into the README from what the tap says about itself.

To be run as `python -m docs` whenever a setting changes; a test compares.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from docs.about import is_own

README = Path(__file__).resolve().parents[1] / "README.md"

_PLACE = re.compile(r"(<!-- settings: .*? -->\n).*?(<!-- end of settings -->)", re.DOTALL)


def settings_table(told: dict[str, Any]) -> str:
    """Return the tap's own settings as a table, and one line that names those of the SDK.

    Args:
        told: What `--about` printed.
    """
    properties: dict[str, dict[str, Any]] = told["settings"]["properties"]
    of_the_sdk = [name for name in properties if not is_own(name)]
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{name}` | {_type(schema)} | {_default(schema)} | {_cell(schema['description'])} |"
        for name, schema in properties.items()
        if is_own(name)
    ]
    names = ", ".join(f"`{name}`" for name in of_the_sdk)
    sdk = f"Settings of the [SDK](https://sdk.meltano.com), which every such tap has: {names}."
    return "\n".join([*rows, "", sdk])


def render(readme: str, told: dict[str, Any]) -> str:
    """Return a README with the table of today.

    Args:
        readme: Its text.
        told: What `--about` printed.

    Raises:
        ValueError: The marks between which the table stands are not there.
    """
    text, count = _PLACE.subn(lambda m: f"{m[1]}\n{settings_table(told)}\n\n{m[2]}", readme)
    if count != 1:
        raise ValueError("the README has no place for the settings")
    return text


def _type(schema: dict[str, Any]) -> str:
    kind = next(kind for kind in schema["type"] if kind != "null")
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None:
        kind += f", from {least}" if most is None else f", {least} to {most}"
    return f"{kind}, secret" if schema.get("secret") else kind


def _default(schema: dict[str, Any]) -> str:
    return f"`{json.dumps(schema['default']).strip(chr(34))}`" if "default" in schema else ""


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
