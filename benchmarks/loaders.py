"""Loaders, and files instead of them: where a run waits, and what makes the wait short."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environments import python_of
from benchmarks.measure import CACHE, Spread, child_environment, run
from benchmarks.service import DataSet, Service
from benchmarks.variants import own_command
from tests.private_postgres import postgres_programs, private_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.measure import Command
    from tests.private_postgres import Postgres

_ROOT = Path(__file__).resolve().parent.parent
_OUTPUT = CACHE / "loaded"
_FILES = CACHE / "batches" / "loaders"
_DATABASE = _OUTPUT / "mixpanel.duckdb"
_SCRIPT = _ROOT / "examples" / "loading" / "load_batches.py"

_TEXT = {"properties_format": "string"}
# Of the page on loaders: what target-duckdb needs.
_DUCKDB = {**_TEXT, "stream_maps": {"events": {"timestamp": "timestamp[:-1]"}}}


def _batches(file_format: str, compression: str | None = None) -> dict[str, Any]:
    encoding = {"format": file_format} | ({"compression": compression} if compression else {})
    # One file in ten thousand rows is the SDK's habit; a row group more costs nothing.
    return {
        "batch_config": {
            "encoding": encoding,
            "storage": {"root": _FILES.as_uri()},
            "batch_size": 100_000,
        }
    }


@dataclass(frozen=True, slots=True)
class Way:
    """One way to load.

    Attributes:
        loader: Name for the table.
        how: Settings, for the table.
        command: Starts the loader.
        tap: Settings of the tap.
        is_first: Whether the ways that follow are compared with this one.
    """

    loader: str
    how: str
    command: Command
    tap: Mapping[str, Any] = field(default_factory=dict)
    is_first: bool = False


def _with_config(program: Path, name: str, config: Mapping[str, Any]) -> Command:
    file = CACHE / "settings" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config))
    return (str(program), "--config", str(file))


def _with_variable(name: str, value: str, command: Command) -> Command:
    # Not `env`: it takes the name of a program with a `=` in it for a variable.
    return ("sh", "-c", f'{name}={shlex.quote(value)} exec "$@"', "sh", *command)


def _into(where: str, requirement: str) -> Command:
    return _with_variable("LOAD_BATCHES_INTO", where, (str(python_of(requirement)), str(_SCRIPT)))


def _without_server() -> Iterator[Way]:
    program = python_of("target-jsonl==0.1.4").with_name("target-jsonl")
    folder = {"destination_path": str(_OUTPUT), "do_timestamp_file": False}
    short = {"destination_path": "", "custom_name": str(_OUTPUT / "events")}
    jsonl = _with_config(program, "jsonl", folder)
    quick = _with_config(program, "jsonl-quick", {**folder, **short})
    yield Way("target-jsonl", "its defaults", jsonl, is_first=True)
    yield Way("target-jsonl", "`custom_name` with the folder", quick)
    yield Way("target-jsonl", "the same, `properties_format: string`", quick, _TEXT)
    keep = ("sh", str(_ROOT / "tests" / "targets" / "keep-state.sh"))
    yield Way("JSON Lines", "files of the tap", keep, _batches("jsonl", "none"))
    program = python_of("meltanolabs-target-csv==0.5.0").with_name("target-csv")
    csv = {"output_path": str(_OUTPUT)}
    yield Way("target-csv", "its defaults", _with_config(program, "csv", csv), _TEXT, is_first=True)
    csv |= {"validate_records": False}
    yield Way(
        "target-csv", "`validate_records: false`", _with_config(program, "csv-quick", csv), _TEXT
    )
    program = python_of("target-duckdb==0.8.0").with_name("target-duckdb")
    duckdb = {"filepath": str(_DATABASE), "default_target_schema": "main"}
    command = _with_config(program, "duckdb", duckdb)
    yield Way("target-duckdb", "those of the page", command, _DUCKDB, is_first=True)
    yield Way(
        "DuckDB", "Parquet files", _into(str(_DATABASE), "duckdb==2.0.1"), _batches("parquet")
    )


def _into_postgres(server: Postgres) -> Iterator[Way]:
    program = python_of("meltanolabs-target-postgres==0.8.1").with_name("target-postgres")
    address = {"host": "127.0.0.1", "port": server.port, "database": "postgres"}
    who = {"user": server.user, "password": "any", "default_target_schema": "mixpanel"}
    slow = _with_config(program, "postgres", {**address, **who})
    slow = _with_variable("PGTZ", "UTC", slow)
    settings = {"use_copy": True, "validate_records": False}
    quick = _with_config(program, "postgres-quick", {**address, **who, **settings})
    quick = _with_variable("PGTZ", "UTC", quick)
    yield Way("target-postgres", "its defaults", slow, is_first=True)
    yield Way("target-postgres", "`use_copy: true`, `validate_records: false`", quick)
    yield Way("target-postgres", "the same, `properties_format: string`", quick, _TEXT)
    yield Way("target-postgres", "the same, BATCH", quick, {**_TEXT, **_batches("jsonl", "gzip")})
    into = f"postgresql://{server.user}@127.0.0.1:{server.port}/postgres"
    command = _into(into, "psycopg[binary]==3.3.6")
    yield Way("PostgreSQL", "JSON Lines files", command, _batches("jsonl", "gzip"))
    yield Way(
        "PostgreSQL",
        "the same, `properties_format: string`",
        command,
        {**_TEXT, **_batches("jsonl", "gzip")},
    )


@dataclass(frozen=True, slots=True)
class _Cost:
    """CPU time and wall time of one run, s."""

    tap: float
    loader: float
    wall: float


def section(events: int, runs: int, timeout: float) -> list[str]:
    """Measure all ways in turns, and tell as a Markdown table.

    Args:
        events: Wide ones.
        runs: Rounds.
        timeout: Of one run, s.
    """
    with ExitStack() as stack:
        server = None
        if postgres_programs() is not None:
            server = stack.enter_context(private_postgres())
        ways = [*_without_server(), *([] if server is None else _into_postgres(server))]
        services = {n: stack.enter_context(Service(DataSet("wide", n))) for n in (1, events)}
        # The first runs of all write byte code, as an installation does.
        for way in ways:
            _measure(way, child_environment(services[1].environment), server, 1, timeout)
        costs: dict[int, list[list[_Cost]]] = {n: [[] for _ in ways] for n in services}
        for _ in range(runs):
            for number, service in services.items():
                environment = child_environment(service.environment)
                for way, found in zip(ways, costs[number], strict=True):
                    found.append(_measure(way, environment, server, number, timeout))
    return _table(ways, costs[1], costs[events], events)


def _measure(
    way: Way, environment: Mapping[str, str], server: Postgres | None, events: int, timeout: float
) -> _Cost:
    for folder in (_OUTPUT, _FILES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    if server is not None:
        server.query("DROP SCHEMA IF EXISTS mixpanel CASCADE")
    before = _server_cpu(server)
    tap = own_command("loaders", way.tap)
    exporting, loading = run([tap, way.command], environment, timeout=timeout)
    in_server = _server_cpu(server) - before
    if (count := _rows(server)) != events:
        raise RuntimeError(f"{way.loader}, {way.how}: {count:,} of {events:,} events loaded")
    return _Cost(exporting.cpu, loading.cpu + in_server, loading.wall)


def _rows(server: Postgres | None) -> int:
    """How many events have arrived, wherever that is."""
    if server is not None and server.query("SELECT to_regclass('mixpanel.events')") != [""]:
        return int(server.query("SELECT count(*) FROM mixpanel.events")[0])
    if _DATABASE.exists():
        # In another process: the library would make this one larger than what it measures.
        count = "import duckdb, sys; db = duckdb.connect(sys.argv[1]);"
        count += "print(db.execute('SELECT count(*) FROM events').fetchone()[0])"
        command = (python_of("duckdb==2.0.1"), "-c", count, _DATABASE)
        return int(subprocess.run(command, capture_output=True, check=True).stdout)
    return sum(map(_lines, (*_OUTPUT.iterdir(), *_FILES.iterdir())))


def _lines(file: Path) -> int:
    with file.open("rb") as lines:
        # CSV begins with the columns' names.
        return sum(1 for _ in lines) - (file.suffix == ".csv")


def _server_cpu(server: Postgres | None) -> float:
    """CPU time of the server's processes so far, those that have ended included, s."""
    if server is None:
        return 0.0
    main = server.query("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")[0]
    ticks = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # See proc(5): the parent; the times in user and system mode, and of children that ended.
        if status.parent.name == main:
            ticks += sum(map(int, fields[11:15]))
        elif fields[1] == main:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _table(
    ways: Sequence[Way],
    starts: Sequence[Sequence[_Cost]],
    costs: Sequence[Sequence[_Cost]],
    events: int,
) -> list[str]:
    rows = [
        "| into | how | events per CPU s | gain | start-up, CPU s | CPU of the tap, s | wall, s |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    first: list[float] = []
    for way, start, cost in zip(ways, starts, costs, strict=True):
        start_up = Spread.of([sample.loader for sample in start])
        # Start-up is paid once a run, whatever it loads. The least possible is one tick.
        each = [max(sample.loader - start_up.median, 0.01) / events for sample in cost]
        if way.is_first:
            first = each
        gain = Spread.of([others / own for others, own in zip(first, each, strict=True)])
        rows.append(
            f"| {way.loader} | {way.how} | {Spread.of([1 / own for own in each]).show(0)} "
            f"| {gain.show(1)} | {start_up.show(1)} "
            f"| {Spread.of([sample.tap for sample in cost]).show(1)} "
            f"| {Spread.of([sample.wall for sample in cost]).show(1)} |"
        )
    return [
        *rows,
        "",
        "CPU time of the loader, with PostgreSQL's processes where it has any, start-up apart;",
        f"{events:,} wide events into an empty table or file, all rows counted. Gain: CPU time an",
        "event, compared with the first line of the same kind.",
    ]
