"""What every record of a dataset has to meet: required fields there, nulls and empty values not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.schema.field import XdmField

_NESTED = frozenset({dict, list})


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
    """Return the path of the first required field that is missing in a value, None if none is.

    An object that is not there at all lacks nothing: only what is there has to be complete.
    """
    if isinstance(value, dict):
        for name in sorted(field.required):
            if name not in value:
                return ".".join((*path, name))
        parts = [(field.child(n), v, (*path, n)) for n, v in value.items() if type(v) in _NESTED]
    else:
        parts = [(field.item, v, path) for v in value if type(v) in _NESTED]
    found = (missing_field(member, part, at) for member, part, at in parts if member is not None)
    return next((missing for missing in found if missing is not None), None)
