"""Files that hold events or lines of a run: for their owner's eyes, and never through a link.

Whoever may write to the folder (`/tmp`, a shared volume) could otherwise put a symbolic link, a
named pipe, or a file of their own that anybody reads, where a run is going to write.

Those for files with names raise OSError, its `strerror` a few words for a message.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

from tap_mixpanel_export.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from typing_extensions import Buffer

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700

# Each write makes the file longer, which costs the file system more than to take the bytes: with
# the library's 8 KiB a tenth of a run.
TEMPORARY_BUFFER_BYTES = 1024 * 1024


def open_temporary() -> BinaryIO:
    """Open a file without a name: nothing is left of it on any way out, SIGKILL included.

    Raises:
        OutputError: There is no room for one, then or when it is written.
    """
    try:
        with tempfile.TemporaryFile(buffering=0) as file:
            return io.BufferedRandom(
                _TemporaryFile(os.dup(file.fileno()), "rb+"), TEMPORARY_BUFFER_BYTES
            )
    except OSError as error:
        raise _no_room(error) from error


class _TemporaryFile(io.FileIO):
    def write(self, data: Buffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise _no_room(error) from error


def _no_room(error: OSError) -> OutputError:
    try:
        place = f"TMPDIR ({tempfile.gettempdir()})"
    except OSError:
        # Its own text has all that were tried.
        place = "TMPDIR"
    return OutputError(
        f"{place}: {error.strerror or error}. Downloads lie there, compressed, until they are "
        "written: set TMPDIR to a folder with more room, or lower max_window_days or "
        "max_concurrent_queries"
    )


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


def folder_problems(folders: Mapping[str, Path | None]) -> Iterator[str]:
    """A sentence about each folder, by the setting that names it, in which no file can be made.

    A folder that is not there yet is not made: the one above it is tried.
    """
    for name, folder in folders.items():
        if folder is None:
            continue
        nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        try:
            with tempfile.TemporaryFile(dir=nearest):
                pass
        except OSError as error:
            yield f"{name}: no file can be written to {folder} ({error.strerror})"


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


@contextmanager
def replacing_private(path: Path) -> Iterator[BinaryIO]:
    """Write a whole file over an older one, which is there until the new one is complete.

    Args:
        path: Of the file; its folder must be there.

    Yields:
        The file to write to. Nothing is left of it when the block raises.

    Raises:
        OSError: It cannot be written, or something other than a file has its name.
    """
    _is_file(path)
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        with os.fdopen(_create(part), "wb") as file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_private(path: Path, content: bytes) -> None:
    """Write a whole file at once, see `replacing_private`."""
    with replacing_private(path) as file:
        file.write(content)


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
