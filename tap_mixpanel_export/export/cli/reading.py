"""`mixpanel-export read`: events into files, folders, tables and pipes."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from tap_mixpanel_export.errors import StateError
from tap_mixpanel_export.export.api import Export
from tap_mixpanel_export.export.given import merge_settings
from tap_mixpanel_export.export.sinks import open_sink
from tap_mixpanel_export.json_files import read_json
from tap_mixpanel_export.private_files import write_private

logger = logging.getLogger("mixpanel-export")


@click.command()
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="FILE|ENV",
    help="Settings of the tap: JSON files, or ENV for environment variables (the default).",
)
@click.option(
    "--to",
    "target",
    required=True,
    help="FILE.parquet, a folder, duckdb:///FILE.db#TABLE, or - for an Arrow stream on stdout.",
)
@click.option("--state", "state_file", type=click.Path(path_type=Path), help="Read and written.")
@click.option("--columns", help="Names, with commas; all by default.")
@click.option("--by-day", is_flag=True, help="In a folder: one of its own for each day.")
def read(
    configs: tuple[str, ...],
    target: str,
    state_file: Path | None,
    columns: str | None,
    *,
    by_day: bool,
) -> None:
    """Export events, from where the last run ended on."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    config, env = merge_settings(configs)
    export = Export(config, columns=columns.split(",") if columns else None, env=env)
    with closing(open_sink(target, export.schema, by_day=by_day)) as sink:
        state = sink.load_state() if state_file is None else _read_state(state_file)
        with export.read(state) as reader:
            committed = reader.state
            for batch in reader:
                if reader.state != committed:
                    committed = reader.state
                    sink.commit(committed)
                sink.write(batch)
            sink.commit(reader.state)
        sink.finish()
    final = reader.state
    if state_file is not None and final is not None:
        # What is in a file or stream is durable only now.
        write_private(state_file, json.dumps(final).encode() + b"\n")
    bookmark = (final or {}).get("bookmarks", {}).get("events", {}).get("replication_key_value")
    logger.info("%s", reader.summary.sentence(bookmark))


def _read_state(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    state = read_json("--state", str(path))
    if not isinstance(state, dict):
        raise StateError(f"--state {path} is JSON, but not an object")
    return state
