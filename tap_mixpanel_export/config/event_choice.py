"""Which events are asked for; and what it means when that changes between runs.

The bookmark says until when events were exported, not which: those that the settings let through
now, and did not before, are missing from all days before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.config.declarations import CHOOSE_EVENTS
from tap_mixpanel_export.sync.filter_proof import fingerprint

if TYPE_CHECKING:
    from tap_mixpanel_export.config.declarations import DeclaredSettings
    from tap_mixpanel_export.sync.windows import Bookmark

_DIGITS = 12


def choice_fingerprint(settings: DeclaredSettings) -> str | None:
    """Return a short text that differs when other events are asked for; None when it is all.

    It has a part for each setting, so that the one that changed can be named. The order of names,
    and that one is there twice, mean nothing.
    """
    parts = []
    for name in CHOOSE_EVENTS:
        value = getattr(settings, name)
        chosen = value if isinstance(value, str) else sorted(set(value or ()))
        parts.append(fingerprint(chosen)[:_DIGITS] if chosen else "")
    return "-".join(parts) if any(parts) else None


def choice_notice(settings: DeclaredSettings, bookmark: Bookmark) -> str | None:
    """Say what a change since the bookmark's run means; None when there is none."""
    before, after = _parts(bookmark.selection), _parts(choice_fingerprint(settings))
    if before == after:
        return None
    changed = [n for n, old, new in zip(CHOOSE_EVENTS, before, after, strict=True) if old != new]
    begun, done = bookmark.exported_from, bookmark.done.isoformat()
    start = "as in the first run" if begun is None else begun.isoformat()
    return (
        f"{' and '.join(changed)} changed since the last run: events that were left out until now "
        f"are exported from {done} on only. To load older ones, run once with a state of its own "
        "(Meltano: --state-id-suffix), event_names set to the added names alone, "
        f"start_date: {start}, end_date: {done}"
    )


def _parts(fingerprint_: str | None) -> list[str]:
    # A state of another version may have no part for the last of the settings, or more parts.
    count = len(CHOOSE_EVENTS)
    return [*(fingerprint_ or "").split("-"), *[""] * count][:count]
