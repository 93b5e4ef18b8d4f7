"""The report of a run, as a program and as a person read it."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from importlib import resources

import pytest
from harness import config_for, run_tap, start_command, wait_for
from jsonschema import Draft202012Validator, FormatChecker
from singer_sdk.exceptions import ConfigValidationError

from tap_mixpanel_export.errors import ReportError
from tap_mixpanel_export.report import folder as report_folder
from tap_mixpanel_export.report.folder import ReportFolder
from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock
from tap_mixpanel_export.tap import TapMixpanelExport

NOW = datetime(2026, 1, 20, 12, tzinfo=timezone.utc)
CANARY = "canary-7d1f"

SCHEMA = json.loads(
    (resources.files("tap_mixpanel_export.report") / "run.schema.json").read_text("utf-8")
)


def valid(document: dict) -> dict:
    """The same document, held against its schema; no member is without a description there."""
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA, format_checker=FormatChecker()).validate(document)
    assert document.keys() <= SCHEMA["properties"].keys()
    return document


def read(folder) -> dict:
    return valid(json.loads((folder / "run.json").read_text()))


def run(sandbox: Sandbox, folder, state=None, **settings) -> dict:
    done = run_tap(
        sandbox,
        state,
        **{"start_date": "2026-01-15", "report_dir": str(folder), **settings},
    )
    return {**read(folder), "of_run": done}


@pytest.fixture
def events():
    events = [
        Event.at(
            NOW - timedelta(days=day, minutes=n + 5),
            f"Event {day}",
            insert_id=f"{day}-{n}",
            plan=f"{CANARY}{n}",
            age=CANARY if day == 2 else 5,
        )
        for day in range(4)
        for n in range(day + 1)
    ]
    return [*events, events[0]]


@pytest.fixture
def sandbox(events):
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    "settings",
    [{}, {"flattening_enabled": True, "flattening_max_depth": 1}],
    ids=["plain path", "generic path"],
)
def test_counts_what_was_written_by_day(sandbox, tmp_path, settings) -> None:
    report = run(sandbox, tmp_path / "new" / "report", **settings)
    assert report["status"] == "success"
    assert report["error"] is None
    assert (report["inputRecordCount"], report["outputRecordCount"]) == (11, 10)
    assert report["duplicateRecordCount"] == 1
    written = Counter(record["timestamp"][:10] for record in report["of_run"].records)
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
    # Days without events are told by the range.
    assert report["range"] == {"first": "2026-01-15", "last": "2026-01-20"}
    assert report["latePerDay"] == {}
    assert report["eventNames"] == {"Event 3": 4, "Event 2": 3, "Event 1": 2, "Event 0": 2}
    assert report["headline"] == "Complete: 10 events written; next run from 2026-01-20 12:00 UTC"
    assert report["bookmark"] == report["of_run"].bookmarks[-1]["replication_key_value"]
    assert report["startedAt"] <= report["endedAt"]
    assert report["project"] == {
        "id": sandbox.credentials.project_id,
        "region": "US",
        "timezone": "UTC",
    }


def test_tells_properties_without_a_column_and_kinds_that_do_not_fit(sandbox, tmp_path) -> None:
    report = run(sandbox, tmp_path, columns=["age:integer"])
    assert report["unmappedProperties"]["plan"] == 1
    assert "age" not in report["unmappedProperties"]
    assert report["sampledEventCount"] == 11
    assert report["conversionWarnings"] == {"age": 3}
    assert report["conversionKinds"] == {"age": "text where the type is Long"}
    hidden = run(sandbox, tmp_path, exclude_properties=["plan"])
    assert "plan" not in hidden["unmappedProperties"]


@pytest.mark.slow
def test_tells_late_events_by_day_and_the_phases_of_the_run(sandbox, events, tmp_path) -> None:
    first = run(sandbox, tmp_path)
    late = [
        Event.at(
            NOW - timedelta(days=2, minutes=n),
            "Late",
            insert_id=f"late-{n}",
            processed=NOW + timedelta(hours=2, seconds=n),
        )
        for n in range(3)
    ]
    clock = SandboxClock.fixed(NOW + timedelta(days=1))
    with Sandbox([*events, *late], clock=clock) as later:
        report = run(later, tmp_path, first["of_run"].state())
    # The newest event of the first run comes again: it was younger than the processing delay.
    assert report["lateRecordCount"] == 4
    assert report["latePerDay"] == report["eventsPerDay"] == {"2026-01-18": 3, "2026-01-20": 1}
    assert ", 4 of them late, from 2 days; next run from 2026-01-21 12:00 UTC" in report["headline"]
    phases = {window["phase"] for window in report["windows"]}
    assert {"proof", "look-back", "new days"} <= phases
    assert {window["state"] for window in report["windows"]} == {"written"}
    assert sum(window["events"] for window in report["windows"]) == report["outputRecordCount"]
    assert sum(window["bytes"] for window in report["windows"]) == report["inputByteCount"]
    # Days that were asked for late events only are no days without events.
    assert report["range"]["first"] >= "2026-01-20"
    # Both runs are on the page.
    assert page_data(tmp_path)["runs"][1]["startedAt"] == first["startedAt"]


def page_data(folder) -> dict:
    text = (folder / "index.html").read_text()
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


def test_tells_tries_and_waits(sandbox, tmp_path) -> None:
    sandbox.add_faults(
        Fault("status", status=502, times=1), Fault("status", status=429, retry_after=7, times=1)
    )
    report = run(sandbox, tmp_path)
    assert report["status"] == "success"
    assert max(window["tries"] for window in report["windows"]) == 2
    reasons = [wait["reason"] for wait in report["waits"]]
    assert len(reasons) == 2
    assert reasons[0].startswith("the next try of a window that failed, until ")
    assert reasons[1].startswith("the pause that the service asked for (429), until ")
    assert all(wait["start"] <= wait["end"] for wait in report["waits"])


def test_a_first_run_without_events_is_complete(tmp_path) -> None:
    with Sandbox([], clock=SandboxClock.fixed(NOW)) as sandbox:
        report = run(sandbox, tmp_path)
    assert report["status"] == "success"
    assert report["headline"].startswith("Complete: no events")
    assert report["eventsPerDay"] == report["eventNames"] == {}
    assert report["range"] == {"first": "2026-01-15", "last": "2026-01-20"}


def test_says_why_a_run_failed(sandbox, tmp_path) -> None:
    sandbox.add_faults(Fault("status", status=403, times=None))
    report = run(sandbox, tmp_path)
    assert report["status"] == "failed"
    assert "no access" in report["error"]
    assert report["headline"] == (
        "Failed: nothing was written, and the state is safe; the next run begins anew"
    )
    assert report["windows"][0]["state"] == "failed"
    assert "no access" in (tmp_path / "run.html").read_text()
    assert report["eventsPerDay"] == {}


@pytest.mark.slow
def test_an_error_that_is_none_of_ours_tells_no_value(sandbox, tmp_path, monkeypatch) -> None:
    def fail(*_):
        raise RuntimeError(CANARY)

    monkeypatch.setattr("tap_mixpanel_export.streams.record_serializer", lambda *_: fail)
    config = config_for(sandbox, start_date="2026-01-15", report_dir=str(tmp_path))
    with pytest.raises(RuntimeError):
        TapMixpanelExport(config=config).sync_all()
    report = read(tmp_path)
    assert report["status"] == "failed"
    assert report["error"].startswith("RuntimeError, which is a fault of the tap")


def test_holds_no_values(sandbox, tmp_path) -> None:
    report = run(sandbox, tmp_path)
    # They were written, and not to the report.
    assert CANARY in report["of_run"].output.decode()
    sandbox.add_faults(Fault("status", status=403, times=None))
    run(sandbox, tmp_path)
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) == 5
    assert all(CANARY not in text for text in texts)
    secret = sandbox.credentials.service_account_secret
    assert all(secret not in text for text in texts)


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_what_it_had_done(sandbox, tmp_path) -> None:
    sandbox.add_faults(Fault("stall", day=-2, seconds=280, times=None))
    folder = tmp_path / "report"
    at_once = "from tap_mixpanel_export.report import recorder; recorder._DOCUMENT_SECONDS = 0"
    program = ("-c", f"{at_once}; from tap_mixpanel_export.__main__ import main; main()")
    process = start_command(
        sandbox,
        tmp_path,
        program=program,
        start_date="2026-01-15",
        max_window_days=1,
        report_dir=str(folder),
    )

    def states():
        windows = read(folder)["windows"] if (folder / "run.json").exists() else []
        return Counter(window["state"] for window in windows)

    wait_for(lambda: states()["written"] == 3 and states()["unfinished"])
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    report = read(folder)
    assert report["status"] == "unfinished"
    assert report["headline"].startswith("Not finished: ")
    assert report["windowCount"] == 3
    assert states()["written"] == 3
    assert states()["unfinished"]
    assert page_data(folder)["runs"][0]["status"] == "unfinished"


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(sandbox, tmp_path) -> None:
    run(sandbox, tmp_path)
    page = (tmp_path / "run.html").read_text()
    seen: Counter[str] = Counter()

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen[tag] += 1
            assert not {"src", "href"} & dict(attrs).keys()

    Parser().feed(page)
    assert (seen["script"], seen["style"], seen["noscript"]) == (3, 1, 1)
    assert page == (tmp_path / "index.html").read_text()


def test_a_folder_that_cannot_be_made_is_told_before_the_run(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="report_dir"):
        ReportFolder(tmp_path / "file" / "report", NOW)


def test_a_report_that_cannot_be_written_is_told_before_the_first_request(
    sandbox, tmp_path
) -> None:
    (tmp_path / "run.json").mkdir()
    done = run_tap(sandbox, start_date="2026-01-15", report_dir=str(tmp_path))
    assert isinstance(done.error, ReportError)
    assert "report_dir" in str(done.error)
    assert len(sandbox.requests) == 0


def test_it_is_a_setting() -> None:
    with pytest.raises(ConfigValidationError) as refused:
        TapMixpanelExport(config={"report_dir": 5})
    assert "report_dir" in refused.value.errors[0]


def test_a_test_of_the_settings_is_no_run(sandbox, tmp_path, capsys) -> None:
    config = config_for(
        sandbox, start_date="2026-01-15", end_date="2026-01-19", report_dir=str(tmp_path / "report")
    )
    tap = TapMixpanelExport(config=config)
    for stream in tap.streams.values():
        stream.is_test = True
    tap.run_connection_test()
    capsys.readouterr()
    assert not (tmp_path / "report").exists()


def test_only_its_owner_may_read_it(sandbox, tmp_path) -> None:
    folder = tmp_path / "new" / "report"
    run(sandbox, folder)
    for path in (folder, folder.parent, folder / "runs"):
        assert path.stat().st_mode & 0o777 == 0o700
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.parametrize("name", ["run.json", "run.html", "index.html", "runs"])
def test_it_is_not_written_through_a_link(sandbox, tmp_path, name) -> None:
    (tmp_path / "victim").write_text("untouched")
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "victim")
    done = run_tap(sandbox, start_date="2026-01-15", report_dir=str(folder))
    assert isinstance(done.error, ReportError)
    assert (tmp_path / "victim").read_text() == "untouched"


def test_keeps_a_document_for_each_run_and_shows_the_last_ones(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(report_folder, "RUNS_ON_PAGE", 5)
    monkeypatch.setattr(report_folder, "RUNS_KEPT", 7)
    from browser import document  # noqa: PLC0415 - what a page of a browser shows

    for number in range(11, -1, -1):
        one = document(number)
        folder = ReportFolder(tmp_path, datetime.fromisoformat(one["startedAt"]))
        folder.write_document(one)
        folder.write_page(one)
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(names) == 7
    assert names[-1] == "2026-11-25T17-00-00Z.json"
    starts = [run["startedAt"] for run in page_data(tmp_path)["runs"]]
    assert starts == [document(number)["startedAt"] for number in range(5)]


def test_runs_that_begin_at_once_have_documents_of_their_own(tmp_path) -> None:
    from browser import document  # noqa: PLC0415 - what a page of a browser shows

    for number in range(12):
        ReportFolder(tmp_path, NOW).write_document(document(outputRecordCount=number))
    assert len(list((tmp_path / "runs").iterdir())) == 12
    last = ReportFolder(tmp_path, NOW)
    last.write_document(document(outputRecordCount=99))
    last.write_page(document(outputRecordCount=99))
    shown = [run["outputRecordCount"] for run in page_data(tmp_path)["runs"]]
    assert shown == [99, *range(11, -1, -1)]


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "5", '{"version": 2}', '{"version": 1}', '"\ud800'], ids=range(6)
)
def test_a_file_that_is_no_document_is_left_out(sandbox, tmp_path, text) -> None:
    (tmp_path / "runs").mkdir()
    name = tmp_path / "runs" / "2026-01-01T00-00-00Z.json"
    name.write_bytes(text.encode("utf-8", "surrogatepass"))
    (tmp_path / "runs" / "notes.txt").write_text("mine")
    run(sandbox, tmp_path)
    assert len(page_data(tmp_path)["runs"]) == 1
    assert (tmp_path / "runs" / "notes.txt").exists()
