"""What records of JSON text hold, as Arrow holds it: worked out from the text alone."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa


def held(text: str) -> str:
    """A text in UTF-8: U+FFFD for halves of characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def held_as(value: Any, kind: pa.DataType) -> Any:  # noqa: PLR0911 - one for each kind
    """A JSON value in a column of a type; numbers beyond a double are infinite."""
    if value is None:
        return None
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    if pa.types.is_string(kind):
        return held(value) if isinstance(value, str) else json.dumps(value)
    if pa.types.is_floating(kind):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if pa.types.is_list(kind):
        return [held_as(item, kind.value_type) for item in value]
    if pa.types.is_map(kind):
        return list({held(n): held_as(inner, kind.item_type) for n, inner in value.items()}.items())
    if pa.types.is_struct(kind):
        return {field.name: held_as(value.get(field.name), field.type) for field in kind}
    return value


def rows_of_text(records: list[dict[str, Any]], schema: pa.Schema) -> list[dict[str, Any]]:
    """Records as rows; their `properties` are text, and stay it."""
    return [
        {
            # The exact text: a number stays as it was written.
            field.name: record["properties"]
            if field.name == "properties"
            else held_as(record[field.name], field.type)
            for field in schema
        }
        for record in records
    ]


def rows_of_batches(batches: Any) -> list[dict[str, Any]]:
    """Rows of batches, their instants in UTC."""
    rows = [row for batch in batches for row in batch.to_pylist()]
    for row in rows:
        row["timestamp"] = row["timestamp"].astimezone(timezone.utc)
    return rows
