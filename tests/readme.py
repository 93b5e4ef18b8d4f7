"""README and the pages of docs/ in pieces, and somebody who does what they say, top to bottom."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import yaml
from meltano_project import BIN, ROOT, environment, tracked_files

from docs.places import README, files

if TYPE_CHECKING:
    from pathlib import Path

    from tap_mixpanel_export.sandbox import Sandbox

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)

ADDRESS = "git+https://github.com/tap-mixpanel-export/tap-mixpanel-export.git"
"""What the README has Meltano and pip install."""

AIRFLOW = "tests/orchestrators/test_airflow.py"
OWN_PROJECT = "tests/test_own_project.py"

ELSEWHERE = {
    "git clone https://github.com/tap-mixpanel-export/tap-mixpanel-export.git": (
        OWN_PROJECT,
        "the_clone_of_the_readme",
    ),
    "cd tap-mixpanel-export": (OWN_PROJECT, "the_clone_of_the_readme"),
    "meltano init my-project && cd my-project": (OWN_PROJECT, '"meltano init my-project"'),
    "meltano add --plugin-type extractor tap-mixpanel-export --from-ref "
    "../tap-mixpanel-export/hub/tap-mixpanel-export.yml": (
        OWN_PROJECT,
        '"meltano add --plugin-type extractor"',
    ),
    "meltano add --plugin-type mapper map-mixpanel-xdm --from-ref "
    "../tap-mixpanel-export/hub/map-mixpanel-xdm.yml": (
        OWN_PROJECT,
        'MAPPER.removeprefix("meltano ")',
    ),
    # From the Hub, which is not there without a network; the plugin is that of `meltano.yml`.
    "meltano add --plugin-type loader target-jsonl": ("meltano.yml", "name: target-jsonl"),
    "pip install uv && uv run mixpanel-sandbox -- meltano run tap-mixpanel-export target-jsonl": (
        "tests/test_package.py",
        '"meltano", "run", "tap-mixpanel-export", "target-jsonl"',
    ),
    "airflow dags test mixpanel_events 2026-11-20": (
        AIRFLOW,
        "airflow dags test mixpanel_events 2026-11-20",
    ),
    "airflow dags test mixpanel_events "
    """--conf '{"first": "2026-11-17", "last": "2026-11-19"}'""": (
        AIRFLOW,
        """--conf '{"first": "2026-11-17", "last": "2026-11-19"}'""",
    ),
    "airflow dags test mixpanel_watched": (AIRFLOW, "airflow dags test mixpanel_watched"),
    "dagster asset materialize -f examples/dagster/mixpanel_events.py"
    " --select mixpanel_events --partition 2026-11-18": (
        "tests/orchestrators/test_dagster.py",
        " --select mixpanel_events --partition 2026-11-18",
    ),
    "uv run pytest": (".ci/run", "uv run pytest"),
    "uv run python -m benchmarks": ("tests/test_benchmarks.py", "benchmarks"),
}
"""Commands that take minutes or install programs: the file that executes them, and how it reads."""

_EMPTY_PROJECT = {
    "requires_meltano": ">=4.4",
    "project_id": "0b0f5f0e-52c5-4a52-8a3c-1d6f7f1f3d77",
    "send_anonymous_usage_stats": False,
    "default_environment": "dev",
    "environments": [{"name": "dev"}],
}
"""What `meltano init` makes, as far as it matters."""


# What a state may say of the stream.
STATE_KEYS = {
    "replication_key",
    "replication_key_value",
    "processed_before",
    "exported_from",
    "watermarks",
    "filter_proof",
    "certain",
    "lookback_from",
    "known_stamps",
}


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        chapter: The heading that it stands under: one of README's, or the title of a page.
        place: File and number of its first line.
        language: What stands behind the fence.
        text: What is inside, without the indentation of a list.
    """

    chapter: str
    place: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Lines of a `console` block, without the prompt."""
        lines = self.text.splitlines()
        assert all(line.startswith("$ ") for line in lines), f"{self.place}: what is no command?"
        return [line[2:] for line in lines]


def read() -> str:
    """README and all pages."""
    return "\n".join(file.read_text(encoding="utf-8") for file in files())


def blocks() -> list[Block]:
    """All fenced blocks, those of a file in their order."""
    return [block for file in files() for block in _blocks_of(file)]


def _blocks_of(file: Path) -> list[Block]:
    text = file.read_text(encoding="utf-8")
    heading = re.compile(r"^## (.*)$" if file == README else r"\A# (.*)$", re.MULTILINE)
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        line = before.count("\n") + 2
        chapter = heading.findall(_FENCE.sub("", before))[-1]
        found.append(Block(chapter, f"{file.name}:{line}", match[2], dedent(match[3])))
    return found


def code(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def prose(file: Path | None = None) -> str:
    """A file, or all of them, without fenced blocks."""
    return _FENCE.sub("", read() if file is None else file.read_text(encoding="utf-8"))


@dataclass
class Follower:
    """Does what a chapter says, in a fresh copy of the project.

    Attributes:
        root: The copy.
        sandbox: Stands for Mixpanel where a command does not start a sandbox itself.
        settings: More environment variables.
        said: What the commands have written to stdout.
    """

    root: Path
    sandbox: Sandbox
    settings: dict[str, str]
    said: str = ""
    _folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self._folder = self.root
        for name in tracked_files():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.root / name)

    def follow(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            AssertionError: It does not work.
        """
        if block.language == "console":
            self._type_in([c for c in block.commands if c not in ELSEWHERE])
        elif block.language == "yaml":
            self._add_to_project(yaml.safe_load(block.text))
        elif block.language == "json":
            self._take(json.loads(block.text))

    def _type_in(self, commands: list[str]) -> None:
        # `uv run` runs in the project's environment, which is the one that the tests run in.
        script = "\n".join(re.sub(r"\buv run ", "", command) for command in commands)
        self.said += self._run("bash", "-euo", "pipefail", "-c", script)

    def _add_to_project(self, lines: dict[str, Any]) -> None:
        plugins = [p for kind in lines.get("plugins", {}).values() for p in kind]
        new = [plugin for plugin in plugins if plugin.get("pip_url") == ADDRESS]
        if new:
            # It is for a project of one's own. tests/test_own_project.py takes the address itself.
            self._folder = self.root / "own"
            self._folder.mkdir()
            self._write_project(_EMPTY_PROJECT)
            for plugin in new:
                plugin["pip_url"] = f"-e {self.root}"
        project = yaml.safe_load((self._folder / "meltano.yml").read_text())
        self._write_project(_merged(project, lines))
        self._run(BIN / "check-jsonschema", "--builtin-schema", "vendor.meltano", "meltano.yml")
        for plugin in plugins:
            told = self._run(BIN / "meltano", "config", "list", plugin["name"])
            values = [v for v in plugin.get("config", {}).values() if not isinstance(v, dict)]
            assert [value for value in values if str(value) not in told] == []
        listed = json.loads(self._run(BIN / "meltano", "schedule", "list", "--format=json"))
        intervals = {entry["name"]: entry for entry in listed["schedules"]["job"]}
        for schedule in lines.get("schedules", ()):
            assert intervals[schedule["name"]]["interval"] == schedule["interval"]
            assert intervals[schedule["name"]]["job"]["name"] == schedule["job"]

    def _take(self, document: dict[str, Any]) -> None:
        if "bookmarks" in document:
            (self._folder / "state.json").write_text(json.dumps(document))
            told = self._run(BIN / "tap-mixpanel-export", "--config=ENV", "--state=state.json")
            last = json.loads(told.splitlines()[-1])
            assert last["type"] == "STATE"
            before, after = document["bookmarks"]["events"], last["value"]["bookmarks"]["events"]
            # A proof of another project is none, nor is what was certain before it.
            assert after.keys() == before.keys() - {"filter_proof", "certain"}
            # Read as instants, and gone on from.
            moved = ("replication_key_value", "processed_before")
            assert all(after[name] > before[name] for name in moved)
            assert after["exported_from"] == before["exported_from"]
        elif "sourceType" in document:
            examples = json.loads((ROOT / "examples" / "mapping.json").read_text())
            assert any(document.items() <= line.items() for line in examples["mappings"])
        else:
            account = self.sandbox.credentials
            own = {
                "service_account_username": account.service_account_username,
                "service_account_secret": account.service_account_secret,
                "project_id": account.project_id,
            }
            assert own.keys() <= document.keys()
            config = {**document, **own, "api_url": self.sandbox.api_url}
            (self._folder / "config.json").write_text(json.dumps(config))

    def _write_project(self, project: dict[str, Any]) -> None:
        text = yaml.safe_dump(project, sort_keys=False)
        (self._folder / "meltano.yml").write_text(text, encoding="utf-8")

    def _run(self, *command: Path | str) -> str:
        done = subprocess.run(
            command,
            check=False,
            cwd=self._folder,
            env=environment(self.sandbox, **self.settings),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout


def _merged(old: Any, new: Any) -> Any:
    """What a person makes of lines to add: entries of one name are one entry."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    if not (isinstance(old, list) and all(isinstance(entry, dict) for entry in [*old, *new])):
        return new
    entries = {entry["name"]: entry for entry in old}
    for entry in new:
        entries[entry["name"]] = _merged(entries.get(entry["name"]), entry)
    return list(entries.values())
