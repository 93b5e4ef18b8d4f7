from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timezone

import pytest

from tap_mixpanel_export.records.event_filter import Skip
from tap_mixpanel_export.records.response import Counts
from tap_mixpanel_export.records.spool import Spool
from tap_mixpanel_export.sync.context import FinishedWindow
from tap_mixpanel_export.sync.summary import RunSummary
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
    summary.records, summary.written, summary.queries = 12, 999, 3
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
