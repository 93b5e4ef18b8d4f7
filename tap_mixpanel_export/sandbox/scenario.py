"""Scenario files: how the service behaves, and what goes wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.sandbox.behaviour import Behaviour, BehaviourError
from tap_mixpanel_export.sandbox.faults import Fault, ScenarioError
from tap_mixpanel_export.sandbox.given import unknown_keys

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a scenario file says.

    Attributes:
        faults: What goes wrong.
        behaviour: How the service behaves, as keys and values of a JSON object.
    """

    faults: list[Fault] = field(default_factory=list)
    behaviour: dict[str, Any] = field(default_factory=dict)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario.

    Args:
        path: A JSON list of faults, objects with the attributes of `Fault`; or an object of such
            `faults` and a `behaviour`, an object with the attributes of `Behaviour`.

    Raises:
        ScenarioError: The file can't be read or an entry is wrong; all wrong entries are named.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"scenario {path}: {error.strerror}") from error
    except ValueError as error:
        raise ScenarioError(f"scenario {path} is not JSON: {error}") from error
    if isinstance(content, list):
        content = {"faults": content}
    if not isinstance(content, dict) or not content.keys() <= {"faults", "behaviour"}:
        raise ScenarioError(
            f"scenario {path} must be a list of faults, or an object of `faults` and `behaviour`"
        )
    entries, behaviour = content.get("faults", []), content.get("behaviour", {})
    if not isinstance(entries, list):
        raise ScenarioError(f"scenario {path}: `faults` must be a list of faults")
    outcomes = [_read_fault(entry) for entry in entries]
    problems = [
        f"fault {number}: {outcome}"
        for number, outcome in enumerate(outcomes, start=1)
        if isinstance(outcome, str)
    ]
    try:
        Behaviour.read(behaviour)
    except BehaviourError as error:
        problems.append(f"behaviour: {error}")
    if problems:
        raise ScenarioError(f"scenario {path}: {'; '.join(problems)}")
    return Scenario([outcome for outcome in outcomes if isinstance(outcome, Fault)], behaviour)


def _read_fault(entry: Any) -> Fault | str:
    """Return the fault, or what is wrong with it."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        return "not an object with a `kind`"
    if unknown := unknown_keys(Fault, entry):
        return f"{entry['kind']}: {unknown}"
    day = entry.get("day")
    if isinstance(day, str):
        try:
            entry = {**entry, "day": date.fromisoformat(day)}
        except ValueError:
            return f"{entry['kind']}: day {day!r} is no date"
    try:
        return Fault(**entry)
    except ScenarioError as error:
        return str(error)
