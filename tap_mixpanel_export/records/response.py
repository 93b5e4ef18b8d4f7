"""The lines of one response on their way into the spool: counted, mended, checked to the end."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, fields
from operator import sub
from typing import TYPE_CHECKING

from tap_mixpanel_export.api.incomplete import TAIL_BYTES, NotAnExportError, check_line
from tap_mixpanel_export.errors import MalformedLinesError
from tap_mixpanel_export.kept_aside import counted, percent_of
from tap_mixpanel_export.records.duplicates import Duplicates
from tap_mixpanel_export.records.event_filter import Skip
from tap_mixpanel_export.records.fast import RecordBlock
from tap_mixpanel_export.records.parsing import Malformed, NotAnEventError
from tap_mixpanel_export.records.survey import DayTally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from tap_mixpanel_export.records.event_names import EventNames
    from tap_mixpanel_export.records.malformed import MalformedLines
    from tap_mixpanel_export.records.records import RecordMaker
    from tap_mixpanel_export.records.spool import WindowSpool
    from tap_mixpanel_export.records.survey import WindowTally

# A device's clock can be ahead, and is corrected only when it is ahead by more.
_CLOCK_TOLERANCE_MS = 60_000

# A run of blank lines is one match, however long it is.
_BLANK_LINES = re.compile(rb"^[ \t\r\n]*\n", re.MULTILINE)

# What an event can be that came whole all the same.
_WHOLE = frozenset({Malformed.NO_TIME, Malformed.TOO_DEEP})


@dataclass(slots=True)
class Counts:
    """What a download brought.

    Attributes:
        received: Bytes as transferred.
        lines: Events in the response.
        malformed: Lines that are no events.
        malformed_reasons: The same by the reason why.
        skipped: Events that are not written, by the reason why.
        late: Events before the bookmark that are written.
        duplicates: Copies of events of the same window that are not written.
        records: Records to write.
        from_future: Events whose timestamp is later than their processing.
        conversion_warnings: Values that did not fit their column, by column.
        conversion_kinds: The same by column, and what kind of value met what type.
    """

    received: int = 0
    lines: int = 0
    malformed: int = 0
    malformed_reasons: Counter[str] = field(default_factory=Counter)
    skipped: Counter[Skip] = field(default_factory=Counter)
    late: int = 0
    duplicates: int = 0
    records: int = 0
    from_future: int = 0
    conversion_warnings: Counter[str] = field(default_factory=Counter)
    conversion_kinds: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def why_malformed(self) -> str:
        """The reasons of malformed lines in words, each with its count."""
        return counted(self.malformed_reasons)

    @property
    def malformed_percent(self) -> float:
        """Share of malformed lines."""
        return percent_of(self.malformed, self.lines + self.malformed)

    def add(self, other: Counts) -> None:
        """Take what another download brought along."""
        for each in fields(self):
            mine, others = getattr(self, each.name), getattr(other, each.name)
            # A counter's own sum would drop what is 0, and make a new one each time.
            if isinstance(mine, Counter):
                mine.update(others)
            else:
                setattr(self, each.name, mine + others)


class Response:
    """The lines of one response, block by block, as a context manager.

    Args:
        make: Makes records of lines.
        spool: Takes the records.
        malformed: Takes the lines that are no events.
        deduplicate: Whether repeats are dropped.
        done: Events up to this instant, in milliseconds, are late ones; None when none is.
        may_be_malformed: Whether malformed lines are accepted.
        names: Looks for the events that were asked for by name; None when none were.
        tally: Counts names and days, for a report; None without one.
    """

    def __init__(  # noqa: PLR0913 - keywords, each a part of its own
        self,
        *,
        make: RecordMaker,
        spool: WindowSpool,
        malformed: MalformedLines,
        deduplicate: bool,
        done: int | None,
        may_be_malformed: bool,
        names: EventNames | None = None,
        tally: WindowTally | None = None,
    ) -> None:
        self.counts = Counts()
        self._make = make
        self._spool = spool
        self._malformed = malformed
        self._duplicates = Duplicates() if deduplicate else None
        self._by_day = DayTally(done) if tally is None and done is not None else None
        if tally is not None:
            self._by_day = tally.by_day
        self._may_be_malformed = may_be_malformed
        self._names = names
        self._tally = tally
        self._broken: bytes | None = None
        self._reason = Malformed.NOT_JSON
        self._tail = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._duplicates is not None:
            self._duplicates.close()
        if kind is None:
            self._malformed.close()
        else:
            self._malformed.discard()

    def take(self, block: bytes) -> None:
        """Spool the records of some whole lines."""
        if self._names is not None:
            self._names.look(block)
        if self._tally is not None:
            self._tally.look(block)
        if not self._take_events(block):
            # Millions of blank lines would each be looked at.
            self._take(_BLANK_LINES.sub(b"", block))

    def _take(self, block: bytes) -> None:
        """Make the records of all lines at once, or else those of each half of them.

        Lines that need a closer look are few as a rule: so they cost those around them little.
        """
        if self._take_events(block):
            return
        if middle := _middle(block):
            self._take(block[:middle])
            self._take(block[middle:])
        else:
            self._take_line(block.removesuffix(b"\n"))

    def _take_events(self, block: bytes) -> bool:
        """Make the records of all lines at once; False when they need a closer look."""
        if self._broken is not None or not _is_utf8(block):
            return False
        records = self._make.make_block(block)
        if records is None:
            return False
        self._store(records)
        return True

    def _take_line(self, line: bytes) -> None:
        if not line.strip():
            return
        if self._broken is not None:
            self._mend(line)
        elif (reason := self._take_event(line)) is not None:
            self._suspect(line, reason)

    def _take_event(self, line: bytes) -> Malformed | None:
        """Spool the record of a line; if it is no event, say why not."""
        if not _is_utf8(line):
            return Malformed.NOT_JSON
        try:
            record = self._make.make_line(line)
        except NotAnEventError as error:
            return error.reason
        if isinstance(record, Skip):
            self._store(RecordBlock(None, (), (), (), skipped={record: 1}))
        else:
            encoded, key, instant, processed = record
            self._store(RecordBlock(encoded, (key,), (instant,), (processed,)))
        return None

    def finish(self) -> None:
        """Check what can be checked only at the end.

        Raises:
            NotAnExportError: The last line is no event, or there is none at all.
            MalformedLinesError: There are malformed lines, and they are not accepted.
        """
        counts = self.counts
        if self._broken is not None:
            # One that cannot be used, without a time say, ends a response as well as others do.
            if self._reason not in _WHOLE:
                raise NotAnExportError(bytes(self._tail), has_events=counts.lines > 0)
            self._malformed.add_line(self._broken, self._reason)
        counts.malformed = self._malformed.count
        counts.malformed_reasons = self._malformed.reasons
        if counts.malformed and not self._may_be_malformed:
            raise MalformedLinesError(counts.malformed, counts.why_malformed)
        if self._duplicates is not None:
            superseded = self._duplicates.superseded()
            if self._by_day is not None:
                superseded = self._by_day.without(superseded)
            counts.duplicates = self._spool.drop(superseded)
        if self._by_day is not None:
            counts.late = self._by_day.late
        counts.records = self._spool.count - counts.duplicates
        counts.conversion_warnings = self._make.conversion_warnings
        counts.conversion_kinds = self._make.conversion_kinds

    def _mend(self, line: bytes) -> None:
        """Read a line behind one that is no event.

        Mixpanel breaks an event over two lines at times: joined, they are one object.
        """
        broken, self._broken = self._broken or b"", None
        if self._take_event(broken + line) is not None:
            self._malformed.add_line(broken, self._reason)
            if (reason := self._take_event(line)) is not None:
                self._suspect(line, reason)

    def _suspect(self, line: bytes, reason: Malformed) -> None:
        """Keep a line that is no event, until the next one tells whether it belongs to it."""
        check_line(line)
        self._broken, self._reason = line, reason
        self._tail += line[: TAIL_BYTES - len(self._tail)] + b"\n"

    def _store(self, records: RecordBlock) -> None:
        """Count the events of some lines, and spool those that are written."""
        counts = self.counts
        instants, processed = records.instants, records.processed
        self._tail.clear()
        written = len(instants)
        counts.lines += written + sum(records.skipped.values())
        counts.skipped.update(records.skipped)
        if not written:
            return
        counts.from_future += _from_future(instants, processed)
        if self._duplicates is not None:
            self._duplicates.add(records.keys, processed, self._spool.count)
        if self._by_day is not None:
            self._by_day.add(instants)
        self._spool.write(records.encoded, written)


def _from_future(instants: Sequence[int], processed: Sequence[int | None]) -> int:
    """How many events have a timestamp that is later than their processing."""
    if None not in processed and max(map(sub, instants, processed)) <= _CLOCK_TOLERANCE_MS:
        return 0
    return sum(
        arrived is not None and instant > arrived + _CLOCK_TOLERANCE_MS
        for instant, arrived in zip(instants, processed, strict=True)
    )


def _middle(block: bytes) -> int:
    """Where the line begins that is about in the middle; 0 when there is but one."""
    half = len(block) // 2
    middle = block.rfind(b"\n", 0, half) + 1 or block.find(b"\n", half) + 1
    return 0 if middle == len(block) else middle


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
