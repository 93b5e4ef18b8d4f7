"""The events of one project, day by day, ready to be sent."""

from __future__ import annotations

import random
import re
import threading
from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox.behaviour import Behaviour
from tap_mixpanel_export.sandbox.gzip_stream import Block

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator
    from datetime import date

    from tap_mixpanel_export.sandbox.events import Event

# Pieces of a day are about this big: small enough that days of a few hundred events come
# interleaved.
_PIECE_SIZES = (1_500, 9_000, 30_000, 70_000)
_GENERATED_TIME = re.compile(rb'("properties":\{"time":[0-9]+)')
_AS_DOCUMENTED = Behaviour()
_processed_ms = attrgetter("processed_ms")


@dataclass(frozen=True, slots=True)
class View:
    """How exports see the events.

    Attributes:
        now_ms: Time of the export, UTC milliseconds.
        time_in_ms: Whether `time` is in milliseconds.
        behaviour: When events show up, and how their lines are exported.
    """

    now_ms: int
    time_in_ms: bool = False
    behaviour: Behaviour = _AS_DOCUMENTED

    @property
    def as_documented(self) -> bool:
        """Whether lines are exported as they came in, and from their processing time on."""
        return not self.behaviour.rewrites and not self.behaviour.shows_late


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of one day in compressed form, for data sets too large to be held as events.

    Attributes:
        day: The day that all of the lines belong to.
        block: The lines with their line ends. In each, `time` is the first property, in whole
            seconds.
        processed_ms: When Mixpanel had processed each line, true UTC milliseconds.
    """

    day: date
    block: Block
    processed_ms: array[int]

    def visible(self, view: View) -> Block | None:
        """Return the lines that an export has; `None` if there are none."""
        if view.as_documented and not view.time_in_ms and max(self.processed_ms) <= view.now_ms:
            return self.block
        behaviour = view.behaviour
        data = b"".join(
            behaviour.exported(line)
            for line, processed in zip(
                self.block.data().splitlines(keepends=True), self.processed_ms, strict=True
            )
            if behaviour.visible_ms(processed, line) <= view.now_ms
        )
        if not data:
            return None
        return Block.of(_GENERATED_TIME.sub(rb"\g<1>000", data) if view.time_in_ms else data)


class _Day:
    """The events of one day, in the order in which Mixpanel processed them."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._events: list[Event] = []
        self._sorted = True
        self._ready: dict[tuple[bool, Behaviour], tuple[int, list[Block]]] = {}

    def add(self, event: Event) -> None:
        self._events.append(event)
        self._sorted = False

    def lines(self, view: View) -> list[bytes]:
        """Return the lines of single events that an export has, in order of processing."""
        behaviour = view.behaviour
        return [
            behaviour.exported(event.line(time_in_ms=view.time_in_ms))
            for event in self._visible(view)
        ]

    def blocks(self, view: View) -> list[Block]:
        """Return all that an export has, compressed."""
        key = (view.time_in_ms, view.behaviour)
        events = self._visible(view)
        # A longer list holds all of a shorter one: their number tells whether it is the same.
        count, blocks = self._ready.get(key, (-1, []))
        if count != len(events):
            blocks = list(_compress(events, view))
            self._ready[key] = (len(events), blocks)
        seen = (piece.visible(view) for piece in self.pieces)
        return blocks + [block for block in seen if block is not None]

    def _visible(self, view: View) -> list[Event]:
        if not self._sorted:
            self._events.sort(key=_processed_ms)
            self._sorted = True
            self._ready.clear()
        behaviour = view.behaviour
        last_ms = view.now_ms - behaviour.visible_after_ms
        events = self._events[: bisect_right(self._events, last_ms, key=_processed_ms)]
        if not behaviour.visible_jitter_minutes:
            return events
        return [
            event
            for event in events
            if behaviour.visible_ms(event.processed_ms, event.head + (event.tail or b""))
            <= view.now_ms
        ]


class Project:
    """All events of a project, each from its processing time on. Thread-safe."""

    def __init__(self) -> None:
        self._days: dict[date, _Day] = {}
        self._lock = threading.Lock()

    def add(self, events: Iterable[Event]) -> None:
        """Add single events."""
        with self._lock:
            for event in events:
                self._days.setdefault(event.day, _Day()).add(event)

    def add_pieces(self, pieces: Iterable[Piece]) -> None:
        """Add events in compressed form."""
        with self._lock:
            for piece in pieces:
                self._days.setdefault(piece.day, _Day()).pieces.append(piece)

    def blocks(self, first: date, last: date, view: View) -> list[Block]:
        """Return what an export of the days `first` to `last`, both inclusive, holds.

        Exports come in no useful order: the pieces of the days are mixed, and so are the events of
        a day. The same question at the same time gets the same order.

        Args:
            first: First day.
            last: Last day.
            view: When, and how.
        """
        blocks: list[Block] = []
        with self._lock:
            for day in sorted(day for day in self._days if first <= day <= last):
                blocks += self._days[day].blocks(view)
        _order(f"{first}{last}").shuffle(blocks)
        return blocks

    def lines(self, view: View) -> list[bytes]:
        """Return every line that an export of all days has, repeats included, without line ends."""
        lines: list[bytes] = []
        with self._lock:
            for _, day in sorted(self._days.items()):
                lines += day.lines(view)
                for piece in day.pieces:
                    block = piece.visible(view)
                    if block is not None:
                        lines += block.data().splitlines()
        return lines


def _compress(events: list[Event], view: View) -> Iterator[Block]:
    """Compress a day's events, shuffled, in pieces that end at any line."""
    if not events:
        return
    order = _order(events[0].day.isoformat())
    shuffled = events.copy()
    order.shuffle(shuffled)
    piece, size, limit = [], 0, order.choice(_PIECE_SIZES)
    for event in shuffled:
        line = view.behaviour.exported(event.line(time_in_ms=view.time_in_ms))
        piece.append(line)
        size += len(line)
        if size >= limit:
            yield Block.of(b"\n".join(piece) + b"\n")
            piece, size, limit = [], 0, order.choice(_PIECE_SIZES)
    if piece:
        yield Block.of(b"\n".join(piece) + b"\n")


def _order(seed: str) -> random.Random:
    # The order only has to be unhelpful and repeatable.
    return random.Random(seed)  # noqa: S311
