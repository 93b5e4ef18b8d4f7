"""Whether Mixpanel's filter for late events proves itself, before a run finds out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import RejectedQueryError, TransientError
from tap_mixpanel_export.export.check.finding import note, ok, problem
from tap_mixpanel_export.sync.filter_proof import EventDigest, judge
from tap_mixpanel_export.sync.windows import late_clause

if TYPE_CHECKING:
    from tap_mixpanel_export.export.check.finding import Finding
    from tap_mixpanel_export.export.inquiry import Inquiry
    from tap_mixpanel_export.timezones import DayRange

LATE = "late events"

_COST = (
    "runs stay complete: they read the look-back whole, which costs bytes, and do not look at "
    "older days (raise lookback_days if events come later than that)"
)


def try_filter(
    inquiry: Inquiry,
    day: DayRange,
    whole: EventDigest | None,
    where: str | None,
    event_names: tuple[str, ...],
) -> Finding:
    """Ask for a day with the filter, and hold the answer against the whole one.

    Args:
        inquiry: Sends the query.
        day: The day.
        whole: The whole answer; None when no event says when it was processed.
        where: The user's expression.
        event_names: Only these events.
    """
    if whole is None:
        return note(LATE, f"no event of {day} says when it was processed; {_COST}")
    filtered = EventDigest(whole.watermark_ms, whole.until_ms)
    clause = late_clause(whole.watermark_ms)
    try:
        reply = inquiry.ask(
            day,
            filtered.take,
            where=clause if where is None else f"({where}) and ({clause})",
            event_names=event_names,
        )
    except (RejectedQueryError, TransientError) as error:
        return problem(LATE, f"the filter for them cannot be used: {error}; {_COST}")
    if reply.is_cut:
        return note(LATE, f"{day} has too many events to try the filter on; a run does it")
    verdict = judge(filtered, whole)
    if verdict.is_proven:
        return ok(LATE, f"the filter for them proves itself on {day}: {verdict.reason}")
    if not filtered.others and not (whole.past and whole.others):
        return note(LATE, f"the filter for them cannot be judged on {day}: {verdict.reason}")
    return problem(
        LATE, f"the filter for them cannot be relied on: on {day} {verdict.reason}; {_COST}"
    )
