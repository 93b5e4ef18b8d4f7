"""Mapping lines and field-group leaves proposed from the properties that events have."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.xdm.cli.payloads import field_group_payload
from tap_mixpanel_export.xdm.errors import ConversionError
from tap_mixpanel_export.xdm.expressions.parser import parse_expression
from tap_mixpanel_export.xdm.expressions.tree import Attribute
from tap_mixpanel_export.xdm.mapping.column_names import MAX_NAME_BYTES, column_key
from tap_mixpanel_export.xdm.mapping.columns import (
    DOLLAR_PROPERTIES,
    EVENT_NAME,
    OWN_COLUMNS,
    column_name,
    derive_columns,
    property_path,
)
from tap_mixpanel_export.xdm.mapping.mapping_set import SourceType, source_text
from tap_mixpanel_export.xdm.schema.convert import converter
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmField, XdmType
from tap_mixpanel_export.xdm.schema.field_group import merge_into

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_mixpanel_export.xdm.mapping.binding import BoundMapping
    from tap_mixpanel_export.xdm.mapping.mapping_set import MappingSet
    from tap_mixpanel_export.xdm.schema.documents import JsonObject
    from tap_mixpanel_export.xdm.schema.field import FieldPath

_MAX_DEPTH = 3  # Mixpanel's own limit for nested objects.
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")
_LONG = INTEGER_BOUNDS[XdmType.LONG]
_TEXT_TYPES = (XdmType.DATE_TIME, XdmType.DATE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMERIC = frozenset({XdmType.LONG, XdmType.NUMBER})


@dataclass(slots=True)
class Seen:
    """What was seen of one property.

    Attributes:
        events: How many events have it, not counting nulls.
        types: XDM types of its values, by how often.
        items: Of lists, the types of the items.
        objects: How many of the values are objects whose members are looked at on their own.
    """

    events: int = 0
    types: Counter[XdmType] = field(default_factory=Counter)
    items: Counter[XdmType] = field(default_factory=Counter)
    objects: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed line and leaf.

    Attributes:
        source: Path of the property.
        destination: Path of the new field.
        field: The new field.
        has_column: Whether the tap makes a column of it, too; one that databases would take for
            another's is filled by an expression, which makes none.
        share: Share of the events that have the property, 0 to 1.
        types: Names of the types seen, the most frequent first.
    """

    source: FieldPath
    destination: FieldPath
    field: XdmField
    has_column: bool
    share: float
    types: tuple[str, ...]


def propose(mapping: BoundMapping, events: Iterable[JsonObject]) -> tuple[int, list[Proposal]]:
    """Propose lines for the properties, decoded, of events that a mapping does not take yet.

    Returns:
        How many events were read, and the proposals, the most frequent property first.
    """
    seen: dict[FieldPath, Seen] = {}
    count = 0
    for count, properties in enumerate(events, start=1):  # noqa: B007 - the number of events
        _look(properties, (), seen)
    taken = {bound.destination for bound in mapping.lines}
    tenant = "_" + mapping.tenant_id
    proposals: list[Proposal] = []
    known = _mapped_sources(mapping)
    names = {column.name for column in derive_columns(mapping)} | set(OWN_COLUMNS)
    columns = {column_key(name) for name in names}
    for path, found in sorted(seen.items(), key=lambda item: (-item[1].events, item[0])):
        if not found.types or path in known:
            continue
        column = column_name(path)
        # `a.b` beside `a_b`, or `Id` beside `id`: the first has the column.
        fits = column_key(column) not in columns and len(column.encode()) <= MAX_NAME_BYTES
        columns.add(column_key(column))
        name = _name(path, tenant, taken, mapping.field_group.root)
        taken.add(name)
        leaf = replace(_leaf(found), title=" ".join(path))
        types = tuple(xdm_type.label for xdm_type, _ in found.types.most_common())
        proposals.append(Proposal(path, name, leaf, fits, found.events / count, types))
    return count, proposals


def extended_mapping_set(mapping: BoundMapping, proposals: Iterable[Proposal]) -> MappingSet:
    """Return the mapping set with the proposed lines at its end, in the form that it has."""
    return mapping.mapping_set.extended(
        [
            {
                **({} if proposal.has_column else {"sourceType": "EXPRESSION"}),
                "source": source_text(proposal.source),
                "destination": ".".join(proposal.destination),
                "name": proposal.destination[-1],
                "description": "Mixpanel",
            }
            for proposal in proposals
        ]
    )


def extended_field_group(mapping: BoundMapping, proposals: Iterable[Proposal]) -> JsonObject:
    """Return the registry's payload of the field group with the proposed leaves."""
    group = mapping.field_group
    leaves = {proposal.destination[-1]: proposal.field for proposal in proposals}
    properties = dict(group.root.properties)
    merge_into(properties, {"_" + mapping.tenant_id: XdmField(XdmType.OBJECT, properties=leaves)})
    return field_group_payload(replace(group, root=replace(group.root, properties=properties)))


def _look(value: JsonObject, path: FieldPath, seen: dict[FieldPath, Seen]) -> None:
    for name, member in value.items():
        where = (*path, name)
        if isinstance(member, dict) and member and name and len(where) < _MAX_DEPTH:
            seen.setdefault(where, Seen()).objects += 1
            _look(member, where, seen)
        # No path can name what has no name; it stays in `properties`.
        elif member is not None and name:
            entry = seen.setdefault(where, Seen())
            entry.events += 1
            entry.types[_type(member)] += 1
            if isinstance(member, list):
                entry.items.update(_type(item) for item in member if item is not None)


def _type(value: Any) -> XdmType:
    if isinstance(value, str):
        return _type_of_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return XdmType.LONG if _LONG[0] <= value <= _LONG[1] else XdmType.STRING
    if isinstance(value, Decimal) and not isfinite(value):
        # Too large for a number: only text takes it.
        return XdmType.STRING
    return _TYPES.get(type(value), XdmType.STRING)


def _type_of_text(value: str) -> XdmType:
    if not _DATE.match(value):
        return XdmType.STRING
    try:
        _as_date_time(value, lambda: value)
    except ConversionError:
        return XdmType.STRING
    return XdmType.DATE if _DATE.fullmatch(value) else XdmType.DATE_TIME


_TYPES = {
    bool: XdmType.BOOLEAN,
    float: XdmType.NUMBER,
    Decimal: XdmType.NUMBER,
    list: XdmType.ARRAY,
    dict: XdmType.MAP,
}
_as_date_time = converter(XdmField(XdmType.DATE_TIME))


def _leaf(found: Seen) -> XdmField:
    """Return a field that takes every value that was seen."""
    # Only text takes an object beside a value of another type: its JSON text.
    xdm_type = XdmType.STRING if found.objects else _common(found.types)
    if xdm_type is not XdmType.ARRAY:
        return XdmField(xdm_type)
    kind = _common(found.items)
    # Lists in lists and lists of objects have no one shape: their JSON text keeps them whole.
    nested = kind in {XdmType.ARRAY, XdmType.MAP}
    return XdmField(xdm_type, items=XdmField(XdmType.STRING if nested else kind))


def _common(types: Counter[XdmType]) -> XdmType:
    kinds = set(types)
    if len(kinds) == 1:
        kind = kinds.pop()
        return XdmType.STRING if kind is XdmType.MAP else kind
    if kinds and kinds <= _NUMERIC:
        return XdmType.NUMBER
    if kinds == set(_TEXT_TYPES):
        return XdmType.DATE_TIME
    return XdmType.STRING


def _mapped_sources(mapping: BoundMapping) -> set[FieldPath]:
    paths = {bound.line.source_path for bound in mapping.lines if bound.line.source_path}
    # An expression that is a path and nothing else is one of those without a column.
    for bound in mapping.lines:
        if bound.line.source_type is SourceType.EXPRESSION:
            tree = parse_expression(str(bound.line.source))
            if isinstance(tree, Attribute):
                paths.add(tree.path)
    # These names mean what the tap computes: a line could not reach a property of that name.
    own = {EVENT_NAME, *((name,) for name in OWN_COLUMNS)}
    plain = {path for path in DOLLAR_PROPERTIES if path in paths}
    return {property_path(path) for path in paths} | own | plain


def _name(path: FieldPath, tenant: str, taken: set[FieldPath], root: XdmField) -> FieldPath:
    """Return a free name: letters, digits and underscores, a letter first (rules of XDM)."""
    name = _NOT_IN_NAMES.sub("_", "_".join(path)).strip("_").lower() or "property"
    if name[0].isdigit():
        name = "property_" + name
    # Flat, they are columns, too; with room for a number.
    name = name[: MAX_NAME_BYTES - 3]
    candidate, number = name, 1
    while (tenant, candidate) in taken or root.at((tenant, candidate)) is not None:
        number += 1
        candidate = f"{name}_{number}"
    return (tenant, candidate)
