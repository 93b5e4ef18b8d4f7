"""Whether the service is asked for late events only, and whether its answers can be believed."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tap_mixpanel_export.sync.filter_proof import EventDigest, judge
from tap_mixpanel_export.sync.known_stamps import KnownStamps
from tap_mixpanel_export.sync.state import FilterUse
from tap_mixpanel_export.sync.windows import FilterProof, Purpose
from tap_mixpanel_export.timezones import DAY, to_milliseconds

if TYPE_CHECKING:
    from datetime import datetime

    from tap_mixpanel_export.sync.observed import Observed
    from tap_mixpanel_export.sync.windows import Span, Window

logger = logging.getLogger("tap-mixpanel-export.late_filter")

# So far apart are numbers of 32-bit floating point that are as large as a time in milliseconds.
_COARSE_MS = 2**17

# An honest answer holds at least so many known events, when the newest ones are asked for.
_FEWEST_KNOWN = 4

# How far ahead of the present a proof may be: clocks are corrected.
_TOLERANCE = timedelta(minutes=2)

_NOT_PROVEN = "not used: it has not proven itself"


class FilterNotTrustedError(Exception):
    """The days of a window are to be asked for without the filter; not a failure."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a filtered query asks for.

    Attributes:
        bound_ms: What was processed up to then is not asked for.
        known: Processing stamps that an honest answer must hold; 0 stands for an event without one.
    """

    bound_ms: int
    known: frozenset[int] = frozenset()


class LateFilter:
    """The service's filter for late events, and what is known of it.

    Nothing is asked with the filter before a day that was asked for both ways has shown that it
    leaves out nothing. After that each filtered answer is looked at: it must not hold what was not
    asked for, and must hold events that are known to be there.

    Args:
        span: What the run is asked for.
        of: Fingerprint of what a proof holds for.
        holds_for: How long it holds.
        selection: Fingerprint of the settings that say which events are exported.
    """

    def __init__(
        self, span: Span, of: str, holds_for: timedelta, selection: str | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._span = span
        self._of = of
        self.use = FilterUse(holds_for=holds_for)
        """What was done with it, up to now."""
        self.known = KnownStamps()
        """What earlier runs have seen, as far as this one must see it, too."""
        self.is_trusted = False
        """Whether the filter is used."""
        self.is_worth_trying = True
        """Whether it may prove itself in this run."""
        self.is_verified = False
        """Whether a filtered answer of this run held what is known to be there."""
        # Known events that filtered answers lacked: they may have been deleted.
        self._disputed: set[int] = set()
        self.outcome = "not needed: there is nothing to look back at"
        """In words."""
        if (bookmark := span.bookmark) is None:
            return
        proof = bookmark.filter_proof
        if bookmark.zone is None and bookmark.selection == selection:
            self.known = bookmark.known
        if bookmark.processed_before is None:
            self.outcome = "not used: the state does not say what earlier runs have seen"
        elif proof is None:
            self.outcome = "not used: it has not proven itself yet"
        elif proof.of != of:
            self.outcome = "not used: it has proven itself for another project, region or where"
        else:
            self.is_trusted = True
            self.use = replace(self.use, proof=proof)
            self.outcome = f"used: it has proven itself at {proof.at.isoformat()}"

    def check_age(self, present: datetime) -> None:
        """Drop a proof that is too old by the time at the first request."""
        with self._lock:
            proof = self.use.proof
            if proof and not -_TOLERANCE <= present - proof.at <= self.use.holds_for:
                self._drop(f"its proof of {proof.at.isoformat()} is too old")

    def question(self, window: Window) -> Question:
        """What a filtered query of a window asks for.

        Raises:
            FilterNotTrustedError: The filter is not used any more, or a day has no watermark.
        """
        if not self.is_trusted:
            raise FilterNotTrustedError
        return self._question(window)

    def _question(self, window: Window) -> Question:
        bound_ms = self.watermark_ms(window)
        known = self.known.within(window.first, window.last)
        # An honest answer holds some events that are known to be there. Next to nothing was seen
        # that lies between the newest ones. Of days long past the newest one that is known may be
        # old, and have months of others come along.
        newest = [at for at in known if self.known.is_among_newest(at)]
        if newest:
            bound_ms = min(bound_ms, newest[-_FEWEST_KNOWN:][0] - 1)
        elif window.purpose is not Purpose.SWEEP and any(known):
            bound_ms = min(bound_ms, known[-1] - 1)
        bound_ms = _coarse(bound_ms)
        return Question(bound_ms, frozenset(at for at in known if not at or at > bound_ms))

    def can_check(self, window: Window) -> bool:
        """Whether it would be noticed when a filtered answer of a window left out everything.

        A window of a sweep may do without: another answer of this run has been looked at.
        """
        if self._span.watermarks.lowest(window.first, window.last) is None:
            return False
        is_other_enough = self.is_verified and window.purpose is Purpose.SWEEP
        return self.is_trusted and (is_other_enough or bool(self._question(window).known))

    def check_answer(self, window: Window, question: Question, observed: Observed) -> None:
        """Look at a filtered answer.

        Raises:
            FilterNotTrustedError: It cannot be believed.
        """
        missing = question.known - observed.stamps_of(question.known)
        problem = None
        if observed.lowest_ms is not None and observed.lowest_ms <= question.bound_ms:
            problem = "its answer held events that were not asked for"
        elif missing:
            lacked, known = len(missing), len(question.known)
            problem = f"its answer lacked {lacked} of {known} events known to exist"
        if problem is None:
            with self._lock:
                self.is_verified = self.is_verified or bool(question.known)
                self.use = replace(self.use, was_relied_on=True)
            return
        with self._lock:
            self._disputed |= missing
            self._drop(problem, window)
        raise FilterNotTrustedError

    def disputed(self, window: Window) -> frozenset[int]:
        """Known events of a window's days that a filtered answer lacked: to be looked for."""
        known = self.known.within(window.first, window.last)
        with self._lock:
            return frozenset(self._disputed.intersection(known))

    def check_disputed(self, found: frozenset[int], present: datetime) -> None:
        """Take those of them that a whole answer holds: these the filter has left out."""
        # Another server of the service may not have had newer ones yet.
        newest = to_milliseconds(present - self._span.delay)
        if any(stamp <= newest for stamp in found):
            with self._lock:
                self.use = replace(self.use, has_left_out=True)

    def refuse(self, window: Window) -> None:
        """Take that the service refuses the expression."""
        with self._lock:
            self.is_worth_trying = False
            self._drop("Mixpanel refused the filter for late events", window)

    def fail(self, window: Window, cause: object) -> None:
        """Take that all tries of a filtered query have failed; other queries may be no better."""
        with self._lock:
            self.is_worth_trying = False
            # It says nothing against the proof.
            proof = self.use.proof
            self._drop(f"all tries of a query with it failed ({cause})", window)
            self.use = replace(self.use, proof=proof)

    def watermark_ms(self, window: Window) -> int:
        """The watermark of a window, the oldest of its days, in milliseconds."""
        watermark = self._span.watermarks.lowest(window.first, window.last)
        if watermark is None:  # pragma: no cover - such days are not asked for with the filter
            raise FilterNotTrustedError
        return to_milliseconds(watermark)

    def start_digest(self, window: Window, present: datetime) -> EventDigest:
        """What a day's answers are compared by."""
        return EventDigest(self.trial_ms(window), to_milliseconds(present - self._span.delay))

    def trial_ms(self, window: Window) -> int:
        """By which time of processing the filter is tried on a day: that of its watermark.

        A day that was over before its watermark has next to nothing past it: it is tried by noon.
        """
        begin, end = (
            to_milliseconds(self._span.day_start(day)) for day in (window.first, window.last + DAY)
        )
        watermark_ms = self.watermark_ms(window)
        return _coarse(watermark_ms if watermark_ms < end else (begin + end) // 2)

    def conclude(self, filtered: EventDigest, whole: EventDigest, present: datetime) -> None:
        """Take both answers of a day, and the time at the first request."""
        verdict = judge(filtered, whole)
        way = "used: it has proven itself now" if verdict.is_proven else _NOT_PROVEN
        with self._lock:
            self.is_trusted = self.is_verified = verdict.is_proven
            self.use = replace(
                self.use,
                proof=FilterProof(present, self._of) if verdict.is_proven else None,
                is_proven_now=verdict.is_proven,
                has_left_out=self.use.has_left_out or verdict.has_left_out,
            )
            self.outcome = f"{way}, {verdict.reason}"

    def proof_failed(self, cause: object) -> None:
        """Take that a day could not be asked for with the filter."""
        with self._lock:
            self.use = replace(self.use, proof=None)
            self.is_trusted = False
            self.outcome = f"not used: it could not be tried ({cause})"

    def _drop(self, problem: str, window: Window | None = None) -> None:
        if not self.is_trusted:
            return
        self.is_trusted = self.is_verified = False
        self.use = replace(self.use, proof=None)
        self.outcome = f"not used any more: {problem}"
        if window is not None:
            logger.warning("%s: the filter for late events is %s", window, self.outcome)


def _coarse(bound_ms: int) -> int:
    """A little less: a time that 32-bit floating point tells from all those past the bound."""
    return (bound_ms - _COARSE_MS // 2) // _COARSE_MS * _COARSE_MS
