"""Whole ways from Mixpanel into DuckDB, Parquet or JSON Lines: this tap's and its peers'."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from benchmarks.asking import ask
from benchmarks.environments import peer, python_of
from benchmarks.service import DAY
from benchmarks.variants import HERE, own_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.measure import Command

JSON_LINES = "events.jsonl"
DATABASE = "events.duckdb"
PARQUET = "events.parquet"

KINDS = {".jsonl": "JSON Lines", ".duckdb": "DuckDB", ".parquet": "Parquet"}
"""What the files are, by the end of their names."""

GOALS = (("parquet", "target-jsonl", 7), ("parquet", "target-duckdb", 5))
"""What is compared with what, and how many times as many events per CPU second are aimed at."""

EXPLANATION = """\
Wide events of one day, into a file or a table; median [least, most] of {runs} rounds in turn. After
each run the events that are there are compared with those that are served, by number and
`$insert_id`. CPU is that of all processes of the way, and `events per CPU s` counts the start-up of
each; the next column does not."""

MOST_OF_THE_SLOW = 10_000
"""Events: more of them take minutes a run."""

NOT_MEASURED = """\
Not measured: ingestr into DuckDB, whose driver it fetches from a server of its own when it runs,
and its later versions (1.1.76 was looked at), whose package on PyPI fetches the program from
GitHub; dlt, which has no source for Mixpanel, neither in its package nor among its verified
sources.

Airbyte's source runs without its throttle of one query a minute, and is given 10,000 events at
most. What ingestr merges otherwise is written anew (`--full-refresh`): its JSON Lines cannot be
merged."""
"""Why a reader does not find a way that she might look for."""

_SOURCE_MIXPANEL = "airbyte-source-mixpanel==4.0.2"
_PREFIX = "TAP_MIXPANEL_EXPORT_"
_DAY = DAY.isoformat()


@dataclass(frozen=True, slots=True)
class Route:
    """One way of the events.

    Attributes:
        key: Short name, for the command line.
        title: For the table.
        into: Name of the file that it writes.
        id_path: Where an event's `$insert_id` stands there, see `check_events`.
        commands: The pipeline, given a folder to write into and the service's variables.
        environment: More variables, given the service's.
        is_slow: Whether it is given few events only, at most `MOST_OF_THE_SLOW`.
    """

    key: str
    title: str
    into: str
    id_path: str
    commands: Callable[[Path, Mapping[str, str]], list[Command]]
    environment: Callable[[Mapping[str, str]], dict[str, str]] = field(default=lambda _service: {})
    is_slow: bool = False


def routes(keys: frozenset[str] | None = None) -> list[Route]:
    """The ways, in the order of the table; their programs are installed when they are not.

    Args:
        keys: Only these; None for all.
    """
    every: dict[str, Callable[[str], Route]] = {
        "parquet": _parquet,
        "duckdb": _duckdb,
        "target-duckdb": _target_duckdb,
        "pyairbyte": _pyairbyte,
        "target-jsonl": _target_jsonl,
        "tap-mixpanel": _tap_mixpanel,
        "ingestr": _ingestr,
        "records": _records,
        "headless": _headless,
        "airbyte": _airbyte,
    }
    return [make(key) for key, make in every.items() if keys is None or key in keys]


def _into_file(folder: Path, *command: str) -> list[Command]:
    """A command whose output goes to a file; it takes the shell's place."""
    return [("sh", "-c", 'exec "$@" >"$0"', str(folder / JSON_LINES), *command)]


def _written(folder: Path, name: str, document: object) -> str:
    path = folder / name
    path.write_text(json.dumps(document))
    return str(path)


def _loader(package: str, name: str, folder: Path, settings: dict[str, object]) -> tuple[str, ...]:
    program = python_of(package).with_name(name)
    return (str(program), "--config", _written(folder, f"{name}.json", settings))


def _jsonl_loader(folder: Path) -> tuple[str, ...]:
    settings = {"destination_path": str(folder), "do_timestamp_file": False}
    return _loader("target-jsonl==0.1.4", "target-jsonl", folder, settings)


def _read(target: str) -> tuple[str, ...]:
    program = Path(sys.executable).with_name("mixpanel-export")
    return (str(program), "read", "--to", target)


_DATES = {_PREFIX + "START_DATE": _DAY, _PREFIX + "END_DATE": _DAY}


def _parquet(key: str) -> Route:
    return Route(
        key,
        "**this tap**, `mixpanel-export read` to a file",
        PARQUET,
        "insert_id",
        lambda folder, _service: [_read(str(folder / PARQUET))],
        lambda _service: _DATES,
    )


def _duckdb(key: str) -> Route:
    return Route(
        key,
        "**this tap**, `mixpanel-export read` to a table",
        DATABASE,
        "main.events.insert_id",
        lambda folder, _service: [_read(f"duckdb:///{folder / DATABASE}#events")],
        lambda _service: _DATES,
    )


def _target_duckdb(key: str) -> Route:
    def commands(folder: Path, _service: Mapping[str, str]) -> list[Command]:
        settings = {"filepath": str(folder / DATABASE), "default_target_schema": "main"}
        # As the page on loaders has it.
        own = {
            "properties_format": "string",
            "stream_maps": {"events": {"timestamp": "timestamp[:-1]"}},
        }
        loader = _loader("target-duckdb==0.8.0", "target-duckdb", folder, settings)
        return [own_command(key, own), loader]

    title = "**this tap**, target-duckdb 0.8.0"
    return Route(key, title, DATABASE, "main.events.insert_id", commands)


def _target_jsonl(key: str) -> Route:
    title = "**this tap**, target-jsonl 0.1.4"
    return Route(
        key,
        title,
        JSON_LINES,
        "insert_id",
        lambda folder, _service: [own_command(key), _jsonl_loader(folder)],
    )


def _tap_mixpanel(key: str) -> Route:
    tap = peer("tap-mixpanel==1.8.0", "run_tap_mixpanel.py", _DAY)
    return Route(
        key,
        "tap-mixpanel 1.8.0, target-jsonl 0.1.4",
        "export.jsonl",
        "mp_reserved_insert_id",
        lambda folder, _service: [tap, _jsonl_loader(folder)],
    )


def _records(key: str) -> Route:
    return Route(
        key,
        "**this tap**, its messages in a file",
        JSON_LINES,
        "record.insert_id",
        lambda folder, _service: _into_file(folder, *own_command(key)),
    )


def _headless(key: str) -> Route:
    command = peer("mixpanel-headless==0.4.0", "run_headless.py", _DAY)
    return Route(
        key,
        "mixpanel-headless 0.4.0, raw events in a file",
        JSON_LINES,
        "properties.$insert_id",
        lambda folder, _service: _into_file(folder, *command),
    )


def _property_names(service: Mapping[str, str]) -> dict[str, str]:
    """Names of an event's properties, which the source makes columns of."""
    response = ask(_DAY, service, limit="1")
    return {"BENCHMARK_PROPERTY_NAMES": json.dumps(list(response.json()["properties"]))}


def _airbyte_config(folder: Path, service: Mapping[str, str]) -> str:
    config = {
        "credentials": {
            "option_title": "Service Account",
            "username": service[_PREFIX + "SERVICE_ACCOUNT_USERNAME"],
            "secret": service[_PREFIX + "SERVICE_ACCOUNT_SECRET"],
            "project_id": int(service[_PREFIX + "PROJECT_ID"]),
        },
        "project_timezone": "UTC",
        "attribution_window": 0,
        "start_date": _DAY,
        "end_date": _DAY,
    }
    return _written(folder, "config.json", config)


def _airbyte(key: str) -> Route:
    python = str(python_of(_SOURCE_MIXPANEL))

    def commands(folder: Path, service: Mapping[str, str]) -> list[Command]:
        stream = {
            "name": "export",
            "json_schema": {},
            "supported_sync_modes": ["full_refresh", "incremental"],
            "source_defined_cursor": True,
        }
        modes = {"sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
        catalog = {"streams": [{"stream": stream, **modes}]}
        return _into_file(
            folder,
            *(python, str(HERE / "peers" / "run_source_mixpanel.py"), "read"),
            *("--config", _airbyte_config(folder, service)),
            *("--catalog", _written(folder, "catalog.json", catalog)),
        )

    title = "Airbyte's source-mixpanel 4.0.2, its messages in a file"
    return Route(
        key, title, JSON_LINES, "record.data.insert_id", commands, _property_names, is_slow=True
    )


def _pyairbyte(key: str) -> Route:
    source = str(python_of(_SOURCE_MIXPANEL))
    python = str(python_of("airbyte==0.71.3"))

    def commands(folder: Path, service: Mapping[str, str]) -> list[Command]:
        run = str(HERE / "peers" / "run_pyairbyte.py")
        config = _airbyte_config(folder, service)
        return [(python, run, source, config, str(folder / DATABASE))]

    title = "Airbyte's source-mixpanel 4.0.2, PyAirbyte 0.71.3"

    def environment(service: Mapping[str, str]) -> dict[str, str]:
        quiet = {"DO_NOT_TRACK": "1", "AIRBYTE_OFFLINE_MODE": "1"}
        return {**quiet, **_property_names(service)}

    return Route(key, title, DATABASE, "main.export.insert_id", commands, environment, is_slow=True)


def _ingestr(key: str) -> Route:
    program = str(python_of("ingestr==1.1.0").with_name("ingestr"))

    def commands(folder: Path, service: Mapping[str, str]) -> list[Command]:
        account = {
            "username": service[_PREFIX + "SERVICE_ACCOUNT_USERNAME"],
            "password": service[_PREFIX + "SERVICE_ACCOUNT_SECRET"],
            "project_id": service[_PREFIX + "PROJECT_ID"],
            "server": "us",
        }
        source = f"mixpanel://?{urlencode(account)}"
        days = ("--interval-start", _DAY, "--interval-end", str(DAY + timedelta(days=1)))
        return [
            (
                *(program, "ingest", "--yes", "--full-refresh", "--progress", "log"),
                *("--source-uri", source, "--source-table", "events", *days),
                *("--dest-uri", f"jsonl:///{folder / JSON_LINES}", "--dest-table", "main.events"),
            )
        ]

    def environment(service: Mapping[str, str]) -> dict[str, str]:
        # Its address of Mixpanel is fixed.
        gate = json.loads(service["BENCHMARK_GATE"])
        return {**gate, "DISABLE_TELEMETRY": "true", "INGESTR_DISABLE_TELEMETRY": "true"}

    title = "ingestr 1.1.0, its own JSON Lines"
    return Route(key, title, JSON_LINES, "insert_id", commands, environment)
