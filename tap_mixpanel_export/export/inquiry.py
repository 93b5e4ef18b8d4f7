"""A few small queries, counted: what a command asks before a run does."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tap_mixpanel_export.api.client import ExportClient
from tap_mixpanel_export.api.rate_limit import check_pause, until
from tap_mixpanel_export.api.refusals import SAFE_DAYS
from tap_mixpanel_export.errors import ExportError, RateLimitedError
from tap_mixpanel_export.records.lines import blocks_of_lines
from tap_mixpanel_export.sync import server_clock
from tap_mixpanel_export.timezones import DAY, DayRange

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.api.client import Transfer
    from tap_mixpanel_export.api.connection import Endpoint
    from tap_mixpanel_export.api.quota import Quota
    from tap_mixpanel_export.config import ExportSettings

# A person who waits for longer than this wants to be told instead.
_LONGEST_WAIT_SECONDS = 60.0


class NoQueryLeftError(ExportError):
    """As many queries were sent as may be."""


class QuotaUsedUpError(ExportError):
    """The project's quota lets no query through for a while."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How an answer came.

    Attributes:
        received: Bytes as transferred.
        seconds: From the request to the last byte.
        first_seconds: From the request to the headers.
        is_cut: Whether it was longer than was wanted, and not read to its end.
    """

    received: int
    seconds: float
    first_seconds: float
    is_cut: bool


def days_to_ask(settings: ExportSettings) -> tuple[DayRange, DayRange]:
    """The last day that is over, or that the settings end or begin with; and the month up to it."""
    span = settings.test_span()
    day = span.day(span.start)
    first = max(settings.span(None).day(settings.start), day - DAY * (SAFE_DAYS - 1))
    return DayRange(day, day), DayRange(min(first, day), day)


class Inquiry:
    """Sends queries through the tap's own client, within the project's quota.

    Args:
        endpoint: Where and as whom to ask.
        quota: The project's.
        most_queries: How many may be sent, those included that read an empty answer again.
        most_bytes: An answer is read up to this size, as transferred.
    """

    def __init__(
        self, endpoint: Endpoint, quota: Quota, *, most_queries: int, most_bytes: int
    ) -> None:
        self.queries = 0
        """How many were sent."""
        self.clock = server_clock.ServerClock()
        """Knows the service's time, from its first answer."""
        self._endpoint = endpoint
        self._quota = quota
        self._most_queries = most_queries
        self._most_bytes = most_bytes
        self._sent_at = server_clock.machine_now()
        self._sent = time.monotonic()

    @property
    def left(self) -> int:
        """How many queries may still be sent."""
        return self._most_queries - self.queries

    def ask(  # noqa: PLR0913 - keywords, each a part of the query
        self,
        days: DayRange,
        take: Callable[[bytes], object],
        *,
        where: str | None = None,
        event_names: tuple[str, ...] = (),
        limit: int | None = None,
        url: str | None = None,
    ) -> Reply:
        """Ask once, and read the answer.

        Args:
            days: Of these days.
            take: Takes blocks of whole lines.
            where: Segmentation expression.
            event_names: Only these events; empty for all.
            limit: At most so many events.
            url: Another address than the endpoint's.

        Raises:
            NoQueryLeftError: All queries are spent.
            QuotaUsedUpError: The quota is, for now; or the service says so (429).
            ExportError: What the client says.
        """
        endpoint = replace(self._endpoint, event_names=event_names, url=url or self._endpoint.url)
        transfers: list[Transfer] = []
        began: list[float] = []

        def on_response(transfer: Transfer) -> None:
            transfers.append(transfer)
            began.append(time.monotonic() - self._sent)
            self._quota.note_server_time(transfer.server_time)
            self.clock.note(transfer.server_time, self._sent_at)

        is_cut = False
        start = 0.0
        with closing(ExportClient(endpoint, self._permit)) as client:
            answer = client.export(days, where, on_response, limit)
            try:
                with closing(answer) as pieces:
                    for block in blocks_of_lines(pieces):
                        take(block)
                        if transfers[-1].received > self._most_bytes:
                            is_cut = True
                            break
                start = self._sent
            except RateLimitedError as error:
                seconds = check_pause(error.retry_after)
                self._quota.penalize(seconds)
                raise QuotaUsedUpError(
                    f"{error}{f', {until(seconds)}' if seconds else ''}"
                ) from error
        return Reply(
            received=max((transfer.received for transfer in transfers), default=0),
            seconds=time.monotonic() - start,
            first_seconds=began[-1],
            is_cut=is_cut,
        )

    def _permit(self) -> None:
        if self.left <= 0:
            raise NoQueryLeftError("no query is left")
        seconds = self._quota.seconds_until_free()
        if seconds > _LONGEST_WAIT_SECONDS:
            raise QuotaUsedUpError(f"the project's quota is used up {until(seconds)}")
        self._quota.acquire()
        self.queries += 1
        self._sent_at = server_clock.machine_now()
        self._sent = time.monotonic()
