"""The sink that `--to` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.export.sinks.database import DuckDbSink
from tap_mixpanel_export.export.sinks.files import ParquetFileSink, ParquetFolderSink
from tap_mixpanel_export.export.sinks.stream import StdoutSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


class Sink(Protocol):
    """Takes batches, and makes them durable together with the state that belongs to them."""

    keeps_committed: bool
    """Whether what is committed stays, however the run ends; otherwise all or nothing does."""

    def load_state(self) -> dict[str, Any] | None:
        """The state that was committed last; None when there is none, or it is kept elsewhere."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch; it may be lost until it is committed."""

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Keep all batches so far, and the state after them."""

    def finish(self) -> None:
        """Take notice that all has come."""

    def close(self) -> None:
        """End; what was not committed, or of a whole that is not finished, is dropped."""


def open_sink(target: str, schema: pa.Schema, *, by_day: bool = False) -> Sink:
    """Open the sink that a target names.

    Args:
        target: `-`, `duckdb:///file.db#table`, a file that ends with `.parquet`, or a folder.
        schema: Of all batches.
        by_day: Whether a folder has one of its own for each day.

    Raises:
        OutputError: It cannot be used.
    """
    path = Path(target).expanduser()
    is_file = path.suffix == ".parquet" and not path.is_dir()
    if by_day and (target == "-" or ":" in target or is_file):
        raise OutputError(f"--by-day: only a folder has one of its own for each day, not {target}")
    if target == "-":
        return StdoutSink(schema)
    if target.startswith("duckdb:"):
        return DuckDbSink(target, schema)
    if "://" in target:
        raise OutputError(f"--to {target}: use a file, a folder, duckdb:///file.db#table, or -")
    return ParquetFileSink(path, schema) if is_file else ParquetFolderSink(path, by_day=by_day)
