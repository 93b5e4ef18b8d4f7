"""Checks of `batch_config`, a setting of the SDK that the SDK takes as it comes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.xdm.schema.field import XdmType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_mixpanel_export.xdm.mapping.columns import Column


def batch_format(config: Mapping[str, Any]) -> str | None:
    """Return the format of BATCH files that is asked for, if any is."""
    encoding = (config.get("batch_config") or {}).get("encoding") or {}
    return encoding.get("format")


def batch_problems(config: Mapping[str, Any], columns: Iterable[Column]) -> list[str]:
    """What the SDK would ignore without a word: files are written past maps and flattening."""
    if not config.get("batch_config"):
        return []
    problems = [
        f"{name} cannot be used with batch_config: the records go to files as they are"
        for name in ("stream_maps", "flattening_enabled")
        if config.get(name)
    ]
    if batch_format(config) == "parquet":
        if find_spec("pyarrow") is None:
            problems.append(
                "batch_config: Parquet needs an extra: pip install tap-mixpanel-export[parquet]"
            )
        problems += [
            f"batch_config: column {column.name} is a map, which Parquet files cannot hold here"
            for column in columns
            if column.field.type is XdmType.MAP
        ]
    elif batch_format(config) not in {None, "jsonl"}:
        problems.append("batch_config: encoding.format is neither jsonl nor parquet")
    return problems
