"""What an export is asked for: the query parameters, checked strictly, and which lines pass."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from tap_mixpanel_export.sandbox.http import ApiError
from tap_mixpanel_export.sandbox.where import WhereError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_mixpanel_export.sandbox.behaviour import Conduct
    from tap_mixpanel_export.sandbox.where import Predicate

_KNOWN = {"project_id", "from_date", "to_date", "event", "where", "limit", "time_in_ms"}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"[1-9][0-9]*")
_MOST_EVENTS = 100_000


@dataclass(frozen=True, slots=True)
class Query:
    """One export.

    Attributes:
        first: First day.
        last: Last day, inclusive.
        names: Only events of these names, if any are given.
        where: The `where` expression, compiled.
        limit: At most so many events.
        time_in_ms: Whether `time` is wanted in milliseconds.
    """

    first: date
    last: date
    names: frozenset[str] | None = None
    where: Predicate | None = None
    limit: int | None = None
    time_in_ms: bool = False

    @property
    def everything(self) -> bool:
        """Whether all events of the days are asked for."""
        return self.names is None and self.where is None and self.limit is None

    def select(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Return the lines that are wanted, in the order given.

        A malformed line has no name and no properties: it passes where such an event would.
        """
        is_filter = self.names is not None or self.where is not None
        return islice(filter(self._passes, lines) if is_filter else lines, self.limit)

    def _passes(self, line: bytes) -> bool:
        name, properties = _decode(line)
        if self.names is not None and name not in self.names:
            return False
        if self.where is None:
            return True
        if self.time_in_ms and isinstance(properties.get("time"), int):
            properties["time"] /= 1000
        return self.where(properties)

    @classmethod
    def read(cls, params: Mapping[str, str], today: date, conduct: Conduct) -> Query:
        """Read the parameters of a request.

        Args:
            params: The parameters, URL-decoded.
            today: Today in the project's zone: no day after it can be asked for.
            conduct: How the service behaves now.

        Raises:
            ApiError: 400, with what is wrong, or what the behaviour says.
        """
        unknown = params.keys() - _KNOWN
        if unknown:
            raise _wrong(f"Unknown parameter: {', '.join(sorted(unknown))}")
        first, last = _date(params, "from_date"), _date(params, "to_date")
        if last > today:
            raise _wrong("to_date cannot be later than today")
        if first > last:
            raise _wrong("from_date cannot be later than to_date")
        widest = conduct.behaviour.widest_days
        if widest is not None and (last - first).days >= widest:
            raise _wrong(f"The date range is too large: at most {widest} days")
        return cls(
            first,
            last,
            _names(params.get("event")),
            _where(params.get("where"), conduct),
            _limit(params.get("limit")),
            _time_in_ms(params.get("time_in_ms")),
        )


def read_date(text: str | None) -> date | None:
    """Return a date written YYYY-MM-DD; `None` if it is none."""
    # `date.fromisoformat` alone takes other ISO forms from Python 3.11 on.
    if text is None or not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _decode(line: bytes) -> tuple[str | None, dict[str, Any]]:
    try:
        decoded = orjson.loads(line)
    except orjson.JSONDecodeError:
        # orjson refuses numbers beyond floats and lone surrogates, which exports can hold.
        try:
            decoded = json.loads(line)
        except ValueError:
            return None, {}
    if not isinstance(decoded, dict):
        return None, {}
    name, properties = decoded.get("event"), decoded.get("properties")
    return (
        name if isinstance(name, str) else None,
        properties if isinstance(properties, dict) else {},
    )


def _wrong(text: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, text)


def _date(params: Mapping[str, str], name: str) -> date:
    if name not in params:
        raise _wrong(f"Missing required parameter: {name}")
    day = read_date(params[name])
    if day is None:
        raise _wrong(f"{name} must be a date of the form YYYY-MM-DD")
    return day


def _names(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    try:
        names = json.loads(text)
    except ValueError as error:
        raise _wrong("event must be a JSON array of event names") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise _wrong("event must be a JSON array of event names")
    return frozenset(names)


def _where(text: str | None, conduct: Conduct) -> Predicate | None:
    if text is None:
        return None
    try:
        return conduct.where(text)
    except WhereError as error:
        raise _wrong(f"Invalid where expression: {error}") from error


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or int(text) > _MOST_EVENTS:
        raise _wrong(f"limit must be a number from 1 to {_MOST_EVENTS}")
    return int(text)


def _time_in_ms(text: str | None) -> bool:
    if text not in {None, "true", "false"}:
        raise _wrong("time_in_ms must be true or false")
    return text == "true"
