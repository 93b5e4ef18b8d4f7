from __future__ import annotations

import json
from contextlib import closing
from datetime import date

import pytest

from tap_mixpanel_export.errors import DiagnosticsError
from tap_mixpanel_export.records.malformed import MalformedLines
from tap_mixpanel_export.records.parsing import Malformed

FIRST, LAST = date(2026, 11, 19), date(2026, 11, 20)


def test_without_a_place_lines_are_counted_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with closing(MalformedLines(None, FIRST, LAST)) as lines:
        lines.add_line(b"x", Malformed.NO_TIME)
        lines.add_line(b"", Malformed.NO_TIME)
        assert lines.count == 2
    assert list(tmp_path.iterdir()) == []


def test_lines_are_kept_as_json_whatever_their_bytes(tmp_path):
    raw = [b"not json", b'{"event":"\xff\xfe"}', "blå \u2028".encode(), b"\0", b'"\\ud800']
    with closing(MalformedLines(tmp_path / "new" / "folder", FIRST, LAST)) as lines:
        for line in raw:
            lines.add_line(line, Malformed.NOT_JSON)
    (path,) = (tmp_path / "new" / "folder").iterdir()
    assert path.name == "malformed-2026-11-19-2026-11-20.jsonl"
    kept = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [entry["line"].encode(errors="surrogateescape") for entry in kept] == raw
    assert {entry["days"] for entry in kept} == {"2026-11-19 to 2026-11-20"}
    assert {entry["reason"] for entry in kept} == {"not a JSON object"}


def test_the_same_days_have_one_file_and_no_lines_none(tmp_path):
    for line in (b"first run", b"second run"):
        with closing(MalformedLines(tmp_path, FIRST, FIRST)) as lines:
            lines.add_line(line, Malformed.NOT_JSON)
            assert lines.days == "2026-11-19"
    with closing(MalformedLines(tmp_path, LAST, LAST)):
        pass
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_bytes())["line"] == "second run"


def test_a_place_that_cannot_be_written_is_named_with_its_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with closing(MalformedLines(tmp_path / "file", FIRST, LAST)) as lines:
        with pytest.raises(DiagnosticsError, match=r"diagnostics_dir: .*file.* cannot be written"):
            lines.add_line(b"secret text", Malformed.NO_TIME)
        with pytest.raises(DiagnosticsError) as caught:
            lines.add_line(b"secret text", Malformed.NO_TIME)
        assert "secret" not in str(caught.value)


def test_the_lines_of_an_answer_that_does_not_count_are_removed(tmp_path):
    lines = MalformedLines(tmp_path, FIRST, LAST)
    lines.discard()
    lines.add_line(b"x", Malformed.NO_TIME)
    lines.discard()
    assert list(tmp_path.iterdir()) == []
