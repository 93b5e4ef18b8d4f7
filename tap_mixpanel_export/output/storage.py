"""Where BATCH files go: a folder of this machine, or what `fsspec` opens by its address."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tap_mixpanel_export.errors import ExportError, OutputError
from tap_mixpanel_export.private_files import make_private_folder, replacing_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.helpers._batch import StorageTarget

DAY_PLACEHOLDER = "{date}"
"""What stands in the prefix of Parquet files for the UTC day of their events."""

# Whose exceptions are about the storage, besides OSError.
_LIBRARIES = ("aiobotocore", "aiohttp", "botocore", "fsspec", "s3fs")


@contextmanager
def open_batch_file(storage: StorageTarget, name: str) -> Iterator[IO[bytes]]:
    """Open a new file for writing, which is there when the block has ended, whole, or not at all.

    Args:
        storage: Of `batch_config`.
        name: Of the file, below the storage's root.

    Raises:
        OutputError: It cannot be written.
    """
    url = storage.get_url(name)
    path = _local_path(url)
    try:
        # The SDK's own way leaves the file, readable to all, to the umask, and what is written of
        # it in TMPDIR when the run ends early.
        with storage.open(name, "wb") if path is None else _private_file(path, storage) as file:
            yield file
    except ExportError:
        raise
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.startswith(_LIBRARIES):
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"batch_config: {url} cannot be written ({reason})") from error
        raise


@contextmanager
def _private_file(path: Path, storage: StorageTarget) -> Iterator[IO[bytes]]:
    make_private_folder(path.parent)
    root = _local_path(storage.get_url("file"))
    # A prefix may lead through a link that somebody has put into the root.
    if root is not None and not path.parent.resolve().is_relative_to(root.parent.resolve()):
        raise OutputError(f"batch_config: {path.parent} leads out of storage.root by a link")
    with replacing_private(path) as file:
        yield file


def _local_path(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None
