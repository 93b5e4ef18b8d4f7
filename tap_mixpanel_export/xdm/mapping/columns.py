"""The columns of the stream `events`, derived from a mapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tap_mixpanel_export.record_layout import ALWAYS_WRITTEN, EVENT_ID, PROPERTIES, TIMESTAMP
from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.expressions.paths import print_path
from tap_mixpanel_export.xdm.mapping.mapping_set import SourceType

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.mapping.binding import BoundLine, BoundMapping
    from tap_mixpanel_export.xdm.schema.field import XdmField

EVENT_NAME = ("event_name",)
"""The source that is the event's name, not a property: Adobe's source renames `event`."""

OWN_COLUMNS = (*ALWAYS_WRITTEN, PROPERTIES)
"""What the tap computes itself; sources of these names mean these."""

DOLLAR_PROPERTIES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("insert_id",): ("$insert_id",),
    ("import",): ("$import",),
    ("mp_api_endpoint",): ("$mp_api_endpoint",),
    ("mp_api_timestamp_ms",): ("$mp_api_timestamp_ms",),
}
"""Mixpanel's own properties that Adobe's source delivers without the `$`.

A customer's property of the plain name is none of them, and stays in `properties`.
"""

PROPERTY_KEY = "title"
"""Says in the schema of a column which property it holds, when the name does not. (The SDK keeps no
words of our own in a schema.)"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that holds one property of the event.

    Attributes:
        name: Its name. In a mapping: the source without `data.`, dots as underscores.
        source: The source's path, as the mapping set has it.
        path: Where the value is in the event's `properties`; empty for the event's name.
        field: The XDM field that gives its type.
    """

    name: str
    source: tuple[str, ...]
    path: tuple[str, ...]
    field: XdmField


def is_own_column(source: tuple[str, ...]) -> bool:
    """Whether a source is a column that the tap computes itself."""
    return len(source) == 1 and source[0] in OWN_COLUMNS


def property_path(source: tuple[str, ...]) -> tuple[str, ...]:
    """Return where a source is in the event's `properties`; empty if it is none of them."""
    if source == EVENT_NAME or is_own_column(source):
        return ()
    return DOLLAR_PROPERTIES.get(source, source)


def column_name(source: tuple[str, ...]) -> str:
    """Return the name of the column that a mapping makes of a source."""
    return "_".join(source)


def lines_with_columns(mapping: BoundMapping) -> list[BoundLine]:
    """Return the first line of each source that is a column, those of the tap itself left out."""
    lines: dict[tuple[str, ...], BoundLine] = {}
    for bound in mapping.lines:
        source = bound.line.source_path
        if bound.line.source_type is SourceType.ATTRIBUTE and not is_own_column(source):
            lines.setdefault(source, bound)
    return list(lines.values())


def derive_columns(mapping: BoundMapping) -> tuple[Column, ...]:
    """Return one column per source of the mapping's `ATTRIBUTE` lines, in their order.

    The first line of a source decides the type.

    Raises:
        MappingError: If two sources, or a source and a column of the tap, have the same name.
    """
    lines: dict[str, BoundLine] = {}
    problems: list[str] = []
    for bound in lines_with_columns(mapping):
        source = bound.line.source_path
        name = column_name(source)
        other = lines.setdefault(name, bound)
        if name in OWN_COLUMNS:
            problems.append(
                f"{bound.place}: its source {print_path(source)} would need the name of the column "
                f"{name}"
            )
        elif other is not bound:
            problems.append(
                f"{bound.place}: its source {print_path(source)} and "
                f"{print_path(other.line.source_path)} of mapping {other.line.number} would both "
                f"be the column {name}"
            )
    if problems:
        raise MappingError(problems)
    return tuple(
        Column(name, bound.line.source_path, property_path(bound.line.source_path), bound.field)
        for name, bound in lines.items()
    )


def event_schema(
    columns: tuple[Column, ...],
    *,
    properties_format: Literal["object", "string"] = "object",
    time_in_ms: bool = False,
) -> dict[str, Any]:
    """Return the JSON Schema of the stream `events`; for `time_in_ms` see `described`."""
    properties: dict[str, Any] = {
        EVENT_ID: {
            "type": "string",
            "description": "SHA-256 of event name, time, distinct_id (what it was before an "
            "identity merge) and $insert_id.",
        },
        TIMESTAMP: {
            "type": "string",
            "format": "date-time",
            "description": "When the event occurred, in UTC.",
        },
    }
    for column in columns:
        schema = column.field.json_schema(nullable=True)
        schema.pop("title", None)
        schema["description"] = described(column, time_in_ms=time_in_ms)
        if column.name != column_name(column.source):
            schema[PROPERTY_KEY] = print_path(column.source)
        properties[column.name] = schema
    properties[PROPERTIES] = (
        # Without `additionalProperties`: `true` is what holds without it, and the library that most
        # loaders check records with looks at each property to find out.
        {
            "type": "object",
            "description": "All properties of the event, as exported.",
        }
        if properties_format == "object"
        else {
            "type": "string",
            "description": "All properties of the event as exported, as JSON text.",
        }
    )
    return {
        "type": "object",
        "properties": properties,
        "required": [*ALWAYS_WRITTEN],
    }


def described(column: Column, *, time_in_ms: bool) -> str:
    """What a column holds, in words; with `time_in_ms`, `time` is in milliseconds."""
    if column.path == ("time",):
        unit = "milliseconds" if time_in_ms else "seconds"
        return f"The event's `time` as exported, in {unit}; `timestamp` is the instant."
    if column.field.description:
        return column.field.description
    if not column.path:
        return "Name of the event."
    return f"The event's property `{'.'.join(column.path)}`."
