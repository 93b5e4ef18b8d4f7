"""The lines of one answer on their way into the spool: counted, mended, checked to the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from operator import sub
from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import IncompleteExportError, MalformedLinesError
from tap_mixpanel_export.records.duplicates import Repeats
from tap_mixpanel_export.records.event_filter import Skip
from tap_mixpanel_export.records.fast import RecordBlock
from tap_mixpanel_export.records.lines import check_not_terminated
from tap_mixpanel_export.records.parsing import NotAnEventError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from tap_mixpanel_export.records.malformed import MalformedLines
    from tap_mixpanel_export.records.records import RecordMaker
    from tap_mixpanel_export.records.spool import Spool

# ms. A device's clock can be ahead, and is corrected only when it is ahead by more.
_CLOCK_TOLERANCE = 60_000


@dataclass(slots=True)
class Counts:
    """What a download brought.

    Attributes:
        received: Bytes as transferred.
        lines: Events in the answer.
        malformed: Lines that are no events.
        skipped: Events that are not written, by the reason why.
        late: Events before the bookmark that are written.
        duplicates: Copies of events of the same window that are not written.
        records: Records to write.
        from_future: Events whose timestamp is later than their processing.
        conversion_warnings: Values that did not fit their column, by column.
    """

    received: int = 0
    lines: int = 0
    malformed: int = 0
    skipped: Counter[Skip] = field(default_factory=Counter)
    late: int = 0
    duplicates: int = 0
    records: int = 0
    from_future: int = 0
    conversion_warnings: Counter[str] = field(default_factory=Counter)


class Answer:
    """The lines of one answer, block by block, as a context manager.

    Args:
        make: Makes records of lines.
        spool: Takes the records.
        malformed: Takes the lines that are no events.
        deduplicate: Whether repeats are dropped.
        done: Events up to this instant, in milliseconds, are late ones; None when none is.
        may_be_malformed: Whether malformed lines are accepted.
    """

    def __init__(  # noqa: PLR0913 - keywords, each a part of its own
        self,
        *,
        make: RecordMaker,
        spool: Spool,
        malformed: MalformedLines,
        deduplicate: bool,
        done: int | None,
        may_be_malformed: bool,
    ) -> None:
        self.counts = Counts()
        self._make = make
        self._spool = spool
        self._malformed = malformed
        self._repeats = Repeats() if deduplicate else None
        self._done = done
        self._may_be_malformed = may_be_malformed
        self._broken: bytes | None = None
        self._ends_clean = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._repeats is not None:
            self._repeats.close()
        if kind is None:
            self._malformed.close()
        else:
            self._malformed.discard()

    def take(self, block: bytes) -> None:
        """Spool the records of some whole lines."""
        self._ends_clean = block.endswith(b"\n")
        self._take(block)

    def _take(self, block: bytes) -> None:
        """Make the records of all lines at once, or else those of each half of them.

        Lines that need a closer look are few as a rule: so they cost those around them little.
        """
        if self._broken is None and _is_utf8(block):
            records = self._make.make_block(block)
            if records is not None:
                self._store(records)
                return
        if middle := _middle(block):
            self._take(block[:middle])
            self._take(block[middle:])
        else:
            self._take_line(block.removesuffix(b"\n"))

    def _take_line(self, line: bytes) -> None:
        if self._broken is not None:
            self._mend(line)
        elif not self._is_event(line):
            self._suspect(line)

    def _is_event(self, line: bytes) -> bool:
        """Whether a line is an event; if so, its record is spooled."""
        if not _is_utf8(line):
            return False
        try:
            record = self._make.make_line(line)
        except NotAnEventError:
            return False
        if isinstance(record, Skip):
            self._store(RecordBlock(b"", (), (), (), skipped={record: 1}))
        else:
            text, key, instant, processed = record
            self._store(RecordBlock(text + b"\n", (key,), (instant,), (processed,)))
        return True

    def finish(self) -> None:
        """Check what can be checked only at the end.

        Raises:
            IncompleteExportError: The last line is cut off.
            MalformedLinesError: There are malformed lines, and they are not accepted.
        """
        if self._broken is not None:
            if not self._ends_clean:
                raise IncompleteExportError("the last line of the answer is cut off")
            self._malformed.add(self._broken)
        counts = self.counts
        counts.malformed = self._malformed.count
        if counts.malformed and not self._may_be_malformed:
            raise MalformedLinesError(counts.malformed)
        if self._repeats is not None:
            counts.duplicates = self._spool.drop(self._repeats.superseded())
        counts.records = self._spool.count - counts.duplicates
        counts.conversion_warnings = self._make.conversion_warnings

    def _mend(self, line: bytes) -> None:
        """Read a line behind one that is no event.

        Mixpanel breaks an event over two lines at times: joined, they are one object.
        """
        broken, self._broken = self._broken or b"", None
        if not self._is_event(broken + line):
            self._malformed.add(broken)
            if not self._is_event(line):
                self._suspect(line)

    def _suspect(self, line: bytes) -> None:
        """Keep a line that is no event, until the next one tells whether it belongs to it."""
        if line.strip():
            check_not_terminated(line)
            self._broken = line

    def _store(self, records: RecordBlock) -> None:
        """Count the events of some lines, and spool those that are written."""
        counts = self.counts
        instants, processed = records.instants, records.processed
        written = len(instants)
        counts.lines += written + sum(records.skipped.values())
        counts.skipped.update(records.skipped)
        if not written:
            return
        counts.from_future += _from_future(instants, processed)
        if self._done is not None and min(instants) <= self._done:
            counts.late += sum(map(self._done.__ge__, instants))
        if self._repeats is not None:
            self._repeats.add(records.keys, processed, self._spool.count)
        self._spool.write(records.text, written)


def _from_future(instants: Sequence[int], processed: Sequence[int | None]) -> int:
    """How many events have a timestamp that is later than their processing."""
    if None not in processed and max(map(sub, instants, processed)) <= _CLOCK_TOLERANCE:
        return 0
    return sum(
        arrived is not None and instant > arrived + _CLOCK_TOLERANCE
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
