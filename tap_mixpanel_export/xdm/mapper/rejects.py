"""Rows that the platform would reject: counted, kept for people, and too many of them refused."""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING

import msgspec

from tap_mixpanel_export.xdm.errors import MapperRunError

if TYPE_CHECKING:
    from pathlib import Path

MISSING_FIELD = "INGEST-1555-400"
"""The platform's code for a row without a required field."""

# Below this a few bad rows at the start of a run would be a large share of it.
_ROWS_BEFORE_JUDGEMENT = 1000

_encode = msgspec.json.Encoder().encode


class Rejects:
    """The rejected rows of a run.

    Args:
        directory: Where they are kept; None: the first one fails the run.
        threshold_percent: More than this share of all rows fails the run.

    Attributes:
        path: The file of rejected rows, None if there is none yet.
        counts: Rejected rows by the required field that was missing.
    """

    def __init__(self, directory: Path | None, threshold_percent: float) -> None:
        self.path: Path | None = None
        self.counts: Counter[str] = Counter()
        self._directory = directory
        self._threshold = threshold_percent
        self._file: IO[bytes] | None = None

    @property
    def total(self) -> int:
        """How many rows were rejected."""
        return sum(self.counts.values())

    def reject(self, missing: str, record: bytes | msgspec.Raw) -> None:
        """Count a row, and keep it.

        Args:
            missing: Path of the required field that it lacks.
            record: JSON text of the record that it was made from.

        Raises:
            MapperRunError: If rejected rows are not kept.
        """
        self.counts[missing] += 1
        if self._directory is None:
            raise MapperRunError(
                f"{MISSING_FIELD}: a record has no value for the required field {missing}. Map it "
                "to something that every event has, or set diagnostics_dir to keep such records "
                "in a file and go on."
            )
        row = {"code": MISSING_FIELD, "field": missing, "record": msgspec.Raw(record)}
        self._open(self._directory).write(_encode(row) + b"\n")

    def judge(self, rows: int, *, final: bool = False) -> None:
        """Fail the run if too many rows were rejected.

        Args:
            rows: All rows so far.
            final: Whether no more will come.

        Raises:
            MapperRunError: If the share is above the threshold.
        """
        if self._file is not None:
            self._file.flush()
        if not final and rows < _ROWS_BEFORE_JUDGEMENT:
            return
        if self.total * 100 > self._threshold * rows:
            self.close()
            raise MapperRunError(
                f"{self.total} of {rows} records were rejected ({self._fields()}), more than "
                f"error_threshold_percent ({self._threshold:g} %) allows; they are in {self.path}."
            )

    def summary(self) -> str:
        """Return what was rejected, for the log."""
        return (
            f"{MISSING_FIELD}: {self.total} records without a required field were rejected "
            f"({self._fields()}); they are in {self.path}."
        )

    def close(self) -> None:
        """Complete the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _fields(self) -> str:
        return ", ".join(f"{field}: {count}" for field, count in self.counts.most_common())

    def _open(self, directory: Path) -> IO[bytes]:
        if self._file is None:
            # One file per run: what an earlier run kept is still wanted.
            started = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
            self.path = directory / f"rejected-records-{started}-{os.getpid()}.jsonl"
            try:
                self._file = self.path.open("wb")
            except OSError as error:
                raise MapperRunError(f"diagnostics_dir: {self.path}: {error.strerror}") from error
        return self._file
