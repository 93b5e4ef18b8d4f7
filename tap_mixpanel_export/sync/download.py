"""One window: asked for, verified, and its records spooled; again and again if need be."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, TypeVar

import backoff

from tap_mixpanel_export.api.client import ExportClient
from tap_mixpanel_export.api.incomplete import NotAnExportError
from tap_mixpanel_export.api.rate_limit import check_pause, until
from tap_mixpanel_export.api.waiting import PAUSE_CAUSE
from tap_mixpanel_export.errors import (
    DiagnosticsError,
    MalformedLinesError,
    RateLimitedError,
    RejectedQueryError,
    TransientError,
    WideQueryError,
    WindowError,
    WorkerError,
)
from tap_mixpanel_export.records.lines import blocks_of_lines
from tap_mixpanel_export.stopping import StoppedError
from tap_mixpanel_export.sync import server_clock
from tap_mixpanel_export.sync.activity import WindowState
from tap_mixpanel_export.sync.context import FinishedWindow
from tap_mixpanel_export.sync.late_filter import FilterNotTrustedError, Question
from tap_mixpanel_export.sync.observed import Observed
from tap_mixpanel_export.sync.reading import ReadingTask, read_response, text_of
from tap_mixpanel_export.sync.windows import Purpose, filter_of, late_clause
from tap_mixpanel_export.sync.workers import MOST_LOST, WorkerLostError
from tap_mixpanel_export.timezones import to_milliseconds

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator, Iterator

    from tap_mixpanel_export.api.client import Transfer
    from tap_mixpanel_export.records.response import Counts
    from tap_mixpanel_export.sync.context import RunContext
    from tap_mixpanel_export.sync.filter_proof import EventDigest
    from tap_mixpanel_export.sync.reading import ReadResponse
    from tap_mixpanel_export.sync.windows import Window

logger = logging.getLogger("tap-mixpanel-export.download")

_Result = TypeVar("_Result")

# What fails three times in a row is often too large for the service: half of it may pass.
_TRIES_OF_SEVERAL_DAYS = 3
_TRIES_OF_ONE_DAY = 5
# Without the filter it may pass, too; and a sweep can wait.
_TRIES_OF_FILTERED = 3
_TRIES_OF_SWEEP = 2

# The longest wait before a try, and after a 429 that does not say how long to wait.
_LONGEST_WAIT_SECONDS = 60


class Downloader:
    """Downloads windows, one at a time; one object for each thread."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._client = ExportClient(context.endpoint, self._permit)
        self._sent = server_clock.machine_now()

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
            WideQueryError: It has more days than the service takes.
            DiagnosticsError: Malformed lines came twice, and there is no place to keep them.
            FilterNotTrustedError: The window is to be asked for without the filter.
            WorkerError: Worker processes are lost again and again.
            StoppedError: The run is ending.
        """
        activity = self._context.activity
        activity.begin(window)
        try:
            finished = self._download(window)
        except StoppedError:
            activity.ended(WindowState.UNDER_WAY)
            raise
        except BaseException:
            activity.ended(WindowState.FAILED)
            raise
        activity.downloaded()
        return finished

    def _download(self, window: Window) -> FinishedWindow:
        if window.is_proof:
            return self._prove(window)
        if window.is_filtered:
            return self._download_filtered(window)
        most = _TRIES_OF_ONE_DAY if window.days == 1 else _TRIES_OF_SEVERAL_DAYS
        return self._keep_trying(
            window, most, lambda keep: self._read(window, None, keep_malformed=keep)
        )

    def _download_filtered(self, window: Window) -> FinishedWindow:
        late_filter = self._context.late_filter
        question = late_filter.question(window)
        is_sweep = window.purpose is Purpose.SWEEP
        try:
            return self._keep_trying(
                window,
                _TRIES_OF_SWEEP if is_sweep else _TRIES_OF_FILTERED,
                lambda keep: self._read(window, question, keep_malformed=keep),
            )
        except WideQueryError:
            # Fewer days tell whether it was the filter.
            raise
        except RejectedQueryError:
            late_filter.refuse(window)
            raise FilterNotTrustedError from None
        except WindowError as error:
            if is_sweep:
                raise
            late_filter.fail(window, error.__cause__)
            raise FilterNotTrustedError from None

    def _prove(self, window: Window) -> FinishedWindow:
        """Ask for a day with the filter, and then without it: the second answer is the window's."""
        context = self._context
        filtered: EventDigest | None = None
        try:
            filtered = self._keep_trying(
                window, _TRIES_OF_FILTERED, lambda _: self._read_digest(window)
            )
        except (RejectedQueryError, WindowError) as error:
            context.late_filter.proof_failed(error.__cause__ or error)
        whole: list[EventDigest] = []

        def read(keep_malformed: bool) -> FinishedWindow:
            if filtered is None:
                # Nothing to hold it against; there may not even be an answer yet that tells a time.
                return self._read(window, None, keep_malformed=keep_malformed)
            digest = context.late_filter.start_digest(window, context.clock.first)
            whole[:] = [digest]
            return self._read(window, None, keep_malformed=keep_malformed, digest=digest)

        finished = self._keep_trying(window, _TRIES_OF_ONE_DAY, read)
        if filtered is not None:
            context.late_filter.conclude(filtered, whole[0], context.clock.first)
        return finished

    def _keep_trying(self, window: Window, most: int, read: Callable[[bool], _Result]) -> _Result:
        """Read a response until it is whole.

        Args:
            window: Its days.
            most: How often.
            read: Reads it; is told whether malformed lines are kept.
        """
        waits = backoff.expo(base=2, factor=1, max_value=_LONGEST_WAIT_SECONDS)
        next(waits)
        tries = 1
        keep_malformed = False
        while True:
            try:
                return self._outwait_limits(window, lambda: read(keep_malformed))  # noqa: B023 - called at once
            except MalformedLinesError as error:
                # They were perhaps an accident of the transfer: one more try tells.
                logger.warning("%s: %s; trying once more", window, error)
                keep_malformed = True
                self._context.activity.try_again()
            except WorkerLostError as error:
                self._note_lost(window, error)
            except TransientError as error:
                if tries == most:
                    raise WindowError(_failure(window, tries, error)) from error
                wait = max(backoff.full_jitter(next(waits)), check_pause(error.retry_after))
                logger.warning("%s: %s; trying again in %.1f s", window, error, wait)
                self._sleep(wait)
                self._context.activity.try_again()
                tries += 1

    def _note_lost(self, window: Window, error: WorkerLostError) -> None:
        """Take that a worker process has ended; the download is no worse for it, but gone."""
        if error.times > MOST_LOST:
            raise WorkerError(
                f"could not download {window}: a worker process {error}, and "
                f"{error.times - 1} before it. Nothing of these days was written; the next run "
                "asks for them again. The system ends processes when memory is short: allow more, "
                "or set workers to 1"
            ) from None
        logger.warning(
            "%s: a worker process %s; downloading these days again, with another one", window, error
        )
        self._context.activity.try_again()

    def _outwait_limits(self, window: Window, read: Callable[[], _Result]) -> _Result:
        """Ask, and wait and ask again as often as the quota is used up."""
        limiter = self._context.limiter
        pauses = backoff.expo(base=2, factor=1, max_value=_LONGEST_WAIT_SECONDS)
        next(pauses)
        while True:
            try:
                return read()
            except RateLimitedError as error:
                if window.purpose is Purpose.SWEEP:
                    # It can wait for a later run.
                    limiter.penalize(check_pause(error.retry_after))
                    raise
                # At least the growing pause: `Retry-After: 0` over and over would spend the quota.
                wait = max(next(pauses), check_pause(error.retry_after))
                # Other threads and runs must not ask in the meantime either. When the hour's
                # queries are spent by this run, the limiter knows until when, and waits longer.
                wait = max(wait, limiter.seconds_until_free())
                limiter.penalize(wait)
                self._context.activity.wait(wait, PAUSE_CAUSE)
                at = f", {until(wait)}" if wait >= _LONGEST_WAIT_SECONDS else ""
                logger.warning("%s: %s%s; waiting %.1f s", window, error, at, wait)

    def _permit(self) -> None:
        """Wait for the quota, and count the request that it lets through."""
        self._context.limiter.acquire(self._context.stop)
        self._context.count_query()
        self._sent = server_clock.machine_now()

    def _where(self, question: Question | None) -> str | None:
        """The expression that asks for all events, or for late ones only."""
        where = self._context.where
        if question is None:
            return where
        clause = late_clause(question.bound_ms)
        return clause if where is None else f"({where}) and ({clause})"

    def _pieces(
        self, window: Window, where: str | None, transfers: list[Transfer]
    ) -> Generator[bytes, None, None]:
        """Ask for a window once, and read the response as it is transferred.

        Args:
            window: The days.
            where: The expression to ask with.
            transfers: Takes what is known of the transfer.
        """
        context = self._context

        def on_response(transfer: Transfer) -> None:
            transfers.append(transfer)
            context.limiter.note_server_time(transfer.server_time)
            context.note_response(transfer, self._sent)
            if window.is_filtered and not context.late_filter.is_trusted:
                # The proof was too old, which only the service's time has told.
                raise FilterNotTrustedError

        # Closed here: an error's traceback would keep the connection open with the generator.
        export = closing(self._client.export(window, where, on_response, unpack=False))
        with export as pieces:
            yield from _until_stopped(pieces, context.stop)

    def _read_digest(self, window: Window) -> EventDigest:
        """The filtered response of a day, for comparison only."""
        late_filter, clock = self._context.late_filter, self._context.clock
        digest: EventDigest | None = None
        where = self._where(Question(late_filter.trial_ms(window)))
        transfers: list[Transfer] = []
        with closing(self._pieces(window, where, transfers)) as pieces:
            for block in blocks_of_lines(text_of(pieces, lambda: transfers[0].is_gzipped)):
                digest = digest or late_filter.start_digest(window, clock.first)
                digest.take(block)
        return digest or late_filter.start_digest(window, clock.first)

    def _read(
        self,
        window: Window,
        question: Question | None,
        *,
        keep_malformed: bool,
        digest: EventDigest | None = None,
    ) -> FinishedWindow:
        """One whole response, or an error.

        Args:
            window: The window.
            question: What to ask for; None for all events.
            keep_malformed: Whether malformed lines are accepted, and kept.
            digest: Takes the lines, too.
        """
        context = self._context
        task = ReadingTask(
            first=window.first,
            last=window.last,
            observed=self._observe(window, question),
            done=self._late_until(window),
            keep_malformed=keep_malformed,
            digest=digest,
            names=context.event_names,
            survey=context.survey,
        )
        where = self._where(question)
        transfers: list[Transfer] = []
        with ExitStack() as on_error:
            try:
                with closing(self._pieces(window, where, transfers)) as pieces:
                    read = self._read_response(task, pieces, transfers)
            except NotAnExportError as error:
                raise error.shown(context.endpoint.redactor(where).show) from None
            on_error.enter_context(read.spool)
            self._check_place(window, read.counts)
            observed = read.observed
            if question is not None:
                context.late_filter.check_answer(window, question, observed)
            on_error.pop_all()
        read.counts.received = transfers[0].received
        if question is None:
            context.clock.note_stamp(observed.newest_ms)
            context.late_filter.check_disputed(observed.found, context.clock.first)
        return FinishedWindow(
            window,
            read.spool,
            read.counts,
            observed.seen(),
            observed.lags,
            observed.seen_late,
            read.tally,
        )

    def _read_response(
        self, task: ReadingTask, pieces: Iterator[bytes], transfers: list[Transfer]
    ) -> ReadResponse:
        """Read a response here, or have a worker process do so."""
        context = self._context
        if context.workers is not None:
            worker, pieces = context.workers.lend(pieces)
            if worker is not None:
                return worker.read(task, pieces, is_gzipped=transfers[0].is_gzipped)
        return read_response(context.parts, task, text_of(pieces, lambda: transfers[0].is_gzipped))

    def _observe(self, window: Window, question: Question | None) -> Observed:
        """What chooses the events of a window, and looks on."""
        context = self._context
        disputed = context.late_filter.disputed(window)
        newest = context.late_filter.known.newest
        by_watermark = filter_of(window, context.span, context.base_filter)
        # What was stamped later than all that earlier runs have seen is new.
        chosen = filter_of(window, context.span, context.base_filter, newest)
        return Observed(
            chosen,
            context.span,
            looked_for=disputed if question is None else question.known,
            by_watermark=None if chosen == by_watermark else by_watermark,
        )

    def _late_until(self, window: Window) -> int | None:
        bookmark = self._context.span.bookmark
        if bookmark is None or window.purpose is Purpose.BACKFILL:
            return None
        return to_milliseconds(bookmark.done)

    def _check_place(self, window: Window, counts: Counts) -> None:
        if counts.malformed and self._context.parts.diagnostics_dir is None:
            raise DiagnosticsError(
                f"{counts.malformed} malformed line(s) of {counts.lines + counts.malformed} in "
                f"{window}, twice ({counts.why_malformed}); nothing of these days was "
                "written. Set diagnostics_dir to keep such lines in a file and go on"
            )

    def _sleep(self, seconds: float) -> None:
        """Wait before the next try."""
        self._context.activity.wait(seconds, "the next try of a window that failed")
        if self._context.stop.wait(seconds):
            raise StoppedError
        self._context.activity.end_wait()


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
