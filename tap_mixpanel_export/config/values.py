"""Values of settings: read from the environment, and held against their types and bounds."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dotenv import find_dotenv, load_dotenv
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema import ValidationError

# The SDK's words for true, and what they leave for false.
_BOOLEANS = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(
    ("false", "0", "no", "off"), False
)


def read_environment(properties: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Read the settings that the environment, or a file `.env` of this folder or above, has.

    Args:
        properties: JSON schema of each setting.
        prefix: What the variables begin with.

    Returns:
        The settings that are set. What cannot be read stays text, to be refused by name with all
        other problems.
    """
    load_dotenv(find_dotenv(usecwd=True))
    texts = {name: os.environ.get(prefix + name.upper()) for name in properties}
    found = {n: _read(text, properties[n]) for n, text in texts.items() if text is not None}
    # A variable that is empty is the shell's way to say that a list is not set.
    return {name: value for name, value in found.items() if value is not None}


def _read(text: str, schema: Mapping[str, Any]) -> Any:
    kinds = set(schema.get("type", ())) - {"null"}
    if kinds & {"array", "object"} and not text.strip():
        return None
    with suppress(ValueError):
        if "integer" in kinds:
            return int(text)
        if "number" in kinds:
            return float(text)
        if kinds & {"array", "object"}:
            return json.loads(text)
    if "boolean" in kinds:
        return _BOOLEANS.get(text.strip().lower(), text)
    # The SDK takes `a,b` for a list, too.
    return text.split(",") if "array" in kinds and text.strip()[0] not in '[{"' else text


def complete(given: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with their defaults; a null (of Meltano) is a setting that is not set."""
    defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
    return defaults | {name: value for name, value in given.items() if value is not None}


def type_problems(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, str]:
    """Hold settings against their types and bounds.

    Args:
        config: The settings.
        schema: JSON schema of all.

    Returns:
        What is wrong with each that is wrong; a secret is never quoted.
    """
    problems: dict[str, str] = {}
    for error in Draft202012Validator(dict(schema)).iter_errors(dict(config)):
        name = str(error.path[0]) if error.path else "settings"
        is_secret = bool(schema["properties"].get(name, {}).get("secret"))
        problems.setdefault(name, f"{name} is not a text" if is_secret else _describe(name, error))
    return problems


def _describe(name: str, error: ValidationError) -> str:
    expected: Any = error.validator_value
    if error.validator == "enum":
        return f"{name} is none of {', '.join(map(str, expected))}"
    if error.validator == "type":
        kinds = [expected] if isinstance(expected, str) else expected
        return f"{name} is not of type {' or '.join(k for k in kinds if k != 'null')}"
    if error.validator in {"minimum", "exclusiveMinimum"}:
        return f"{name} is too small: {error.instance} (least is {expected})"
    if error.validator == "maximum":
        return f"{name} is too large: {error.instance} (most is {expected})"
    return f"{name}: {error.message}"
