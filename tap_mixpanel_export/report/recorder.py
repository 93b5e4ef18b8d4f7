"""Keeps the report of a run while it goes on: a run that is killed leaves what it had done."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import ReportError
from tap_mixpanel_export.report.folder import ReportFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_mixpanel_export.report.document import RunDocument
    from tap_mixpanel_export.sync.context import FinishedWindow
    from tap_mixpanel_export.sync.summary import RunSummary

logger = logging.getLogger("tap-mixpanel-export.report")

# A document costs milliseconds, and a page of many runs a tenth of a second.
_DOCUMENT_SECONDS = 5.0
_PAGE_SECONDS = 60.0


class RunReport:
    """The report of a run; see `sync.run.RunObserver`.

    Args:
        path: Of the folder.
        document: What is told.
        clock: Gives seconds, never fewer than before.
    """

    def __init__(
        self,
        path: Path,
        document: RunDocument,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._document = document
        self._clock = clock
        self._folder: ReportFolder | None = None
        self._wrote = self._drew = clock()
        self._has_warned = False

    def begin(self, summary: RunSummary) -> None:
        """Write that the run has begun: a run of hours should not find out at its end.

        Raises:
            ReportError: The folder cannot be written to.
        """
        self._folder = ReportFolder(self._path, self._document.activity.started_at)
        self._write(summary)

    def written(self, finished: FinishedWindow, summary: RunSummary) -> None:
        """Take a window whose records are written."""
        self._document.add(finished)
        self.tick(summary)

    def tick(self, summary: RunSummary) -> None:
        """Write what is known by now, when it is time to."""
        now = self._clock()
        if now - self._wrote < _DOCUMENT_SECONDS:
            return
        self._wrote = now
        is_page_due = now - self._drew >= _PAGE_SECONDS
        if is_page_due:
            self._drew = now
        try:
            self._write(summary, with_page=is_page_due)
        except ReportError as error:
            # The run is worth more than what is told of it; its end tries again.
            if not self._has_warned:
                logger.warning("%s", error)
            self._has_warned = True

    def end(self, summary: RunSummary, error: BaseException | None) -> None:
        """Write how the run ended.

        Raises:
            ReportError: It cannot be written, and nothing else has ended the run.
        """
        try:
            self._write(summary, error, is_over=True)
        except ReportError as problem:
            if error is None:
                raise
            logger.warning("%s", problem)

    def _write(
        self,
        summary: RunSummary,
        error: BaseException | None = None,
        *,
        is_over: bool = False,
        with_page: bool = True,
    ) -> None:
        if self._folder is None:
            return
        document = self._document.to_dict(summary, error, is_over=is_over)
        self._folder.write_document(document)
        if with_page:
            self._folder.write_page(document)
