"""What a run did, in the terms of Adobe's dataflow runs."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.kept_aside import percent_of
from tap_mixpanel_export.records.event_filter import Skip
from tap_mixpanel_export.sync.lags import Lags
from tap_mixpanel_export.sync.observed import SeenLate
from tap_mixpanel_export.sync.windows import Purpose

if TYPE_CHECKING:
    from tap_mixpanel_export.sync.download import FinishedWindow


@dataclass(slots=True)
class RunSummary:
    """Totals over the windows that were written."""

    started: float = field(default_factory=time.monotonic)
    windows: int = 0
    queries: int = 0
    received: int = 0
    written: int = 0
    lines: int = 0
    malformed: int = 0
    records: int = 0
    skipped: Counter[Skip] = field(default_factory=Counter)
    late: int = 0
    duplicates: int = 0
    from_future: int = 0
    conversion_warnings: Counter[str] = field(default_factory=Counter)
    seen_late: SeenLate = field(default_factory=SeenLate)
    lags: Lags = field(default_factory=Lags)
    sweeps: int = 0
    filter_proof: str = ""
    clock: str = ""

    def add(self, finished: FinishedWindow) -> None:
        """Add a window."""
        counts = finished.counts
        self.windows += 1
        self.received += counts.received
        self.lines += counts.lines
        self.malformed += counts.malformed
        self.skipped.update(counts.skipped)
        self.late += counts.late
        self.duplicates += counts.duplicates
        self.from_future += counts.from_future
        self.seen_late.add(finished.seen_late)
        if finished.window.purpose is Purpose.SWEEP:
            self.sweeps += 1
        else:
            # What comes late of days long past tells nothing of the zone.
            self.lags.add(finished.lags)
        self.conversion_warnings.update(counts.conversion_warnings)

    def malformed_percent(self, finished: FinishedWindow) -> float:
        """Share of malformed lines once a window is added."""
        malformed = self.malformed + finished.counts.malformed
        lines = self.lines + finished.counts.lines + malformed
        return percent_of(malformed, lines)

    def sentence(self, next_from: str | None) -> str:
        """What a person wants to know.

        Args:
            next_from: The bookmark that the next run begins at, if there is one.
        """
        counts = {
            "late": self.late,
            "seen before": self.skipped[Skip.SEEN_BEFORE],
            "duplicates dropped": self.duplicates,
            "malformed": self.malformed,
        }
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        end = "" if next_from is None else f"; next run from {next_from}"
        return f"{self.records:,} events written, {told}; {self.queries:,} queries{end}"

    def to_dict(self) -> dict[str, Any]:
        """Adobe's counters under Adobe's names, and what they lack."""
        return {
            "inputRecordCount": self.lines + self.malformed,
            "outputRecordCount": self.records,
            "failedRecordCount": self.malformed,
            "inputByteCount": self.received,
            "outputByteCount": self.written,
            "knownRecordCount": self.skipped[Skip.SEEN_BEFORE],
            "outsideSpanRecordCount": self.skipped[Skip.OUTSIDE_SPAN],
            "excludedRecordCount": self.skipped[Skip.EXCLUDED],
            "lateRecordCount": self.late,
            "seenLateRecordCount": self.seen_late.count,
            "duplicateRecordCount": self.duplicates,
            "conversionWarningCount": sum(self.conversion_warnings.values()),
            "windowCount": self.windows,
            "sweepWindowCount": self.sweeps,
            "queryCount": self.queries,
            "durationSeconds": round(time.monotonic() - self.started, 1),
            "filterProof": self.filter_proof,
            "clock": self.clock,
        }
