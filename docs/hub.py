"""Writes the pull request to the Meltano Hub from what the tap and the mapper say of themselves.

    python -m docs

Settings, their kinds and the capabilities come from `tap-mixpanel-export --about`; what only the
Hub wants to know stands here. `FILES` says where in the Hub's repository each file belongs; the
lines of the last two join those that are there, in the order of the alphabet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[1] / "hub"
_VARIANT = "tap-mixpanel-export"
FILES = {
    "tap-mixpanel-export.yml": f"_data/meltano/extractors/tap-mixpanel-export/{_VARIANT}.yml",
    "map-mixpanel-xdm.yml": f"_data/meltano/mappers/map-mixpanel-xdm/{_VARIANT}.yml",
    "map-mixpanel-xdm.svg": "static/assets/logos/mappers/map-mixpanel-xdm.svg",
    "default_variants.yml": "_data/default_variants.yml",
    "maintainers.yml": "_data/maintainers.yml",
}
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
    "variant": _VARIANT,
}

# What the Hub says otherwise of the mapper.
_MAPPER_FOR_THE_HUB: dict[str, Any] = {
    **_FOR_THE_HUB,
    "docs": f"{_SOURCE}/blob/main/docs/pages/xdm-and-adobe.md",
    "domain_url": "https://experienceleague.adobe.com/en/docs/experience-platform/xdm/home",
    "executable": "map-mixpanel-xdm",
    "label": "Mixpanel to Adobe XDM",
    "logo_url": "/assets/logos/mappers/map-mixpanel-xdm.svg",
    "namespace": "map_mixpanel_xdm",
    "next_steps": (
        "Put a mapping into `meltano.yml`, and run it between the tap and a loader: "
        "`meltano run tap-mixpanel-export mixpanel-to-xdm target-jsonl`."
    ),
    "settings_group_validation": [[]],
    "settings_preamble": "",
}


def files(tap: dict[str, Any], mapper: dict[str, Any]) -> dict[str, str]:
    """Return the text of each file of the pull request that is written, by its name.

    Args:
        tap: What the tap's `--about` printed.
        mapper: What the mapper's printed.
    """
    maintainer = {"label": "tap-mixpanel-export contributors", "name": _VARIANT}
    variants = {"extractors": {tap["name"]: _VARIANT}, "mappers": {mapper["name"]: _VARIANT}}
    documents = {
        "tap-mixpanel-export.yml": definition(tap),
        "map-mixpanel-xdm.yml": definition(mapper, _MAPPER_FOR_THE_HUB),
        "default_variants.yml": variants,
        "maintainers.yml": {_VARIANT: {**maintainer, "url": _SOURCE.rpartition("/")[0]}},
    }
    return {name: render(document) for name, document in documents.items()}


def definition(told: dict[str, Any], for_the_hub: dict[str, Any] = _FOR_THE_HUB) -> dict[str, Any]:
    """Build a definition.

    Args:
        told: What `--about` printed.
        for_the_hub: What only the Hub wants to know.
    """
    return {
        **for_the_hub,
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
