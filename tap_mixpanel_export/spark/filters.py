"""Pure: what Spark's filters say of the days and the names of the events that are wanted.

Spark applies all of them once more: what is not understood here costs bytes, no truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Wanted:
    """What filters leave.

    Attributes:
        since: No event before it is wanted; None when the filters do not say.
        until: No event after it is wanted.
        names: Only events of these names are wanted; None when the filters do not say.
    """

    since: datetime | None = None
    until: datetime | None = None
    names: frozenset[str] | None = None


def wanted(filters: Iterable[Any]) -> Wanted:
    """What all of some filters together leave.

    Args:
        filters: Spark's, told by the names of their classes: `EqualTo(("timestamp",), …)`.
    """
    found = Wanted()
    for one in filters:
        kind, path = type(one).__name__, getattr(one, "attribute", None)
        if path == ("timestamp",):
            found = _narrowed(found, kind, one.value if hasattr(one, "value") else None)
        elif path == ("event_name",) and kind in {"EqualTo", "EqualNullSafe", "In"}:
            names = one.value if kind == "In" else (one.value,)
            # A blank name is no setting that the export takes.
            if all(isinstance(name, str) and name.strip() for name in names):
                before = found.names
                both = frozenset(names) if before is None else before.intersection(names)
                found = Wanted(found.since, found.until, both)
    return found


def _narrowed(found: Wanted, kind: str, value: Any) -> Wanted:
    if not isinstance(value, datetime) or value.tzinfo is None:
        return found
    since, until = found.since, found.until
    if kind in {"GreaterThan", "GreaterThanOrEqual", "EqualTo", "EqualNullSafe"}:
        since = value if since is None else max(since, value)
    if kind in {"LessThan", "LessThanOrEqual", "EqualTo", "EqualNullSafe"}:
        until = value if until is None else min(until, value)
    return Wanted(since, until, found.names)
