"""What each warehouse is tried with: a run, then late events, and a run that goes on from there."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from event_truth import Number, expected_rows, instant_of, parse
from loaded_week import NOON, START, late_event
from meltano_project import BIN, environment

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SETTINGS = {
    "TAP_MIXPANEL_EXPORT_START_DATE": START.date().isoformat(),
    "TAP_MIXPANEL_EXPORT_PROPERTIES_FORMAT": "string",
    # Names that SQL reserves, besides `import`, `time` and `timestamp`, which are always there.
    "TAP_MIXPANEL_EXPORT_COLUMNS": '["order", "group:integer"]',
}
COLUMNS = (
    *("event_id", "event_name", "timestamp", "properties"),
    *("import", "time", "order", "group"),
)
"""What is read of each row, in this order."""
QUOTED = ", ".join(f'"{name}"' for name in COLUMNS)

Loaded = list[list[Any]]
"""Rows of `COLUMNS`: times and properties as text."""


def try_two_runs(
    load: Callable[[Sandbox], None],
    rows: Callable[[], Loaded],
    *,
    null: Mapping[str, Any] | None = None,
) -> None:
    """Run twice, and compare all that is there with all that there is to load.

    Args:
        load: Runs the export into the warehouse, from its last state on.
        rows: Reads the warehouse.
        null: By column, what the warehouse has in place of null.
    """
    clock = SandboxClock.fixed(NOON)
    with Sandbox(clock=clock) as sandbox:
        load(sandbox)
        first = truth_of(sandbox, null or {})
        assert_same(rows(), first)
        clock.advance(timedelta(days=2))
        sandbox.add(
            [late_event(number, order=f"it's №{number}", group=number) for number in range(50)]
        )
        load(sandbox)
        later = truth_of(sandbox, null or {})
        assert set(first) < set(later)
        assert any(later[key] != row for key, row in first.items())
        assert_same(rows(), later)


def truth_of(sandbox: Sandbox, null: Mapping[str, Any]) -> dict[str, list[Any]]:
    found = {}
    for key, row in expected_rows(sandbox.visible()).items():
        if row.instant < START:
            continue
        own = {
            "import": flag(row.properties.get("$import")),
            "time": int(row.properties["time"].value),
            "order": row.properties.get("order"),
            "group": whole(row.properties.get("group")),
        }
        values = [null.get(name) if value is None else value for name, value in own.items()]
        found[key] = [row.event_name, row.instant, row.properties, *values]
    return found


def flag(value: Any) -> bool | None:
    """Read it as Adobe's list of words has it."""
    words = {**dict.fromkeys(("y", "yes", "on"), True), **dict.fromkeys(("n", "no", "off"), False)}
    if isinstance(value, bool):
        return value
    told = value.lower() if isinstance(value, str) else None
    return {**words, "true": True, "false": False}.get(told or "")


def whole(value: Number | None) -> int | None:
    return None if value is None else int(value.value)


def assert_same(rows: Loaded, truth: dict[str, list[Any]]) -> None:
    """Compare so that a failure names a few events, not thousands."""
    found = {
        # Not every database has a type of its own for flags.
        key: [name, instant_of(at), parse(told), sent if sent is None else bool(sent), *rest]
        for key, name, at, told, sent, *rest in rows
    }
    assert len(found) == len(rows), "doubled"
    assert sorted(set(truth) - set(found))[:3] == [], "lost"
    assert sorted(set(found) - set(truth))[:3] == [], "invented"
    assert [(found[key], row) for key, row in truth.items() if found[key] != row][:2] == []


@dataclass
class Piped:
    """The tap and a loader, as a shell would run them.

    Attributes:
        command: The loader.
        folder: Where its configuration and the state lie.
        config: Its configuration.
        settings: Environment variables of the tap, besides `SETTINGS`.
        surroundings: Environment variables of the loader.
    """

    command: list[Any]
    folder: Path
    config: dict[str, Any]
    settings: dict[str, str] = field(default_factory=dict)
    surroundings: dict[str, str] = field(default_factory=dict)

    def __call__(self, sandbox: Sandbox) -> None:
        config, state = self.folder / "config.json", self.folder / "state.json"
        config.write_text(json.dumps(self.config))
        exported = subprocess.run(
            [
                *(BIN / "tap-mixpanel-export", "--config=ENV"),
                *(("--state", state) if state.exists() else ()),
            ],
            check=True,
            env=environment(sandbox, **SETTINGS, **self.settings),
            stdout=subprocess.PIPE,
        ).stdout
        done = subprocess.run(
            [*self.command, "--config", config],
            check=False,
            cwd=self.folder,
            input=exported,
            env=environment(**self.surroundings),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()[-6000:]
        state.write_bytes(done.stdout.splitlines()[-1])
