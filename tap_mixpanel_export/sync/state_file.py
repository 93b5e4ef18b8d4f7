"""Pure: a bookmark as the stream's entry in the state's `bookmarks`, and back."""

from __future__ import annotations

from datetime import date, datetime, timezone, tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

from tap_mixpanel_export.errors import StateError
from tap_mixpanel_export.record_layout import TIMESTAMP
from tap_mixpanel_export.sync.known_stamps import KnownStamps
from tap_mixpanel_export.sync.watermarks import Watermarks
from tap_mixpanel_export.sync.windows import Bookmark, Certain, FilterProof
from tap_mixpanel_export.timezones import EPOCH, day_of, load_zone, start_of_day, to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

REPLICATION_KEY = TIMESTAMP

_Value = TypeVar("_Value")

# They are needed when the filter for late events has lied, and then what is older comes again.
_CERTAIN_MARKS = 8

# Sums with later times would leave the calendar.
_LAST_YEAR = 9000
_LAST_MS = to_milliseconds(datetime(_LAST_YEAR, 1, 1, tzinfo=timezone.utc))


def read_bookmark(state: Mapping[str, Any], zone: tzinfo = timezone.utc) -> Bookmark | None:
    """The bookmark of a stream's state.

    A state without a watermark (of another tap) is taken, too: then everything within the look-back
    is written again.

    Args:
        state: The stream's entry in the state's `bookmarks`.
        zone: The project's zone.

    Raises:
        StateError: A value is not what it should be, or lies in the future of every clock.
    """
    value = state.get("replication_key_value")
    if value is None or state.get("replication_key", REPLICATION_KEY) != REPLICATION_KEY:
        return None
    processed = state.get("processed_before")
    begun = state.get("exported_from")
    written_in = _zone(state.get("zone"))
    days_zone = zone if written_in is None else written_in
    return Bookmark(
        done=_instant("replication_key_value", value),
        processed_before=None if processed is None else _instant("processed_before", processed),
        exported_from=None if begun is None else _begun(begun, days_zone),
        watermarks=_watermarks(state.get("watermarks")),
        filter_proof=_if_readable(_proof, state.get("filter_proof")),
        known=_if_readable(_known, state.get("known_stamps")) or KnownStamps(),
        zone=None if zone_name(days_zone) == zone_name(zone) else days_zone,
        selection=state.get("selection") if isinstance(state.get("selection"), str) else None,
        certain=_if_readable(_certain, state.get("certain")),
        lookback_from=_if_readable(_lookback_from, state.get("lookback_from")),
    )


def write_bookmark(state: dict[str, Any], bookmark: Bookmark, zone: tzinfo = timezone.utc) -> None:
    """Put a bookmark into a stream's state.

    Args:
        state: The stream's entry in the state's `bookmarks`.
        bookmark: What it is to say.
        zone: The project's zone, in which days were cut.
    """
    begun = bookmark.exported_from
    if begun is not None:
        day = day_of(begun, zone)
        begun_text = (day if start_of_day(day, zone) == begun else begun).isoformat()
    proof = bookmark.filter_proof
    marks = bookmark.watermarks.compacted().marks
    certain, lookback_from = bookmark.certain, bookmark.lookback_from
    members = {
        "replication_key": REPLICATION_KEY,
        "replication_key_value": bookmark.done.isoformat(),
        "processed_before": bookmark.processed_before and bookmark.processed_before.isoformat(),
        "exported_from": begun and begun_text,
        # One watermark is said by `processed_before` already.
        "watermarks": _texts(marks) if len(marks) > 1 else None,
        "certain": certain
        and {
            "lookback_from": certain.first_day.isoformat(),
            "watermarks": _texts(certain.watermarks.compacted(_CERTAIN_MARKS).marks),
        },
        "lookback_from": lookback_from and lookback_from.isoformat(),
        "filter_proof": proof
        and {
            "at": proof.at.isoformat(),
            "of": proof.of,
            **({} if proof.days is None else {"days": proof.days}),
        },
        "known_stamps": [[day.isoformat(), stamp] for day, stamp in bookmark.known.entries] or None,
        "zone": zone_name(zone),
        "selection": bookmark.selection,
    }
    for name, value in members.items():
        if value is None:
            state.pop(name, None)
        else:
            state[name] = value


def zone_name(zone: tzinfo) -> str | None:
    """The name of a project's zone; None for UTC, which needs no setting."""
    name = getattr(zone, "key", None) or getattr(zone, "name", None)
    return None if zone is timezone.utc or name in {None, "UTC"} else str(name)


def _zone(name: object) -> tzinfo | None:
    if not isinstance(name, str):
        return None
    try:
        return load_zone(name)
    except ValueError:
        # That of another machine's table; days are then those of the project's zone now.
        return None


def _instant(name: str, value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        _check_year(name, instant.year, value)
        aware = instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
        # No event is older.
        return max(aware.astimezone(timezone.utc), EPOCH)
    except (ValueError, OverflowError) as error:
        raise StateError(
            f"state: {name} of the stream events is not a date-time such as "
            "2026-11-22T14:03:11+00:00; mend it, or start without a state"
        ) from error


def _check_year(name: str, year: int, value: object) -> None:
    if year > _LAST_YEAR:
        raise StateError(
            f"state: {name} of the stream events is ahead of every clock ({value}); mend it, "
            "or start without a state"
        )


def _day(name: str, value: object) -> date:
    """A day, not so early that the one before it were no date.

    Raises:
        ValueError: It is none.
        StateError: It is ahead of every clock.
    """
    day = date.fromisoformat(str(value))
    _check_year(name, day.year, value)
    return max(day, EPOCH.date())


def _begun(value: object, zone: tzinfo) -> datetime:
    try:
        return max(start_of_day(_day("exported_from", value), zone), EPOCH)
    except ValueError:
        return _instant("exported_from", value)


def _watermarks(value: Any) -> Watermarks:
    if value is None:
        return Watermarks()
    try:
        marks = {_day("watermarks", day): _instant("watermarks", at) for day, at in value}
    except (ValueError, TypeError) as error:
        raise StateError(
            "state: watermarks of the stream events is not a list of days and date-times; mend "
            "it, or start without a state"
        ) from error
    return Watermarks(tuple(sorted(marks.items())))


def _texts(marks: Iterable[tuple[date, datetime]]) -> list[list[str]]:
    return [[day.isoformat(), at.isoformat()] for day, at in marks]


def _if_readable(read: Callable[[Any], _Value], value: object) -> _Value | None:
    """What a run can do without: a value that is missing, or cannot be read, is none."""
    try:
        return read(value)
    except (StateError, ValueError, TypeError, KeyError):
        return None


def _lookback_from(value: object) -> date:
    """Without it the look-back is as long as the settings say."""
    return _day("lookback_from", value)


def _certain(value: Any) -> Certain | None:
    """Without it nothing is told apart."""
    first, marks = _day("certain", value["lookback_from"]), _watermarks(value["watermarks"])
    return Certain(first, marks) if marks.marks else None


def _proof(value: Any) -> FilterProof:
    """Without it the filter proves itself anew."""
    at, days = _instant("filter_proof", value["at"]), value.get("days")
    is_width = isinstance(days, int) and days >= 1
    return FilterProof(at, str(value["of"]), days if is_width else None)


def _known(value: Any) -> KnownStamps:
    """Without them filtered answers are checked by what this run sees."""
    entries = {(_day("known_stamps", day), int(stamp)) for day, stamp in value}
    is_usable = all(0 <= stamp < _LAST_MS for _, stamp in entries)
    return KnownStamps().with_seen(entries) if is_usable else KnownStamps()
