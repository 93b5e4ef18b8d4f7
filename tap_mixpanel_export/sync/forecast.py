"""Pure: what a run would do, in numbers; made by a rehearsal."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_mixpanel_export.sync.windows import Window

# Three queries a second are no wait that anybody notices.
_TOLD_WAIT_SECONDS = 60
# A spool keeps about a quarter of the text, and 28 bytes an event.
_SPOOLED_SHARE = 0.25
_SPOOLED_BYTES_OF_EVENT = 28


@dataclass(frozen=True, slots=True)
class UsualDay:
    """What a day of the project holds.

    Attributes:
        events: How many.
        received: Bytes as transferred.
        text: Bytes of their text.
        unstamped: How many do not say when they were processed: they come through every filter.
    """

    events: float = 0.0
    received: float = 0.0
    text: float = 0.0
    unstamped: float = 0.0

    def times(self, factor: float) -> UsualDay:
        """A day with so many times as much."""
        return UsualDay(*(count * factor for count in astuple(self)))

    @property
    def unstamped_share(self) -> float:
        """The share of events that do not say when they were processed."""
        return self.unstamped / self.events if self.events else 0.0

    @property
    def spooled(self) -> float:
        """Bytes of temporary files."""
        return self.text * _SPOOLED_SHARE + self.events * _SPOOLED_BYTES_OF_EVENT


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast answers come.

    Attributes:
        latency_seconds: Until one begins.
        bytes_per_second: From then on, as transferred.
    """

    latency_seconds: float = 0.0
    bytes_per_second: float = float("inf")

    def seconds(self, received: float) -> float:
        """How long a download takes."""
        return self.latency_seconds + received / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """A window that a run would ask for.

    Attributes:
        window: Its days.
        queries: How many queries it takes.
        events: How many events it writes, an estimate.
        received: Bytes as transferred, an estimate.
    """

    window: Window
    queries: int
    events: float
    received: float


@dataclass(slots=True)
class Forecast:
    """What a run would do.

    Attributes:
        windows: In order of asking.
        wait_seconds: How long queries wait for the quota, all together.
        seconds: How long the run takes.
        disk_bytes: Temporary files, at most.
    """

    windows: list[PlannedWindow] = field(default_factory=list)
    wait_seconds: float = 0.0
    seconds: float = 0.0
    disk_bytes: float = 0.0

    @property
    def queries(self) -> int:
        """How many queries it sends, without failures."""
        return sum(planned.queries for planned in self.windows)

    @property
    def events(self) -> float:
        """How many events it writes."""
        return sum(planned.events for planned in self.windows)

    @property
    def received(self) -> float:
        """Bytes as transferred."""
        return sum(planned.received for planned in self.windows)

    def by_kind(self) -> dict[str, list[PlannedWindow]]:
        """Windows by what people call them, in order of asking."""
        kinds: dict[str, list[PlannedWindow]] = {}
        for planned in self.windows:
            kinds.setdefault(planned.window.kind, []).append(planned)
        return kinds

    def sentence(self) -> str:
        """The plan in a line, for the log of a run that knows no sizes: they make it longer."""
        if not self.windows:
            return "plan: nothing to ask for"
        kinds = ", ".join(f"{len(some)} of {kind}" for kind, some in self.by_kind().items())
        text = f"plan: at least {self.queries} queries for {len(self.windows)} windows ({kinds})"
        if self.wait_seconds >= _TOLD_WAIT_SECONDS:
            wait = timedelta(seconds=round(self.wait_seconds))
            text += f", with at least {wait} of waiting for the quota"
        return text
