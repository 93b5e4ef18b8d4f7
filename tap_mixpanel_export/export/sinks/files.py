"""Parquet files as sinks: one, or a folder of them."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.output.parquet import ParquetPart, ParquetParts
from tap_mixpanel_export.private_files import make_private_folder, open_private, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

    import pyarrow as pa

logger = logging.getLogger("mixpanel-export")

_STATE_FILE = "_state.json"
_STATE_ADVICE = "use that of a backup, or an empty folder"


class ParquetFileSink:
    """One Parquet file, there when it is complete.

    Args:
        path: Of the file; one that is there stays as it is, and ends the command.
        schema: Of all batches.

    Raises:
        OutputError: It is there already, or cannot be made.
    """

    keeps_committed = False

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        if path.exists():
            raise OutputError(f"--to {path}: it is there already; move it, or name another")
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        with _named(path):
            file = open_private(self._part)
            try:
                self._file = ParquetPart(file, schema)
            except BaseException:
                self._part.unlink()
                raise

    def load_state(self) -> dict[str, Any] | None:
        """None: it is kept in a file of its own, if anywhere."""
        return None

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        with _named(self._path):
            self._file.write(batch)

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Nothing yet: the file is whole at the end only."""

    def finish(self) -> None:
        """Put the complete file in its place."""
        with _named(self._path):
            self._file.finish()
            self._file.file.close()
            self._part.rename(self._path)

    def close(self) -> None:
        """Drop an incomplete file."""
        self._file.drop()
        self._part.unlink(missing_ok=True)


class ParquetFolderSink:
    """A folder of Parquet files, and the state behind them.

    A file is there when it is complete; the state says what is in complete files. A run that was
    ended early goes on behind them.

    Args:
        folder: It is made when it is missing.
        by_day: Whether each UTC day has a folder of its own, `date=2026-11-22/`.

    Raises:
        OutputError: The folder cannot be made, or another run writes there.
    """

    keeps_committed = True

    def __init__(self, folder: Path, *, by_day: bool) -> None:
        self._folder = folder
        with _named(folder):
            make_private_folder(folder)
            self._lock = _locked(folder)
        self._parts = ParquetParts(self._open, by_day=by_day)
        self._paths: dict[BinaryIO, Path] = {}
        self._complete: list[ParquetPart] = []
        for old in folder.rglob(".*.part"):
            # Of a run that was killed.
            old.unlink()

    def _open(self, day: date | None) -> BinaryIO:
        place = self._folder if day is None else self._folder / f"date={day}"
        make_private_folder(place)
        path = place / f".{uuid4().hex}.part"
        file = open_private(path)
        self._paths[file] = path
        return file

    def load_state(self) -> dict[str, Any] | None:
        """The state behind the complete files.

        Raises:
            OutputError: The file is no state.
        """
        path = self._folder / _STATE_FILE
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise OutputError(f"{path} is not JSON; {_STATE_ADVICE}") from error
        if not isinstance(state, dict):
            raise OutputError(f"{path} is no state; {_STATE_ADVICE}")
        return state

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch, to the file of each day if that is wanted."""
        with _named(self._folder):
            self._complete += map(_closed, self._parts.write(batch))

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Put the files in their places, and the state behind them."""
        with _named(self._folder):
            self._complete += map(_closed, self._parts.finish())
            while self._complete:
                part = self._complete.pop(0)
                path = self._paths.pop(part.file)
                path.rename(_free_name(path.parent, part.stem))
            if state is not None:
                write_private(self._folder / _STATE_FILE, json.dumps(state).encode() + b"\n")

    def finish(self) -> None:
        """Nothing: what was committed is in its place."""

    def close(self) -> None:
        """Drop the files that are not complete."""
        self._parts.close()
        for path in self._paths.values():
            path.unlink(missing_ok=True)
        self._paths = {}
        os.close(self._lock)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say of an error which of the user's files it is about."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"--to {path}: {error.strerror or error}") from error


def _locked(folder: Path) -> int:
    """A descriptor that keeps other runs out of a folder while it is open.

    Raises:
        OutputError: Another run has one.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise OutputError(f"--to {folder}: another run writes there; wait for its end") from error
    except OSError:
        # Some network file systems have no locks.
        logger.info("%s cannot be locked: let no two runs write there at once", folder)
    return descriptor


def _closed(part: ParquetPart) -> ParquetPart:
    part.file.close()
    return part


def _free_name(folder: Path, stem: str) -> Path:
    number = 1
    while (path := folder / f"{stem}-{number}.parquet").exists():
        number += 1
    return path
