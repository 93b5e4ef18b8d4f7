"""End to end: from the sandbox into target-jsonl."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from benchmarks.environments import python_of
from benchmarks.measure import CACHE, Sample, Spread, child_environment, run
from benchmarks.service import DataSet, Service
from benchmarks.variants import NAIVE, PLAIN, variants

if TYPE_CHECKING:
    from collections.abc import Sequence

_TARGET = "target-jsonl==0.1.4"


def section(events: int, runs: int, timeout: float) -> list[str]:
    """Measure two taps in turns, and tell as a Markdown table.

    Args:
        events: Wide ones.
        runs: Rounds.
        timeout: Of one run, s.
    """
    taps = variants(frozenset({PLAIN, NAIVE}))
    output = CACHE / "loaded"
    config = CACHE / "settings" / "target-jsonl.json"
    config.write_text(json.dumps({"destination_path": str(output), "do_timestamp_file": False}))
    target = (str(python_of(_TARGET).with_name("target-jsonl")), "--config", str(config))
    samples: dict[str, list[Sequence[Sample]]] = {tap.title: [] for tap in taps}
    with Service(DataSet("wide", events)) as service:
        environment = child_environment(service.environment)
        for _ in range(runs):
            for tap in taps:
                shutil.rmtree(output, ignore_errors=True)
                output.mkdir()
                samples[tap.title].append(run([tap.command, target], environment, timeout=timeout))
                (loaded,) = output.iterdir()
                with loaded.open("rb") as lines:
                    if (count := sum(1 for _ in lines)) != events:
                        raise RuntimeError(f"{tap.key}: {count:,} of {events:,} events loaded")
    rows = [
        "| tap | events | wall, s | events/s | CPU of the tap, s | CPU of the target, s |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for title, pairs in samples.items():
        walls = [last.wall for _, last in pairs]
        rows.append(
            f"| {title} | {events:,} | {Spread.of(walls).show(1)} "
            f"| {Spread.of([events / wall for wall in walls]).show(0)} "
            f"| {Spread.of([tap.cpu for tap, _ in pairs]).show(1)} "
            f"| {Spread.of([last.cpu for _, last in pairs]).show(1)} |"
        )
    return rows
