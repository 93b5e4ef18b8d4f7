"""How the service behaves where its documentation says otherwise, or nothing."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any
from zlib import crc32

from msgspec import Meta

from tap_mixpanel_export.sandbox.given import unknown_keys, wrong_values
from tap_mixpanel_export.sandbox.where_modes import STAMP, WHERE_MODES, read_where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tap_mixpanel_export.sandbox.where import Predicate

_MINUTE_MS = 60_000
_STAMP_VALUE = re.compile(rb'"mp_processing_time_ms"[ \t]*:[ \t]*(-?[0-9]+)')
_STAMP_MEMBER = re.compile(rb',?[ \t]*"mp_processing_time_ms"[ \t]*:[ \t]*-?[0-9]+')
_USER = re.compile(rb'"distinct_id"[ \t]*:[ \t]*("(?:[^"\\]|\\.)*"|-?[0-9.eE+-]+)')
_BEFORE_MERGE = b'"$distinct_id_before_identity"'
_TURNS = (1, -1, 0)


class BehaviourError(ValueError):
    """A behaviour that can't be; the text says which and why."""


def _shifted(now: datetime, minutes: float, _turn: int) -> str:
    return _http_date(now + timedelta(minutes=minutes))


def _jumping(now: datetime, minutes: float, turn: int) -> str:
    return _http_date(now + timedelta(minutes=minutes) * _TURNS[turn % len(_TURNS)])


def _http_date(at: datetime) -> str:
    return format_datetime(at.astimezone(timezone.utc), usegmt=True)


DATE_MODES: dict[str, tuple[str, Callable[[datetime, float, int], str | None]]] = {
    "true": ("the time", lambda now, _minutes, _turn: _http_date(now)),
    "ahead": ("`date_minutes` ahead", _shifted),
    "behind": ("`date_minutes` behind", lambda now, m, turn: _shifted(now, -m, turn)),
    "jumping": ("`date_minutes` ahead, behind, and right by turns", _jumping),
    "missing": ("none", lambda _now, _minutes, _turn: None),
    "unreadable": ("no date", lambda _now, _minutes, _turn: "the day before yesterday"),
    "year_1": ("an ancient one", lambda _now, _minutes, _turn: "Mon, 01 Jan 0001 00:00:00 GMT"),
}
"""What the `Date` header says: a description, and a function of time, minutes and turn."""

STAMP_MODES: dict[str, tuple[str, Callable[[int], bytes | None]]] = {
    "milliseconds": ("whole milliseconds", lambda stamp: b"%d" % stamp),
    "text": ("milliseconds as text", lambda stamp: b'"%d"' % stamp),
    "seconds": ("whole seconds", lambda stamp: b"%d" % (stamp // 1000)),
    "float": ("milliseconds with a fraction", lambda stamp: b"%d.0" % stamp),
    "zero": ("0", lambda _stamp: b"0"),
    "null": ("null", lambda _stamp: b"null"),
    "missing": ("none", lambda _stamp: None),
}
"""How `mp_processing_time_ms` is exported: a description, and a function of the milliseconds."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the service behaves; as it stands, as documented.

    Attributes:
        where: How `where` expressions on the processing stamp are read: a key of `WHERE_MODES`.
        date: What the `Date` header says: a key of `DATE_MODES`.
        date_minutes: By how much it is off, for the modes that say so.
        stamps: How processing stamps are exported: a key of `STAMP_MODES`.
        visible_after_minutes: How long after its processing stamp an event shows up in exports.
        visible_jitter_minutes: How much longer that may be, different for each event.
        widest_days: More days than this in one query are refused (400).
        merges: Pairs of an old and a new `distinct_id`: events of the old one are exported with the
            new one, and the old one in `$distinct_id_before_identity`.

    Raises:
        BehaviourError: The behaviour can't be.
    """

    where: str = "documented"
    date: str = "true"
    date_minutes: Annotated[float, Meta(ge=0)] = 180
    stamps: str = "milliseconds"
    visible_after_minutes: Annotated[float, Meta(ge=0)] = 0
    visible_jitter_minutes: Annotated[float, Meta(ge=0)] = 0
    widest_days: Annotated[float, Meta(ge=1)] | None = None
    merges: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        modes = [
            f"{name}: one of {', '.join(known)}"
            for name, known in _MODES.items()
            if getattr(self, name) not in known
        ]
        if wrong := "; ".join([*modes, *wrong_values(self)]):
            raise BehaviourError(f"wrong value for {wrong}")

    @classmethod
    def read(cls, entries: Any) -> Behaviour:
        """Read a behaviour from a JSON object; `merges` is an object of old and new names.

        Raises:
            BehaviourError: It is none.
        """
        if not isinstance(entries, dict):
            raise BehaviourError("not an object")
        if unknown := unknown_keys(cls, entries):
            raise BehaviourError(unknown)
        merges = entries.get("merges", {})
        if not isinstance(merges, dict):
            raise BehaviourError("wrong value for merges: pairs of an old and a new distinct_id")
        return cls(**{**entries, "merges": tuple(merges.items())})

    @property
    def visible_after_ms(self) -> int:
        """How long after its processing stamp the first events show up, in milliseconds."""
        return int(self.visible_after_minutes * _MINUTE_MS)

    @property
    def shows_late(self) -> bool:
        """Whether events show up later than they are processed."""
        return bool(self.visible_after_minutes or self.visible_jitter_minutes)

    @property
    def rewrites(self) -> bool:
        """Whether lines are exported otherwise than they came in."""
        return self.stamps != "milliseconds" or bool(self.merges)

    def visible_ms(self, processed_ms: int, line: bytes) -> int:
        """Return from when on an event is exported, UTC milliseconds.

        Args:
            processed_ms: When it was processed.
            line: What tells events apart.
        """
        jitter_ms = int(self.visible_jitter_minutes * _MINUTE_MS)
        # Different for each event, and the same whenever it is asked for.
        extra = crc32(line) % (jitter_ms + 1) if jitter_ms else 0
        return processed_ms + self.visible_after_ms + extra

    def exported(self, line: bytes) -> bytes:
        """Return a line as it is exported."""
        if self.stamps != "milliseconds":
            line = self._restamped(line)
        return self._merged(line) if self.merges else line

    def _restamped(self, line: bytes) -> bytes:
        stamp = _properties(line).get(STAMP)
        found = _STAMP_VALUE.search(line)
        if not isinstance(stamp, int) or found is None:
            return line
        text = STAMP_MODES[self.stamps][1](stamp)
        if text is None:
            return _STAMP_MEMBER.sub(b"", line, count=1)
        return line[: found.start(1)] + text + line[found.end(1) :]

    def _merged(self, line: bytes) -> bytes:
        old = _properties(line).get("distinct_id")
        new = dict(self.merges).get(old) if isinstance(old, str) else None
        found = _USER.search(line)
        if new is None or found is None or json.loads(found[1]) != old:
            return line
        user = json.dumps(new, ensure_ascii=False).encode()
        # The first identity stays: later merges change the exported one only.
        if _BEFORE_MERGE not in line:
            user += b",%s:%s" % (_BEFORE_MERGE, found[1])
        return line[: found.start(1)] + user + line[found.end(1) :]


_MODES: dict[str, Mapping[str, object]] = {
    "where": WHERE_MODES,
    "date": DATE_MODES,
    "stamps": STAMP_MODES,
}


class Conduct:
    """The behaviour of one sandbox at present, and whose turn it is. Thread-safe."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._lock = Lock()
        self._turns: dict[str, Iterator[int]] = {
            name: itertools.count() for name in ("where", "date")
        }

    def date(self, now: datetime) -> str | None:
        """Return what the `Date` header of the next answer says; `None` for no header."""
        behaviour = self.behaviour
        return DATE_MODES[behaviour.date][1](now, behaviour.date_minutes, self._turn("date"))

    def where(self, expression: str) -> Predicate:
        """Compile an expression as the service reads it now.

        Raises:
            WhereError: The expression is outside the grammar.
            ApiError: The service refuses it.
        """
        turn = self._turn("where") if STAMP in expression else 0
        return read_where(expression, self.behaviour.where, turn)

    def _turn(self, what: str) -> int:
        with self._lock:
            return next(self._turns[what])


def _properties(line: bytes) -> dict[str, Any]:
    try:
        properties = json.loads(line)["properties"]
    except (ValueError, TypeError, KeyError):
        return {}
    return properties if isinstance(properties, dict) else {}
