"""`mixpanel-export read`: events into files, folders, tables and pipes."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tap_mixpanel_export.export.api import Export
from tap_mixpanel_export.export.given import merge_settings, notices_of_environment
from tap_mixpanel_export.json_files import read_json_object
from tap_mixpanel_export.private_files import write_private
from tap_mixpanel_export.sync.foreign_states import take_over

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

logger = logging.getLogger("mixpanel-export")


config_option = click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="FILE|ENV",
    help="Settings of the tap: JSON files, or ENV for environment variables (the default).",
)


@click.command()
@config_option
@click.option(
    "--to",
    "target",
    required=True,
    help="FILE.parquet, a folder, duckdb:///FILE.db#TABLE, or - for an Arrow stream on stdout.",
)
@click.option(
    "--state",
    "state_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the last run ended; read and written. A folder and a table keep it themselves.",
)
@click.option(
    "--columns", help="Names, with commas, besides event_id and timestamp; all by default."
)
@click.option("--by-day", is_flag=True, help="In a folder: one of its own for each day.")
def read(
    configs: tuple[str, ...],
    target: str,
    state_file: Path | None,
    columns: str | None,
    *,
    by_day: bool,
) -> None:
    """Export events, from where the last run ended on.

    Complete windows stay, whatever ends the run: the next one goes on behind them. One file and a
    stream are whole or not there. A table has each event once; in files, an event that Mixpanel has
    processed anew comes again.
    """
    _log_to_stderr()
    config, env = merge_settings(configs)
    for sentence in () if env else notices_of_environment(config, is_read=False):
        logger.warning("%s", sentence)
    names = [name.strip() for name in columns.split(",")] if columns else None
    export = Export(config, columns=names, env=env)
    # With the extra, which the settings have been checked for.
    from tap_mixpanel_export.export.sinks.opening import open_sink  # noqa: PLC0415

    with _private_umask(), closing(open_sink(target, export.schema, by_day=by_day)) as sink:
        state = None
        if state_file is not None and state_file.exists():
            state = take_over(read_json_object("--state", state_file)).state
        state = state or sink.load_state()

        def commit(moved: Mapping[str, Any] | None) -> None:
            sink.commit(moved)
            if sink.keeps_committed:
                _write_state(state_file, moved)

        with export.read(state, on_state=commit) as reader:
            for batch in reader:
                sink.write(batch)
            # Sweeps do not move the state.
            commit(reader.state)
        sink.finish()
    if not sink.keeps_committed:
        _write_state(state_file, reader.state)
    bookmark = (reader.state or {}).get("bookmarks", {}).get("events", {})
    logger.info("%s", reader.summary.sentence(bookmark.get("replication_key_value")))


@contextmanager
def _private_umask() -> Iterator[None]:
    """Let files that libraries make be for their owner only, too."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _log_to_stderr() -> None:
    """Log for people: not the summary for programs, whose sentence comes at the end."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: not record.getMessage().startswith("run summary:"))
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])


def _write_state(path: Path | None, state: Mapping[str, Any] | None) -> None:
    if path is not None and state is not None:
        write_private(path, json.dumps(state).encode() + b"\n")
