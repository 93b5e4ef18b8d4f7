"""Lines of an export that are no events."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from tap_mixpanel_export.errors import DiagnosticsError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path


class MalformedLines:
    """Counts malformed lines, and keeps them in a file when there is a place.

    Args:
        folder: Where to keep them; None to count only.
        first: First day of the window, for the file's name.
        last: Last day of the window.
    """

    def __init__(self, folder: Path | None, first: date, last: date) -> None:
        self.count = 0
        self.days = f"{first}" if first == last else f"{first} to {last}"
        # The same days get the same name, so that a repeated run leaves one file.
        self._path = None if folder is None else folder / f"malformed-{first}-{last}.jsonl"
        self._file: IO[bytes] | None = None

    def close(self) -> None:
        """Close the file.

        Raises:
            DiagnosticsError: The file cannot be written.
        """
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            # A disk may be full only when the last lines get there.
            raise self._unwritable(error) from error

    def discard(self) -> None:
        """Close the file, and remove it: the answer that the lines are from does not count."""
        if self._file is not None and self._path is not None:
            with suppress(OSError):
                # What could not be written is not wanted either.
                self._file.close()
            self._path.unlink(missing_ok=True)

    def add(self, line: bytes) -> None:
        """Count a line, and keep it.

        Raises:
            DiagnosticsError: The file cannot be written.
        """
        self.count += 1
        if self._path is None:
            return
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("wb")
            # Bytes that are not UTF-8 are kept as \udcXX, so that the file is JSON in any case.
            text = line.decode(errors="surrogateescape")
            self._file.write(json.dumps({"days": self.days, "line": text}).encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DiagnosticsError:
        return DiagnosticsError(
            f"diagnostics_dir: {self._path} cannot be written ({error.strerror})"
        )
