"""The settings as JSON schema, in the dialect that the SDK, Meltano and Singer tools read."""

from __future__ import annotations

from typing import Any

import msgspec

from tap_mixpanel_export.config.declarations import DeclaredSettings

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the settings, in the order of their declarations."""
    # What JSON schema has no type for, a path, is a text.
    _, schemas = msgspec.json.schema_components(
        [DeclaredSettings], schema_hook=lambda _: {"type": "string"}
    )
    declared = schemas[DeclaredSettings.__name__]["properties"]
    return {
        "type": "object",
        "properties": {name: _property(name, schema) for name, schema in declared.items()},
        "$schema": _DRAFT,
    }


def _property(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Write a setting as the SDK does: any may be null, which is not set."""
    ways = schema.pop("anyOf", [schema])
    # The bounds of what may be left out stand there.
    own = next((one for one in ways if one.get("type", "null") != "null"), {"type": "string"})
    schema |= own
    schema["type"] = [own["type"], "null"]
    schema.setdefault("title", name.replace("_", " ").capitalize())
    if schema.get("default") in (None, ()):
        del schema["default"]
    if "enum" in schema:
        # msgspec sorts by name; what most people want stands first.
        schema["enum"].sort(key=lambda value: value != schema.get("default"))
    return schema
