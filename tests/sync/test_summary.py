from __future__ import annotations

import json
import logging
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from importlib import resources

import pytest
from harness import run_tap
from jsonschema import Draft202012Validator

from tap_mixpanel_export.records.event_filter import Skip
from tap_mixpanel_export.records.response import Counts
from tap_mixpanel_export.records.spool import Spool
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.sync.context import FinishedWindow
from tap_mixpanel_export.sync.summary import FIGURES, RunSummary
from tap_mixpanel_export.sync.windows import Purpose, Window

DAY = date(2026, 11, 20)
WINDOW = Window(
    first=DAY,
    last=DAY,
    purpose=Purpose.NEW,
    lower=None,
    upper=None,
    end=datetime(2026, 11, 21, tzinfo=timezone.utc),
)


@pytest.fixture
def finished():
    """Makes finished windows of counts."""
    with Spool() as spool:
        yield lambda **counts: FinishedWindow(WINDOW, spool, Counts(**counts))


def test_windows_add_up_to_adobes_counters(finished):
    summary = RunSummary(started=0.0)
    summary.add(
        finished(
            received=100,
            lines=10,
            malformed=1,
            skipped=Counter({Skip.SEEN_BEFORE: 2, Skip.OUTSIDE_SPAN: 3, Skip.EXCLUDED: 4}),
            late=3,
            duplicates=1,
            records=7,
            from_future=1,
            conversion_warnings=Counter({"import": 2}),
        )
    )
    summary.add(
        finished(
            received=50,
            lines=5,
            records=5,
            conversion_warnings=Counter({"import": 1, "time": 1}),
        )
    )
    summary.count_written(7)
    summary.count_written(5)
    summary.written, summary.queries = 999, 3
    told = summary.to_dict()
    assert told.pop("durationSeconds") > 0
    assert told == {
        "inputRecordCount": 16,
        "outputRecordCount": 12,
        "failedRecordCount": 1,
        "inputByteCount": 150,
        "outputByteCount": 999,
        "knownRecordCount": 2,
        "outsideSpanRecordCount": 3,
        "excludedRecordCount": 4,
        "lateRecordCount": 3,
        "duplicateRecordCount": 1,
        "conversionWarningCount": 4,
        "seenLateRecordCount": 0,
        "windowCount": 2,
        "sweepWindowCount": 0,
        "sweptDayCount": 0,
        "queryCount": 3,
        "filterProof": "",
        "clock": "",
    }
    assert summary.counts.conversion_warnings == {"import": 3, "time": 1}
    assert summary.counts.from_future == 1


def test_what_comes_in_goes_out_or_is_counted_otherwise(finished):
    summary = RunSummary()
    skipped = Counter({Skip.SEEN_BEFORE: 1, Skip.OUTSIDE_SPAN: 1, Skip.EXCLUDED: 1})
    summary.add(finished(lines=10, malformed=2, skipped=skipped, duplicates=1, records=6))
    summary.records = 6
    told = summary.to_dict()
    assert told["inputRecordCount"] == sum(
        told[f"{kind}RecordCount"]
        for kind in ("output", "failed", "known", "outsideSpan", "excluded", "duplicate")
    )


def test_the_share_of_malformed_lines_is_that_of_the_run_so_far(finished):
    summary = RunSummary()
    assert summary.malformed_percent(finished()) == 0
    assert summary.malformed_percent(finished(malformed=1)) == 100
    summary.add(finished(lines=98, malformed=1))
    assert summary.malformed_percent(finished(malformed=1)) == 2
    assert summary.malformed_percent(finished(lines=100)) == pytest.approx(100 / 199)


SCHEMA = json.loads(
    (resources.files("tap_mixpanel_export.sync") / "summary.schema.json").read_text("utf-8")
)


@pytest.mark.slow
def test_the_line_of_a_run_is_one_line_of_json_as_its_schema_says(caplog):
    caplog.set_level(logging.INFO, logger="tap-mixpanel-export.run")
    now = datetime(2026, 1, 20, 12, tzinfo=timezone.utc)
    begin = now - timedelta(days=40)
    events = [Event.at(begin + timedelta(hours=n), insert_id=f"{n}") for n in range(0, 1060, 7)]
    clock = SandboxClock.fixed(now)
    with Sandbox(events, clock=clock) as sandbox:
        state = run_tap(sandbox, start_date="2025-12-12").state()
        for _ in range(3):
            clock.advance(timedelta(days=1))
            state = run_tap(sandbox, state).state(state)
    lines = [r.getMessage() for r in caplog.records if "run summary" in r.getMessage()]
    assert len(lines) == 4
    Draft202012Validator.check_schema(SCHEMA)
    for line in lines:
        assert line.startswith("run summary: {")
        assert "\n" not in line
        told = json.loads(line.removeprefix("run summary: "))
        Draft202012Validator(SCHEMA).validate(told)
        assert list(told) == list(SCHEMA["properties"])
    # The last runs have a proof, and look for late events of days before the look-back.
    assert told["sweepWindowCount"] > 0
    assert told["sweptDayCount"] > told["sweepWindowCount"]
    assert told["filterProof"].startswith("used: ")
    assert told["clock"].startswith("the service's")


def test_a_figure_has_one_name_and_one_label():
    names = [figure.name for figure in FIGURES]
    labels = [figure.label for figure in FIGURES]
    assert len(set(names)) == len(set(labels)) == len(FIGURES)
    run = json.loads(
        (resources.files("tap_mixpanel_export.report") / "run.schema.json").read_text("utf-8")
    )
    assert {*names, "filterProof", "clock"} == {*SCHEMA["required"]} <= {*run["required"]}
    assert SCHEMA["required"] == list(SCHEMA["properties"])
