"""Values of settings: read from the environment, and held against their types and bounds."""

from __future__ import annotations

import json
import math
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dotenv import find_dotenv, load_dotenv
from jsonschema import Draft202012Validator

from tap_mixpanel_export.config.declarations import PREFIX
from tap_mixpanel_export.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema import ValidationError

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
# Python refuses to read longer ones, and no setting has so many.
_MOST_DIGITS = 100
_SHOWN_BELOW = 10**15

# The SDK's words for true, and what they leave for false.
_BOOLEANS = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(
    ("false", "0", "no", "off"), False
)


def read_environment(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Read the settings that the environment, or a file `.env` of this folder or above, has.

    Args:
        properties: JSON schema of each setting.

    Returns:
        As of `read_texts`.
    """
    load_dotenv(find_dotenv(usecwd=True))
    texts = {name: os.environ.get(PREFIX + name.upper()) for name in properties}
    return read_texts({n: text for n, text in texts.items() if text is not None}, properties)


def read_texts(texts: Mapping[str, str], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Read settings that are given as text, whatever their types are.

    Args:
        texts: By setting.
        properties: JSON schema of each setting.

    Returns:
        The settings that are set. What cannot be read stays text, to be refused by name with all
        other problems.
    """
    found = {name: _read(text, properties[name]) for name, text in texts.items()}
    # A variable that is empty is the shell's way to say that a list is not set.
    return {name: value for name, value in found.items() if value is not None}


def _read(text: str, schema: Mapping[str, Any]) -> Any:
    kinds = _kinds(schema)
    if kinds & {"array", "object"} and not text.strip():
        return None
    if "boolean" in kinds:
        return _BOOLEANS.get(text.strip().lower(), text)
    if not kinds & {"array", "object"}:
        return _number(text, kinds)
    with suppress(ValueError):
        return json.loads(text)
    # The SDK takes `a,b` for a list, too.
    return text.split(",") if "array" in kinds and text.strip()[0] not in '[{"' else text


def _number(value: Any, kinds: set[str]) -> Any:
    """A number that is written as text, as shells and YAML do; anything else as it is."""
    if isinstance(value, str) and kinds & {"integer", "number"}:
        # Python reads 1_000, and digits of any script, too.
        if _INTEGER.fullmatch(value.strip()) and len(value) <= _MOST_DIGITS:
            return int(value)
        if "number" in kinds and _DECIMAL.fullmatch(value.strip()):
            return float(value)
    return value


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    given = schema.get("type", ())
    return {given} if isinstance(given, str) else set(given) - {"null"}


def complete(given: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with their defaults, and numbers that were written as text.

    A null (of Meltano) is a setting that is not set.
    """
    defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
    kinds = {name: _kinds(one) for name, one in properties.items()}
    return defaults | {
        name: _number(value, kinds.get(name, set()))
        for name, value in given.items()
        if value is not None
    }


def type_problems(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, str]:
    """Hold settings against their types and bounds.

    Args:
        config: The settings.
        schema: JSON schema of all.

    Returns:
        What is wrong with each that is wrong; a secret is never quoted.
    """
    problems: dict[str, str] = {}
    # The SDK's schema of stream maps is none; they have a check of their own.
    checked = {**schema, "properties": {**schema["properties"], "stream_maps": {}}}
    for error in Draft202012Validator(checked).iter_errors(dict(config)):
        name = str(error.path[0]) if error.path else "settings"
        path = printable(".".join(map(str, error.path))) or name
        is_secret = bool(schema["properties"].get(name, {}).get("secret"))
        problems.setdefault(name, f"{name} is not a text" if is_secret else _describe(path, error))
    for name in schema["properties"].keys() & config.keys() - problems.keys():
        if problem := _content_problem(name, config[name]):
            problems[name] = problem
    return problems


def _content_problem(name: str, value: Any) -> str | None:
    """What is wrong with a value of the right type, whatever setting it is of."""
    if isinstance(value, str) and not value.strip():
        return f"{name} is empty; leave it out"
    if isinstance(value, list) and any(isinstance(one, str) and not one.strip() for one in value):
        return f"{name} has a name that is empty or all blanks"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name} is no finite number"
    return None


def _describe(name: str, error: ValidationError) -> str:
    expected: Any = error.validator_value
    value: Any = error.instance
    if error.validator == "enum":
        return f"{name} is none of {', '.join(map(str, expected))}"
    if error.validator == "type":
        kinds = [expected] if isinstance(expected, str) else expected
        return f"{name} is not of type {' or '.join(k for k in kinds if k != 'null')}"
    if error.validator in {"minimum", "exclusiveMinimum"}:
        return f"{name} is too small: {_shown(value)} (least is {expected})"
    if error.validator == "maximum":
        return f"{name} is too large: {_shown(value)} (most is {expected})"
    # The library's own words quote the value.
    return f"{name} is not as it should be ({error.validator})"


def _shown(number: float) -> str:
    # Python does not write integers of thousands of digits.
    return f"{number}" if abs(number) < _SHOWN_BELOW else "a number of very many digits"
