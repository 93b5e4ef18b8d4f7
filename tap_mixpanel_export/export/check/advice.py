"""Pure: what a sample of events tells of the settings."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import printable
from tap_mixpanel_export.export.check.finding import note, ok, problem
from tap_mixpanel_export.export.check.sample import Oddity
from tap_mixpanel_export.sync.lags import zone_advice

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tap_mixpanel_export.config import ExportSettings
    from tap_mixpanel_export.export.check.finding import Finding
    from tap_mixpanel_export.export.check.sample import Sample

ZONE = "project_timezone"
NAMES = "event_names"
EXCLUDED = "exclude_event_names"
LOADERS = "loaders"

# Fewer tell nothing of a zone, see `sync.lags`.
_LEAST_STAMPED = 10
_SHOWN_NAMES = 10
_SHOWN_CHARACTERS = 60


def zone_finding(sample: Sample, settings: ExportSettings, now: datetime) -> Finding:
    """Whether the zone fits the events' stamps."""
    if (shift := sample.lags.shift) is not None:
        return problem(ZONE, zone_advice(shift, settings.zone, settings.project_timezone, now))
    if sample.stamped < _LEAST_STAMPED:
        return note(
            ZONE,
            f"only {sample.stamped} events say when they were processed: too few to tell; a run "
            "says so when the zone is wrong",
        )
    set_to = settings.project_timezone
    zone = "UTC (it is not set)" if set_to is None else printable(set_to)
    return ok(ZONE, f"the events' times fit their processing in {zone}")


def names_finding(
    missing: Iterable[str], known: Iterable[str], asked: int, where: str, setting: str = NAMES
) -> Finding:
    """Which names do not occur, and which ones are probably meant.

    Args:
        missing: Names of the setting that do not occur.
        known: Names that do.
        asked: How many names the setting has.
        where: The days that were looked at, in words.
        setting: The setting.
    """
    absent, others = sorted(missing), list(known)
    if not absent:
        return ok(setting, f"all {asked} occur {where}" if asked > 1 else f"it occurs {where}")
    meant = {name: close for name in absent if (close := _close(name, others)) is not None}
    told = ", ".join(
        f"{_quoted(name)} (probably meant: {_quoted(meant[name])})"
        if name in meant
        else _quoted(name)
        for name in absent[:_SHOWN_NAMES]
    )
    more = f" and {len(absent) - _SHOWN_NAMES} more" if len(absent) > _SHOWN_NAMES else ""
    text = (
        f"{len(absent)} of {asked} do not occur {where}: {told}{more}; names count letter by letter"
    )
    return problem(setting, text) if meant else note(setting, text)


def loader_findings(sample: Sample) -> list[Finding]:
    """Which settings matter for what the events hold."""
    found = [
        note(LOADERS, f"{count:,} of {sample.events:,} events hold {oddity.value}")
        for oddity in Oddity
        if (count := sample.oddities[oddity])
    ]
    if sample.case_pairs:
        found.append(
            note(
                LOADERS,
                f"{sample.case_pairs} properties have a name that differs from another one's by "
                "case only: as columns (flattening_enabled, a loader that unpacks objects) they "
                "are one and the same in BigQuery, Snowflake and PostgreSQL; keep them in "
                "`properties`, or name one of them in exclude_properties",
            )
        )
    nothing = f"nothing in {sample.events:,} events that takes a setting of its own"
    return found or [ok(LOADERS, nothing)]


def _close(name: str, known: list[str]) -> str | None:
    folded = {_folded(one): one for one in known}
    if (same := folded.get(_folded(name))) is not None:
        return same
    close = get_close_matches(_folded(name), folded, n=1, cutoff=0.8)
    return folded[close[0]] if close else None


def _folded(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _quoted(name: str) -> str:
    return f"“{printable(name, _SHOWN_CHARACTERS)}”"
