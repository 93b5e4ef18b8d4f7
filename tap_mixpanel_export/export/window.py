"""Pure: one piece of an export, as it travels between processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HOURLY_QUERIES = 60
"""What a project may ask for in an hour."""

WIDEST_DAYS = 30
"""Wider windows fail often."""


def usual_width(days: int) -> int:
    """How many days a window has, so that some days fit an hour of the quota where they can."""
    return max(1, min(-(-days // HOURLY_QUERIES), WIDEST_DAYS))


@dataclass(frozen=True, slots=True)
class Window:
    """Some days of an export, or a part of them: one query, as a rule.

    It holds no secret, and can be pickled or written as JSON (`to_dict`).

    Attributes:
        first: First day asked for, in the project's zone.
        last: Last day asked for, inclusive.
        start: Events before this instant do not belong to it; None when all do.
        end: Events from this instant on do not belong to it; None when all do.
        processed_after: Events that Mixpanel had processed up to then, in milliseconds since the
            epoch, do not belong to it.
        processed_until: Events that it processed later do not belong to it.
        with_unstamped: Whether events without a processing time belong to it. Of the windows that
            share a day only one has them.
    """

    first: date
    last: date
    start: datetime | None = None
    end: datetime | None = None
    processed_after: int | None = None
    processed_until: int | None = None
    with_unstamped: bool = True

    @property
    def id(self) -> str:
        """A text that no other window of the export has."""
        return "_".join("" if value is None else f"{value}" for value in self.to_dict().values())

    @property
    def days(self) -> int:
        """How many days are asked for."""
        return (self.last - self.first).days + 1

    def to_dict(self) -> dict[str, Any]:
        """The window as JSON values."""
        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "start": None if self.start is None else self.start.isoformat(),
            "end": None if self.end is None else self.end.isoformat(),
            "processed_after": self.processed_after,
            "processed_until": self.processed_until,
            "with_unstamped": self.with_unstamped,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Window:
        """The window that `to_dict` gave.

        Raises:
            ValueError: It is none.
        """
        try:
            return cls(
                first=date.fromisoformat(value["first"]),
                last=date.fromisoformat(value["last"]),
                start=_instant(value.get("start")),
                end=_instant(value.get("end")),
                processed_after=value.get("processed_after"),
                processed_until=value.get("processed_until"),
                with_unstamped=bool(value.get("with_unstamped", True)),
            )
        except (KeyError, TypeError) as error:
            raise ValueError("not a window: it lacks first or last, YYYY-MM-DD") from error


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
