"""GitHub's workflows: nothing runs that could be exchanged behind our back."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml
from meltano_project import ROOT, environment

FOLDER = ROOT / ".github" / "workflows"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_workflows_follow_githubs_schema(name):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.github-workflows", FOLDER / name),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_actions_are_pinned_by_commit(name):
    used = re.findall(r"uses: (.*)", (FOLDER / name).read_text())
    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_jobs_may_do_only_what_they_say(name):
    workflow = load(name)
    assert workflow["permissions"] == {}
    allowed = {"contents": {"read"}, "id-token": {"write"}}
    for job in workflow["jobs"].values():
        for what, how in job.get("permissions", {}).items():
            assert how in allowed[what]


def test_only_the_job_that_publishes_has_an_identity():
    jobs = {**load("ci.yml")["jobs"], **load("release.yml")["jobs"]}
    assert [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})] == [
        "publish"
    ]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the workflow's own Python has tomllib")
def test_the_matrix_is_what_the_classifiers_claim(tmp_path):
    (step,) = [s for s in load("ci.yml")["jobs"]["versions"]["steps"] if s.get("id")]
    told = tmp_path / "output"
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run(
        ["bash", "-c", step["run"]],
        check=True,
        cwd=tmp_path,
        env=environment(GITHUB_OUTPUT=str(told)),
    )
    assert told.read_text() == 'python=["3.10", "3.11", "3.12", "3.13", "3.14"]\n'
