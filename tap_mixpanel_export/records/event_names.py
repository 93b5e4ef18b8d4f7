"""Which of the events that were asked for occur at all."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES = re.compile(rb'"event"\s*:\s*("(?:[^"\\]|\\.)*")')

_MOST_TOLD = 20

# Spellings that are remembered, so that none is read twice; names that were not asked for come only
# from a service that does not filter, or from properties that are called `event`, too.
_MOST_SPELLINGS = 1000


class EventNames:
    """The named events of a run that were not seen yet. Thread-safe.

    A name with the wrong case, or with a blank too many, brings an export without events and
    without an error.

    Args:
        names: Those that were asked for.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._unseen = set(names)
        self._spellings: set[bytes] = set()

    def __reduce__(self) -> tuple[type[EventNames], tuple[list[str]]]:
        # For a worker process, which tells what is left of them.
        return EventNames, (self.unseen,)

    def keep(self, unseen: Iterable[str]) -> None:
        """Take which of the names somebody else has not seen either."""
        self._unseen.intersection_update(unseen)

    def look(self, block: bytes) -> None:
        """Take some lines of a response. When all names were seen, this costs nothing."""
        if not self._unseen:
            return
        for spelling in set(_NAMES.findall(block)) - self._spellings:
            if len(self._spellings) < _MOST_SPELLINGS:
                self._spellings.add(spelling)
            try:
                self._unseen.discard(json.loads(spelling))
            except ValueError:
                # A line that is no event.
                continue

    @property
    def unseen(self) -> list[str]:
        """Names that did not occur, in order."""
        return sorted(self._unseen)

    def warning(self) -> str | None:
        """What to say at the end of a run; None when all names occurred."""
        unseen = self.unseen
        if not unseen:
            return None
        told = ", ".join(f'"{printable(name)}"' for name in unseen[:_MOST_TOLD])
        more = f" and {len(unseen) - _MOST_TOLD} more" if len(unseen) > _MOST_TOLD else ""
        return (
            f"event_names: no event of these days has the name {told}{more}; a wrong case or a "
            "blank is the usual cause"
        )
