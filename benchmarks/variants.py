"""What is compared: how each variant is started, and how many events it is given."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environments import peer
from benchmarks.measure import CACHE, child_environment
from benchmarks.service import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.measure import Command

HERE = Path(__file__).resolve().parent

FLOOR = "floor"
PLAIN = "plain"
NAIVE = "naive"
TAP_MIXPANEL = "tap-mixpanel"
HEADLESS = "headless"

# A deselected member of an event: nothing of the plain way can be used then.
_DESELECTED = ["properties", "properties", "properties", "$city"]
# Tells how many rows were read, where nothing else is left of them.
_ROWS = "rows"
_ONE_MAP = {"events": {"day": "timestamp[:10]"}}


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to export events.

    Attributes:
        key: Short name, for the command line.
        title: For the table.
        command: How it is started.
        share: Part of the events that it is given: the slowest take minutes for all of them.
        count: Counts the events that it wrote, given the lines on stdout.
        clean: Called before each run.
    """

    key: str
    title: str
    command: Command
    share: float = 1.0
    count: Callable[[int], int] = lambda lines: lines
    clean: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class _Files:
    """A folder for BATCH files."""

    folder: Path
    count: Callable[[Path], int] = field(repr=False)

    def clean(self) -> None:
        """Empty it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def events(self, _lines: int) -> int:
        """The events in all files."""
        return sum(self.count(file) for file in self.folder.iterdir())


def variants(keys: frozenset[str] | None = None) -> list[Variant]:
    """The variants, in the order of the table.

    Peers are installed when they are not.

    Args:
        keys: Only these; None for all.
    """
    makers: dict[str, Callable[[], Variant]] = {
        FLOOR: lambda: Variant(
            FLOOR,
            "F2, the floor: requests, isal, orjson",
            (sys.executable, "-m", "benchmarks.floor", DAY.isoformat()),
        ),
        PLAIN: lambda: _own(PLAIN, "this tap"),
        "report": lambda: _own(
            "report", "this tap, with a report", {"report_dir": str(CACHE / "report")}
        ),
        "generic": lambda: _own(
            "generic", "this tap, deselection inside `properties`", catalog=_catalog()
        ),
        "map": lambda: _own("map", "this tap, one stream map", {"stream_maps": _ONE_MAP}),
        "batch-jsonl": lambda: _batch("jsonl", "gzip", _lines_of_gzip),
        "batch-parquet": lambda: _batch("parquet", None, _rows_of_parquet),
        "arrow": lambda: _arrow("arrow", "this tap's Python interface, Arrow batches"),
        "arrow-parquet": lambda: _arrow(
            "arrow-parquet", "the same, written as Parquet", "events.parquet"
        ),
        "read-duckdb": _read_duckdb,
        HEADLESS: lambda: Variant(
            HEADLESS,
            "mixpanel-headless 0.4.0, to JSON Lines",
            peer("mixpanel-headless==0.4.0", "run_headless.py", DAY.isoformat()),
        ),
        NAIVE: lambda: Variant(
            NAIVE,
            "naive tap on the same SDK",
            (
                sys.executable,
                str(HERE / "naive_tap.py"),
                "--config",
                _written("naive.json", {"day": DAY.isoformat()}),
            ),
            share=0.5,
        ),
        TAP_MIXPANEL: lambda: Variant(
            TAP_MIXPANEL,
            "tap-mixpanel 1.8.0",
            peer("tap-mixpanel==1.8.0", "run_tap_mixpanel.py", DAY.isoformat()),
            share=0.25,
        ),
    }
    return [make() for key, make in makers.items() if keys is None or key in keys]


def own_command(name: str, settings: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """This tap's command for the day; credentials come from the environment.

    Args:
        name: Of the settings file.
        settings: Beside the dates.
    """
    day = DAY.isoformat()
    config = {"start_date": day, "end_date": day, **(settings or {})}
    return (
        sys.executable,
        "-m",
        "tap_mixpanel_export",
        "--config=ENV",
        "--config",
        _written(f"{name}.json", config),
    )


def _own(
    key: str,
    title: str,
    settings: Mapping[str, Any] | None = None,
    catalog: str | None = None,
) -> Variant:
    selection = () if catalog is None else ("--catalog", catalog)
    return Variant(key, title, (*own_command(key, settings), *selection))


def _batch(file_format: str, compression: str | None, count: Callable[[Path], int]) -> Variant:
    files = _Files(CACHE / "batches" / file_format, count)
    encoding = {"format": file_format}
    if compression is not None:
        encoding["compression"] = compression
    storage = {"root": files.folder.as_uri()}
    command = own_command(
        f"batch-{file_format}", {"batch_config": {"encoding": encoding, "storage": storage}}
    )
    return Variant(
        f"batch-{file_format}",
        f"this tap, BATCH {file_format}",
        command,
        count=files.events,
        clean=files.clean,
    )


def _arrow(key: str, title: str, parquet: str | None = None) -> Variant:
    files = _Files(CACHE / "batches" / key, _told_rows)
    written = () if parquet is None else (str(files.folder / parquet),)
    return Variant(
        key,
        title,
        (
            *(sys.executable, str(HERE / "arrow.py"), DAY.isoformat()),
            *(str(files.folder / _ROWS), *written),
        ),
        count=files.events,
        clean=files.clean,
    )


def _read_duckdb() -> Variant:
    files = _Files(CACHE / "batches" / "read-duckdb", _rows_of_duckdb)
    day = DAY.isoformat()
    start = "from tap_mixpanel_export.__main__ import mixpanel_export as main; main()"
    config = _written("read-duckdb.json", {"start_date": day, "end_date": day})
    target = f"duckdb:///{files.folder / 'events.duckdb'}"
    return Variant(
        "read-duckdb",
        "`mixpanel-export read`, into DuckDB",
        (
            *(sys.executable, "-c", start, "read", "--to", target),
            *("--config", "ENV", "--config", config),
        ),
        count=files.events,
        clean=files.clean,
    )


def _lines_of_gzip(file: Path) -> int:
    with gzip.open(file) as text:
        return sum(1 for _ in text)


def _told_rows(file: Path) -> int:
    return int(file.read_text()) if file.name == _ROWS else 0


def _rows_of_parquet(file: Path) -> int:
    # In another process: the library would make this one larger than what it measures.
    count = "import sys, pyarrow.parquet as p; print(p.ParquetFile(sys.argv[1]).metadata.num_rows)"
    answer = subprocess.run([sys.executable, "-c", count, file], capture_output=True, check=True)
    return int(answer.stdout)


def _rows_of_duckdb(file: Path) -> int:
    count = "import sys, duckdb; db = duckdb.connect(sys.argv[1]);"
    count += "print(db.execute('SELECT count(*) FROM events').fetchone()[0])"
    answer = subprocess.run([sys.executable, "-c", count, file], capture_output=True, check=True)
    return int(answer.stdout)


def _catalog() -> str:
    """The discovered catalog, with one member of `properties` deselected."""
    discovery = subprocess.run(
        [sys.executable, "-m", "tap_mixpanel_export", "--discover"],
        env=child_environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    catalog = json.loads(discovery.stdout)
    for stream in catalog["streams"]:
        stream["metadata"].append({"breadcrumb": _DESELECTED, "metadata": {"selected": False}})
    return _written("catalog.json", catalog)


def _written(name: str, document: Any) -> str:
    path = CACHE / "settings" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return str(path)
