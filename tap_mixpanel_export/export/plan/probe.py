"""One day, asked for to learn how much a day holds and how fast it comes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tap_mixpanel_export.export.inquiry import Inquiry, days_to_ask
from tap_mixpanel_export.sync.forecast import Speed, UsualDay
from tap_mixpanel_export.sync.planner import TARGET_BYTES
from tap_mixpanel_export.timezones import DAY, DayRange

if TYPE_CHECKING:
    from tap_mixpanel_export.api.quota import Quota
    from tap_mixpanel_export.config import ExportSettings

# A larger day is a window of its own, however large it is.
_MOST_BYTES = TARGET_BYTES // 2
# Two for a day without events, which is read twice, and one for the month around it.
_MOST_QUERIES = 3
_SAMPLED_EVENTS = 1000
_STAMP = b'"mp_processing_time_ms"'
# What comes faster than a clock can tell.
_LEAST_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe told.

    Attributes:
        days: The days that were asked for.
        events: How many events came.
        received: Bytes as transferred.
        queries: How many queries it took.
        is_least: Whether the days hold more than was read.
        usual: What a day holds.
        speed: How fast answers come.
    """

    days: DayRange
    events: int
    received: int
    queries: int
    is_least: bool
    usual: UsualDay
    speed: Speed

    def to_dict(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "from": self.days.first.isoformat(),
            "to": self.days.last.isoformat(),
            "events": self.events,
            "bytes": self.received,
            "queries": self.queries,
            "isLeast": self.is_least,
        }


def probe(settings: ExportSettings, quota: Quota) -> Probed:
    """Ask for the last day that is over; when it has no events, for some of the month before it.

    Raises:
        ExportError: The service does not grant it.
    """
    inquiry = Inquiry(settings.endpoint, quota, most_queries=_MOST_QUERIES, most_bytes=_MOST_BYTES)
    events = stamped = text = 0

    def take(block: bytes) -> None:
        nonlocal events, stamped, text
        events += block.count(b"\n") + (not block.endswith(b"\n"))
        stamped += block.count(_STAMP)
        text += len(block)

    ask = partial(inquiry.ask, take=take, where=settings.where, event_names=settings.event_names)
    days, month = days_to_ask(settings)
    reply = ask(days)
    is_least = reply.is_cut
    if not events:
        days = month
        reply = ask(days, limit=_SAMPLED_EVENTS)
        is_least = reply.is_cut or events >= _SAMPLED_EVENTS
    count = (days.last - days.first) // DAY + 1
    seconds = max(reply.seconds - reply.first_seconds, _LEAST_SECONDS)
    return Probed(
        days=days,
        events=events,
        received=reply.received,
        queries=inquiry.queries,
        is_least=is_least,
        usual=UsualDay(
            events / count,
            reply.received / count,
            text / count,
            max(0, events - stamped) / count,
        ),
        speed=Speed(reply.first_seconds, max(reply.received, 1) / seconds),
    )
