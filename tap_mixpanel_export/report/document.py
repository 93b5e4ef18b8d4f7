"""A run as a document for programs; see `run.schema.json`."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.errors import ExportError
from tap_mixpanel_export.records.survey import MOST_DAYS, MOST_NAMES, BoundedCounts
from tap_mixpanel_export.sync.activity import phase_of
from tap_mixpanel_export.sync.windows import Purpose
from tap_mixpanel_export.timezones import DAY, EPOCH

if TYPE_CHECKING:
    from datetime import date, datetime

    from tap_mixpanel_export.records.survey import Survey
    from tap_mixpanel_export.sync.activity import Activity, Wait
    from tap_mixpanel_export.sync.context import FinishedWindow
    from tap_mixpanel_export.sync.summary import RunSummary

_VERSION = 1


class RunDocument:
    """What is to be told of a run, as far as its summary does not have it.

    Its size has a bound, however long the run is.

    Args:
        project: What is exported: its `id`, None when its secret says which it is; the `region`
            where its data is kept; name of the `timezone` that its days are cut in.
        activity: What the run has done, and when.
        survey: What was seen of the events.
        bookmark: Where the state stands.
    """

    def __init__(
        self,
        project: dict[str, Any],
        activity: Activity,
        survey: Survey,
        bookmark: datetime | None,
    ) -> None:
        self.activity = activity
        self._project = project
        self._survey = survey
        self._bookmark = bookmark
        self._names = BoundedCounts(MOST_NAMES)
        self._days = BoundedCounts(MOST_DAYS)
        self._late = BoundedCounts(MOST_DAYS)
        self._range: tuple[date, date] | None = None

    def add(self, finished: FinishedWindow) -> None:
        """Take a window whose records are written."""
        if finished.bookmark is not None:
            self._bookmark = finished.bookmark.done
        window = finished.window
        if window.purpose in {Purpose.NEW, Purpose.BACKFILL}:
            first, last = self._range or (window.first, window.last)
            self._range = min(first, window.first), max(last, window.last)
        if (tally := finished.tally) is None:
            return
        self._names.add_all(tally.names)
        for number, count, late in tally.by_day.days():
            name = str((EPOCH + DAY * number).date())
            self._days.add({name: count} if count else {})
            self._late.add({name: late} if late else {})

    def to_dict(
        self, summary: RunSummary, error: BaseException | None, *, is_over: bool
    ) -> dict[str, Any]:
        """The document.

        Args:
            summary: The totals.
            error: What has ended the run early; None when nothing has.
            is_over: Whether the run is at its end.
        """
        activity, survey = self.activity, self._survey
        now = activity.elapsed()
        status = "unfinished" if not is_over else "success" if error is None else "failed"
        bookmark = None if self._bookmark is None else self._bookmark.isoformat()
        sampled = max(1, survey.sampled)
        return {
            "version": _VERSION,
            "tap": f"tap-mixpanel-export {version('tap-mixpanel-export')}",
            "status": status,
            "headline": self._headline(summary, status),
            "error": reason_of(error),
            "startedAt": activity.started_at.isoformat(timespec="seconds"),
            "endedAt": activity.at(now).isoformat(timespec="seconds"),
            "project": self._project,
            "range": None
            if self._range is None
            else {"first": f"{self._range[0]}", "last": f"{self._range[1]}"},
            "bookmark": bookmark,
            **summary.to_dict(),
            "conversionWarnings": dict(sorted(summary.counts.conversion_warnings.items())),
            "conversionKinds": _most_frequent(summary),
            "eventsPerDay": dict(sorted(self._days.counts.items())),
            "latePerDay": dict(sorted(self._late.counts.items())),
            "otherDaysEventCount": self._days.other,
            "eventNames": dict(self._names.counts.most_common()),
            "otherEventCount": self._names.other,
            "unmappedProperties": {
                name: round(count / sampled, 4)
                for name, count in survey.unmapped.counts.most_common()
            },
            "sampledEventCount": survey.sampled,
            "windows": self._windows(now),
            "otherWindowCount": activity.other_windows,
            "waits": self._waits(now),
        }

    def _headline(self, summary: RunSummary, status: str) -> str:
        written, late_days = summary.records, len(self._late.counts)
        told = f"{written:,} events written" if written else "no events"
        if late := sum(self._late.counts.values()):
            told += f", {late:,} of them late, from {late_days:,} day{'s' * (late_days != 1)}"
        bookmark = self._bookmark
        next_from = "" if bookmark is None else f"; next run from {bookmark:%Y-%m-%d %H:%M} UTC"
        if status == "success":
            return f"Complete: {told}{next_from}"
        if status == "failed":
            told = told if written else "nothing was written"
            resumes = next_from or "; the next run begins anew"
            return f"Failed: {told}, and the state is safe{resumes}"
        wait = self.activity.current_wait()
        waiting = "" if wait is None else f", waiting {self.activity.until(wait)}"
        return f"Not finished: {told} so far{waiting}"

    def _windows(self, now: float) -> list[dict[str, Any]]:
        return [
            {
                "days": str(one.window),
                "phase": phase_of(one.window),
                "state": one.state.value,
                "start": round(one.start, 1),
                "end": round(now if one.end is None else one.end, 1),
                "tries": one.tries,
                "bytes": one.received,
                "events": one.events,
            }
            # Threads add to it.
            for one in list(self.activity.windows)
        ]

    def _waits(self, now: float) -> list[dict[str, Any]]:
        """Pauses; those of several threads for one reason at one time are one."""
        merged: list[Wait] = []
        told: list[dict[str, Any]] = []
        for wait in list(self.activity.waits):
            end = now if wait.end is None else wait.end
            if merged and merged[-1].reason == wait.reason and wait.start <= told[-1]["end"]:
                told[-1]["end"] = max(told[-1]["end"], round(end, 1))
                continue
            merged.append(wait)
            reason = f"{wait.reason}, {self.activity.until(wait)}"
            told.append({"reason": reason, "start": round(wait.start, 1), "end": round(end, 1)})
        return told


def reason_of(error: BaseException | None) -> str | None:
    """Why a run ended early, and what to do, in words; None when it did not."""
    if error is None or isinstance(error, ExportError):
        return None if error is None else str(error)
    if isinstance(error, (SystemExit, KeyboardInterrupt, GeneratorExit)):
        return "The run was ended from outside. The next run goes on where this one was"
    # Its text may quote an event.
    return (
        f"{type(error).__name__}, which is a fault of the tap or of what it writes to: its log "
        "has more. The next run goes on where this one was"
    )


def _most_frequent(summary: RunSummary) -> dict[str, str]:
    """The kind of value that did not fit most often, by column."""
    kinds: dict[str, str] = {}
    for (column, kind), _ in summary.counts.conversion_kinds.most_common():
        kinds.setdefault(column, kind)
    return dict(sorted(kinds.items()))
