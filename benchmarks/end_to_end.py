"""This tap and its peers on the same events, from the first byte to the last row.

What arrived is compared with what is served, by number and `$insert_id`, after each run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import CACHE, FailedError, Spread, child_environment, run
from benchmarks.routes import EXPLANATION, GOALS, KINDS, MOST_OF_THE_SLOW, NOT_MEASURED
from benchmarks.service import DAY, DataSet, Service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.routes import Route

_FEW = 10
"""Events of a run that is little else than start-up."""
_MEGABYTE = 1e6


@dataclass(slots=True)
class Course:
    """The runs of one route over one number of events.

    Attributes:
        cpu: User and system time of all its processes, s, one entry a run.
        wall: From start to end, s.
        peak_rss: Most memory of one of its processes, bytes.
        failure: Why there is nothing more; None when all went well.
    """

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    peak_rss: list[int] = field(default_factory=list)
    failure: str | None = None


def measure(
    routes: Sequence[Route], sizes: Sequence[int], runs: int, timeout: float
) -> dict[int, dict[str, Course]]:
    """Run all routes in turns, over ever more events.

    A route that fails, takes too long or loses an event is not given more of them.

    Args:
        routes: What to run.
        sizes: Numbers of wide events.
        runs: Rounds.
        timeout: Of one run, s.

    Returns:
        By number of events and route; those of a handful of events are mostly start-up.
    """
    courses: dict[int, dict[str, Course]] = {}
    out: set[str] = set()
    for size in (_FEW, *sorted(sizes)):
        courses[size] = {}
        left = [
            route
            for route in routes
            if route.key not in out and (size <= MOST_OF_THE_SLOW or not route.is_slow)
        ]
        with Service(DataSet("wide", size)) as service:
            truth = _events(service.environment, "service", DAY.isoformat())
            if size == _FEW:
                # Writes the byte code, as an installation does.
                for route in left:
                    _attempt(Course(), route, service, truth, timeout)
            for turn in range(runs):
                for route in left:
                    course = courses[size].setdefault(route.key, Course())
                    if course.failure is None:
                        print(
                            f"{size:,} events: round {turn + 1} of {runs}: {route.key}",
                            file=sys.stderr,
                        )
                        _attempt(course, route, service, truth, timeout)
        out |= {key for key, course in courses[size].items() if course.failure is not None}
    return courses


def _attempt(
    course: Course, route: Route, service: Service, truth: list[int], timeout: float
) -> None:
    folder = CACHE / "routes" / route.key
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    variables = service.environment
    commands = route.commands(folder, variables)
    environment = child_environment({**variables, **route.environment(variables)})
    try:
        samples = run(commands, environment, timeout=timeout)
    except FailedError as error:
        course.failure = str(error)
    else:
        found = _events(variables, str(folder / route.into), route.id_path)
        if found != truth:
            course.failure = f"{found[0]:,} events of {truth[0]:,}, or other ones"
        course.cpu.append(sum(sample.cpu for sample in samples))
        course.wall.append(max(sample.wall for sample in samples))
        course.peak_rss.append(max(sample.peak_rss for sample in samples))
    finally:
        shutil.rmtree(folder)
    if course.failure is not None:
        print(f"{route.key} failed: {course.failure}", file=sys.stderr)


def _events(variables: Mapping[str, str], output: str, path: str) -> list[int]:
    command = (sys.executable, "-m", "benchmarks.check_events", output, path)
    done = subprocess.run(
        command, check=True, env=child_environment(variables), stdout=subprocess.PIPE
    )
    counted: list[int] = json.loads(done.stdout)
    return counted


def section(routes: Sequence[Route], sizes: Sequence[int], runs: int, timeout: float) -> list[str]:
    """Measure, and tell as Markdown tables."""
    courses = measure(routes, sizes, runs, timeout)
    few = courses.pop(_FEW)
    columns = ("events", "wall, s", "events/s", "CPU, s", "events per CPU s", "without start-up")
    lines = [
        f"| way | into | {' | '.join(columns)} | peak MB |",
        f"|---|---|{'--:|' * len(columns)}--:|",
    ]
    for route in routes:
        kind = KINDS[Path(route.into).suffix]
        for size, of_size in courses.items():
            start = f"| {route.title} | {kind} | {size:,} |"
            if (course := of_size.get(route.key)) is not None:
                lines.append(f"{start} {_row(size, course, few[route.key])}")
    starts = ["| way | wall, s | CPU, s |", "|---|--:|--:|"]
    for route in routes:
        course = few[route.key]
        shown = (
            f"failed: {course.failure} | |"
            if course.failure is not None
            else f"{Spread.of(course.wall).show()} | {Spread.of(course.cpu).show()} |"
        )
        starts.append(f"| {route.title} | {shown}")
    return [
        *(EXPLANATION.format(runs=runs), "", *lines, ""),
        *_goals(courses),
        *(f"Start-up: the same with {_FEW} events.", "", *starts, ""),
        NOT_MEASURED,
    ]


def _goals(courses: Mapping[int, Mapping[str, Course]]) -> list[str]:
    """What was aimed at, and what was reached, over the most events that both were given."""
    lines = []
    for key, other_key, aim in GOALS:
        sizes = [size for size, of_size in courses.items() if {key, other_key} <= of_size.keys()]
        pair = [courses[max(sizes)][name] for name in (key, other_key)] if sizes else []
        if not pair or any(course.failure is not None for course in pair):
            continue
        own, other = pair
        # Within a round: a busy moment of the machine hits both.
        ratio = Spread.of([b / a for a, b in zip(own.cpu, other.cpu, strict=True)])
        verdict = "reached" if ratio.median >= aim else "missed"
        lines.append(
            f"| events per CPU second of {key} / {other_key}, {max(sizes):,} events | >= {aim} "
            f"| {ratio.show()} | {verdict} |"
        )
    head = ["| figure | goal | measured | |", "|---|--:|--:|---|"]
    return [*head, *lines, ""] if lines else []


def _row(size: int, course: Course, few: Course) -> str:
    if course.failure is not None:
        return f"failed: {course.failure.replace('|', '/')} | | | | | |"
    cpu = Spread.of(course.cpu)
    beyond = cpu.median - Spread.of(few.cpu).median
    # Of few events start-up is all there is.
    rate = f"{size / beyond:,.0f}" if beyond > 0 else ""
    cells = (
        Spread.of(course.wall).show(1),
        Spread.of([size / wall for wall in course.wall]).show(0),
        cpu.show(1),
        Spread.of([size / used for used in course.cpu]).show(0),
        rate,
        f"{max(course.peak_rss) / _MEGABYTE:,.0f}",
    )
    return " | ".join(cells) + " |"
