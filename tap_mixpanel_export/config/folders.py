"""Folders that a run is going to write to, tried before it asks for anything."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def folder_problems(folders: dict[str, Path | None]) -> Iterator[str]:
    """A sentence about each folder in which no file can be made.

    A folder that is not there yet is not made: the one above it is tried.
    """
    for name, folder in folders.items():
        if folder is None:
            continue
        try:
            with TemporaryFile(dir=_nearest(folder)):
                pass
        except OSError as error:
            yield f"{name}: no file can be written to {folder} ({error.strerror})"


def _nearest(folder: Path) -> Path:
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())
