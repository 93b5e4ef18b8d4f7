"""What the documentation says about settings, from what the tap says about itself.

`python -m docs` writes it into the pages whenever a setting changes; a test compares.
"""

from __future__ import annotations

import json
from textwrap import indent
from typing import Any

import yaml

from docs import hub, meltano
from docs.about import is_own
from docs.functions import functions_table
from tap_mixpanel_export.config.unknown import OLD_SETTINGS
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.columns import derive_columns

_OWN_COLUMNS = """\
| column | type | what it is |
|---|---|---|
| `event_id` | string, key | SHA-256 of event name, `time`, `distinct_id` and `$insert_id`: \
Mixpanel's own identity of an event. An identity merge changes `distinct_id` and not the key: \
`$distinct_id_before_identity` counts where an event has one |
| `timestamp` | date-time | when it occurred, in UTC |
| `properties` | object | all properties as exported, names and numbers untouched |"""
_OF_THE_MAPPING = (
    "typed, null when an event has no such property | of `properties`, Mixpanel's own without "
    "their `$`"
)


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


def written(told: dict[str, Any]) -> dict[str, str]:
    """Return what stands in the places of the documentation, by their names.

    Args:
        told: What `--about` printed.
    """
    return {
        "settings": settings_table(told),
        "declaration": f"```yaml\n{extractor(told)}```",
        "old settings": migration_table(),
        "functions": functions_table(),
        "columns": columns_table(),
    }


def columns_table() -> str:
    """Return the columns as a table: those of every stream, and those of the built-in mapping."""
    mapped = ", ".join(f"`{column.name}`" for column in derive_columns(load_mapping()))
    return f"{_OWN_COLUMNS}\n| {mapped} | {_OF_THE_MAPPING} |"


def extractor(told: dict[str, Any]) -> str:
    """Return what a person adds to `meltano.yml`.

    Args:
        told: What `--about` printed.
    """
    defined = hub.definition(told)
    own = {name: defined[name] for name in ("name", "namespace", "pip_url", "executable")}
    text = yaml.safe_dump(
        [{**own, **meltano.declaration(told)}], sort_keys=False, default_flow_style=None, width=100
    )
    return f"plugins:\n  extractors:\n{indent(text, '  ')}"


def migration_table() -> str:
    """Return what settings of other taps are called here, as a table."""
    rows = [f"| `{there}` | {here} |" for there, here in OLD_SETTINGS.items()]
    return "\n".join(["| there | here |", "|---|---|", *rows])


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
