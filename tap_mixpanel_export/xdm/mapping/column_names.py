"""Names of columns as databases see them.

DuckDB and others tell no cases apart, and PostgreSQL cuts names at 63 bytes: two columns that are
one there end the loader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.mapping.columns import OWN_COLUMNS, column_name, lines_with_columns

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.mapping.binding import BoundMapping

MAX_NAME_BYTES = 63
"""What PostgreSQL keeps of a name."""


def column_key(name: str) -> str:
    """Return what is left of a name in databases; two columns must not share it."""
    return name.encode()[:MAX_NAME_BYTES].decode(errors="ignore").casefold()


def column_problems(mapping: BoundMapping, *, with_long_names: bool = True) -> list[str]:
    """Return what databases would not take of the columns that a mapping makes, one sentence each.

    With long names: also those that are cut somewhere, and still differ from others.
    """
    taken = {column_key(name): (name, "the tap itself") for name in OWN_COLUMNS}
    problems: list[str] = []
    for bound in lines_with_columns(mapping):
        name = column_name(bound.line.source_path)
        other, of = taken.setdefault(column_key(name), (name, f"mapping {bound.line.number}"))
        if other != name:
            problems.append(
                f"{bound.place}: its column {name!r} and {other!r} of {of} are one in databases, "
                f"which see no case and no more than {MAX_NAME_BYTES} bytes. {_ADVICE}"
            )
        elif with_long_names and len(name.encode()) > MAX_NAME_BYTES:
            problems.append(
                f"{bound.place}: its column {name!r} is longer than {MAX_NAME_BYTES} bytes, and "
                f"cut in PostgreSQL. {_ADVICE}"
            )
    return problems


_ADVICE = 'With "sourceType": "EXPRESSION" the same source fills its field and makes no column.'
