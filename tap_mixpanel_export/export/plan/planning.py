"""A plan: the forecast for what the probe told, for half and twice as much, and for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.config.run import make_run
from tap_mixpanel_export.records.form import RecordForm
from tap_mixpanel_export.records.spool import Spool

if TYPE_CHECKING:
    from tap_mixpanel_export.api.quota import Quota
    from tap_mixpanel_export.config import ExportSettings
    from tap_mixpanel_export.export.plan.probe import Probed
    from tap_mixpanel_export.sync.forecast import Forecast, PlannedWindow
    from tap_mixpanel_export.sync.run import ExportRun
    from tap_mixpanel_export.sync.windows import Bookmark

# Days differ: weekends, campaigns, years of growth.
_FACTORS = (0.5, 2.0)

# By the names that programs read, figures of forecasts.
_FIGURES = {
    "queries": "queries",
    "quotaWaitSeconds": "wait_seconds",
    "durationSeconds": "seconds",
    "events": "events",
    "bytes": "received",
    "diskBytes": "disk_bytes",
}
_OF_QUERIES = ("queries", "wait_seconds")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    Attributes:
        expected: For the days that the probe found, or the least that can be without one.
        others: For days of half and of twice the size; none without a probe.
        empty: For days without events, whose answers are read twice; None without a probe.
        probed: What the probe told, if there was one.
        max_per_hour: Queries in an hour.
        left_in_hour: How many of them are left now.
        is_first: Whether it is a first run.
    """

    expected: Forecast
    others: tuple[Forecast, ...]
    empty: Forecast | None
    probed: Probed | None
    max_per_hour: int
    left_in_hour: int
    is_first: bool

    def range_of(self, figure: str) -> tuple[float, float]:
        """The least and the most of a figure of forecasts; the same number twice without a probe.

        What depends on queries rather than sizes has days without events among it: they take more
        of them.
        """
        empty = () if self.empty is None or figure not in _OF_QUERIES else (self.empty,)
        figures = [getattr(one, figure) for one in (self.expected, *self.others, *empty)]
        return min(figures), max(figures)

    def to_dict(self) -> dict[str, Any]:
        """The plan for programs; sizes and times are null where no probe has told them."""
        told: dict[str, Any] = {}
        for name, figure in _FIGURES.items():
            if self.probed is None and figure not in _OF_QUERIES:
                told[name] = None
                continue
            least, most = map(round, self.range_of(figure))
            told[name] = {
                "expected": round(getattr(self.expected, figure)),
                "least": least,
                "most": None if self.probed is None or self.probed.is_least else most,
            }
        return {
            "run": "first" if self.is_first else "incremental",
            **told,
            "maxQueriesPerHour": self.max_per_hour,
            "queriesLeftInHour": self.left_in_hour,
            "probe": None if self.probed is None else self.probed.to_dict(),
            "windows": [_window(planned) for planned in self.expected.windows],
        }


def make_plan(
    settings: ExportSettings, bookmark: Bookmark | None, quota: Quota, probed: Probed | None
) -> Plan:
    """Say what a run would do.

    Args:
        settings: Of the run.
        bookmark: What earlier runs have done; None for a first run.
        quota: The project's.
        probed: What a day holds; None when nothing was asked.

    Raises:
        StateError: The state is ahead of the clock.
    """
    run = imagined_run(settings, bookmark, quota)
    others: tuple[Forecast, ...] = ()
    empty: Forecast | None = None
    if probed is None:
        expected = run.forecast()
    else:
        usual, speed = probed.usual, probed.speed
        expected = run.forecast(usual, speed)
        others = tuple(run.forecast(usual.times(factor), speed) for factor in _FACTORS)
        empty = run.forecast(usual.times(0), speed)
    return Plan(
        expected,
        others,
        empty,
        probed,
        quota.max_per_hour,
        quota.left_in_hour(),
        is_first=bookmark is None,
    )


def imagined_run(settings: ExportSettings, bookmark: Bookmark | None, quota: Quota) -> ExportRun:
    """A run that can say what it would do, and is not to be entered."""
    span = settings.span(bookmark)
    return make_run(settings, span, RecordForm(None, Spool), quota, is_told=False)


def _window(planned: PlannedWindow) -> dict[str, Any]:
    window = planned.window
    return {
        "kind": window.kind,
        "from": window.first.isoformat(),
        "to": window.last.isoformat(),
        "queries": planned.queries,
        "events": round(planned.events),
        "bytes": round(planned.received),
    }
