"""Files that hold events or lines of a run: for their owner's eyes, and never through a link.

Whoever may write to the folder (`/tmp`, a shared volume) could otherwise put a symbolic link, a
named pipe, or a file of their own that anybody reads, where a run is going to write.

All functions raise OSError, its `strerror` a few words for a message.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it, as far as they are missing; what is there stays as it is.

    Args:
        path: May lead through symbolic links: the user has named it.

    Raises:
        OSError: It cannot be made, or is no folder.
    """
    # `Path.mkdir(mode, parents=True)` gives the mode to the last folder only.
    for folder in reversed((path, *path.parents)):
        with suppress(FileExistsError):
            if not folder.is_dir():
                folder.mkdir(_FOLDER_MODE)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder", str(path))


def open_private(path: Path) -> BinaryIO:
    """Open a new file for writing, in the place of an older one of that name.

    Args:
        path: Of the file; its folder must be there.

    Raises:
        OSError: It cannot be made, or something other than a file has its name.
    """
    # Removed, not emptied: an older file may have another owner, readers, or a second name.
    if _is_file(path):
        path.unlink()
    return os.fdopen(_create(path), "wb")


def write_private(path: Path, content: bytes) -> None:
    """Write a whole file over an older one, which is there until the new one is complete.

    Args:
        path: Of the file; its folder must be there.
        content: All of it.

    Raises:
        OSError: It cannot be written, or something other than a file has its name.
    """
    _is_file(path)
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with os.fdopen(_create(part), "wb") as file:
            file.write(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def ensure_private(path: Path) -> None:
    """Make an empty file when there is none; one that is there keeps its content and mode.

    For files that a library then opens by name, such as a database. Several users may share one
    that they have made for that.

    Args:
        path: Of the file; its folder must be there.

    Raises:
        OSError: It cannot be made, or something other than a file has its name.
    """
    if not _is_file(path):
        with suppress(FileExistsError):
            os.close(_create(path))
        _is_file(path)


def _create(path: Path) -> int:
    return os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE
    )


def _is_file(path: Path) -> bool:
    """Whether there is a file of that name.

    Raises:
        OSError: There is something else.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EEXIST, "it is no regular file", str(path))
    return True
