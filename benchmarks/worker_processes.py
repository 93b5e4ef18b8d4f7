"""A backfill of several windows, by one process and by workers: wall clock, CPU, memory."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from benchmarks.measure import CACHE, FailedError, Sample, Spread, child_environment, run
from benchmarks.service import DAY, DataSet, Service

if TYPE_CHECKING:
    from pathlib import Path

# Few enough that the quota, 3 queries a second, is not what a run waits for.
_DAYS = 8
_MEGABYTE = 1e6

# SCHEMA, STATE and the like.
_OTHER_LINES = _DAYS + 10

# Runs the tap, and tells the most memory of it, and of the largest process that it has started.
_TAP = """
import json, resource, sys
from tap_mixpanel_export.__main__ import main
path = sys.argv.pop(1)
try:
    main()
finally:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    with open(path, "w") as file:
        json.dump([resource.getrusage(each).ru_maxrss * 1024 for each in who], file)
"""

_EXPLANATION = """\
A first run over {days} days, a window each, of {events:,} wide events in all; median [least, most]
of {runs} rounds, in turns. CPU is that of the run and its workers. The service, which sends
prepared gzip, and what reads the records have the same cores."""


@dataclass(slots=True)
class _Course:
    samples: list[Sample] = field(default_factory=list)
    run_bytes: int = 0
    worker_bytes: int = 0


def section(events: int, runs: int, timeout: float) -> list[str]:
    """Measure 1 and 2 workers, and as many as there are cores, and tell as a Markdown table.

    Args:
        events: Of all days together.
        runs: Rounds, after one that is not counted and writes the byte code.
        timeout: Of one run, s.
    """
    # Imported here: this process stays smaller than what it measures.
    from tap_mixpanel_export.cores import usable_cores  # noqa: PLC0415 - see above

    counts = sorted({1, 2, min(4, usable_cores())})
    courses = {count: _Course() for count in counts}
    with Service(DataSet("wide", events, days=_DAYS)) as service:
        environment = child_environment(service.environment)
        for turn in range(runs + 1):
            for count, course in courses.items():
                _measure(count, course if turn else _Course(), events, environment, timeout)
    lines = [_EXPLANATION.format(days=_DAYS, events=events, runs=runs), ""]
    lines += [
        "| workers | wall, s | events/s | of one | CPU, s | peak MB of the run | of a worker |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for count, course in courses.items():
        walls = [sample.wall for sample in course.samples]
        gains = [
            one.wall / many.wall
            for one, many in zip(courses[1].samples, course.samples, strict=True)
        ]
        worker = f"{course.worker_bytes / _MEGABYTE:.0f}" if course.worker_bytes else ""
        lines.append(
            f"| {count} | {Spread.of(walls).show(1)} "
            f"| {Spread.of([events / wall for wall in walls]).show(0)} "
            f"| {Spread.of(gains).show()} "
            f"| {Spread.of([sample.cpu for sample in course.samples]).show(1)} "
            f"| {course.run_bytes / _MEGABYTE:.0f} | {worker} |"
        )
    return [*lines, "", "Goal: on two cores 1.6 times the events per second of one."]


def _measure(
    count: int, course: _Course, events: int, environment: dict[str, str], timeout: float
) -> None:
    told = CACHE / "worker-memory.json"
    (sample,) = run([_command(count, told)], environment, timeout=timeout)
    if not events <= sample.lines <= events + _OTHER_LINES:
        raise FailedError(f"{sample.lines:,} messages for {events:,} events")
    course.samples.append(sample)
    run_bytes, worker_bytes = json.loads(told.read_text())
    course.run_bytes = max(course.run_bytes, run_bytes)
    course.worker_bytes = max(course.worker_bytes, worker_bytes)


def _command(count: int, told: Path) -> tuple[str, ...]:
    settings = {
        "start_date": (DAY - timedelta(days=_DAYS - 1)).isoformat(),
        "end_date": DAY.isoformat(),
        "max_window_days": 1,
        "workers": count,
    }
    path = CACHE / "settings" / f"workers-{count}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))
    return (sys.executable, "-c", _TAP, str(told), "--config=ENV", "--config", str(path))
