"""Which of the events that were asked for occur at all."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES = re.compile(rb'"event"\s*:\s*("(?:[^"\\]|\\.)*")')

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
