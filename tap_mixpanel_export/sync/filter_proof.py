"""Pure: whether the service's filter for late events leaves out anything."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_mixpanel_export.api.line_digest import line_hash
from tap_mixpanel_export.records.lines import whole_lines
from tap_mixpanel_export.records.parsing import NotAnEventError, event_decoder
from tap_mixpanel_export.records.records import read_processed

if TYPE_CHECKING:
    from collections.abc import Sequence

_decode = event_decoder(("mp_processing_time_ms",))


def fingerprint(*parts: object) -> str:
    """A short text that differs when one of the parts does."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(slots=True)
class EventDigest:
    """What is compared of two answers: memory stays the same, however many events they have.

    Attributes:
        watermark_ms: Events that were processed up to then are not asked for by the filter.
        until_ms: Events that were processed later may be in one answer and not yet in the other.
        past: How many events were processed between the two.
        unstamped: How many do not say when they were processed.
        others: How many were processed up to the watermark.
        total: Sum of the hashes of those between the two and of those that do not say.
        is_readable: Whether each line was an event.
    """

    watermark_ms: int
    until_ms: int
    past: int = 0
    unstamped: int = 0
    others: int = 0
    total: int = field(default=0, repr=False)
    is_readable: bool = True

    def add(self, other: EventDigest) -> None:
        """Take what another one of the same bounds has of the same answer."""
        self.past += other.past
        self.unstamped += other.unstamped
        self.others += other.others
        self.total += other.total
        self.is_readable = self.is_readable and other.is_readable

    def take(self, block: bytes) -> None:
        """Take some whole lines; the last one may lack its end."""
        for line in whole_lines(block):
            if line.strip():
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            stamp = read_processed(bytes(_decode(line).values[0]))
        except NotAnEventError:
            # An event that is broken over two lines, say.
            self.is_readable = False
            return
        if stamp is None:
            self.unstamped += 1
        elif stamp <= self.watermark_ms:
            self.others += 1
            return
        elif stamp <= self.until_ms:
            self.past += 1
        else:
            return
        self.total += line_hash(line)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the two answers of a day tell about the filter.

    Attributes:
        reason: On what the proof rests, or why there is none.
        is_proven: Whether it leaves out nothing.
        has_left_out: Whether it left out events that it should have given.
    """

    reason: str
    is_proven: bool = False
    has_left_out: bool = False


def judge(filtered: EventDigest, whole: EventDigest) -> Verdict:
    """Compare the filtered answer of a day with the whole one, which was asked for after it."""
    if not (filtered.is_readable and whole.is_readable):
        return Verdict("inconclusive: an answer had lines that are no events")
    if filtered.others:
        return Verdict(f"it let {filtered.others} events pass that it should not")
    compared: Sequence[tuple[int, int, str]] = (
        (filtered.past, whole.past, "processed past the watermark"),
        (filtered.unstamped, whole.unstamped, "without a processing time"),
    )
    for found, there, what in compared:
        if found != there:
            reason = f"it gave {found} of {there} events {what}"
            return Verdict(reason, has_left_out=found < there)
    if filtered.total != whole.total:
        return Verdict("it gave other events than the whole day has", has_left_out=True)
    if not whole.past or not whole.others:
        return Verdict("inconclusive: the day has no events on both sides of the watermark")
    count = whole.past + whole.unstamped
    return Verdict(f"it gave all {count} late events of the day", is_proven=True)
