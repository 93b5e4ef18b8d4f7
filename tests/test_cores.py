from __future__ import annotations

import os

import pytest

from tap_mixpanel_export.cores import usable_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        # Half of a core's time takes a core, one and a half two.
        ("50000 100000\n", 1),
        ("150000 100000\n", 2),
        ("1600000 100000\n", 8),
        ("", 8),
        ("0 100000\n", 1),
        ("1 0\n", 8),
    ],
)
def test_the_quota_of_a_container_counts(tmp_path, text, cores):
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path / "cpu.max") == cores


def test_without_a_quota_all_cores_count(tmp_path):
    assert usable_cores(tmp_path / "none") == 8


def test_where_no_process_is_bound_to_cores_those_of_the_machine_count(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert usable_cores(tmp_path / "none") == 3
