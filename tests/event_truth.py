"""What a loader must hold after a run, worked out from the sandbox's lines alone.

It follows the words of the project's documentation, not its code: plain `json`, one line at a time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Number:
    """A JSON number: 1, 1.0 and 1e0 are equal, `true` is not, and no digit is lost."""

    value: Decimal
    text: str = field(compare=False)

    @classmethod
    def of(cls, text: str) -> Number:
        return cls(Decimal(text), text)


@dataclass(frozen=True)
class Row:
    """What is compared of an event.

    Attributes:
        event_name: Name of the event.
        instant: The timestamp.
        properties: All properties, as `parse` has them.
    """

    event_name: str
    instant: datetime
    properties: dict[str, Any]


def parse(text: bytes | str) -> Any:
    """Parse JSON without loss."""
    return json.loads(text, parse_int=Number.of, parse_float=Number.of)


def instant_of(text: str) -> datetime:
    """Read an ISO 8601 time; without a zone it is taken for UTC, as targets without zones do."""
    # Python 3.10 reads neither `Z` nor `+00`.
    text = text.replace("Z", "+00:00")
    at = datetime.fromisoformat(text + ":00" if text.endswith("+00") else text)
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)


def expected_rows(lines: Iterable[bytes]) -> dict[str, Row]:
    """Say which rows the lines of a project make: of the copies of an event the latest processed.

    Args:
        lines: As `Sandbox.visible()` returns them; times are UTC.
    """
    latest: dict[str, tuple[int, Row]] = {}
    for line in lines:
        event = parse(line)
        properties = event["properties"]
        stamp = properties.get("mp_processing_time_ms")
        processed = int(stamp.text) if isinstance(stamp, Number) else -1
        key = event_id(line)
        if key not in latest or processed > latest[key][0]:
            at = datetime.fromtimestamp(int(properties["time"].text), tz=timezone.utc)
            latest[key] = (processed, Row(event["event"], at, properties))
    return {key: row for key, (_, row) in latest.items()}


def event_id(line: bytes) -> str:
    """Work out the id of an exported line."""
    event = parse(line)
    properties = event["properties"]
    insert_id = properties.get("$insert_id")
    before_merge = properties.get("$distinct_id_before_identity")
    distinct_id = properties.get("distinct_id", "") if before_merge in (None, "") else before_merge
    parts = [event["event"], properties["time"], distinct_id]
    if insert_id in (None, ""):
        border = b',"properties":'
        # In an event name the quotes would be escaped: the first one is the border.
        exported = line[line.index(border) + len(border) : -1]
        parts.append(hashlib.sha256(exported).hexdigest())
    else:
        parts.append(insert_id)
    return hashlib.sha256("|".join(map(_plain, parts)).encode()).hexdigest()


def _plain(value: Any) -> str:
    if isinstance(value, Number):
        return value.text
    return value if isinstance(value, str) else json.dumps(value)
