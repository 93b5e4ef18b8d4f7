"""What scenarios give, held against the declarations of the dataclasses that it is for."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


def wrong_values(given: object) -> Iterator[str]:
    """Say what is wrong with the members of an object, each with its name."""
    for name, declared in get_type_hints(type(given), include_extras=True).items():
        try:
            msgspec.convert(getattr(given, name), declared)
        except msgspec.ValidationError as error:
            yield f"{name}: {error}"


def unknown_keys(kind: type, entries: Any) -> str | None:
    """Name the entries of a JSON object that are no members of a dataclass, if there are any."""
    unknown = entries.keys() - {field.name for field in fields(kind)}
    return f"unknown key {', '.join(sorted(unknown))}" if unknown else None
