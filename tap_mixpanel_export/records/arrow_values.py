"""Pure: Arrow types of columns, and values as Arrow takes them; needs the extra `arrow`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from msgspec import Raw

from tap_mixpanel_export.record_layout import EVENT_ID, PROPERTIES, TIMESTAMP
from tap_mixpanel_export.records.parsing import ABSENT
from tap_mixpanel_export.xdm.mapping.columns import described
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmField, XdmType
from tap_mixpanel_export.xdm.surrogates import replaced_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tap_mixpanel_export.xdm.mapping.columns import Column

_NUMBER_TYPES = {
    **dict.fromkeys(INTEGER_BOUNDS, pa.int64()),
    XdmType.NUMBER: pa.float64(),
    XdmType.BOOLEAN: pa.bool_(),
}
_QUOTE = ord('"')
# All that an object without fields can be.
_EMPTY_OBJECT = "{}"

INSTANT = pa.timestamp("us", "UTC")
_INSTANT_TEXT = "When the event occurred, in UTC, microseconds since 1970."
_PROPERTIES_TEXT = "All properties of the event as exported, as JSON text."
_SCHEMA_TEXT = (
    "Raw Mixpanel events. timestamp: in UTC, microseconds since 1970; properties: JSON text; rows "
    "are in no order."
)


def arrow_schema(
    columns: Iterable[Column], *, properties: bool = True, time_in_ms: bool = False
) -> pa.Schema:
    """The Arrow schema of records, which says zones and units; Parquet files keep it.

    Args:
        columns: The mapped columns.
        properties: Whether there is a column `properties`, JSON text.
        time_in_ms: Whether `time` is in milliseconds.
    """
    mapped = [
        _field(c.name, arrow_type(c.field), described(c, time_in_ms=time_in_ms)) for c in columns
    ]
    text = _field(PROPERTIES, pa.string(), _PROPERTIES_TEXT, nullable=False)
    return pa.schema(
        [
            _field(EVENT_ID, pa.string(), "Key of the event, SHA-256 in hex.", nullable=False),
            _field(TIMESTAMP, INSTANT, _INSTANT_TEXT, nullable=False),
            *mapped,
            *([text] if properties else []),
        ],
        metadata={"description": _SCHEMA_TEXT},
    )


def _field(name: str, kind: pa.DataType, text: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": text})


def arrow_type(field: XdmField) -> pa.DataType:
    """The Arrow type of an XDM field.

    Dates and date-times are text, as they are in JSON; so is an object without fields, because
    Parquet has no such struct.
    """
    if field.type is XdmType.ARRAY:
        return pa.list_(arrow_type(field.item))
    if field.type is XdmType.MAP:
        return pa.map_(pa.string(), arrow_type(field.item))
    if field.type is XdmType.OBJECT and field.properties:
        return pa.struct(
            [pa.field(name, arrow_type(child)) for name, child in field.properties.items()]
        )
    return _NUMBER_TYPES.get(field.type, pa.string())


def array_maker(
    field: XdmField, project: Callable[[bytes], bytes] | None
) -> Callable[[Sequence[Any]], pa.Array]:
    """What makes an array of a column's values: Python's, or JSON text as `msgspec.Raw`.

    Args:
        field: The column's type.
        project: Gives the part of the JSON text that is written; None when all of it is.
    """
    kind = arrow_type(field)
    read = _reader(field, project)

    def make(values: Sequence[Any]) -> pa.Array:
        try:
            return pa.array(values, kind)
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            # JSON text, which no type takes; most columns have none.
            return pa.array(
                [
                    None if value is ABSENT else read(bytes(value)) if type(value) is Raw else value
                    for value in values
                ],
                kind,
            )

    return make


def _reader(field: XdmField, project: Callable[[bytes], bytes] | None) -> Callable[[bytes], Any]:
    """What reads a column's JSON text as Arrow can hold it."""
    if field.type is XdmType.NUMBER:
        # Beyond a double it is infinite.
        return float
    if field.type is not XdmType.OBJECT and pa.types.is_string(arrow_type(field)):
        return _read_text
    shape = _shaper(field)
    if project is not None:
        return lambda text: shape(json.loads(project(text)))
    return lambda text: shape(json.loads(text))


def _read_text(text: bytes) -> Any:
    if text[0] == _QUOTE and b"\\" not in text:
        return text[1:-1].decode()
    return replaced_surrogates(json.loads(text))


def _shaper(field: XdmField) -> Callable[[Any], Any]:
    """What gives a JSON value the form in which Arrow takes it; null stays None."""
    shape = _present_shaper(field)
    return lambda value: None if value is None else shape(value)


def _present_shaper(field: XdmField) -> Callable[[Any], Any]:
    if field.type is XdmType.NUMBER:
        # Arrow refuses 1 for 1.0.
        return _as_double
    if field.type is XdmType.ARRAY:
        shape_item = _shaper(field.item)
        return lambda items: list(map(shape_item, items))
    if field.type is XdmType.MAP:
        shape_member = _shaper(field.item)
        return lambda members: [(name, shape_member(value)) for name, value in members.items()]
    if field.type is XdmType.OBJECT:
        return _object_shaper(field)
    # Also texts: no converter lets halves of characters into a list or an object.
    return lambda value: value


def _object_shaper(field: XdmField) -> Callable[[Any], Any]:
    shapers = {name: _shaper(child) for name, child in field.properties.items()}
    if not shapers:
        return lambda _: _EMPTY_OBJECT
    return lambda members: {name: shape(members.get(name)) for name, shape in shapers.items()}


def _as_double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
