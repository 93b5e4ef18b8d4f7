"""The image: linted, built for real where Debian's tools are, and run without rights."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
CERTIFICATES = "/etc/ssl/certs"
IMAGE, BASE = "localhost/tap-mixpanel-export:test", "localhost/base:test"
ENVIRONMENT = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}


def run(*command: str, **options) -> str:
    result = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, check=False, **options
    )
    assert result.returncode == 0, f"{command}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
    return result.stdout


def test_the_dockerfile_follows_the_rules_of_its_trade() -> None:
    run("hadolint", "--failure-threshold", "style", str(ROOT / "Dockerfile"))


def test_the_context_holds_what_the_package_is_built_of_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert all((ROOT / name).exists() for name in allowed)
    project = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r'"([\w./-]+)"', re.search(r"packages = \[(.*?)\]", project, re.DOTALL)[1])
    assert {*named, "pyproject.toml", "README.md", "LICENSE"} <= allowed


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image, on Debian's own Python: no registry of images can be assumed."""
    for tool in ("buildah", "debootstrap"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} on this machine")
    if os.geteuid() or not SOURCES.exists():
        pytest.skip("debootstrap needs root and Debian's sources")
    folder = tmp_path_factory.mktemp("base")
    release = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())[1]
    mirror = re.search(r"^URIs: (\S+)", SOURCES.read_text(), re.MULTILINE)[1]
    packages = "--include=python3,python3-venv,python3-pip,ca-certificates"
    run("debootstrap", "--variant=minbase", packages, release, str(folder / "root"), mirror)
    container = run("buildah", "from", "scratch").strip()
    run("buildah", "add", "--quiet", container, str(folder / "root"), "/")
    run("buildah", "commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(folder / "root")
    build = ("--build-arg", f"PYTHON_IMAGE={BASE}", "--build-arg", "VERSION=1.2.3")
    mount = ("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro")
    run("buildah", "bud", *build, *mount, "--tag", IMAGE, str(ROOT))
    yield IMAGE
    run("buildah", "rmi", "--force", IMAGE, BASE)


@pytest.fixture
def execute(image):
    container = run("buildah", "from", image).strip()
    yield lambda *command: run("buildah", "run", container, "--", *command)
    run("buildah", "rm", container)


@pytest.mark.slow
@pytest.mark.container
@pytest.mark.timeout(1500)
def test_the_image_runs_tap_mapper_and_meltano_without_rights(image, execute) -> None:
    config = json.loads(run("buildah", "inspect", "--type", "image", image))["OCIv1"]["config"]
    assert config["User"] == "10001"
    assert {"PYTHONUNBUFFERED=1", "TMPDIR=/spool"} <= set(config["Env"])
    assert set(config["Volumes"]) == {"/spool"}
    assert execute("id", "--user").strip() == "10001"
    assert "v1.2.3" in execute("tap-mixpanel-export", "--version")
    assert "meltano, version" in execute("meltano", "--version")
    pipe = "tap-mixpanel-export --config=ENV | map-mixpanel-xdm --config <(echo '{}')"
    mapped = execute("mixpanel-sandbox", "--", "bash", "-c", f"set -o pipefail; {pipe}")
    streams = [json.loads(line).get("stream") for line in mapped.splitlines()]
    assert streams.count("mixpanel_experience_events") > 1000
    # Nothing outside of its two places is the user's to write to: the rest may be read only.
    # What it may not even look into is not its to write to either.
    find = "find / -xdev -writable -type d -not -path '/proc/*' 2>/dev/null || true"
    writable = execute("sh", "-c", find)
    homes = ("/spool", "/project", "/tmp", "/var/tmp", "/dev", "/run", "/sys")
    assert [path for path in writable.split() if not path.startswith(homes)] == []
