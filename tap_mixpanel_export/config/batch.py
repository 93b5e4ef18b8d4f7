"""Checks of `batch_config`, a setting of the SDK that the SDK takes as it comes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.output.storage import DAY_PLACEHOLDER
from tap_mixpanel_export.private_files import folder_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The SDK ends with a TypeError on any other.
_MEMBERS = {
    "batch_config": ("encoding", "storage", "batch_size"),
    "batch_config.encoding": ("format", "compression"),
    "batch_config.storage": ("root", "prefix", "params"),
}


def batch_format(config: Mapping[str, Any]) -> str | None:
    """Return the format of BATCH files that is asked for, if any is."""
    encoding = (config.get("batch_config") or {}).get("encoding") or {}
    return encoding.get("format")


def batch_problems(config: Mapping[str, Any]) -> list[str]:
    """Return what the SDK would ignore without a word, or end with a traceback on.

    Args:
        config: All settings; those of `batch_config` that have a type in the schema have it.

    Returns:
        All problems, one sentence each.
    """
    batch = config.get("batch_config")
    if not batch:
        return []
    return [
        *(
            f"{name} cannot be used with batch_config: the records go to files as they are"
            for name in ("stream_maps", "flattening_enabled")
            if config.get(name)
        ),
        *_unknown_members(batch),
        *_format_problems(batch),
        *_storage_problems(batch.get("storage") or {}),
        *_size_problems(batch),
    ]


def _unknown_members(batch: Mapping[str, Any]) -> Iterator[str]:
    for place, known in _MEMBERS.items():
        _, _, inner = place.partition(".")
        members = (batch.get(inner) or {}) if inner else batch
        for name in members:
            if name not in known:
                yield f"{place}.{name} is unknown; there are {', '.join(known)}"


def _format_problems(batch: Mapping[str, Any]) -> Iterator[str]:
    kind = (batch.get("encoding") or {}).get("format")
    if kind is None:
        yield "batch_config.encoding.format is missing: jsonl or parquet"
    prefix = (batch.get("storage") or {}).get("prefix") or ""
    if kind == "jsonl" and DAY_PLACEHOLDER in prefix:
        yield (
            f"batch_config.storage.prefix: {DAY_PLACEHOLDER} stands for the day of the events in "
            "Parquet files only; set batch_config.encoding.format to parquet"
        )
    elif kind == "parquet" and find_spec("pyarrow") is None:
        yield "batch_config: Parquet needs an extra: pip install tap-mixpanel-export[parquet]"


def _storage_problems(storage: Mapping[str, Any]) -> Iterator[str]:
    root = storage.get("root")
    if not root:
        yield (
            "batch_config.storage.root is missing: where the files go, such as file:///data/events "
            "or s3://bucket/events"
        )
    else:
        yield from _root_problems(root)
    prefix = storage.get("prefix") or ""
    if prefix.startswith("/") or ".." in PurePosixPath(prefix).parts or not prefix.isprintable():
        yield "batch_config.storage.prefix leads out of storage.root"
    params = storage.get("params")
    if params is not None and not isinstance(params, dict):
        yield "batch_config.storage.params is not of type object"


def _root_problems(root: str) -> Iterator[str]:
    # Imported by runs that write files only.
    from upath import UPath  # noqa: PLC0415 - see above

    scheme = root.partition("://")[0] if "://" in root else "file"
    if scheme == "s3" and find_spec("s3fs") is None:
        yield ("batch_config: storage in S3 needs an extra: pip install tap-mixpanel-export[s3]")
        return
    try:
        path = UPath(root)
        if scheme == "file":
            yield from folder_problems({"batch_config.storage.root": Path(path.path)})
        else:
            _ = path.fs
    except ImportError as error:
        yield f"batch_config.storage.root: {scheme}:// needs another package: {error}"
    except (OSError, ValueError) as error:
        yield f"batch_config.storage.root cannot be used: {error}"


def _size_problems(batch: Mapping[str, Any]) -> Iterator[str]:
    size = batch.get("batch_size")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        yield "batch_config.batch_size is not an integer from 1"
