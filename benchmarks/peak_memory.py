"""Memory: peak RSS of tap and Python interface as one window grows.

A hundredth of the window's events come twice.
"""

from __future__ import annotations

from benchmarks.measure import Sample, child_environment, run
from benchmarks.service import DataSet, Service
from benchmarks.variants import own_command, variants

_DUPLICATES = 0.01
_MEGABYTE = 1e6

# SCHEMA, STATE and the like.
_OTHER_LINES = 20


def section(largest: int, timeout: float) -> list[str]:
    """Measure three sizes, and tell as a Markdown table.

    Args:
        largest: Events in the largest window; the others have a quarter and a sixteenth.
        timeout: Of one run, s.
    """
    lines = [
        "| wide events in one window | peak memory, MB | of a quarter of them | CPU, s |",
        "|--:|--:|--:|--:|",
    ]
    smaller: Sample | None = None
    for events in (largest // 16, largest // 4, largest):
        sample = _measure(events, timeout)
        growth = "" if smaller is None else f"{sample.peak_rss / smaller.peak_rss:.2f} x"
        lines.append(
            f"| {events:,} | {sample.peak_rss / _MEGABYTE:.0f} | {growth} | {sample.cpu:.1f} |"
        )
        smaller = sample
    goals = "Goals: at most 120 MB for a million events, and less than 1.10 x of a quarter of them."
    return [*lines, "", goals, "", *_arrow_section(largest, timeout)]


_ARROW = frozenset({"arrow", "arrow-parquet", "read-duckdb"})


def _arrow_section(largest: int, timeout: float) -> list[str]:
    """What reads Arrow batches: three sizes, the last four times the one before."""
    sizes = (largest // 40, largest // 4, largest)
    ways = variants(_ARROW)
    found: dict[str, list[Sample]] = {way.key: [] for way in ways}
    for events in sizes:
        with Service(DataSet("wide", events, _DUPLICATES)) as service:
            environment = child_environment(service.environment)
            for way in ways:
                way.clean()
                (sample,) = run([way.command], environment, timeout=timeout)
                if (rows := way.count(sample.lines)) != events:
                    raise RuntimeError(f"{way.key}: {rows:,} rows of {events:,} events")
                found[way.key].append(sample)
    titles = " | ".join(f"{events:,}: peak memory, MB | CPU, s" for events in sizes)
    lines = [f"| wide events in one window | {titles} |", "|---|" + "--:|" * 2 * len(sizes)]
    for way in ways:
        cells = (f"{s.peak_rss / _MEGABYTE:.0f} | {s.cpu:.1f}" for s in found[way.key])
        lines.append(f"| {way.title} | {' | '.join(cells)} |")
    goals = f"Goals: at most 300 MB, and as much for {sizes[2]:,} events as for {sizes[1]:,}."
    return [*lines, "", goals]


def _measure(events: int, timeout: float) -> Sample:
    with Service(DataSet("wide", events, _DUPLICATES)) as service:
        (sample,) = run(
            [own_command("plain")], child_environment(service.environment), timeout=timeout
        )
    if not events <= sample.lines <= events + _OTHER_LINES:
        raise RuntimeError(f"{sample.lines:,} messages for {events:,} events that differ")
    return sample
