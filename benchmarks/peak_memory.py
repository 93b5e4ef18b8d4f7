"""Memory: peak RSS of the tap as one window grows, a hundredth of its events coming twice."""

from __future__ import annotations

from benchmarks.measure import Sample, child_environment, run
from benchmarks.service import DataSet, Service
from benchmarks.variants import own_command

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
    return [*lines, "", goals]


def _measure(events: int, timeout: float) -> Sample:
    with Service(DataSet("wide", events, _DUPLICATES)) as service:
        (sample,) = run(
            [own_command("plain")], child_environment(service.environment), timeout=timeout
        )
    if not events <= sample.lines <= events + _OTHER_LINES:
        raise RuntimeError(f"{sample.lines:,} messages for {events:,} events that differ")
    return sample
