"""The stock SDK stream map of a mapping set, for `meltano-map-transform` and targets' own maps.

It gives the mapped fields and nothing else, flat, typed as far as stream maps can. Their rules
(singer-sdk 0.54): a bare name keeps type, format and bounds; any other expression is typed by the
function it begins with, else as a string.
"""

from __future__ import annotations

import json
import keyword
import sys
import unicodedata
from typing import TYPE_CHECKING

from tap_mixpanel_export.record_layout import EVENT_ID
from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.mapping.columns import column_name, derive_columns
from tap_mixpanel_export.xdm.mapping.mapping_set import SourceType
from tap_mixpanel_export.xdm.schema.experience_event import BASE_FIELDS
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmField, XdmType

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.mapping.binding import BoundLine, BoundMapping

STREAM = "events"

# Names that an expression has for something else than the record's column.
_SHADOWED = frozenset(
    {"_", "record", "config", "fake", "__stream_name__", "__original_stream_name__"}
)
_CASTS = {
    XdmType.BOOLEAN: "bool",
    XdmType.NUMBER: "float",
    **dict.fromkeys(INTEGER_BOUNDS, "int"),
}
_NESTED = frozenset({XdmType.ARRAY, XdmType.OBJECT, XdmType.MAP})


def stream_map(mapping: BoundMapping) -> dict[str, object]:
    """Return the stream map of the stream `events`.

    Args:
        mapping: A checked mapping. Lines that fill fields of the ExperienceEvent class are left
            out: those are for the platform. So are `EXPRESSION` lines, see `skipped_lines`.

    Raises:
        MappingError: If two lines would have the same name, or a nested value cannot be passed.
    """
    columns = {column.source: column.name for column in derive_columns(mapping)}
    entries: dict[str, object] = {}
    problems: list[str] = []
    for bound in mapping.lines:
        if bound.destination[0] in BASE_FIELDS or bound.expression is not None:
            continue
        # The path inside of the tenant's object.
        in_tenant = len(bound.destination) > 1 and bound.destination[0].startswith("_")
        name = "_".join(bound.destination[in_tenant:])
        if name in entries:
            problems.append(f"{bound.place}: another line gives a field named {name}, too")
        elif bound.line.source_type is SourceType.STATIC:
            entries[name] = _literal(bound.static)
        else:
            source = bound.line.source_path
            column = columns.get(source, column_name(source))
            expression = _expression(column, bound.field)
            if expression is None:
                problems.append(
                    f"{bound.place}: a stream map cannot pass a {bound.field.label} on under the "
                    f"name {column!r}, which is none in Python; use map-mixpanel-xdm"
                )
            else:
                entries[name] = expression
    if problems:
        raise MappingError(problems)
    # The key is not among the mapped fields; without this the SDK would insist on keeping it.
    entries["__key_properties__"] = [name for name in (EVENT_ID,) if entries.get(name) == EVENT_ID]
    # A null here would be dropped by Meltano on its way to the mapper.
    entries["__else__"] = "__NULL__"
    return {STREAM: entries}


def skipped_lines(mapping: BoundMapping) -> list[BoundLine]:
    """Return the lines that only `map-mixpanel-xdm` can compute: expressions."""
    return [bound for bound in mapping.lines if bound.expression is not None]


def to_yaml(maps: dict[str, object]) -> str:
    """Return YAML text of stream maps, as it stands in `meltano.yml` under a mapping's `config`."""
    # One command of one program needs it.
    import yaml  # noqa: PLC0415 - see above

    document = {"stream_maps": maps}
    visible = json.dumps(document, ensure_ascii=False).isprintable()
    # What a terminal would act on is escaped, and all that is not ASCII with it.
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=visible, width=sys.maxsize)


def _expression(column: str, field: XdmField) -> str | None:
    """Return the expression that passes a column on, None if there is none that keeps its type."""
    # Python reads identifiers in their compatibility form; a name that changes is not found.
    is_name = (
        column.isidentifier()
        and not keyword.iskeyword(column)
        and column not in _SHADOWED
        and unicodedata.normalize("NFKC", column) == column
    )
    if is_name:
        return column
    if field.type in _NESTED:
        return None
    item = f"_[{column!r}]"
    cast = _CASTS.get(field.type)
    # The SDK takes the type from the first characters; a null must not become False or 0.
    return item if cast is None else f"{cast}({item}) if {item} is not None else None"


def _literal(value: object) -> str:
    if isinstance(value, str):
        # Only a text between single quotes is typed as one.
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
    # A static value is a scalar; the name of its type is the function that types the expression.
    return f"{type(value).__name__}({value!r})"
