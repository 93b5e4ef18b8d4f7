"""Pure: what the state says after each finished window."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.errors import StateError
from tap_mixpanel_export.sync.windows import SAFETY_MARGIN, Bookmark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_mixpanel_export.sync.windows import Span, Window

REPLICATION_KEY = "timestamp"


class Checkpoints:
    """Moves the bookmark as windows finish, so that a run that is cut off resumes behind them.

    The bookmark and the watermark stay as they are until the look-back is done: a run that ends
    before that is repeated from its start, and misses no late event.

    Args:
        span: What the run is asked for.
        now: The service's time at the first request of the run.
    """

    def __init__(self, span: Span, now: datetime) -> None:
        self._bookmark = span.bookmark
        self._now = now
        self._may_move = span.reaches_bookmark

    def finish(self, window: Window, *, lookback_left: bool) -> Bookmark | None:
        """Take a window as finished: all its records are written.

        Args:
            window: The window; they finish in the order of their days.
            lookback_left: Whether look-back windows are still to be finished.

        Returns:
            What the state is to say; None when it is to stay as it is.
        """
        if not self._may_move or (window.late_only and lookback_left):
            return None
        # What happens from the first request on may be missed by queries that ran before.
        done = min(window.end, self._now)
        if self._bookmark is not None:
            done = max(done, self._bookmark.done)
        self._bookmark = Bookmark(done, self._now - SAFETY_MARGIN)
        return self._bookmark


def read_bookmark(state: Mapping[str, Any]) -> Bookmark | None:
    """The bookmark of a stream's state.

    A state without a watermark (of another tap) is taken, too: then everything within the look-back
    is written again.

    Args:
        state: The stream's entry in the state's `bookmarks`.

    Raises:
        StateError: A value is not a date-time.
    """
    value = state.get("replication_key_value")
    if value is None or state.get("replication_key", REPLICATION_KEY) != REPLICATION_KEY:
        return None
    processed = state.get("processed_before")
    return Bookmark(
        _instant("replication_key_value", value),
        None if processed is None else _instant("processed_before", processed),
    )


def write_bookmark(state: dict[str, Any], bookmark: Bookmark) -> None:
    """Put a bookmark into a stream's state."""
    state["replication_key"] = REPLICATION_KEY
    state["replication_key_value"] = bookmark.done.isoformat()
    if bookmark.processed_before is not None:
        state["processed_before"] = bookmark.processed_before.isoformat()


def _instant(name: str, value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        aware = instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise StateError(
            f"state: {name} of the stream events is not a date-time such as "
            "2026-11-22T14:03:11+00:00; mend it, or start without a state"
        ) from error
