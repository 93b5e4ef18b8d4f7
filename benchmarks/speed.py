"""All variants on the same events, run in turns, compared with the floor of the same round."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.measure import FailedError, Spread, child_environment, run
from benchmarks.service import DataSet, Service
from benchmarks.variants import FLOOR, HEADLESS, NAIVE, PLAIN, TAP_MIXPANEL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.measure import Sample
    from benchmarks.variants import Variant

# Enough to import everything and write its byte code, and to see that the variant works at all.
_WARM_UP_EVENTS = 1_000

# SCHEMA, STATE and the like; a variant that wrote less or more than the events did another job.
_OTHER_LINES = 20

_MEGABYTE = 1e6


@dataclass(slots=True)
class Measured:
    """What a variant's runs cost, one entry a round.

    Attributes:
        variant: The variant.
        events: Events that it was given.
        samples: Of its process.
        service_cpu: CPU time that the sandbox needed meanwhile, s.
        failure: Why there is nothing more; None when all went well.
    """

    variant: Variant
    events: int
    samples: list[Sample] = field(default_factory=list)
    service_cpu: list[float] = field(default_factory=list)
    failure: str | None = None

    @property
    def cpu_per_event(self) -> list[float]:
        """CPU time an event, us."""
        return [sample.cpu / self.events * 1e6 for sample in self.samples]

    @property
    def events_per_cpu_second(self) -> Spread:
        """Events a CPU second."""
        return Spread.of([self.events / sample.cpu for sample in self.samples])

    @property
    def peak_rss(self) -> Spread:
        """Peak memory, MB."""
        return Spread.of([sample.peak_rss / _MEGABYTE for sample in self.samples])

    def relative_to(self, other: Measured) -> Spread | None:
        """CPU an event, as a multiple of another variant's in the same round."""
        if self.failure is not None or other.failure is not None:
            return None
        pairs = zip(self.cpu_per_event, other.cpu_per_event, strict=True)
        return Spread.of([own / others for own, others in pairs])


def measure(
    shape: str, events: int, runs: int, variants: Sequence[Variant], timeout: float
) -> list[Measured]:
    """Run all variants in turns: A B C A B C, so that the machine's moods hit all alike.

    Args:
        shape: Of the events.
        events: For variants that are given all.
        runs: Rounds.
        variants: What to run.
        timeout: Of one run, s.
    """
    results = [Measured(variant, int(events * variant.share)) for variant in variants]
    with Service(DataSet(shape, _WARM_UP_EVENTS)) as service:
        for result in results:
            _attempt(
                Measured(result.variant, _WARM_UP_EVENTS), service, timeout, _note_failure(result)
            )
    services: dict[int, Service] = {}
    try:
        for number in {result.events for result in results}:
            services[number] = Service(DataSet(shape, number))
        for turn in range(runs):
            for result in results:
                if result.failure is None:
                    print(
                        f"{shape}: round {turn + 1} of {runs}: {result.variant.key}",
                        file=sys.stderr,
                    )
                    _attempt(result, services[result.events], timeout, _note_failure(result))
    finally:
        for service in services.values():
            service.__exit__(None, None, None)
    return results


def _note_failure(result: Measured) -> Callable[[str], None]:
    def note(failure: str) -> None:
        result.failure = failure
        print(f"{result.variant.key} failed: {failure}", file=sys.stderr)

    return note


def _attempt(
    result: Measured, service: Service, timeout: float, note: Callable[[str], None]
) -> None:
    variant = result.variant
    variant.clean()
    before = service.cpu_seconds()
    try:
        (sample,) = run([variant.command], child_environment(service.environment), timeout=timeout)
    except FailedError as error:
        note(str(error))
        return
    result.service_cpu.append(service.cpu_seconds() - before)
    result.samples.append(sample)
    written = variant.count(sample.lines)
    if not result.events <= written <= result.events + _OTHER_LINES:
        note(f"wrote {written:,} instead of {result.events:,} events")


def table(results: Sequence[Measured]) -> list[str]:
    """The results as a Markdown table."""
    lines = [
        "| variant | events | CPU, s | events per CPU s | CPU / F2 | peak MB | sandbox's CPU, s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    floor = find(results, FLOOR)
    for result in results:
        start = f"| {result.variant.title} | {result.events:,} |"
        if result.failure is not None:
            lines.append(f"{start} failed: {result.failure.replace('|', '/')} | | | | |")
            continue
        ratio = None if floor is None else result.relative_to(floor)
        lines.append(
            f"{start} {Spread.of([sample.cpu for sample in result.samples]).show()} "
            f"| {result.events_per_cpu_second.show(0)} "
            f"| {'' if ratio is None else ratio.show()} "
            f"| {result.peak_rss.show(0)} "
            f"| {Spread.of(result.service_cpu).show()} |"
        )
    return lines


def find(results: Sequence[Measured], key: str) -> Measured | None:
    """The results of a variant."""
    return next((result for result in results if result.variant.key == key), None)


# Figures that the project has set itself, for wide events: variant, what it is compared with, and
# the most of the other's CPU time that it may need.
_GOALS = (
    (PLAIN, FLOOR, 1.0),
    ("generic", FLOOR, 3.2),
    ("batch-jsonl", FLOOR, 1.3),
    (PLAIN, NAIVE, 1 / 10),
    (PLAIN, TAP_MIXPANEL, 1 / 30),
    (PLAIN, HEADLESS, 1 / 3),
    ("arrow-parquet", PLAIN, 1.25),
)


def goals(results: Sequence[Measured]) -> list[str]:
    """What was aimed at, and what was reached, as a Markdown table."""
    lines = ["| figure | goal | measured | |", "|---|--:|--:|---|"]
    for key, other_key, most in _GOALS:
        own, other = find(results, key), find(results, other_key)
        if own is None or other is None:
            continue
        ratio = own.relative_to(other)
        if most >= 1:
            figure, goal = f"CPU of {key} / {other_key}", f"<= {most:g}"
        else:
            figure, goal = f"events per CPU second of {key} / {other_key}", f">= {1 / most:g}"
        if ratio is None:
            lines.append(f"| {figure} | {goal} | not measured | |")
            continue
        shown = ratio
        if most < 1:
            shown = Spread(1 / ratio.median, 1 / ratio.most, 1 / ratio.least)
        verdict = "reached" if ratio.median <= most else "missed"
        lines.append(f"| {figure} | {goal} | {shown.show()} | {verdict} |")
    return lines
