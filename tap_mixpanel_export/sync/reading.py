"""One response read to its end: its text in, finished records and what was seen of them out.

That is done by the thread that downloads it, or by a worker process: here is what both do.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from tap_mixpanel_export.api.unpacking import unpacked
from tap_mixpanel_export.records.lines import blocks_of_lines
from tap_mixpanel_export.records.malformed import MalformedLines
from tap_mixpanel_export.records.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date
    from pathlib import Path

    from tap_mixpanel_export.records.event_filter import EventSelector
    from tap_mixpanel_export.records.event_names import EventNames
    from tap_mixpanel_export.records.records import RecordMaker
    from tap_mixpanel_export.records.redaction import Redaction
    from tap_mixpanel_export.records.response import Counts
    from tap_mixpanel_export.records.spool import WindowSpool
    from tap_mixpanel_export.records.survey import BoundedCounts, Survey, WindowTally
    from tap_mixpanel_export.sync.filter_proof import EventDigest
    from tap_mixpanel_export.sync.observed import Observed


@dataclass(frozen=True, slots=True)
class ReaderParts:
    """What all responses of a run are read with; credentials are no part of it.

    Attributes:
        make_records: Gives a record maker for a filter; one for each try.
        make_spool: Gives what keeps the records of a window until it is verified.
        deduplicate: Whether repeats within a window are dropped.
        diagnostics_dir: Where malformed lines are kept.
        redaction: Hides properties; None when nothing is hidden.
    """

    make_records: Callable[[EventSelector], RecordMaker]
    make_spool: Callable[[], WindowSpool]
    deduplicate: bool
    diagnostics_dir: Path | None
    redaction: Redaction | None


@dataclass(slots=True)
class ReadingTask:
    """How one response is to be read.

    Attributes:
        first: First day that was asked for.
        last: Last day that was asked for.
        observed: Chooses the events, and notes what it sees.
        done: Events up to this instant, in milliseconds, are late ones; None when none is.
        keep_malformed: Whether malformed lines are accepted, and kept.
        digest: Takes the lines, too; None when they are not compared with another response.
        names: Looks for the events that were asked for by name.
        survey: Looks at what is read, for a report.
    """

    first: date
    last: date
    observed: Observed
    done: int | None
    keep_malformed: bool
    digest: EventDigest | None = None
    names: EventNames | None = None
    survey: Survey | None = None


@dataclass(slots=True)
class ReadResponse:
    """A response that was read to its end, and is whole.

    Attributes:
        spool: Its records; the receiver closes it.
        counts: What it brought.
        observed: What its events are.
        tally: Names and days of its events, for a report.
    """

    spool: WindowSpool
    counts: Counts
    observed: Observed
    tally: WindowTally | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What a worker process has come across in a response, whole or not.

    Attributes:
        unseen: Names that no event had.
        sampled: How many events were looked at for a report.
        unmapped: How many of those have a property without a column, by its name.
        met: Paths of properties that were hidden.
        digest: Of the lines.
    """

    unseen: frozenset[str]
    sampled: int
    unmapped: BoundedCounts | None
    met: frozenset[tuple[str, ...]]
    digest: EventDigest | None

    @classmethod
    def of(cls, parts: ReaderParts, task: ReadingTask) -> Findings:
        """What was found for a task."""
        survey = task.survey
        return cls(
            frozenset() if task.names is None else frozenset(task.names.unseen),
            0 if survey is None else survey.sampled,
            None if survey is None else survey.unmapped,
            frozenset() if parts.redaction is None else parts.redaction.met,
            task.digest,
        )

    def add_to(self, parts: ReaderParts, task: ReadingTask) -> None:
        """Note it in the process that keeps them all."""
        if task.names is not None:
            task.names.keep(self.unseen)
        if task.survey is not None and self.unmapped is not None:
            task.survey.add(self.sampled, self.unmapped)
        if parts.redaction is not None:
            parts.redaction.note_met(self.met)
        if task.digest is not None and self.digest is not None:
            task.digest.add(self.digest)


def read_response(parts: ReaderParts, task: ReadingTask, text: Iterator[bytes]) -> ReadResponse:
    """Read a response.

    Args:
        parts: What it is read with.
        task: How.
        text: Its text, in pieces of any size.

    Raises:
        MalformedLinesError: There are malformed lines, and they are not accepted.
        TransientError: It is not whole.
        DiagnosticsError: Malformed lines cannot be kept.
        OutputError: There is no room for the records.
    """
    tally = None if task.survey is None else task.survey.start_window(task.done)
    observed, digest = task.observed, task.digest
    folder = parts.diagnostics_dir if task.keep_malformed else None
    with ExitStack() as on_error:
        spool = on_error.enter_context(parts.make_spool())
        response = Response(
            make=parts.make_records(observed if tally is None else tally.of_names(observed)),
            spool=spool,
            malformed=MalformedLines(folder, task.first, task.last),
            deduplicate=parts.deduplicate,
            done=task.done,
            may_be_malformed=task.keep_malformed,
            names=task.names,
            tally=tally,
        )
        with response:
            for block in blocks_of_lines(text):
                if digest is not None:
                    digest.take(block)
                response.take(block)
            response.finish()
        on_error.pop_all()
    return ReadResponse(spool, response.counts, observed, tally)


def text_of(pieces: Iterator[bytes], is_gzipped: Callable[[], bool]) -> Iterator[bytes]:
    """The text of a response.

    Args:
        pieces: As they were transferred.
        is_gzipped: Whether they are compressed, which is known when the first one is there.
    """
    first = next(pieces, b"")
    pieces = chain((first,), pieces)
    yield from unpacked(pieces) if is_gzipped() else pieces
