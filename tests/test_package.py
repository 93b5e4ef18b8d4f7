"""What `uv build` makes is what a user needs: installed outside of the checkout, it runs."""

from __future__ import annotations

import email
import json
import os
import re
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import yaml
from meltano_project import BIN, ROOT, clone_of_the_project, environment

if TYPE_CHECKING:
    from email.message import Message

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("package")]

UV = BIN / "uv"
PACKAGE = "tap_mixpanel_export"
COMMANDS = (
    "tap-mixpanel-export",
    "map-mixpanel-xdm",
    "mixpanel-xdm",
    "mixpanel-export",
    "mixpanel-sandbox",
)


LEFT_BEHIND = {
    "output/events.jsonl": '{"event_name": "of a customer"}',
    "tests/of a [tool]/.gitignore": "*",
    "tests/of a [tool]/events.jsonl": "{}",
    "tap_mixpanel_export/.cache/.gitignore": "*",
    "tap_mixpanel_export/.cache/events.json": "{}",
    "tap_mixpanel_export/xdm/.env": "SECRET=quiet",
    "#config.json": '{"service_account_secret": "quiet"}',
    "!state.json": "{}",
}
"""What people and tools leave in a checkout, some of it under ignore files of its own folder."""


@dataclass(frozen=True)
class Built:
    """The two files, and where the wheel is installed.

    Attributes:
        wheel: Made from the sdist: it builds.
        sdist: The source archive.
        bin: Programs of a fresh environment with nothing but the wheel.
        clone: They were built in it.
        tracked: What git has in the clone.
    """

    wheel: Path
    sdist: Path
    bin: Path
    clone: Path
    tracked: frozenset[str]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    root = tmp_path_factory.mktemp("package")
    dist, venv = root / "dist", root / "venv"
    clone = clone_of_the_project(root / "clone")
    tracked = run("git", "ls-files", "-z", cwd=clone).split("\0")[:-1]
    for name, content in LEFT_BEHIND.items():
        path = clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    run(UV, "build", "--quiet", "--out-dir", dist, clone)
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    run(UV, "venv", "--quiet", "--python", BIN / "python", venv)
    run(UV, "pip", "install", "--quiet", "--python", venv / "bin" / "python", wheel)
    return Built(wheel, sdist, venv / "bin", clone, frozenset(tracked))


@pytest.fixture(scope="module")
def metadata(built) -> Message:
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def run(*arguments: Path | str, cwd: Path | None = None, **settings: str) -> str:
    done = subprocess.run(
        arguments,
        check=False,
        cwd=cwd,
        env=environment(**settings),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_and_sdist_have_the_version_of_the_checkout(built, metadata):
    version = metadata["Version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+\S*)?", version)
    assert built.wheel.name == f"{PACKAGE}-{version}-py3-none-any.whl"
    assert built.sdist.name == f"{PACKAGE}-{version}.tar.gz"


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built.wheel) as archive:
        names = archive.namelist()
    package = {name for name in names if name.startswith(f"{PACKAGE}/")}
    assert package == {name for name in built.tracked if name.startswith(f"{PACKAGE}/")}
    assert f"{PACKAGE}/py.typed" in package
    assert any(name.endswith(".json") for name in package)
    rest = {Path(name).parts[0] for name in set(names) - package}
    # Spark finds its source by the name of this one.
    of_spark = "pyspark_mixpanel_export.py"
    assert {re.sub(r"-.*\.", ".", name) for name in rest} == {f"{PACKAGE}.dist-info", of_spark}


def test_the_sdist_holds_what_git_tracks_and_nothing_else(built):
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    of_ci = {name for name in built.tracked if name.startswith((".ci/", ".github/"))}
    assert names - {"PKG-INFO"} == built.tracked - of_ci - {"constraints.txt"}


def test_a_wheel_of_the_checkout_itself_holds_the_same(built, tmp_path):
    run(UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path, built.clone)
    (wheel,) = tmp_path.glob("*.whl")
    assert contents(wheel) == contents(built.wheel)


def test_an_unpacked_sdist_builds_the_same_wheel(built, tmp_path):
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    run(UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path, folder)
    (wheel,) = tmp_path.glob("*.whl")
    assert contents(wheel) == contents(built.wheel)


def test_the_metadata_tells_what_a_user_searches_for(metadata):
    assert metadata["Name"] == "tap-mixpanel-export"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# ")
    classifiers = metadata.get_all("Classifier")
    versions = [c for c in classifiers if re.search(r":: 3\.\d+$", c)]
    assert [c.rpartition(" ")[2] for c in versions] == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert "Typing :: Typed" in classifiers
    keywords = metadata["Keywords"].split(",")
    assert {"Mixpanel", "Meltano", "Singer"} <= set(keywords)


def test_nothing_in_it_is_of_the_machine_that_built_it(built):
    indexes = ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX")
    hosts = {urlsplit(os.environ.get(name, "")).hostname for name in indexes} - {None}
    folders = {ROOT, Path.home(), built.wheel.parents[1]} - {Path("/")}
    marks = {*hosts, *map(str, folders)}
    with zipfile.ZipFile(built.wheel) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert [mark for mark in marks if mark.encode() in content] == [], name


def test_the_commands_run_outside_of_the_checkout(built, metadata, tmp_path):
    told = run(built.bin / "tap-mixpanel-export", "--version", cwd=tmp_path)
    assert metadata["Version"] in told
    for command in COMMANDS:
        assert "usage" in run(built.bin / command, "--help", cwd=tmp_path).lower()


def test_the_installed_packages_agree(built):
    python = built.bin / "python"
    run(UV, "pip", "check", "--quiet", "--python", python)
    listed = json.loads(run(UV, "pip", "list", "--format=json", "--python", python))
    names = {package["name"] for package in listed}
    # Both install the module `backoff`, one over the other.
    assert "python-backoff" in names
    assert "backoff" not in names


def test_the_installed_tap_exports_from_the_installed_sandbox(built, tmp_path):
    out = run(
        *(built.bin / "mixpanel-sandbox", "--no-limits", "--"),
        *(built.bin / "tap-mixpanel-export", "--config=ENV"),
        cwd=tmp_path,
    )
    kinds = [json.loads(line)["type"] for line in out.split("\n")[:-1]]
    assert kinds[0] == "SCHEMA"
    assert kinds.count("RECORD") > 2000
    assert kinds[-1] == "STATE"


def test_the_main_job_runs_with_the_wheel_in_a_project_of_ones_own(built, tmp_path):
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    (extractor,) = project["plugins"]["extractors"]
    extractor["pip_url"] = built.wheel.as_uri()
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump(project))
    (tmp_path / "output").mkdir()
    run(
        *(built.bin / "mixpanel-sandbox", "--"),
        *(BIN / "meltano", "run", "tap-mixpanel-export", "target-jsonl"),
        cwd=tmp_path,
    )
    lines = (tmp_path / "output" / "events.jsonl").read_bytes().split(b"\n")[:-1]
    ids = [json.loads(line)["event_id"] for line in lines]
    assert len(ids) > 2000
    assert len(ids) == len(set(ids))
