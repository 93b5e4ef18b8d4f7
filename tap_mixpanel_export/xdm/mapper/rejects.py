"""Rows that the platform would reject: counted, kept for people, and too many of them refused."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tap_mixpanel_export.xdm.errors import MapperRunError

if TYPE_CHECKING:
    from pathlib import Path

MISSING_FIELD = "INGEST-1555-400"
"""The platform's code for a row without a required field."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record is rejected.

    Attributes:
        code: The platform's code, or a word of our own.
        field: Path of the required field that it lacks; None if that is not it.
    """

    code: str
    field: str | None

    @property
    def problem(self) -> str:
        """What is wrong."""
        return f"no value for the required field {self.field}" if self.field else "cannot be read"

    @property
    def advice(self) -> str:
        """What to do about it, up to the setting that all kinds share."""
        return "Map it to something that every event has, or s" if self.field else "S"


UNREADABLE = Rejection("UNREADABLE", None)
"""It is nested too deeply, or is no JSON object in UTF-8."""

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
        counts: Rejected rows by reason.
    """

    def __init__(self, directory: Path | None, threshold_percent: float) -> None:
        self.path: Path | None = None
        self.counts: Counter[Rejection] = Counter()
        self._directory = directory
        self._threshold = threshold_percent
        self._file: IO[bytes] | None = None

    @property
    def total(self) -> int:
        """How many rows were rejected."""
        return sum(self.counts.values())

    def reject(self, rejection: Rejection, record: bytes | msgspec.Raw) -> None:
        """Count a row, and keep it.

        Args:
            rejection: Why it is rejected.
            record: JSON text of the record that it was made from.

        Raises:
            MapperRunError: If rejected rows are not kept.
        """
        self.counts[rejection] += 1
        if self._directory is None:
            raise MapperRunError(
                f"{rejection.code}: a record is rejected, {rejection.problem}. "
                f"{rejection.advice}et diagnostics_dir to keep such records in a file and go on."
            )
        row: dict[str, Any] = {"code": rejection.code, "field": rejection.field}
        if rejection.field is None:
            # Its text may be no JSON; in this form every byte of it is.
            row["text"] = bytes(record).decode("utf-8", "backslashreplace")
        else:
            row["record"] = msgspec.Raw(record)
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
        return f"{self.total} records were rejected ({self._fields()}); they are in {self.path}."

    def close(self) -> None:
        """Complete the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _fields(self) -> str:
        return ", ".join(
            f"{rejection.code} {rejection.field or rejection.problem}: {count}"
            for rejection, count in self.counts.most_common()
        )

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
