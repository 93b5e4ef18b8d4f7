"""Pure: what was seen for certain, and what on the word of the service's filter alone.

A filter that has proven itself may lie later, and get away with it for a while. What was seen by
its help only since the last proof is kept apart. When the filter is found to have left out events,
all of that is read again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tap_mixpanel_export.sync.windows import Certain

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from tap_mixpanel_export.sync.watermarks import Watermarks
    from tap_mixpanel_export.sync.windows import Bookmark, FilterProof, Span


@dataclass(frozen=True, slots=True)
class FilterUse:
    """What a run did with the service's filter for late events, up to now.

    Attributes:
        proof: Its last proof.
        holds_for: How long that holds.
        is_proven_now: Whether the proof is this run's.
        was_relied_on: Whether one of its answers stood for whole days.
        has_left_out: Whether it was found to leave out events.
    """

    proof: FilterProof | None
    holds_for: timedelta
    is_proven_now: bool = False
    was_relied_on: bool = False
    has_left_out: bool = False


class Reliance:
    """Says what is certain, as a run goes on.

    Args:
        span: What the run is asked for.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._before = span.certain

    def applied(
        self, moved: Bookmark, marks: Watermarks, use: FilterUse, now: datetime
    ) -> Bookmark:
        """A bookmark that says what is certain, and takes back what is not if it is doubtful.

        Args:
            moved: The bookmark without it.
            marks: The watermarks, as if the filter were right.
            use: What was done with the filter.
            now: The time at the first request.
        """
        is_confirmed = use.is_proven_now and not use.has_left_out
        certain = None if is_confirmed else self._before
        if certain is None and use.was_relied_on:
            certain = Certain(self._span.first_lookback_day, self._span.watermarks)
        elif certain is not None and not use.was_relied_on:
            # What was not found out while the proof held, nor by the next one, is no news later.
            oldest = now - use.holds_for - self._span.lookback
            certain = None if certain.watermarks.marks[-1][1] < oldest else certain
        if certain is None or not use.has_left_out:
            return replace(moved, watermarks=marks, certain=certain)
        marks = marks.lowered(certain.watermarks)
        return replace(
            moved,
            watermarks=marks,
            processed_before=marks.marks[-1][1],
            lookback_from=certain.first_day,
            certain=None,
        )
