"""End to end, as a user does it: the project of this repository, real Meltano, real plugins."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from adobe_columns import ADOBE_COLUMNS
from event_truth import Row, expected_rows, instant_of, parse
from loaded_week import NOON, late_event
from meltano_project import BIN, MeltanoProject, clone_of_the_project, environment

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("meltano")]

# The sandbox's first day. The default start is 30 days before the real today.
START = {"TAP_MIXPANEL_EXPORT_START_DATE": "2026-11-13"}
TAP = "tap-mixpanel-export"
XDM_FIELDS = set(ADOBE_COLUMNS)


@dataclass(frozen=True)
class Story:
    """What a user saw, in this order, in one clone.

    Attributes:
        project: The clone.
        truth: All events after the first run, and after the second.
        rows: What `output/events.jsonl` held then.
        xdm_fields: Rows of a run through `xdm-fields`.
        experience_events: Rows of a run through `mixpanel-to-xdm`.
        first_log: What the first run told.
    """

    project: MeltanoProject
    truth: tuple[dict[str, Row], dict[str, Row]]
    rows: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    xdm_fields: list[dict[str, Any]]
    experience_events: list[dict[str, Any]]
    first_log: str


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A fresh clone of the working tree as it stands."""
    return clone_of_the_project(tmp_path_factory.mktemp("meltano") / "clone")


@pytest.fixture(scope="module")
def story(clone) -> Story:
    project = MeltanoProject(clone, START)
    events = clone / "output" / "events.jsonl"
    clock = SandboxClock.fixed(NOON)
    with Sandbox(clock=clock) as sandbox:
        first_log = project.run("run", TAP, "target-jsonl", sandbox=sandbox).stdout
        first, rows_first = expected_rows(sandbox.visible()), load(events)

        clock.advance(timedelta(days=2))
        sandbox.add([late_event(minutes) for minutes in range(50)])
        project.run("schedule", "run", "mixpanel-hourly", sandbox=sandbox)
        later, rows_later = expected_rows(sandbox.visible()), load(events)

        events.unlink()
        project.run(
            *("run", "--full-refresh"),
            *(TAP, "xdm-fields", "target-jsonl"),
            *(TAP, "mixpanel-to-xdm", "target-jsonl"),
            sandbox=sandbox,
        )
    return Story(
        project,
        (first, later),
        (rows_first, rows_later),
        load(events),
        load(clone / "output" / "mixpanel_experience_events.jsonl"),
        first_log,
    )


def test_the_first_run_warns_of_nothing(story):
    told = [line for line in story.first_log.splitlines() if f" {TAP} " in line]
    assert any("events written" in line for line in told)
    assert [line for line in told if "[info" not in line] == []


def test_the_first_run_writes_every_event_once(story):
    truth, rows = story.truth[0], story.rows[0]
    assert len(rows) == len({row["event_id"] for row in rows})
    assert as_rows(rows) == truth


def test_the_scheduled_job_goes_on_where_the_first_run_ended(story):
    truth, rows = story.truth[1], story.rows[1]
    before = len(story.rows[0])
    assert rows[:before] == story.rows[0]
    # The newer row of an event comes later; a keyed loader would have put it in the older one's
    # place.
    assert as_rows(rows) == truth
    written = {row["event_id"] for row in rows[before:]}
    missing = truth.keys() - story.truth[0].keys()
    changed = {key for key, row in story.truth[0].items() if truth[key] != row}
    assert missing | changed <= written
    # Again come events that do not say when they were processed, and those of the last minutes,
    # in which the service's clocks may differ.
    watermark = (NOON - timedelta(minutes=15)).timestamp() * 1000
    again = [truth[key].properties for key in written - missing - changed]
    stamps = [event.get("mp_processing_time_ms") for event in again]
    assert all(stamp is None or stamp.value > watermark for stamp in stamps)
    assert None in stamps


def test_the_stock_stream_map_keeps_the_fields_of_the_mapping_only(story):
    rows = story.xdm_fields
    assert all(row.keys() == XDM_FIELDS for row in rows)
    assert Counter((row["event_name"], row["time"]) for row in rows) == Counter(
        (row.event_name, row.properties["time"]) for row in story.truth[1].values()
    )


def test_the_mapper_makes_an_experience_event_of_every_event(story):
    truth, rows = story.truth[1], story.experience_events
    assert {row["_id"]: instant_of(row["timestamp"]) for row in rows} == {
        key: row.instant for key, row in truth.items()
    }
    assert len(rows) == len(truth)
    for row in rows:
        event = truth[row["_id"]]
        # XDM knows no empty values: what is empty is left out.
        assert row.get("eventType", "") == event.event_name
        assert row["_extconndev"]["time"] == event.properties["time"]
        assert row["_extconndev"].keys() <= XDM_FIELDS


def test_the_state_is_small_and_has_both_marks(story):
    told = story.project.run("state", "get", f"dev:{TAP}-to-target-jsonl").stdout
    state = json.loads(told[told.index("{") :].splitlines()[0])
    bookmark = state["singer_state"]["bookmarks"]["events"]
    assert {"replication_key_value", "processed_before", "exported_from"} <= set(bookmark)
    assert len(json.dumps(bookmark)) <= 4096


def test_a_test_of_the_settings_costs_one_query(story):
    """As Meltano does it: it ends a run at its first record."""
    with Sandbox() as sandbox:
        since = {"TAP_MIXPANEL_EXPORT_START_DATE": "2022-01-01"}
        project = MeltanoProject(story.project.root, since)
        told = project.run("config", "test", TAP, sandbox=sandbox).stdout
        assert "valid" in told
        assert len(sandbox.requests) == 1


def test_the_tree_is_clean_afterwards(story):
    assert git(story.project.root, "status", "--porcelain") == ""


def test_no_package_holds_what_was_exported(story, tmp_path):
    root = story.project.root
    assert (root / "output" / "events.jsonl").exists()
    assert (root / ".meltano").exists()
    subprocess.run(
        [BIN / "uv", "build", "--quiet", "--sdist", "--out-dir", tmp_path, root],
        check=True,
        env=environment(),
    )
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names - {"PKG-INFO"} <= set(git(root, "ls-files", "-z").split("\0"))


def test_a_run_tells_in_the_log_how_far_it_is(story, tmp_path):
    tap = tmp_path / "tap"
    # A line at every look, instead of every half minute.
    tap.write_text(
        f"#!{sys.executable}\n"
        "from tap_mixpanel_export.__main__ import main\n"
        "from tap_mixpanel_export.sync import progress\n"
        "progress._LOG_INTERVAL_SECONDS = 0\n"
        "main()\n"
    )
    tap.chmod(0o700)
    plugins = story.project.root / ".meltano"
    project = yaml.safe_load((story.project.root / "meltano.yml").read_text())
    for kind, name, executable in (
        ("extractors", TAP, tap),
        ("loaders", "target-jsonl", plugins / "loaders/target-jsonl/venv/bin/target-jsonl"),
    ):
        (plugin,) = (one for one in project["plugins"][kind] if one["name"] == name)
        del plugin["pip_url"]
        plugin["executable"] = str(executable)
        project["plugins"][kind] = [plugin]
    del project["plugins"]["mappers"], project["jobs"], project["schedules"]
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump(project))
    (tmp_path / "output").mkdir()
    with Sandbox(clock=SandboxClock.fixed(NOON)) as sandbox:
        told = MeltanoProject(tmp_path, START).run("run", TAP, "target-jsonl", sandbox=sandbox)
    lines = [line for line in told.stdout.splitlines() if " windows done, " in line]
    assert any("new days: " in line for line in lines)
    done = [int(re.search(r"(\d+) windows done", line)[1]) for line in lines]
    assert done == sorted(done)
    assert done[-1] > 3
    received = [float(re.search(r"/s, ([\d.]+) kB", line)[1]) for line in lines if " kB" in line]
    # What is being written is not counted a second time.
    assert max(received) == received[-1]


def load(path: Path) -> list[dict[str, Any]]:
    # Split at line ends only: U+2028 in a text is none.
    return [parse(line) for line in path.read_bytes().split(b"\n")[:-1]]


def as_rows(rows: list[dict[str, Any]]) -> dict[str, Row]:
    return {
        row["event_id"]: Row(row["event_name"], instant_of(row["timestamp"]), row["properties"])
        for row in rows
    }


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments],
        check=True,
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
    ).stdout
