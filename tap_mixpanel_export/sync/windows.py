"""Pure: what a run is asked for, what earlier runs have done, and the windows between them.

Times are instants (aware datetimes in UTC); days are days of the project's zone, because that is
how the export API cuts them, both ends inclusive.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from enum import Enum
from uuid import uuid4

from tap_mixpanel_export.records.event_filter import BEGINNING_MS, END_MS, EventFilter
from tap_mixpanel_export.sync.known_stamps import KnownStamps
from tap_mixpanel_export.sync.watermarks import Watermarks
from tap_mixpanel_export.timezones import (
    DAY,
    EPOCH,
    DayRange,
    day_of,
    start_of_day,
    to_milliseconds,
)

TICK = timedelta(milliseconds=1)

# Every so often the low 31 bits of a time in milliseconds turn over: in 25 days.
_TURN_MS = 2**31


NEVER_SET = f"never set {uuid4().hex}"
"""Name of a property that no event has: nobody can know it in advance."""


class Purpose(Enum):
    """Why some days are asked for; the value is what people call it."""

    BACKFILL = "earlier days"
    """Those before the first one that was exported so far."""
    LOOKBACK = "look-back"
    """Late events of the last days."""
    NEW = "new days"
    SWEEP = "sweep"
    """Late events of older days."""


@dataclass(frozen=True, slots=True)
class Window(DayRange):
    """The days of one query, and which of their events are written.

    Attributes:
        purpose: Why. Of look-backs and sweeps only events are written that were processed past
            their day's watermark, that carry no usable processing time, or that are past the
            bookmark.
        lower: Events before this instant are not written.
        upper: Events from this instant on are not written.
        end: The instant up to which everything is done when the window is finished.
        is_filtered: Whether the service is asked for late events only.
        is_proof: Whether the filter for late events is tried on it: it is asked both ways.
    """

    purpose: Purpose
    lower: datetime | None
    upper: datetime | None
    end: datetime
    is_filtered: bool = False
    is_proof: bool = False

    @property
    def kind(self) -> str:
        """What people call it."""
        return "proof" if self.is_proof else self.purpose.value

    @property
    def late_only(self) -> bool:
        """Whether its days were exported before."""
        return self.purpose in {Purpose.LOOKBACK, Purpose.SWEEP}


@dataclass(frozen=True, slots=True)
class FilterProof:
    """That the service's filter for late events leaves out nothing.

    Attributes:
        at: When it was proven.
        of: Fingerprint of what it was proven for: project, region and the user's `where`.
        days: How many days a query with it has at most, because wider ones have failed; None for no
            such bound.
    """

    at: datetime
    of: str
    days: int | None = None


@dataclass(frozen=True, slots=True)
class Certain:
    """What was seen without the help of the filter for late events, or before its last proof.

    Attributes:
        first_day: First day of the look-back then.
        watermarks: All that Mixpanel had processed of a day before its watermark was seen.
    """

    first_day: date
    watermarks: Watermarks


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What earlier runs have done.

    Attributes:
        done: Everything before this instant was exported. An instant that starts a day of the
            project is excluded, because windows end there; any other is included.
        processed_before: The look-back's watermark: all that Mixpanel had processed before it was
            seen. None when the state does not say (it is another tap's): then look-back windows are
            written whole.
        exported_from: The first instant that was exported; None when the state does not say.
        watermarks: Those of all days, the last one for the look-back and all days after.
        filter_proof: The last proof of the filter for late events.
        known: Some of the events that were seen.
        zone: The zone that days were cut in; None when it is the run's.
        selection: Fingerprint of the settings that say which events are exported.
        certain: What was seen for certain; None when that is all.
        lookback_from: From which day on the next run looks back; None when its settings say it.
    """

    done: datetime
    processed_before: datetime | None
    exported_from: datetime | None = None
    watermarks: Watermarks = field(default_factory=Watermarks)
    filter_proof: FilterProof | None = None
    known: KnownStamps = field(default_factory=KnownStamps)
    zone: tzinfo | None = None
    selection: str | None = None
    certain: Certain | None = None
    lookback_from: date | None = None


@dataclass(frozen=True, slots=True)
class ProcessedBounds:
    """When the events of a piece of an export were processed, in milliseconds since the epoch.

    Attributes:
        after: Events that were processed at or before it do not belong to the piece.
        until: Events that were processed later do not belong to it.
        with_unstamped: Whether events without a processing time belong to it.
    """

    after: int | None = None
    until: int | None = None
    with_unstamped: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """What a run is asked to export.

    Attributes:
        zone: The project's zone; UTC for projects created since 2023-01-01.
        start: First instant to export when there is no bookmark, and never an earlier one when
            `start_is_given`.
        start_is_given: Whether the user named the start.
        end: Last instant to export, or the first not to export when `end_is_day`; None is now.
        end_is_day: Whether the end is the end of a day, hence not included itself.
        last_day: Day of the last instant to export; None is today.
        bookmark: None in a first run.
        lookback: How far back late events are looked for, from the bookmark.
        max_days: Upper bound of the days in one query.
        delay: How long after its processing stamp an event may take to show up.
        sweep_interval: Every day ever exported is asked for late events once in so long; zero for
            the look-back only.
        first_days: How many days the first window has.
        bounds: When the events that are written were processed; None for all.
    """

    zone: tzinfo
    start: datetime
    start_is_given: bool
    end: datetime | None
    end_is_day: bool
    last_day: date | None
    bookmark: Bookmark | None
    lookback: timedelta
    max_days: int
    delay: timedelta = timedelta(minutes=15)
    sweep_interval: timedelta = timedelta()
    first_days: int = 1
    bounds: ProcessedBounds | None = None

    @property
    def upper(self) -> datetime | None:
        """Events from this instant on are not exported; None when there is no such bound."""
        return self.end if self.end is None or self.end_is_day else self.end + TICK

    @property
    def reaches_bookmark(self) -> bool:
        """Whether the run can see everything up to the bookmark, so that it may move it."""
        return self.bookmark is None or self.end is None or self.end >= self.bookmark.done

    @property
    def start_bound(self) -> datetime | None:
        """Events before this instant are not exported; None when there is no such bound."""
        return self.start if self.start_is_given or self.bookmark is None else None

    @property
    def exported_from(self) -> datetime | None:
        """The first instant that earlier runs have exported; None when that is not known."""
        return None if self.bookmark is None else self.bookmark.exported_from

    @property
    def lookback_bound(self) -> datetime | None:
        """Late events before this instant are not looked for; None when there is no such bound.

        Days before the first one that was exported are exported whole, or not at all.
        """
        bounds = [bound for bound in (self.start_bound, self.exported_from) if bound is not None]
        return max(bounds, default=None)

    def day(self, instant: datetime) -> date:
        """The project's day at an instant."""
        return day_of(instant, self.zone)

    def day_start(self, day: date) -> datetime:
        """The instant at which a day of the project begins."""
        return start_of_day(day, self.zone)

    def starts_a_day(self, instant: datetime) -> bool:
        """Whether a day of the project begins at an instant."""
        return instant == self.day_start(self.day(instant))

    @property
    def resumed(self) -> Bookmark:
        """The bookmark of a run that is not the first.

        Raises:
            ValueError: It is; then it has no first unread instant, bookmark's day or look-back.
        """
        if self.bookmark is None:
            raise ValueError("no bookmark to resume from")
        return self.bookmark

    @property
    def first_unread(self) -> datetime:
        """The first instant that the bookmark does not cover."""
        done = self.resumed.done
        written_in = self.resumed.zone or self.zone
        # A window ends where a day does, and does not hold that instant: a day of the zone that
        # the project had then.
        if self.starts_a_day(done) or done == start_of_day(day_of(done, written_in), written_in):
            return done
        return done + TICK

    @property
    def bookmark_day(self) -> date:
        """The last day of which something was exported."""
        done = self.resumed.done
        return self.day(done) - DAY if self.starts_a_day(done) else self.day(done)

    @property
    def first_lookback_day(self) -> date:
        """The first day that every run looks back at."""
        done = self.resumed.done
        # No event is older than the epoch, and the calendar ends not far before it.
        first = self.day(done - min(self.lookback, max(done - EPOCH, DAY)))
        if (earlier := self.resumed.lookback_from) is not None:
            # Days of another zone begin up to a day earlier.
            first = min(first, earlier if self.resumed.zone is None else earlier - DAY)
        bound = self.lookback_bound
        return first if bound is None else max(first, self.day(bound))

    @property
    def watermarks(self) -> Watermarks:
        """The watermarks of all days that were exported."""
        bookmark = self.bookmark
        if bookmark is None or bookmark.processed_before is None:
            return Watermarks()
        marks = bookmark.watermarks
        if bookmark.zone is not None:
            marks = marks.blurred()
        if not marks.marks:
            # A state that has one watermark has the same for all days.
            bound = bookmark.exported_from or self.start_bound
            first = self.first_lookback_day
            first = first if bound is None else min(first, self.day(bound))
            return Watermarks(((first, bookmark.processed_before),))
        if marks.marks[-1][1] == bookmark.processed_before:
            return marks
        return marks.raised(self.first_lookback_day, None, bookmark.processed_before)

    @property
    def certain(self) -> Certain | None:
        """What was seen for certain; None when that is all that was seen."""
        bookmark = self.bookmark
        if bookmark is None or bookmark.certain is None or bookmark.zone is None:
            return None if bookmark is None else bookmark.certain
        certain = bookmark.certain
        return Certain(certain.first_day - DAY, certain.watermarks.blurred())


def filter_of(
    window: Window,
    span: Span,
    base: EventFilter = EventFilter(),  # noqa: B008 - it is immutable
    seen_until: int | None = None,
) -> EventFilter:
    """Which events of a window are written; see the attributes of `Window`.

    The service filters most look-back windows already; the check here is the one that counts.

    Args:
        window: The window.
        span: What the run is asked for.
        base: What is not written whatever the window.
        seen_until: The newest processing stamp, in milliseconds, that earlier runs have seen:
            what was stamped later is new, whatever the watermark.
    """
    everything = replace(
        base,
        lower=BEGINNING_MS if window.lower is None else to_milliseconds(window.lower),
        upper=END_MS if window.upper is None else to_milliseconds(window.upper),
    )
    if span.bounds is not None:
        after = span.bounds.after
        return replace(
            everything,
            watermarks=() if after is None else ((BEGINNING_MS, after),),
            processed_until=span.bounds.until,
            with_unstamped=span.bounds.with_unstamped,
        )
    if not window.late_only or span.bookmark is None:
        return everything
    pieces = span.watermarks.pieces(window.first, window.last)
    marks = [
        (
            to_milliseconds(span.day_start(first)),
            min(to_milliseconds(mark), END_MS if seen_until is None else seen_until),
        )
        for first, _, mark in pieces
    ]
    if pieces and pieces[0][0] == window.first:
        # In the skipped hour of spring a day's first events may come out before its start.
        marks[0] = (BEGINNING_MS, marks[0][1])
    return replace(
        everything, watermarks=tuple(marks), unread_from=to_milliseconds(span.bookmark.done) + 1
    )


def late_clause(bound_ms: int) -> str:
    """The segmentation expression that asks for late events only.

    Args:
        bound_ms: What was processed up to then is not asked for.
    """
    # No event has that property. Who takes every property for set, so that events without a
    # processing time would be left out, gives none of those that are known: that is noticed.
    never = f'not defined(properties["{NEVER_SET}"])'
    processed = 'properties["mp_processing_time_ms"]'
    # Asks for nothing more. But who compares the low bits only, to whom this is as good as 0, gives
    # all events: that is noticed, whereas what is stamped after such a turn would not be missed.
    turn_ms = (bound_ms // _TURN_MS + 1) * _TURN_MS
    return (
        f"((number({processed}) > {bound_ms} or number({processed}) > {turn_ms}) and {never})"
        f" or not defined({processed})"
    )
