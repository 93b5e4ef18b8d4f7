"""What a run leaves out and keeps for people: malformed lines, rejected records.

A file of JSON Lines in `diagnostics_dir`, which its owner alone may read: it holds events in clear.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Raw

from tap_mixpanel_export.errors import DiagnosticsError
from tap_mixpanel_export.json_text import encode_members
from tap_mixpanel_export.private_files import make_private_folder, open_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class KeptAside:
    """Things left out: counted by reason, and kept in a file when there is a place.

    Args:
        path: The file, which is made, its folder included, when there is something to keep; it
            takes the place of an older one. None to count only.

    Attributes:
        path: The same.
        reasons: How many were left out, by the reason why.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.reasons: Counter[str] = Counter()
        self._file: BinaryIO | None = None

    @property
    def count(self) -> int:
        """How many were left out."""
        return sum(self.reasons.values())

    def add(self, reason: str, /, **row: str | Raw | None) -> None:
        """Count a thing, and keep it.

        Args:
            reason: Why it is left out, in words that hold nothing of it.
            **row: What is kept of it, by name; `Raw` is JSON text.

        Raises:
            DiagnosticsError: The file cannot be written.
        """
        self.reasons[reason] += 1
        if self.path is None:
            return
        members = {
            # ASCII has an escape for whatever a text holds, undecodable bytes included.
            name: value if isinstance(value, Raw) else Raw(json.dumps(value).encode())
            for name, value in row.items()
        }
        with self._writing():
            if self._file is None:
                make_private_folder(self.path.parent)
                self._file = open_private(self.path)
            self._file.write(encode_members(members) + b"\n")

    def flush(self) -> None:
        """Write what is kept to the file.

        Raises:
            DiagnosticsError: It cannot be written.
        """
        if self._file is not None and not self._file.closed:
            with self._writing():
                self._file.flush()

    def close(self) -> None:
        """Complete the file.

        Raises:
            DiagnosticsError: It cannot be written: a disk may be full only at the end.
        """
        if self._file is not None:
            with self._writing():
                self._file.close()

    def discard(self) -> None:
        """Close the file, and remove it: what it is from does not count."""
        if self._file is not None and self.path is not None:
            with suppress(OSError):
                # What could not be written is not wanted either.
                self._file.close()
            self.path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiagnosticsError(
                f"diagnostics_dir: {self.path} cannot be written ({error.strerror})"
            ) from error


def as_text(data: bytes) -> str:
    r"""Any bytes as text; those that are not UTF-8 become `\udcXX`, so that nothing is lost."""
    return data.decode(errors="surrogateescape")


def counted(reasons: Counter[str]) -> str:
    """Counts by reason in words, the most frequent first."""
    return ", ".join(f"{reason}: {count:,}" for reason, count in reasons.most_common())


def percent_of(part: int, whole: int) -> float:
    """How much of something was left out; of nothing nothing is."""
    return 100 * part / whole if whole else 0.0
