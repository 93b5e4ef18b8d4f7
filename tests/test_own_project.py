"""The first way of the README's chapter Install: a Meltano project of one's own, beside a clone."""

from __future__ import annotations

import json
import shlex
from datetime import datetime, timezone
from typing import Any

import pytest
import yaml
from meltano_project import ROOT, MeltanoProject, clone_of_the_project
from readme import ADDRESS, blocks

from docs.about import about
from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("own project")]

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
COMMANDS = [
    command
    for block in blocks()
    if block.chapter == "Install" and block.language == "console"
    for command in block.commands
]
(MAPPER,) = (
    command
    for block in blocks()
    if block.chapter == "XDM and Adobe" and block.language == "console"
    for command in block.commands
    if command.startswith("meltano add ")
)
TAP = "tap-mixpanel-export"


def command_of_the_readme(beginning: str) -> list[str]:
    """The one command that begins like this, without `meltano` and what follows behind `&&`."""
    (command,) = [c for c in COMMANDS if c.startswith(beginning)]
    return shlex.split(command.partition(" && ")[0])[1:]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> MeltanoProject:
    folder = tmp_path_factory.mktemp("own")
    the_clone_of_the_readme = clone_of_the_project(folder / TAP)
    settings = {
        # pip fetches the address of the README, which leads to the clone here.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{the_clone_of_the_readme.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS.removeprefix("git+"),
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "TAP_MIXPANEL_EXPORT_START_DATE": "2026-11-16",
        "TAP_MIXPANEL_EXPORT_END_DATE": "2026-11-18",
    }
    MeltanoProject(folder, settings).run(*command_of_the_readme("meltano init my-project"))
    project = MeltanoProject(folder / "my-project", settings)
    project.run(*command_of_the_readme("meltano add --plugin-type extractor"))
    return project


def declared(project: MeltanoProject) -> dict[str, Any]:
    (plugin,) = yaml.safe_load((project.root / "meltano.yml").read_text())["plugins"]["extractors"]
    return plugin


def messages(project: MeltanoProject) -> tuple[list[Any], str]:
    """What the tap writes in the project, and all else that is said."""
    with Sandbox(clock=SandboxClock.fixed(NOON)) as sandbox:
        said = project.run("invoke", TAP, sandbox=sandbox).stdout
        asked = {request.status for request in sandbox.requests}
    # Split at line ends only: U+2028 in a text is none.
    lines = said.split("\n")
    written = [json.loads(line) for line in lines if line.startswith('{"type"')]
    assert asked <= {200}
    assert bool(asked) == bool(written)
    return written, said


def test_every_setting_and_capability_is_declared(project):
    told, plugin = about(), declared(project)
    assert plugin["pip_url"] == ADDRESS
    assert plugin["capabilities"] == sorted(told["capabilities"])
    assert "structured-logging" in plugin["capabilities"]
    names = {setting["name"].partition(".")[0] for setting in plugin["settings"]}
    assert names == set(told["settings"]["properties"])


def test_an_error_is_logged_as_one(project):
    with Sandbox(clock=SandboxClock.fixed(NOON)) as sandbox, pytest.raises(AssertionError) as told:
        project.run(
            *("--log-level", "info", "invoke", TAP),
            sandbox=sandbox,
            TAP_MIXPANEL_EXPORT_PROJECT_TIMEZONE="Mars/Base",
        )
    text = str(told.value)
    assert "Traceback" not in text
    line = next(one for one in text.splitlines() if "Settings refused" in one)
    assert "error" in line.partition("Settings refused")[0]


def test_a_column_is_left_out_and_the_environment_passed_on_as_the_readme_says(project):
    include = command_of_the_readme(f"meltano select {TAP}")
    exclude = command_of_the_readme(f"meltano select --exclude {TAP}")
    project.run(*exclude)
    written, said = messages(project)
    assert written == []
    assert "NOTHING IS EXPORTED" in said
    project.run(*include)
    written, said = messages(project)
    assert "is no setting" not in said
    assert "is not used" not in said
    (schema,) = [one["schema"]["properties"] for one in written if one["type"] == "SCHEMA"]
    records = [one["record"] for one in written if one["type"] == "RECORD"]
    assert len(records) > 500
    times = [record["timestamp"] for record in records]
    assert min(times) >= "2026-11-16"
    assert max(times) < "2026-11-19"
    assert "event_name" in schema
    assert "properties" not in schema
    assert all(record.keys() == schema.keys() for record in records)


def test_the_mapper_is_added_with_its_settings(project):
    project.run(*shlex.split(MAPPER.removeprefix("meltano ")))
    (mapper,) = yaml.safe_load((project.root / "meltano.yml").read_text())["plugins"]["mappers"]
    assert mapper["pip_url"] == ADDRESS
    names = [setting["name"] for setting in mapper["settings"]]
    assert names == list(about("map_mixpanel_xdm")["settings"]["properties"])
    config = {"mappings": [{"name": "mixpanel-to-xdm", "config": {"tenant_id": "acme"}}]}
    document = yaml.safe_load((project.root / "meltano.yml").read_text())
    document["plugins"]["mappers"] = [{**mapper, **config}]
    # Meltano passes `--config` to any loader.
    keep = project.root / "keep.sh"
    keep.write_text("#!/bin/sh\nexec cat > mapped.jsonl\n")
    keep.chmod(0o755)
    document["plugins"]["loaders"] = [
        {"name": "keep", "namespace": "keep", "executable": str(keep)}
    ]
    (project.root / "meltano.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    with Sandbox(clock=SandboxClock.fixed(NOON)) as sandbox:
        project.run("run", "--no-state-update", TAP, "mixpanel-to-xdm", "keep", sandbox=sandbox)
        assert {request.status for request in sandbox.requests} == {200}
    assert "mixpanel_experience_events" in (project.root / "mapped.jsonl").read_text()


def test_the_clone_is_as_it_was(project):
    hub = project.root.parent / TAP / "hub" / "tap-mixpanel-export.yml"
    assert hub.read_text() == (ROOT / "hub" / "tap-mixpanel-export.yml").read_text()
    assert not (project.root.parent / TAP / ".meltano").exists()
