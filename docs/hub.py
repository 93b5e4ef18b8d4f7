"""Writes the tap's definition for the Meltano Hub from what the tap says about itself.

    python -m docs

Settings, their kinds and the capabilities come from `tap-mixpanel-export --about`; what only the
Hub wants to know stands here. Upload it as `_data/meltano/extractors/<name>/<variant>.yml`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TARGET = Path(__file__).resolve().parents[1] / "hub" / "tap-mixpanel-export.yml"
_SOURCE = "https://github.com/tap-mixpanel-export/tap-mixpanel-export"

_KINDS = {
    "array": "array",
    "boolean": "boolean",
    "integer": "integer",
    "number": "decimal",
    "object": "object",
    "string": "string",
}

_FOR_THE_HUB: dict[str, Any] = {
    "docs": f"{_SOURCE}#readme",
    "domain_url": "https://mixpanel.com/",
    "executable": "tap-mixpanel-export",
    "keywords": ["analytics", "events", "meltano_sdk", "xdm"],
    "label": "Mixpanel Raw Events",
    "logo_url": "/assets/logos/extractors/mixpanel.png",
    "maintenance_status": "active",
    "namespace": "tap_mixpanel_export",
    "next_steps": (
        "Try it without an account: `mixpanel-sandbox -- meltano run tap-mixpanel-export "
        "target-jsonl` runs it against a local stand-in for Mixpanel."
    ),
    # Its name will do when there is a release on PyPI.
    "pip_url": f"git+{_SOURCE}.git",
    # What a community tap starts with.
    "quality": "silver",
    "repo": _SOURCE,
    # One group for each kind of credentials, `--about` has no words for that.
    "settings_group_validation": [
        ["project_id", "service_account_secret", "service_account_username"],
        ["oauth_token", "project_id"],
        ["project_secret"],
    ],
    "settings_preamble": (
        "Use a service account. Mixpanel retires project secrets on 2027-03-03. Set "
        "`project_timezone` for projects created before 2023-01-01 only."
    ),
    "usage": "",
    "variant": "tap-mixpanel-export",
}


def definition(told: dict[str, Any]) -> dict[str, Any]:
    """Build the definition.

    Args:
        told: What `--about` printed.
    """
    return {
        **_FOR_THE_HUB,
        "capabilities": sorted(told["capabilities"]),
        "description": told["description"],
        "name": told["name"],
        "settings": settings(told["settings"]["properties"]),
    }


def render(defined: dict[str, Any]) -> str:
    """Return a definition as the Hub keeps it: YAML with sorted keys."""
    return yaml.safe_dump(defined, sort_keys=True, allow_unicode=True, width=100)


def settings(properties: dict[str, Any], prefix: str = "") -> list[dict[str, Any]]:
    """List settings as the Hub does: the members of an object are settings of their own.

    Args:
        properties: JSON schema of each.
        prefix: What their names begin with.
    """
    found: list[dict[str, Any]] = []
    for name, schema in properties.items():
        # Names with underscores around them are patterns of the SDK, no settings.
        inner = {key: value for key, value in schema.get("properties", {}).items() if key[0] != "_"}
        if inner:
            found += settings(inner, f"{prefix}{name}.")
        else:
            found.append(_setting(prefix + name, schema))
    return found


def _setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    setting = {
        "description": schema["description"],
        "kind": _kind_of(schema),
        "label": schema["title"],
        "name": name,
    }
    if "default" in schema:
        setting["value"] = schema["default"]
    if "enum" in schema:
        setting["options"] = [{"label": value, "value": value} for value in schema["enum"]]
    return setting


def _kind_of(schema: dict[str, Any]) -> str:
    if schema.get("secret"):
        return "password"
    if "enum" in schema:
        return "options"
    # The Hub shows a calendar for a date, for example, which for the tap is a text.
    if "x-meltano-kind" in schema:
        return str(schema["x-meltano-kind"])
    # Of several types, all can be written as a text.
    types = [kind for kind in schema.get("type", ["string"]) if kind != "null"]
    return _KINDS[types[0]] if len(types) == 1 else "string"
