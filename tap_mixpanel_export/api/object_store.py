"""Small objects by name, made only where there is none: what a quota without a server needs."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from tap_mixpanel_export.api.quota_file import QuotaFileError
from tap_mixpanel_export.private_files import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

# A process that is killed leaves its temporary file.
_TEMPORARY_SECONDS = 3600


class ObjectStore(Protocol):
    """Objects of one folder."""

    def names(self) -> list[str]:
        """The names of all objects, in no order."""

    def read(self, name: str) -> dict[str, Any]:
        """What an object holds; empty when it is not there or makes no sense."""

    def create(self, name: str, content: dict[str, Any]) -> bool:
        """Make an object; False when there is one already, of whomever."""

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Make or replace an object."""

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""


def open_store(url: str | None, folder: str) -> ObjectStore:
    """Open a folder for objects.

    Args:
        url: A directory, or the URL of one on any file system that fsspec knows; None for objects
            of this process only.
        folder: The folder in it, made when missing.

    Raises:
        QuotaFileError: It cannot be used.
    """
    if url is None:
        return _RemoteStore(f"memory://{uuid4().hex}", folder)
    if "://" not in url or url.startswith("file://"):
        return _LocalStore(Path(url.removeprefix("file://")).expanduser() / folder)
    return _RemoteStore(url, folder)


class _LocalStore:
    """Files of a directory, on this machine or on a file system that machines share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with self._explained():
            make_private_folder(folder)

    def names(self) -> list[str]:
        with self._explained():
            entries = [path.name for path in self._folder.iterdir()]
        for entry in entries:
            if entry.startswith("."):
                self._remove_if_old(self._folder / entry)
        return [entry for entry in entries if not entry.startswith(".")]

    def read(self, name: str) -> dict[str, Any]:
        with self._explained():
            try:
                return _decoded((self._folder / name).read_bytes())
            except FileNotFoundError:
                return {}

    def create(self, name: str, content: dict[str, Any]) -> bool:
        # A link appears with its content, which a file that is opened does not.
        with self._explained():
            temporary = self._temporary(content)
            try:
                os.link(temporary, self._folder / name)
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
            return True

    def write(self, name: str, content: dict[str, Any]) -> None:
        with self._explained():
            self._temporary(content).replace(self._folder / name)

    def remove(self, name: str) -> None:
        with self._explained():
            (self._folder / name).unlink(missing_ok=True)

    def _temporary(self, content: dict[str, Any]) -> Path:
        path = self._folder / f".{uuid4().hex}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_encoded(content))
        return path

    @staticmethod
    def _remove_if_old(path: Path) -> None:
        # Another process may be faster.
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _TEMPORARY_SECONDS:
                path.unlink()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise QuotaFileError(
                f"quota_file: the directory {self._folder} cannot be used ({error.strerror}). This "
                "user must be allowed to read and write it, and it must support hard links."
            ) from error


class _RemoteStore:
    """Objects of a file system that fsspec knows."""

    # That of fsspec's memory looks first and writes then, and lists what another thread removes.
    _memory = threading.Lock()

    def __init__(self, url: str, folder: str) -> None:
        # Slow to import, and needed here only.
        import fsspec  # noqa: PLC0415

        parts = urlsplit(url)
        # The address may hold a password.
        self._shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        try:
            self._files, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise QuotaFileError(
                f"quota_file: {self._shown} needs a library ({error}); install it beside the tap"
            ) from error
        except Exception as error:  # each library has errors of its own
            raise self._unusable(error) from error
        is_memory = "memory" in self._files.protocol
        self._turn: AbstractContextManager[object] = self._memory if is_memory else nullcontext()
        self._root = path.rstrip("/")
        self._folder = f"{self._root}/{folder}"
        self._check_creating()

    def names(self) -> list[str]:
        with self._explained():
            self._files.invalidate_cache(self._folder)
            try:
                paths = self._files.ls(self._folder, detail=False)
            except FileNotFoundError:
                return []
            return [path.rpartition("/")[2] for path in paths]

    def read(self, name: str) -> dict[str, Any]:
        with self._explained():
            try:
                return _decoded(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return {}

    def create(self, name: str, content: dict[str, Any]) -> bool:
        with self._explained():
            try:
                self._files.pipe_file(self._path(name), _encoded(content), mode="create")
            except FileExistsError:
                return False
            return True

    def write(self, name: str, content: dict[str, Any]) -> None:
        with self._explained():
            self._files.pipe_file(self._path(name), _encoded(content))

    def remove(self, name: str) -> None:
        with self._explained(), suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _check_creating(self) -> None:
        """Refuse a store that would let two runs take the same place."""
        probe = f"probe-{socket.gethostname()}-{uuid4().hex}"
        try:
            is_new = self.create(probe, {"by": 1})
        except QuotaFileError:
            # Object stores have no folders; to make one would make a bucket.
            with self._explained():
                if not self._files.exists(self._root):
                    raise
                self._files.makedirs(self._folder, exist_ok=True)
            is_new = self.create(probe, {"by": 1})
        is_new_again = self.create(probe, {"by": 2})
        self.remove(probe)
        if not is_new or is_new_again:
            raise QuotaFileError(
                f"quota_file: {self._shown} cannot make an object only where there is none, so "
                "that runs would take the same place. Name a directory of another kind of store."
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with self._turn:
                yield
        except QuotaFileError:
            raise
        except Exception as error:  # each library has errors of its own
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> QuotaFileError:
        # Its text may quote an address with its credentials.
        cause = getattr(error, "strerror", None) or type(error).__name__
        return QuotaFileError(
            f"quota_file: {self._shown} cannot be used ({cause}): check the address, that it "
            "exists, and the store's own credentials"
        )


def numbers_of(names: Iterable[str], prefix: str) -> list[int]:
    """The numbers, ascending, of the objects whose names are a prefix and a number."""
    digits = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    return sorted(int(number) for number in digits if number.isdecimal())


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _decoded(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
