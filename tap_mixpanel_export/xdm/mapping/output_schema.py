"""The JSON Schema of mapped records: the part of the target that a mapping fills."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.xdm.schema.field import XdmField, XdmType

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.mapping.binding import BoundMapping


def output_schema(mapping: BoundMapping) -> dict[str, Any]:
    """Return the closed JSON Schema of the records that a mapping makes.

    Fields of the target that no line fills are left out: loaders make a column of each. Required
    ones stay required, so that nothing passes for complete that is not.
    """
    paths = [bound.destination for bound in mapping.lines]
    return _filled(mapping.field_group.root, paths).json_schema()


def _filled(field: XdmField, paths: list[tuple[str, ...]]) -> XdmField:
    """Return a field with only those members that the paths lead to."""
    if field.type is not XdmType.OBJECT or () in paths:
        return field
    members: dict[str, list[tuple[str, ...]]] = {}
    for name, *rest in paths:
        members.setdefault(name, []).append(tuple(rest))
    properties = {name: _filled(field.properties[name], below) for name, below in members.items()}
    properties |= {
        name: field.properties[name] for name in sorted(field.required) if name not in properties
    }
    return replace(field, properties=MappingProxyType(properties))
