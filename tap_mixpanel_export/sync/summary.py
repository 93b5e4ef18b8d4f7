"""What a run did, in the terms of Adobe's dataflow runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.kept_aside import percent_of
from tap_mixpanel_export.records.event_filter import Skip
from tap_mixpanel_export.records.response import Counts
from tap_mixpanel_export.sync.lags import Lags
from tap_mixpanel_export.sync.observed import SeenLate
from tap_mixpanel_export.sync.windows import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.sync.context import FinishedWindow


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a summary.

    Attributes:
        name: Adobe's name, or one in their style.
        label: What people call it.
        value: Gives it.
    """

    name: str
    label: str
    value: Callable[[RunSummary], float]


@dataclass(slots=True)
class RunSummary:
    """Totals over the windows that were written.

    Attributes:
        started: When the run did, by the monotonic clock.
        counts: What the windows brought.
        windows: How many they were.
        sweeps: How many of them looked for late events of older days.
        swept_days: How many days these had.
        queries: Requests sent, failed tries included.
        written: Bytes of messages.
        records: Records that are written by now.
        seen_late: Events that showed up later than was thought possible.
        lags: How long after their timestamp events were processed.
        filter_proof: Whether the filter for late events was used, and why.
        clock: Which clock was taken for the present.
    """

    started: float = field(default_factory=time.monotonic)
    counts: Counts = field(default_factory=Counts)
    windows: int = 0
    sweeps: int = 0
    swept_days: int = 0
    queries: int = 0
    written: int = 0
    records: int = 0
    seen_late: SeenLate = field(default_factory=SeenLate)
    lags: Lags = field(default_factory=Lags)
    filter_proof: str = ""
    clock: str = ""

    def add(self, finished: FinishedWindow) -> None:
        """Add a window whose records are about to be written."""
        self.counts.add(finished.counts)
        self.seen_late.add(finished.seen_late)
        if finished.window.purpose is Purpose.SWEEP:
            self.sweeps += 1
            self.swept_days += finished.window.days
        else:
            # What comes late of days long past tells nothing of the zone.
            self.lags.add(finished.lags)

    def count_written(self, records: int) -> None:
        """Count a window whose records, so many, are written."""
        self.windows += 1
        self.records += records

    def malformed_percent(self, finished: FinishedWindow) -> float:
        """Share of malformed lines once a window is added."""
        malformed = self.counts.malformed + finished.counts.malformed
        lines = self.counts.lines + finished.counts.lines + malformed
        return percent_of(malformed, lines)

    def sentence(self, next_from: str | None) -> str:
        """What a person wants to know.

        Args:
            next_from: The bookmark that the next run begins at, if there is one.
        """
        counts = {
            "late": self.counts.late,
            "seen before": self.counts.skipped[Skip.SEEN_BEFORE],
            "duplicates dropped": self.counts.duplicates,
            "malformed": self.counts.malformed,
        }
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        end = "" if next_from is None else f"; next run from {next_from}"
        return f"{self.records:,} events written, {told}; {self.queries:,} queries{end}"

    def to_dict(self) -> dict[str, Any]:
        """All figures by their names, and which filter and clock were used."""
        figures = {figure.name: figure.value(self) for figure in FIGURES}
        return {**figures, "filterProof": self.filter_proof, "clock": self.clock}


def _skipped(reason: Skip) -> Callable[[RunSummary], int]:
    return lambda summary: summary.counts.skipped[reason]


FIGURES = (
    Figure("inputRecordCount", "Events read", lambda s: s.counts.lines + s.counts.malformed),
    Figure("outputRecordCount", "Events written", lambda s: s.records),
    Figure("failedRecordCount", "Malformed lines", lambda s: s.counts.malformed),
    Figure("inputByteCount", "Bytes received, compressed", lambda s: s.counts.received),
    Figure("outputByteCount", "Bytes written", lambda s: s.written),
    Figure("knownRecordCount", "Seen before, by earlier runs", _skipped(Skip.SEEN_BEFORE)),
    Figure("outsideSpanRecordCount", "Outside of the time span", _skipped(Skip.OUTSIDE_SPAN)),
    Figure("excludedRecordCount", "Excluded by name", _skipped(Skip.EXCLUDED)),
    Figure("lateRecordCount", "Late events", lambda s: s.counts.late),
    Figure("seenLateRecordCount", "Seen later than thought", lambda s: s.seen_late.count),
    Figure("duplicateRecordCount", "Duplicates dropped", lambda s: s.counts.duplicates),
    Figure(
        "conversionWarningCount",
        "Values that did not fit their column",
        lambda s: sum(s.counts.conversion_warnings.values()),
    ),
    Figure("windowCount", "Windows", lambda s: s.windows),
    Figure("sweepWindowCount", "Windows of older days, for late events", lambda s: s.sweeps),
    Figure("sweptDayCount", "Older days asked for late events", lambda s: s.swept_days),
    Figure("queryCount", "Queries", lambda s: s.queries),
    Figure("durationSeconds", "Duration", lambda s: round(time.monotonic() - s.started, 1)),
)
"""All figures of a run, in the order in which they are shown."""
