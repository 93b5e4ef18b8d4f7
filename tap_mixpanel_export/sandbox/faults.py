"""What goes wrong with exports in practice, to be ordered per request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from tap_mixpanel_export.sandbox import (  # noqa: F401 - they fill the table
    content_faults,
    transfer_faults,
)
from tap_mixpanel_export.sandbox.fault_kinds import KINDS
from tap_mixpanel_export.sandbox.given import wrong_values

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUSES = {
    400: "Bad request",
    401: "Unable to authenticate request",
    402: "Your plan does not include this API",
    403: "This account has no access to this project",
    404: "Not found",
    407: "Proxy authentication required",
    408: "Request timeout",
    409: "Conflict",
    413: "Request entity too large",
    414: "Request-URI too long",
    425: "Too early",
    429: "too many export requests in the last hour",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}


class ScenarioError(ValueError):
    """A fault that can't be; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. Of several that match a request the first is applied.

    Attributes:
        kind: A key of `KINDS`.
        request: Only the request of this number, from 0, among the exports asked for (those refused
            by a limit not counted).
        day: Only requests whose days include this one: a date, or an offset in days from the
            sandbox's today (-3).
        where: Only requests with, or without, a `where`.
        times: How many requests it happens to; `None` for all.
        status: For `status`: 201 to 599.
        retry_after: For `status`: value of `Retry-After`, seconds or an HTTP date.
        share: Share of the body, 0 to 1, that comes before it happens.
        seconds: For `slow_start`, `stall`, `drip` and `refuse`: real seconds.
        lines: For the kinds that add or break lines: how many.
        megabytes: For `gzip_bomb`: how much it becomes.
        text: Text of the error, of the bare last line, or to look for, as the kind says.

    Raises:
        ScenarioError: The fault can't be.
    """

    kind: str
    request: Annotated[int, Meta(ge=0)] | None = None
    day: date | int | None = None
    where: Literal["with", "without"] | None = None
    times: Annotated[int, Meta(ge=1)] | None = 1
    status: Annotated[int, Meta(ge=201, le=599)] = 500
    retry_after: Annotated[float, Meta(ge=0)] | str | None = None
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    seconds: Annotated[float, Meta(ge=0)] = 1.0
    lines: Annotated[int, Meta(ge=1)] = 1
    megabytes: Annotated[int, Meta(ge=1)] = 2048
    text: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ScenarioError(f"unknown kind {self.kind!r}; known are {', '.join(sorted(KINDS))}")
        if wrong := "; ".join(wrong_values(self)):
            raise ScenarioError(f"{self.kind}: wrong value for {wrong}")

    @property
    def message(self) -> str:
        """`text`, or the usual one of this kind."""
        if self.text is not None:
            return self.text
        usual = KINDS[self.kind].text
        return usual or _STATUSES.get(self.status, "Something went wrong")

    def matches(
        self, request: int, days: tuple[date, date], where: str | None, today: date
    ) -> bool:
        """Say whether it happens to a request, its `times` aside."""
        if self.request is not None and request != self.request:
            return False
        if self.day is not None:
            day = self.day if isinstance(self.day, date) else today + timedelta(days=self.day)
            if not days[0] <= day <= days[1]:
                return False
        if self.kind == "refuse_where":
            return where is not None and self.message in where
        return self.where is None or (self.where == "with") == (where is not None)


@dataclass(slots=True)
class _Order:
    fault: Fault
    left: int | None


class FaultPlan:
    """The faults of one sandbox, and how often each is still to happen. Thread-safe."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = Lock()
        self._orders = [_Order(fault, fault.times) for fault in faults]
        self._requests = 0

    def add(self, *faults: Fault) -> None:
        """Order more faults, after those that are there."""
        with self._lock:
            self._orders += [_Order(fault, fault.times) for fault in faults]

    def clear(self) -> None:
        """Forget the faults that did not happen yet."""
        with self._lock:
            self._orders.clear()

    def next(self, days: tuple[date, date], where: str | None, today: date) -> Fault | None:
        """Return what happens to the next request, and count it."""
        with self._lock:
            number = self._requests
            self._requests += 1
            for order in self._orders:
                if order.left != 0 and order.fault.matches(number, days, where, today):
                    order.left = None if order.left is None else order.left - 1
                    return order.fault
        return None
