"""The report of a run, as a program and as a person read it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from harness import config_for
from singer_sdk.exceptions import ConfigValidationError

from tap_mixpanel_export.errors import ReportError
from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock
from tap_mixpanel_export.sync.report import RunReport
from tap_mixpanel_export.sync.summary import RunSummary
from tap_mixpanel_export.tap import TapMixpanelExport

NOW = datetime(2026, 1, 20, 12, tzinfo=timezone.utc)


def run(sandbox: Sandbox, folder, **settings) -> dict:
    config = config_for(sandbox, start_date="2026-01-15", report_dir=str(folder), **settings)
    try:
        TapMixpanelExport(config=config).sync_all()
    finally:
        report = json.loads((folder / "run.json").read_text())
    return report


@pytest.fixture
def sandbox():
    events = [
        Event.at(NOW - timedelta(days=day, minutes=n + 5), insert_id=f"{day}-{n}")
        for day in range(4)
        for n in range(day + 1)
    ]
    with Sandbox([*events, events[0]], clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    "settings",
    [{}, {"flattening_enabled": True, "flattening_max_depth": 1}],
    ids=["plain path", "generic path"],
)
def test_counts_what_was_written_by_day(sandbox, tmp_path, settings, capsys) -> None:
    report = run(sandbox, tmp_path / "new" / "report", **settings)
    assert report["status"] == "success"
    assert report["error"] is None
    assert (report["inputRecordCount"], report["outputRecordCount"]) == (11, 10)
    assert report["duplicateRecordCount"] == 1
    written = Counter(
        message["record"]["timestamp"][:10]
        for message in map(json.loads, capsys.readouterr().out.splitlines())
        if message["type"] == "RECORD"
    )
    assert (
        report["eventsPerDay"]
        == dict(written)
        == {
            "2026-01-17": 4,
            "2026-01-18": 3,
            "2026-01-19": 2,
            "2026-01-20": 1,
        }
    )


def test_says_why_a_run_failed(sandbox, tmp_path, capsys) -> None:
    sandbox.add_faults(Fault("status", status=403, times=None))
    with pytest.raises(Exception, match="no access"):
        run(sandbox, tmp_path)
    report = json.loads((tmp_path / "run.json").read_text())
    assert report["status"] == "failed"
    assert "no access" in report["error"]
    assert "no access" in (tmp_path / "run.html").read_text()
    capsys.readouterr()


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(sandbox, tmp_path, capsys) -> None:
    run(sandbox, tmp_path)
    capsys.readouterr()
    page = (tmp_path / "run.html").read_text()
    seen: Counter[str] = Counter()

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen[tag] += 1
            assert not {"src", "href"} & dict(attrs).keys()

    Parser().feed(page)
    assert seen["table"] == 2
    assert "2026-01-17" in page
    assert "http" not in page


def test_a_folder_that_cannot_be_made_is_told_before_the_run(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="report_dir"):
        RunReport(tmp_path / "file" / "report")


def test_it_is_a_setting() -> None:
    with pytest.raises(ConfigValidationError) as refused:
        TapMixpanelExport(config={"report_dir": 5})
    assert "report_dir" in refused.value.errors[0]


def test_only_its_owner_may_read_it(sandbox, tmp_path, capsys) -> None:
    folder = tmp_path / "new" / "report"
    run(sandbox, folder)
    capsys.readouterr()
    for path in (folder, folder.parent):
        assert path.stat().st_mode & 0o777 == 0o700
    for name in ("run.json", "run.html"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["run.json", "run.html"])
def test_it_is_not_written_through_a_link(tmp_path, name) -> None:
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / name).symlink_to("victim")
    with pytest.raises(ReportError, match="symbolic link"):
        RunReport(tmp_path).write(RunSummary(), error=None)
    assert (tmp_path / "victim").read_text() == "untouched"
