"""What a part of a day costs beside the whole day, and what lies on disk meanwhile.

Run as a module it reads one part by the Python interface, and prints what that took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Spread, child_environment
from benchmarks.service import DAY, DataSet, Service

_PARTS = (1, 4, 24)


def section(events: int, runs: int, timeout: float) -> list[str]:
    """Measure in turns, and tell as a Markdown table.

    Args:
        events: Wide ones, of one day.
        runs: Rounds.
        timeout: Of one run, s.

    Raises:
        subprocess.CalledProcessError: A part could not be read.
    """
    taken: dict[int, list[tuple[int, float, int]]] = {parts: [] for parts in _PARTS}
    with Service(DataSet("wide", events)) as service:
        environment = child_environment(service.environment)
        for _ in range(runs):
            for parts in _PARTS:
                done = subprocess.run(
                    [sys.executable, "-m", __name__, str(parts)],
                    check=True,
                    env=environment,
                    stdout=subprocess.PIPE,
                    timeout=timeout,
                )
                taken[parts].append(tuple(json.loads(done.stdout)))
    whole = [cpu for _, cpu, _ in taken[1]]
    columns = ("parts", "events of one", "CPU, s", "of the whole day's", "bytes on disk, an event")
    lines = [f"| {' | '.join(columns)} |", f"|{'--:|' * len(columns)}"]
    for parts, samples in taken.items():
        (rows,) = {rows for rows, _, _ in samples}
        shares = [cpu / day for (_, cpu, _), day in zip(samples, whole, strict=True)]
        lines.append(
            f"| {parts} | {rows:,} | {Spread.of([cpu for _, cpu, _ in samples]).show()} "
            f"| {Spread.of(shares).show()} | {samples[0][2] / rows:.0f} |"
        )
    return [
        f"A part asks for the whole day and keeps its share; {runs} rounds, start-up not counted.",
        "",
        *lines,
    ]


def _read(parts: int) -> None:
    from tap_mixpanel_export import Export  # noqa: PLC0415 - in the measured process only

    day = DAY.isoformat()
    export = Export({"start_date": day, "end_date": day})
    windows = export.plan(splits_per_day=parts)
    rows = on_disk = 0
    begun = time.process_time()
    with export.read_window(windows[len(windows) // 2]) as reader:
        for batch in reader:
            # When the first one comes, all of the part lies there.
            on_disk = on_disk or _bytes_of_nameless_files()
            rows += batch.num_rows
    print(json.dumps([rows, time.process_time() - begun, on_disk]))


def _bytes_of_nameless_files() -> int:
    total = 0
    for entry in Path("/proc/self/fd").iterdir():
        # What it was opened as; the folder that is read here is closed again by then.
        if entry.exists() and os.readlink(entry).endswith(" (deleted)"):  # noqa: PTH115 - no path
            total += entry.stat().st_size
    return total


if __name__ == "__main__":
    _read(int(sys.argv[1]))
