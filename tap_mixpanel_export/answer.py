"""The lines of one answer on their way into the spool: counted, mended, checked to the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import IncompleteExportError, MalformedLinesError
from tap_mixpanel_export.events import NotAnEventError
from tap_mixpanel_export.lines import check_not_terminated
from tap_mixpanel_export.repeats import Repeats

if TYPE_CHECKING:
    from typing_extensions import Self

    from tap_mixpanel_export.malformed import MalformedLines
    from tap_mixpanel_export.records import Record, RecordMaker
    from tap_mixpanel_export.spool import Spool

# ms. A device's clock can be ahead, and is corrected only when it is ahead by more.
_CLOCK_TOLERANCE = 60_000


@dataclass(slots=True)
class Counts:
    """What a download brought.

    Attributes:
        received: Bytes as transferred.
        lines: Events in the answer.
        malformed: Lines that are no events.
        known: Events of earlier runs, or outside of the bounds: not written.
        late: Events before the bookmark that are written.
        duplicates: Copies of events of the same window that are not written.
        records: Records to write.
        from_future: Events whose timestamp is later than their processing.
        conversion_warnings: Values that did not fit their column, by column.
    """

    received: int = 0
    lines: int = 0
    malformed: int = 0
    known: int = 0
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
        lines = block.split(b"\n")
        if self._ends_clean:
            lines.pop()
        check_encoding = not _is_utf8(block)
        records: list[Record | None] = []
        for line in lines:
            if check_encoding and not _is_utf8(line):
                self._malformed.add(line)
            elif self._broken is not None:
                self._mend(line, records)
            else:
                try:
                    records.append(self._make(line))
                except NotAnEventError:
                    self._suspect(line)
        self._store(records)

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

    def _mend(self, line: bytes, records: list[Record | None]) -> None:
        """Read a line behind one that is no event.

        Mixpanel breaks an event over two lines at times: joined, they are one object.
        """
        broken, self._broken = self._broken or b"", None
        try:
            records.append(self._make(broken + line))
        except NotAnEventError:
            self._malformed.add(broken)
            try:
                records.append(self._make(line))
            except NotAnEventError:
                self._suspect(line)

    def _suspect(self, line: bytes) -> None:
        """Keep a line that is no event, until the next one tells whether it belongs to it."""
        if line.strip():
            check_not_terminated(line)
            self._broken = line

    def _store(self, records: list[Record | None]) -> None:
        """Count the events of a block, and spool those that are written."""
        counts = self.counts
        wanted = [record for record in records if record is not None]
        counts.lines += len(records)
        counts.known += len(records) - len(wanted)
        counts.from_future += sum(
            processed is not None and instant > processed + _CLOCK_TOLERANCE
            for _, _, instant, processed in wanted
        )
        if (done := self._done) is not None:
            counts.late += sum(instant <= done for _, _, instant, _ in wanted)
        texts = [text for text, _, _, _ in wanted]
        if self._repeats is not None:
            self._repeats.add(wanted, self._spool.count)
        self._spool.write(texts)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
