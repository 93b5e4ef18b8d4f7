"""CONTRIBUTING.md's recipes, carried out: each in a copy, where nothing but its files is edited."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from meltano_project import ROOT

PACKAGE = "tap_mixpanel_export"
TESTS = Path(__file__).parent
HEEDS_IT = "the file that heeds it"


@cache
def recipes() -> dict[str, tuple[str, list[str]]]:
    """The rows of the table: what is added; the files to touch, as text and by name."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (an? [^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    return {what: (files, re.findall(r"`([^`]+)`", files)) for what, files in rows}


@dataclass
class Copy:
    """A copy of what the package and its documents are made from.

    Attributes:
        root: Where it is.
        named: The files, and folders, that the recipe lets be edited.
    """

    root: Path
    named: set[str]

    def edit(self, name: str, old: str, new: str) -> None:
        """Change the one place of a file that reads like this."""
        file = self._named(name)
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name}: {old}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def edit_json(self, name: str, place: tuple[str, ...], new: Any) -> None:
        """Add an entry to the list, or entries to the object, at a place of a file."""
        file = self._named(name)
        document = inner = json.loads(file.read_text(encoding="utf-8"))
        for key in place:
            inner = inner[key]
        if isinstance(inner, list):
            inner.append(new)
        else:
            inner.update(new)
        file.write_text(json.dumps(document, indent=2), encoding="utf-8")

    def _named(self, name: str) -> Path:
        allowed = {name, f"{Path(name).parent}/"}
        assert allowed & self.named, f"the recipe does not name {name}"
        return self.root / PACKAGE / name

    def run(self, code: str) -> Any:
        """What code gives for `found`, that is run in the copy, beside the helpers of the tests."""
        whole = f"import json, {PACKAGE}\n{dedent(code)}\nprint(json.dumps(found))"
        done = subprocess.run(
            [sys.executable, "-c", f"{whole}\nassert {str(self.root)!r} in {PACKAGE}.__file__"],
            check=False,
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": f"{self.root}{os.pathsep}{TESTS}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-6000:]
        return json.loads(done.stdout.splitlines()[-1])

    def text(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")


@pytest.fixture
def copy_for(tmp_path):
    """Makes a copy for a recipe; `heeding` is what it calls "the file that heeds it"."""

    def make(what: str, *, heeding: str | None = None) -> Copy:
        files, named = recipes()[what]
        assert (heeding is not None) == (HEEDS_IT in files)
        for folder in (PACKAGE, "docs", "hub"):
            # With what is compiled: imports take half of the time.
            shutil.copytree(ROOT / folder, tmp_path / folder)
        for name in ("README.md", "meltano.yml"):
            shutil.copy2(ROOT / name, tmp_path / name)
        return Copy(tmp_path, {*named, *([] if heeding is None else [heeding])})

    return make


def test_recipes_name_files_that_exist_and_four_at_most():
    assert len(recipes()) >= 5
    for what, (files, named) in recipes().items():
        assert 1 <= len(named) + (HEEDS_IT in files) + (", a test" in files) <= 4, what
        for name in named:
            assert (ROOT / name).exists() or (ROOT / PACKAGE / name).exists(), name


# What the trials share: a service with two days of events, and a run over it.
SERVICE = """
from datetime import date, datetime, timedelta, timezone
from harness import config_for, run_tap
from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock
now = datetime(2026, 3, 15, 12, tzinfo=timezone.utc)
events = [
    Event.at(now - timedelta(hours=n), f"Event {n}", insert_id=f"{n}", plan="gold")
    for n in (1, 2, 13, 14)
]
sandbox = Sandbox(events, clock=SandboxClock.fixed(now))
sandbox.start()
"""


@pytest.mark.slow
def test_a_setting_is_declared_once_and_heeded_in_one_file(copy_for):
    copy = copy_for("a setting", heeding="config/checks.py")
    copy.edit(
        "config/declarations.py",
        "    end_date: Annotated[",
        """    earlier_days: Annotated[
        int,
        _setting("So many days more are exported.", ge=0, le=30),
    ] = 0
    end_date: Annotated[""",
    )
    copy.edit(
        "config/checks.py",
        "            start=self.start,\n            start_is_given",
        "            start=self.start - timedelta(days=self.earlier_days),\n"
        "            start_is_given",
    )
    found = copy.run(
        SERVICE
        + """
from docs.__main__ import main
from docs.about import about
from singer_sdk.exceptions import ConfigValidationError
told = about()["settings"]["properties"]["earlier_days"]
run = run_tap(sandbox, start_date="2026-03-15", earlier_days=2)
first = min(request.from_date for request in sandbox.requests)
try:
    run_tap(sandbox, earlier_days=31)
except ConfigValidationError as error:
    problems = error.errors
main()
found = [told, str(first), len(run.records), problems]
"""
    )
    told, first, records, problems = found
    assert (told["type"], told["default"], told["maximum"]) == (["integer", "null"], 0, 30)
    assert (first, records) == ("2026-03-13", 4)
    assert problems == ["Settings refused:\n  - earlier_days is too large: 31 (most is 30)"]
    row = "| `earlier_days` | integer, 0 to 30 | `0` | So many days more are exported. |"
    assert row in copy.text("docs/pages/settings.md")
    assert "name: earlier_days" in copy.text("hub/tap-mixpanel-export.yml")
    assert "- name: earlier_days\n      kind: integer\n" in copy.text("meltano.yml")


@pytest.mark.slow
def test_a_setting_that_leaves_out_events_takes_three_files_and_a_test(copy_for):
    copy = copy_for("a setting that leaves out events")
    copy.edit(
        "config/declarations.py",
        "    exclude_properties: Annotated[",
        """    exclude_endings: Annotated[
        tuple[str, ...],
        _setting("No events whose names end so.", title="Endings to leave out"),
    ] = ()
    exclude_properties: Annotated[""",
    )
    copy.edit(
        "config/declarations.py",
        '"exclude_event_names", "where")',
        '"exclude_event_names", "where", "exclude_endings")',
    )
    copy.edit(
        "config/run.py",
        "excluded=frozenset(settings.exclude_event_names)",
        "excluded=frozenset(settings.exclude_event_names), endings=settings.exclude_endings",
    )
    copy.edit(
        "records/event_filter.py",
        "    excluded: frozenset[str] = frozenset()\n",
        "    excluded: frozenset[str] = frozenset()\n    endings: tuple[str, ...] = ()\n",
    )
    copy.edit(
        "records/event_filter.py",
        "        if name in self.excluded:",
        "        if name in self.excluded or name.endswith(self.endings):",
    )
    copy.edit(
        "records/event_filter.py",
        "or not self.excluded.isdisjoint(names):",
        "or self.endings or not self.excluded.isdisjoint(names):",
    )
    records, excluded, notices = copy.run(
        SERVICE
        + """
import logging
messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logger = logging.getLogger("tap-mixpanel-export")
logger.setLevel(logging.INFO)
logger.addHandler(handler)
run = run_tap(sandbox, start_date="2026-03-14", exclude_endings=["2", "14"])
(summary,) = [json.loads(m.partition(": ")[2]) for m in messages if m.startswith("run summary: ")]
state = run.state()
before = len(messages)
run_tap(sandbox, state, exclude_endings=["14", "2"])
same = [m for m in messages[before:] if "changed since" in m]
run_tap(sandbox, state)
other = [m for m in messages[before:] if "changed since" in m]
# A state that an earlier version has written has no part for the new setting.
was = run_tap(sandbox, start_date="2026-03-14", event_names=["Event 1"]).state()
bookmark = was["bookmarks"]["events"]
(key,) = [k for k, v in bookmark.items() if isinstance(v, str) and v.endswith("---")]
bookmark[key] = bookmark[key][:-1]
run_tap(sandbox, was, event_names=["Event 1"])
third = [m for m in messages[before:] if "changed since" in m]
names = [r["event_name"] for r in run.records]
found = [names, summary["excludedRecordCount"], [same, other, third]]
"""
    )
    assert sorted(records) == ["Event 1", "Event 13"]
    assert excluded == 2
    same, other, of_an_old_state = notices
    assert same == []
    assert [notice.split(" changed")[0] for notice in other] == ["exclude_endings"]
    assert of_an_old_state == other


@pytest.mark.slow
def test_a_column_is_a_line_of_the_mapping_and_a_field(copy_for):
    copy = copy_for("a column for everybody")
    line = {
        "sourceType": "ATTRIBUTE",
        "source": "data.plan",
        "destination": "_{TENANT_ID}.plan",
        "name": "plan",
        "description": "Mixpanel",
    }
    copy.edit_json("xdm/data/mapping_set.json", ("mappings",), line)
    fields = ("definitions", "customFields", "properties", "_{TENANT_ID}", "properties")
    field = {"title": "Plan", "description": "Of the account.", "type": "string"}
    copy.edit_json(
        "xdm/data/field_group.json", fields, {"plan": {**field, "meta:xdmType": "string"}}
    )
    schema, values, mapped = copy.run(
        SERVICE
        + """
from docs.__main__ import main
from tap_mixpanel_export.xdm.mapper.mapper import XdmMapper
run = run_tap(sandbox, start_date="2026-03-14")
(schema,) = [m["schema"] for m in run.messages if m["type"] == "SCHEMA"]
mapper = XdmMapper(config={}, validate_config=False)
mapped = []
for message in run.messages:
    if message["type"] == "SCHEMA":
        list(mapper.map_schema_message(message))
    elif message["type"] == "RECORD":
        mapped += [m.record["_extconndev"]["plan"] for m in mapper.map_record_message(message)]
main()
found = [schema["properties"]["plan"], [r["plan"] for r in run.records], mapped]
"""
    )
    assert schema["type"] == ["string", "null"]
    assert values == mapped == ["gold"] * 4
    for page in ("README.md", "docs/pages/what-comes-out.md"):
        assert "`time`, `plan` |" in copy.text(page)
    assert "            plan: plan\n" in copy.text("meltano.yml")


@pytest.mark.slow
def test_a_function_is_written_into_the_file_of_its_kind(copy_for):
    copy = copy_for("an expression function")
    copy.edit(
        "xdm/expressions/functions/logic.py",
        '@function("iif", lazy=True)',
        '''@function("both")
def both(first: object, second: object) -> object:
    """Return the second value where there is a first one."""
    return second if first is not None else None


@function("iif", lazy=True)''',
    )
    given, missing, table = copy.run(
        """
from docs.functions import functions_table
from tap_mixpanel_export.xdm.expressions.compiler import compile_expression
expression = compile_expression("upper(both(data.a, data.b))")
values = {("a",): "x", ("b",): "y"}
given = expression.evaluate(values.get)
missing = expression.evaluate({("b",): "y"}.get)
found = [given, missing, functions_table()]
"""
    )
    assert (given, missing) == ("Y", None)
    assert "`both(FIRST, SECOND)`" in table


@pytest.mark.slow
def test_a_fault_is_a_function(copy_for):
    copy = copy_for("a fault of the sandbox")
    copy.edit(
        "sandbox/content_faults.py",
        "@changes\ndef empty(",
        '''@changes
@_of_lines
def last_only(lines: list[bytes], _fault: Fault) -> bytes:
    """Leaves all lines but the last out."""
    return lines[-1] + b"\\n"


@changes
def empty(''',
    )
    records, faults, told = copy.run(
        SERVICE
        + """
import io
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tap_mixpanel_export.sandbox import load_scenario
from tap_mixpanel_export.sandbox.cli import main
Path("scenario.json").write_text(json.dumps([{"kind": "last_only", "times": 2}]))
sandbox.add_faults(*load_scenario(Path("scenario.json")).faults)
run = run_tap(sandbox, start_date="2026-03-14", max_window_days=1)
said = io.StringIO()
with redirect_stdout(said), suppress(SystemExit):
    main(["--help"])
found = [len(run.records), [r.fault for r in sandbox.requests], said.getvalue()]
"""
    )
    assert records == 2
    assert faults == ["last_only"] * 2
    assert "  last_only " in told
    assert "leaves all lines but the last out" in told


@pytest.mark.slow
def test_a_kind_of_response_that_is_none_is_one_entry(copy_for):
    copy = copy_for("a kind of response that is none")
    copy.edit(
        "api/incomplete.py",
        "_KINDS = (\n    _Kind(_TERMINATED,",
        """_KINDS = (
    _Kind(re.compile(rb"\\A\\s*%PDF"), "a document, which is no export"),
    _Kind(_TERMINATED,""",
    )
    complete, tries, words = copy.run(
        SERVICE
        + """
document = Fault("terminated_early", text="%PDF-1.7 quarterly", share=0, day=date(2026, 3, 14))
sandbox.add_faults(document)
run = run_tap(sandbox, start_date="2026-03-14", max_window_days=1)
tries = [str(r.from_date) for r in sandbox.requests]
import dataclasses
sandbox.add_faults(dataclasses.replace(document, times=None))
failed = run_tap(sandbox, start_date="2026-03-14", max_window_days=1)
found = [len(run.records), tries, str(failed.error)]
"""
    )
    assert complete == 4
    assert sorted(tries) == ["2026-03-14", "2026-03-14", "2026-03-15"]
    assert "a document, which is no export" in words
    assert "quarterly" not in words
