"""One command for all figures: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import (
    end_to_end,
    loader,
    loaders,
    mapping,
    parts,
    peak_memory,
    speed,
    startup,
    worker_processes,
)
from benchmarks.measure import CACHE
from benchmarks.plot import svg
from benchmarks.routes import routes
from benchmarks.variants import variants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.speed import Measured

_HERE = Path(__file__).resolve().parent
_SECTIONS = (
    "speed",
    "workers",
    "memory",
    "startup",
    "loader",
    "loaders",
    "peers",
    "parts",
    "mapping",
)
_SHAPES = {"wide": "Wide events (35 properties)", "adobe": "Events of the 11 mapped fields"}

_EXPLANATION = """\
Median [least, most] of {runs} rounds in which every variant ran in turn. CPU is user and system
time of the exporting process with all its threads, start-up included, its output read through a
pipe by another process. CPU / F2 is the CPU time an event, divided by the floor's of the same
round. The sandbox serves prepared gzip from a process of its own. One day of events, one window. A
variant with fewer events is compared by its CPU time an event, in which its start-up weighs
more."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and keep them beside this file."""
    options = _parser().parse_args(arguments)
    CACHE.mkdir(exist_ok=True)
    keys = frozenset(options.variants) or None
    measured: dict[str, list[Measured]] = {}
    lines = ["# Benchmark results", "", _machine(), "", _moment(), ""]
    if "speed" in options.sections:
        lines += [_EXPLANATION.format(runs=options.runs), ""]
        for shape in options.shapes:
            results = speed.measure(
                shape, options.events, options.runs, variants(keys), options.timeout
            )
            measured[shape] = results
            lines += [f"## {_SHAPES[shape]}", "", *speed.table(results), ""]
            if shape == "wide" and (reached := speed.goals(results)):
                lines += ["### What was aimed at", "", *reached, ""]
    lines += _other_sections(options)
    text = "\n".join(lines)
    print(text)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.md").write_text(text)
    if measured:
        (options.output / "results.svg").write_text(svg(measured))


def _other_sections(options: argparse.Namespace) -> list[str]:
    """All but `speed`, as Markdown."""
    events, runs, timeout = options.events, options.runs, options.timeout
    keys = frozenset(options.routes) or None
    sections: dict[str, tuple[str, Callable[[], list[str]]]] = {
        "workers": (
            "Worker processes",
            lambda: worker_processes.section(events * 2, runs, timeout),
        ),
        "memory": ("Memory", lambda: peak_memory.section(events * 8, timeout)),
        "startup": ("Start-up", lambda: startup.section(runs)),
        "loader": (
            "End to end, into target-jsonl 0.1.4",
            lambda: loader.section(events // 10, runs, timeout),
        ),
        "loaders": (
            "Loaders, and files instead of them",
            lambda: loaders.section(events // 10, runs, timeout),
        ),
        "peers": (
            "End to end, beside other programs",
            lambda: end_to_end.section(routes(keys), options.sizes, runs, timeout),
        ),
        "parts": ("Parts of a day", lambda: parts.section(events // 2, runs, timeout)),
        "mapping": (
            "Mapping of the 11 fields",
            lambda: mapping.section(events // 2, runs, timeout),
        ),
    }
    lines: list[str] = []
    for name, (title, section) in sections.items():
        if name in options.sections:
            lines += [f"## {title}", "", *section(), ""]
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--sections",
        nargs="+",
        choices=_SECTIONS,
        default=list(_SECTIONS),
        help="what to measure (default: all)",
    )
    parser.add_argument(
        "--events", type=_positive, default=500_000, help="events a run (%(default)s)"
    )
    parser.add_argument("--runs", type=_positive, default=5, help="rounds (%(default)s)")
    parser.add_argument(
        "--shapes",
        nargs="+",
        choices=tuple(_SHAPES),
        default=list(_SHAPES),
        help="shapes of the events (default: both)",
    )
    parser.add_argument(
        "--variants", nargs="+", default=[], metavar="KEY", help="only these (default: all)"
    )
    parser.add_argument(
        "--routes", nargs="+", default=[], metavar="KEY", help="of `peers`, only these ways"
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=_positive,
        default=[10_000, 100_000],
        help="of `peers`, the numbers of events (default: 10000 100000)",
    )
    parser.add_argument(
        "--timeout", type=float, default=600.0, help="of one run, seconds (%(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, default=_HERE, help="folder for results.md and results.svg"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _machine() -> str:
    """What the figures depend on: no name of the machine, only its kind."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("singer-sdk", "msgspec", "orjson", "isal")
    )
    return (
        f"{platform.system()} on {_processor()}, {os.cpu_count()} cores, "
        f"{platform.python_implementation()} {platform.python_version()}; {packages}."
    )


def _moment() -> str:
    """When this is measured, and how busy the machine is with other work then."""
    load, *_ = os.getloadavg()
    today = datetime.now(timezone.utc).date()
    return f"Begun on {today} (UTC), when {load:.1f} other processes wanted a core."


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


if __name__ == "__main__":
    main()
