"""What every record of a dataset has to meet: required fields there, nulls and empty values not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.schema.field import XdmField


def pruned(value: Any) -> Any:
    """Return a value without nulls, empty texts, empty lists and empty objects inside of it.

    Returns:
        None if nothing is left. The platform takes neither nulls nor empty values.
    """
    if isinstance(value, dict):
        members = {name: pruned(member) for name, member in value.items()}
        value = {name: member for name, member in members.items() if member is not None}
    elif isinstance(value, list):
        value = [item for item in map(pruned, value) if item is not None]
    return None if value in ("", {}, []) else value


def requires_inside(field: XdmField) -> bool:
    """Return whether any object inside of a field has required fields of its own."""
    members = [*field.properties.values(), *([field.items] if field.items else [])]
    return any(member.required or requires_inside(member) for member in members)


def missing_field(field: XdmField, value: Any, path: tuple[str, ...] = ()) -> str | None:
    """Return the path of a required field that an object lacks, None if it lacks none.

    An object that is not there at all lacks nothing: only what is there has to be complete.
    """
    for name in field.required:
        if name not in value:
            return ".".join((*path, name))
    for name, child in value.items():
        kind = type(child)
        if kind is dict or kind is list:
            member = field.child(name)
            if member is None:
                continue
            missing = _missing_inside(member, child, (*path, name))
            if missing is not None:
                return missing
    return None


def _missing_inside(field: XdmField, value: Any, path: tuple[str, ...]) -> str | None:
    if isinstance(value, dict):
        return missing_field(field, value, path)
    if field.items is not None:
        for item in value:
            if isinstance(item, (dict, list)):
                missing = _missing_inside(field.items, item, path)
                if missing is not None:
                    return missing
    return None
