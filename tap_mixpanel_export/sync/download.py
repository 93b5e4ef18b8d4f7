"""One window: asked for, verified, and its records spooled; again and again if need be."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import backoff

from tap_mixpanel_export.api.client import ExportClient
from tap_mixpanel_export.api.rate_limit import check_pause, until
from tap_mixpanel_export.errors import (
    DiagnosticsError,
    MalformedLinesError,
    RateLimitedError,
    RejectedQueryError,
    TransientError,
    WideQueryError,
    WindowError,
)
from tap_mixpanel_export.kept_aside import counted
from tap_mixpanel_export.records.lines import blocks_of_lines
from tap_mixpanel_export.records.malformed import MalformedLines
from tap_mixpanel_export.records.response import Response
from tap_mixpanel_export.records.spool import Spool
from tap_mixpanel_export.sync.windows import filter_of, late_clause, to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_mixpanel_export.api.client import Endpoint, Transfer
    from tap_mixpanel_export.api.rate_limit import QueryLimiter
    from tap_mixpanel_export.records.event_filter import EventFilter
    from tap_mixpanel_export.records.event_names import EventNames
    from tap_mixpanel_export.records.records import RecordMaker
    from tap_mixpanel_export.records.response import Counts
    from tap_mixpanel_export.sync.server_clock import ServerClock
    from tap_mixpanel_export.sync.windows import Bookmark, Window

logger = logging.getLogger("tap-mixpanel-export.download")

# What fails three times in a row is often too large for the service: half of it may pass.
_TRIES_OF_SEVERAL_DAYS = 3
_TRIES_OF_ONE_DAY = 5

# s. The longest wait before a try, and after a 429 that does not say how long to wait.
_LONGEST_WAIT = 60


class StoppedError(Exception):
    """The run is ending; not a failure."""


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
        gzip_level: How finished records are kept, see `Spool`.
        event_names: Looks for the events that were asked for by name.
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
    make_records: Callable[[EventFilter], RecordMaker]
    bookmark: Bookmark | None
    where: str | None
    deduplicate: bool
    diagnostics_dir: Path | None
    stop: threading.Event
    gzip_level: int | None = None
    event_names: EventNames | None = None
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
        self._client = ExportClient(job.endpoint, self._permit)

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
                wait = max(backoff.full_jitter(next(waits)), check_pause(error.retry_after))
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
                return self._read_response(window, clause, keep_malformed=keep_malformed)
            except RateLimitedError as error:
                # At least the growing pause: `Retry-After: 0` over and over would spend the quota.
                wait = max(next(pauses), check_pause(error.retry_after))
                # Other threads and runs must not ask in the meantime either. When the hour's
                # queries are spent by this run, the limiter knows until when, and waits longer.
                wait = max(wait, self._job.limiter.seconds_until_free())
                self._job.limiter.penalize(wait)
                at = f", {until(wait)}" if wait >= _LONGEST_WAIT else ""
                logger.warning("%s: %s%s; waiting %.1f s", window, error, at, wait)
            except WideQueryError:
                # Fewer days tell whether it was the filter.
                raise
            except RejectedQueryError:
                if clause is None:
                    raise
                logger.warning(
                    "%s: Mixpanel refused the filter for late events; asking without it", window
                )
                self._job.late_clause_works = False

    def _permit(self) -> None:
        """Wait for the quota, and count the request that it lets through."""
        self._job.limiter.acquire(self._job.stop)
        self._job.count_query()

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

    def _read_response(
        self, window: Window, clause: str | None, *, keep_malformed: bool
    ) -> tuple[Spool, Counts]:
        job = self._job
        where = job.where
        if clause is not None:
            where = clause if where is None else f"({where}) and ({clause})"
        transfers: list[Transfer] = []

        def on_response(transfer: Transfer) -> None:
            transfers.append(transfer)
            job.clock.note(transfer.server_time)
            if transfer.granted:
                job.note_grant()

        with ExitStack() as on_error:
            spool = on_error.enter_context(Spool(job.gzip_level))
            response = Response(
                make=job.make_records(filter_of(window, job.bookmark)),
                spool=spool,
                malformed=MalformedLines(
                    job.diagnostics_dir if keep_malformed else None, window.first, window.last
                ),
                deduplicate=job.deduplicate,
                done=None if job.bookmark is None else to_milliseconds(job.bookmark.done),
                may_be_malformed=keep_malformed,
                show=job.endpoint.redactor(where).show,
                names=job.event_names,
            )
            # Closed here: an error's traceback would keep the connection open with the generator.
            export = closing(self._client.export(window.first, window.last, where, on_response))
            with response, export as pieces:
                for block in blocks_of_lines(_until_stopped(pieces, job.stop)):
                    response.take(block)
                response.finish()
                self._check_place(window, response.counts)
            on_error.pop_all()
        response.counts.received = transfers[0].received
        return spool, response.counts

    def _check_place(self, window: Window, counts: Counts) -> None:
        if counts.malformed and self._job.diagnostics_dir is None:
            raise DiagnosticsError(
                f"{counts.malformed} malformed line(s) of {counts.lines + counts.malformed} in "
                f"{window}, twice ({counted(counts.malformed_reasons)}); nothing of these days was "
                "written. Set diagnostics_dir to keep such lines in a file and go on"
            )

    def _sleep(self, seconds: float) -> None:
        if self._job.stop.wait(seconds):
            raise StoppedError


def _until_stopped(pieces: Iterator[bytes], stop: threading.Event) -> Iterator[bytes]:
    """The same pieces, until the run ends."""
    for piece in pieces:
        if stop.is_set():
            raise StoppedError
        yield piece


def _failure(window: Window, tries: int, cause: TransientError) -> str:
    return (
        f"could not download {window}: {tries} tries, the last one ended with: {cause}. "
        "Nothing of these days was written; the next run asks for them again"
    )
