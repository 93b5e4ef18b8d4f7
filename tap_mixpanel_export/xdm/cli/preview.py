"""What a mapping makes of the first events: schema and records, before anything is loaded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from tap_mixpanel_export.errors import printable
from tap_mixpanel_export.xdm.mapper.plan import RecordPlan
from tap_mixpanel_export.xdm.mapping.mapping_set import SourceType
from tap_mixpanel_export.xdm.mapping.output_schema import output_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_mixpanel_export.xdm.cli.event_source import EventRecord
    from tap_mixpanel_export.xdm.mapping.binding import BoundLine, BoundMapping

# A whole expression, a long list.
_CELL_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class Preview:
    """The first records of a mapping.

    Attributes:
        schema: JSON Schema of the records.
        records: The mapped records.
        rejected: How many records would be rejected, by what is wrong with them.
        unconverted: Values that did not fit, by destination.
    """

    schema: dict[str, Any]
    records: list[dict[str, Any]]
    rejected: Counter[str]
    unconverted: Counter[str]


def preview(mapping: BoundMapping, events: Iterator[EventRecord], limit: int = 10) -> Preview:
    """Map the first events by a mapping that fills the required fields."""
    result = Preview(output_schema(mapping), [], Counter(), Counter())
    plan: RecordPlan | None = None
    columns: frozenset[str] = frozenset()
    for event in events:
        if plan is None or event.columns != columns:
            columns = event.columns
            plan = RecordPlan(mapping, columns, result.unconverted)
        record, rejection = plan.map(event.text)
        if rejection is None:
            result.records.append(record)
        else:
            result.rejected[rejection.problem] += 1
        if len(result.records) + result.rejected.total() >= limit:
            break
    return result


def schema_table(mapping: BoundMapping) -> Table:
    """Return a table of the mapped fields."""
    table = Table("Field", "Type", "Required", "Source", title="Schema")
    required = mapping.field_group.root.required
    for bound in mapping.lines:
        table.add_row(
            Text(printable(bound.name), overflow="fold"),
            bound.field.label,
            "yes" if bound.name in required else "",
            Text(printable(_source(bound), _CELL_CHARACTERS), overflow="fold"),
        )
    return table


def records_table(mapping: BoundMapping, records: list[dict[str, Any]]) -> Table:
    """Return a table with one row per record and one column per field that any of them has."""
    fields = [
        bound.destination
        for bound in mapping.lines
        if any(_at(record, bound.destination) is not None for record in records)
    ]
    table = Table(title=f"First {len(records)} records")
    for path in fields:
        table.add_column(Text(printable(path[-1])), overflow="ellipsis", no_wrap=True)
    for record in records:
        table.add_row(*(_cell(_at(record, path)) for path in fields))
    return table


def records_list(mapping: BoundMapping, records: list[dict[str, Any]]) -> Table:
    """Return the records below each other, one row per field: for terminals that are narrow."""
    table = Table(title=f"First {len(records)} records")
    table.add_column("Field", overflow="fold")
    table.add_column("Value", overflow="fold")
    for record in records:
        for bound in mapping.lines:
            value = _at(record, bound.destination)
            if value is not None:
                table.add_row(Text(printable(bound.name)), _cell(value))
        table.add_section()
    return table


def _source(bound: BoundLine) -> str:
    text = str(bound.line.source)
    return text if bound.line.source_type is SourceType.ATTRIBUTE else f"= {text}"


def _at(record: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = record
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _cell(value: object) -> Text:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    # Not a plain text, whose brackets would be taken for styles.
    return Text("" if value is None else printable(text, _CELL_CHARACTERS))
