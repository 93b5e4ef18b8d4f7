"""Which lines of an export pass the filters of a query."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_mixpanel_export.sandbox.query import Query


def select(lines: Iterable[bytes], query: Query) -> Iterator[bytes]:
    """Return the lines that a query wants, in the order given.

    A malformed line has no name and no properties: it passes where such an event would.
    """
    left = query.limit
    for line in lines:
        if left == 0:
            return
        if (query.names is None and query.where is None) or _passes(line, query):
            yield line
            left = None if left is None else left - 1


def _passes(line: bytes, query: Query) -> bool:
    name, properties = _decode(line)
    if query.names is not None and name not in query.names:
        return False
    if query.where is None:
        return True
    if query.time_in_ms and isinstance(properties.get("time"), int):
        properties["time"] /= 1000
    return query.where(properties)


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
