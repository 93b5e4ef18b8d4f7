"""One window: asked for, verified, and its records spooled; again and again if need be."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import backoff

from tap_mixpanel_export.client import ExportClient
from tap_mixpanel_export.errors import (
    DiagnosticsError,
    IncompleteExportError,
    MalformedLinesError,
    RateLimitedError,
    RejectedQueryError,
    TransientError,
    WindowError,
)
from tap_mixpanel_export.events import NotAnEventError
from tap_mixpanel_export.lines import blocks_of_lines, check_not_terminated
from tap_mixpanel_export.malformed import MalformedLines
from tap_mixpanel_export.records import DAY_OF_RECORD
from tap_mixpanel_export.repeats import Repeats
from tap_mixpanel_export.spool import Spool
from tap_mixpanel_export.windows import late_clause, selector, to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typing_extensions import Self

    from tap_mixpanel_export.client import Endpoint, Transfer
    from tap_mixpanel_export.limiter import QueryLimiter
    from tap_mixpanel_export.records import Record, RecordMaker
    from tap_mixpanel_export.server_clock import ServerClock
    from tap_mixpanel_export.windows import Bookmark, Window

logger = logging.getLogger("tap-mixpanel-export.download")

# What fails three times in a row is often too large for the service: half of it may pass.
_TRIES_OF_SEVERAL_DAYS = 3
_TRIES_OF_ONE_DAY = 5

# s. The longest wait before a try, and after a 429 that does not say how long to wait.
_LONGEST_WAIT = 60

# ms. A device's clock can be ahead, and is corrected only when it is ahead by more.
_CLOCK_TOLERANCE = 60_000


class StoppedError(Exception):
    """The run is ending; not a failure."""


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
        days: Records to write, by UTC day of the timestamp.
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
    days: Counter[str] = field(default_factory=Counter)
    conversion_warnings: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class FinishedWindow:
    """A verified window; its records are in the spool, which the receiver closes."""

    window: Window
    spool: Spool
    counts: Counts


@dataclass(slots=True)
class Job:
    """What all downloads of a run share.

    Attributes:
        endpoint: Where and as whom to ask.
        limiter: The project's quota.
        clock: Learns the service's time.
        make_records: Gives a record maker for a filter; one for each try.
        bookmark: What earlier runs have done.
        where: The user's expression.
        deduplicate: Whether repeats within a window are dropped.
        diagnostics_dir: Where malformed lines are kept.
        stop: Set when the run ends early.
        late_clause_works: Cleared when the service refuses our expression.
        granted: Done when the service has granted a first export.
        queries: Requests sent, failed tries included.
    """

    endpoint: Endpoint
    limiter: QueryLimiter
    clock: ServerClock
    make_records: Callable[[Callable[[int, int | None], bool]], RecordMaker]
    bookmark: Bookmark | None
    where: str | None
    deduplicate: bool
    diagnostics_dir: Path | None
    stop: threading.Event
    late_clause_works: bool = True
    granted: Future[None] = field(default_factory=Future)
    queries: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count_query(self) -> None:
        """Count a request."""
        with self._lock:
            self.queries += 1

    def note_grant(self) -> None:
        """Take an export that the service has granted."""
        with self._lock:
            if not self.granted.done():
                self.granted.set_result(None)


class Downloader:
    """Downloads windows, one at a time; one object for each thread."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._client = ExportClient(job.endpoint)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def download(self, window: Window) -> FinishedWindow:
        """Download a window, trying again as long as that makes sense.

        Args:
            window: The window.

        Raises:
            RequestError: The service refuses the query.
            WindowError: All tries failed. A window of several days can be tried in smaller ones.
            DiagnosticsError: Malformed lines came twice, and there is no place to keep them.
            StoppedError: The run is ending.
        """
        most = _TRIES_OF_ONE_DAY if window.days == 1 else _TRIES_OF_SEVERAL_DAYS
        waits = backoff.expo(base=2, factor=1, max_value=_LONGEST_WAIT)
        next(waits)
        tries = 1
        keep_malformed = False
        while True:
            try:
                spool, counts = self._try(window, keep_malformed=keep_malformed)
            except MalformedLinesError as error:
                # They were perhaps an accident of the transfer: one more try tells.
                logger.warning("%s: %s; trying once more", window, error)
                keep_malformed = True
            except TransientError as error:
                if tries == most:
                    raise WindowError(_failure(window, tries, error)) from error
                wait = backoff.full_jitter(next(waits))
                logger.warning("%s: %s; trying again in %.1f s", window, error, wait)
                self._sleep(wait)
                tries += 1
            else:
                return FinishedWindow(window, spool, counts)

    def _try(self, window: Window, *, keep_malformed: bool) -> tuple[Spool, Counts]:
        """One whole answer, or an error."""
        pauses = backoff.expo(base=2, factor=1, max_value=_LONGEST_WAIT)
        next(pauses)
        while True:
            clause = self._late_clause(window)
            try:
                return self._read_answer(window, clause, keep_malformed=keep_malformed)
            except RateLimitedError as error:
                # At least the growing pause: `Retry-After: 0` over and over would spend the quota.
                wait = max(next(pauses), error.retry_after or 0.0)
                # Other threads and runs must not ask in the meantime either. When the hour's
                # queries are spent by this run, the limiter knows until when, and waits longer.
                wait = max(wait, self._job.limiter.seconds_until_free())
                self._job.limiter.penalize(wait)
                logger.warning("%s: %s; waiting %.1f s", window, error, wait)
            except RejectedQueryError:
                if clause is None:
                    raise
                logger.warning(
                    "%s: Mixpanel refused the filter for late events; asking without it", window
                )
                self._job.late_clause_works = False

    def _late_clause(self, window: Window) -> str | None:
        bookmark = self._job.bookmark
        if (
            not window.late_only
            or not self._job.late_clause_works
            or bookmark is None
            or bookmark.processed_before is None
        ):
            return None
        return late_clause(bookmark.processed_before)

    def _read_answer(
        self, window: Window, clause: str | None, *, keep_malformed: bool
    ) -> tuple[Spool, Counts]:
        job = self._job
        where = job.where
        if clause is not None:
            where = clause if where is None else f"({where}) and ({clause})"
        job.limiter.acquire(job.stop)
        job.count_query()
        transfers: list[Transfer] = []

        def on_answer(transfer: Transfer) -> None:
            transfers.append(transfer)
            job.clock.note(transfer.server_time)
            if transfer.granted:
                job.note_grant()

        with ExitStack() as on_error:
            spool = on_error.enter_context(Spool())
            answer = _Answer(job, window, spool, keep_malformed=keep_malformed)
            # Closed here: an error's traceback would keep the connection open with the generator.
            export = closing(self._client.export(window.first, window.last, where, on_answer))
            with answer, export as pieces:
                for block in blocks_of_lines(_until_stopped(pieces, job.stop)):
                    answer.take(block)
                answer.finish()
            on_error.pop_all()
        answer.counts.received = transfers[0].received
        return spool, answer.counts

    def _sleep(self, seconds: float) -> None:
        if self._job.stop.wait(seconds):
            raise StoppedError


def _until_stopped(pieces: Iterator[bytes], stop: threading.Event) -> Iterator[bytes]:
    """The same pieces, until the run ends."""
    for piece in pieces:
        if stop.is_set():
            raise StoppedError
        yield piece


class _Answer:
    """The lines of one answer on their way into the spool."""

    def __init__(self, job: Job, window: Window, spool: Spool, *, keep_malformed: bool) -> None:
        self.counts = Counts()
        self._spool = spool
        self._make = job.make_records(selector(window, job.bookmark))
        self._repeats = Repeats() if job.deduplicate else None
        self._done = None if job.bookmark is None else to_milliseconds(job.bookmark.done)
        self._malformed = MalformedLines(
            job.diagnostics_dir if keep_malformed else None, window.first, window.last
        )
        self._keep_malformed = keep_malformed
        self._diagnostics_dir = job.diagnostics_dir
        self._broken: bytes | None = None
        self._ends_clean = True
        self._days: Counter[bytes] = Counter()

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
                self._unreadable(line)
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
            MalformedLinesError: There are malformed lines, and they are not to be kept.
            DiagnosticsError: They are to be kept, but there is no place.
        """
        if self._broken is not None:
            if not self._ends_clean:
                raise IncompleteExportError("the last line of the answer is cut off")
            self._unreadable(self._broken)
        counts = self.counts
        counts.malformed = self._malformed.count
        if counts.malformed:
            if not self._keep_malformed:
                raise MalformedLinesError(counts.malformed)
            if self._diagnostics_dir is None:
                raise DiagnosticsError(
                    f"{counts.malformed} malformed line(s) of {counts.lines + counts.malformed} in "
                    f"{self._malformed.days}, twice; nothing of these days was written. Set "
                    "diagnostics_dir to keep such lines in a file and go on"
                )
        if self._repeats is not None:
            counts.duplicates = self._spool.drop(self._repeats.superseded())
        counts.records = self._spool.count - counts.duplicates
        counts.days = Counter({day.decode(): count for day, count in self._days.items()})
        counts.conversion_warnings = self._make.conversion_warnings

    def _mend(self, line: bytes, records: list[Record | None]) -> None:
        """Read a line behind one that is no event.

        Mixpanel breaks an event over two lines at times: joined, they are one object.
        """
        broken, self._broken = self._broken or b"", None
        try:
            records.append(self._make(broken + line))
        except NotAnEventError:
            self._unreadable(broken)
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
        self._days.update(text[DAY_OF_RECORD] for text in texts)
        if self._repeats is not None:
            self._repeats.add(wanted, self._spool.count)
        self._spool.write(texts)

    def _unreadable(self, line: bytes) -> None:
        self._malformed.add(line)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _failure(window: Window, tries: int, cause: TransientError) -> str:
    return (
        f"could not download {window}: {tries} tries, the last one ended with: {cause}. "
        "Nothing of these days was written; the next run asks for them again"
    )
