"""Rows that the platform would reject: counted, kept for people, and too many of them refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec

from tap_mixpanel_export.kept_aside import KeptAside, as_text, counted, percent_of
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


class Rejects(KeptAside):
    """The rejected rows of a run.

    Args:
        directory: Where they are kept; None: the first one fails the run.
        threshold_percent: More than this share of all rows fails the run.
    """

    def __init__(self, directory: Path | None, threshold_percent: float) -> None:
        # One file per run: what an earlier run kept is still wanted.
        started = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        name = f"rejected-records-{started}-{os.getpid()}.jsonl"
        super().__init__(None if directory is None else directory / name)
        self._threshold = threshold_percent

    def reject(self, rejection: Rejection, record: bytes | msgspec.Raw) -> None:
        """Count a row, and keep the JSON text of the record that it was made from.

        Raises:
            MapperRunError: If rejected rows are not kept.
            DiagnosticsError: If the file cannot be written.
        """
        if self.path is None:
            raise MapperRunError(
                f"{rejection.code}: a record is rejected, {rejection.problem}. "
                f"{rejection.advice}et diagnostics_dir to keep such records in a file and go on."
            )
        reason = f"{rejection.code} {rejection.field or rejection.problem}"
        if rejection.field is None:
            # Its text may be no JSON.
            self.add(reason, code=rejection.code, field=None, text=as_text(bytes(record)))
        else:
            whole = msgspec.Raw(record)
            self.add(reason, code=rejection.code, field=rejection.field, record=whole)

    def judge(self, rows: int, *, final: bool = False) -> None:
        """Fail the run if too many of its rows so far, or of all when they are, were rejected.

        Raises:
            MapperRunError: If the share is above the threshold.
        """
        self.flush()
        if not final and rows < _ROWS_BEFORE_JUDGEMENT:
            return
        if percent_of(self.count, rows) > self._threshold:
            self.close()
            raise MapperRunError(
                f"{self.count} of {rows} records were rejected ({counted(self.reasons)}), more "
                f"than error_threshold_percent ({self._threshold:g} %) allows; they are in "
                f"{self.path}."
            )

    def summary(self) -> str:
        """Return what was rejected, for the log."""
        return (
            f"{self.count} records were rejected ({counted(self.reasons)}); they are in "
            f"{self.path}."
        )
