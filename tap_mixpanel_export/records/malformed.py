"""Lines of an export that are no events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.kept_aside import KeptAside, as_text
from tap_mixpanel_export.timezones import DayRange

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from tap_mixpanel_export.records.parsing import Malformed


class MalformedLines(KeptAside):
    """Counts the malformed lines of a window, and keeps them in a file when there is a place.

    Args:
        folder: Where to keep them; None to count only.
        first: First day of the window, for the file's name.
        last: Last day of the window.
    """

    def __init__(self, folder: Path | None, first: date, last: date) -> None:
        # The same days get the same name, so that a repeated run leaves one file.
        super().__init__(None if folder is None else folder / f"malformed-{first}-{last}.jsonl")
        self.days = str(DayRange(first, last))

    def add_line(self, line: bytes, reason: Malformed) -> None:
        """Count a line, and keep it.

        Raises:
            DiagnosticsError: The file cannot be written.
        """
        self.add(reason.value, reason=reason.value, days=self.days, line=as_text(line))
