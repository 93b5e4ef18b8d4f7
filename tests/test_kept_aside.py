from __future__ import annotations

import json
import stat
from collections import Counter
from pathlib import Path

import pytest
from msgspec import Raw

from tap_mixpanel_export.errors import DiagnosticsError
from tap_mixpanel_export.kept_aside import KeptAside, as_text, counted, percent_of


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_things_are_counted_by_reason_and_kept_for_their_owner_only(tmp_path):
    kept = KeptAside(tmp_path / "new" / "folder" / "file.jsonl")
    kept.add("too old", name="a", record=Raw(b'{"x":1.0}'))
    kept.add("too new", name=None, line=as_text(b"\xff\x00"))
    kept.add("too old", name="\ud800")
    kept.flush()
    rows = kept.path.read_bytes()
    kept.close()
    kept.flush()
    assert rows == kept.path.read_bytes()
    assert rows.splitlines() == [
        b'{"name":"a","record":{"x":1.0}}',
        rb'{"name":null,"line":"\udcff\u0000"}',
        rb'{"name":"\ud800"}',
    ]
    assert json.loads(rows.splitlines()[1])["line"].encode(errors="surrogateescape") == b"\xff\x00"
    assert kept.reasons == {"too old": 2, "too new": 1}
    assert kept.count == 3
    assert mode_of(kept.path) == 0o600
    assert mode_of(kept.path.parent) == mode_of(tmp_path / "new") == 0o700


def test_without_a_place_things_are_counted_only():
    kept = KeptAside(None)
    kept.add("x", a="b")
    kept.flush()
    kept.close()
    kept.discard()
    assert kept.count == 1


@pytest.mark.parametrize("target", ["file", "nothing"])
def test_nothing_is_written_through_a_symbolic_link(tmp_path, target):
    victim = tmp_path / target
    if target == "file":
        victim.write_text("mine")
    kept = KeptAside(tmp_path / "kept.jsonl")
    kept.path.symlink_to(victim)
    with pytest.raises(DiagnosticsError, match=r"diagnostics_dir: .*symbolic link"):
        kept.add("x", a="secret")
    assert not victim.exists() or victim.read_text() == "mine"


def test_an_older_file_that_others_may_read_is_replaced(tmp_path):
    path = tmp_path / "kept.jsonl"
    path.write_text("old")
    path.chmod(0o644)
    kept = KeptAside(path)
    kept.add("x", a="b")
    kept.close()
    assert path.read_bytes() == b'{"a":"b"}\n'
    assert mode_of(path) == 0o600


@pytest.mark.parametrize("end", [KeptAside.flush, KeptAside.close])
def test_a_full_disk_is_told_even_at_the_end(tmp_path, monkeypatch, end):
    # Linux's device that is always full.
    monkeypatch.setattr(
        "tap_mixpanel_export.kept_aside.open_private",
        lambda _: Path("/dev/full").open("wb"),  # noqa: SIM115 - closed by the end
    )
    kept = KeptAside(tmp_path / "kept.jsonl")
    kept.add("x", a="secret")
    with pytest.raises(DiagnosticsError, match=r"diagnostics_dir: .* cannot be written") as caught:
        end(kept)
    assert "secret" not in str(caught.value)
    kept.discard()
    assert list(tmp_path.iterdir()) == []


def test_counts_in_words():
    assert counted(Counter({"a": 1, "b": 2000})) == "b: 2,000, a: 1"
    assert percent_of(1, 8) == 12.5
    assert percent_of(0, 0) == 0
