"""The package as others have it: installed, its types checked, and read by pandas."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date, datetime, timezone

import pytest
from event_truth import expected_rows
from meltano_project import ROOT
from one_environment import make_environment

from tap_mixpanel_export.sandbox import Fault, Sandbox, SandboxClock

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("outside"), pytest.mark.timeout(600)]

NOW = datetime(2026, 11, 22, 20, tzinfo=timezone.utc)

EXAMPLE = """
import pandas
from tap_mixpanel_export import read_events

frame: pandas.DataFrame = read_events("2026-11-16").read_all().to_pandas()
"""
"""That of the page."""

RIGHT = """
from datetime import date

from tap_mixpanel_export import EventReader, Export, Quota, Window, open_quota, read_events

quota: Quota = open_quota("quota", project="1", max_per_hour=30)
export = Export({"project_id": 1}, columns=["event_name"], quota=quota, env=False)
windows: list[Window] = export.plan(days=3)
window: Window = Window.from_dict(windows[0].to_dict())
days: int = window.days + (window.last - window.first).days


def save(state: dict[str, object]) -> None:
    print(state)


def total(reader: EventReader) -> int:
    with reader as same:
        return sum(batch.num_rows for batch in same)


total(read_events(date(2026, 11, 16), "2026-11-17", region="EU"))
total(export.read_window(window))
reader = export.read({"bookmarks": {}}, on_state=save)
state: dict[str, object] | None = reader.state
records: int = reader.summary.records
quota.close()
"""

WRONG = {
    "Export(3)": "arg-type",
    "Export({}, columns=[1])": "list-item",
    "Export({}, quotas=None)": "call-arg",
    "Export({}).plan(days='3')": "arg-type",
    "read_events(2026)": "arg-type",
    "x: str = Export({}).read().state": "assignment",
    "Export({}).read().rows": "attr-defined",
    "Window(first='2026-11-16', last='2026-11-17')": "arg-type",
    "export = Export({}); export.read_window('2026-11-16')": "arg-type",
    "def f(w: Window) -> None: w.first = w.last": "misc",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that has this package as a wheel, the checker, and pandas."""
    return make_environment(tmp_path_factory.mktemp("outside"), f"{ROOT}[arrow]", "mypy", "pandas")


def checked(python, folder, text):
    (folder / "program.py").write_text(text)
    return subprocess.run(
        [python, "-m", "mypy", "--strict", "program.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


# pyarrow has no types of its own; nothing else may be unknown.
ARROW = "[mypy-pyarrow.*]\nignore_missing_imports = true\n"


def test_types_are_known_to_a_strict_checker(python, tmp_path):
    (tmp_path / "mypy.ini").write_text(f"[mypy]\n{ARROW}")
    done = checked(python, tmp_path, RIGHT)
    assert done.stdout.startswith("Success"), done.stdout
    imports = "from tap_mixpanel_export import Export, Window, read_events\n"
    done = checked(python, tmp_path, imports + "\n".join(WRONG) + "\n")
    problems = [line for line in done.stdout.splitlines() if ": error: " in line]
    for number, (statement, kind) in enumerate(WRONG.items(), start=2):
        own = [line for line in problems if line.startswith(f"program.py:{number}: ")]
        assert [line for line in own if line.endswith(f"[{kind}]")], (statement, done.stdout)


def run(python, sandbox, folder, text):
    return subprocess.run(
        [python, "-c", text],
        cwd=folder,
        env={**os.environ, **sandbox.environment},
        capture_output=True,
        text=True,
        check=False,
    )


COUNTED = """
import json
print(json.dumps([sorted(frame["event_id"]), str(frame["timestamp"].dtype)]))
"""


def test_pandas_reads_all_or_nothing(python, tmp_path):
    with Sandbox(clock=SandboxClock.fixed(NOW)) as sandbox:
        done = run(python, sandbox, tmp_path, EXAMPLE + COUNTED)
        assert done.returncode == 0, done.stderr
        keys, kind = json.loads(done.stdout)
        since = datetime(2026, 11, 16, tzinfo=timezone.utc)
        rows = expected_rows(sandbox.visible()).items()
        assert set(keys) == {key for key, row in rows if row.instant >= since}
        assert kind == "datetime64[us, UTC]"
        sandbox.add_faults(Fault("status", status=401, day=date(2026, 11, 19), times=None))
        done = run(python, sandbox, tmp_path, EXAMPLE + COUNTED)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Mixpanel did not accept" in done.stderr.splitlines()[-1]
