"""Pure: a plan as people read it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_mixpanel_export.export.plan.planning import Plan
    from tap_mixpanel_export.sync.forecast import PlannedWindow

_HEADS = ("windows of", "days", "windows", "queries", "events", "bytes")
_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000
_MINUTE_SECONDS = 60
_HOUR_SECONDS = 3600


def plan_text(plan: Plan) -> str:
    """A table of the windows by kind, and what they add up to."""
    expected = plan.expected
    if not expected.windows:
        return "nothing to ask for: start_date lies behind end_date or the state"
    knows_sizes = plan.probed is not None
    rows = [_row(kind, some, knows_sizes) for kind, some in expected.by_kind().items()]
    rows.append(_row("all", expected.windows, knows_sizes))
    return "\n".join([*_aligned([_HEADS, *rows]), "", *_totals(plan)])


def _row(kind: str, some: list[PlannedWindow], knows_sizes: bool) -> tuple[str, ...]:
    first = min(planned.window.first for planned in some)
    last = max(planned.window.last for planned in some)
    sizes = ("?", "?")
    if knows_sizes:
        sizes = (
            f"{sum(planned.events for planned in some):,.0f}",
            size_text(sum(planned.received for planned in some)),
        )
    return (
        kind,
        f"{first} to {last}",
        f"{len(some)}",
        f"{sum(planned.queries for planned in some)}",
        *sizes,
    )


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        texts = (
            cell.ljust(width) if at < 2 else cell.rjust(width)  # noqa: PLR2004 - numbers follow
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(texts).rstrip()


def _totals(plan: Plan) -> Iterator[str]:
    expected, probed = plan.expected, plan.probed
    kind = "a first run" if plan.is_first else "a run that goes on from the state"
    quota = f"{plan.left_in_hour} of {plan.max_per_hour} left in this hour"
    if probed is None:
        yield f"{kind}: at least {expected.queries} queries ({quota})"
        yield f"waiting for the quota: at least {duration_text(expected.wait_seconds)}"
        yield "events, bytes and time are unknown without a probe; larger days make more windows"
        return
    queries = _ranged(plan, "queries", "{:,.0f}".format)
    yield f"{kind}: {queries} queries ({quota})"
    waiting = _ranged(plan, "wait_seconds", duration_text)
    time = _ranged(plan, "seconds", duration_text)
    yield f"time: {time}, of it waiting for the quota: {waiting}"
    yield f"temporary files, at most: {_ranged(plan, 'disk_bytes', size_text)}"
    least = "more than " if probed.is_least else ""
    yield (
        f"from {probed.days}: {least}{probed.events:,} events, {size_text(probed.received)} "
        f"({probed.queries} queries sent). In brackets: for days of half and of twice that size, "
        "and for days without events, which are asked for twice. Failures come on top"
    )


def _ranged(plan: Plan, figure: str, text: Callable[[float], str]) -> str:
    least, most = map(text, plan.range_of(figure))
    expected = text(getattr(plan.expected, figure))
    return expected if least == most else f"{expected} ({least} to {most})"


def size_text(count: float) -> str:
    """A number of bytes, for people."""
    unit = 0
    while count >= _STEP and unit < len(_UNITS) - 1:
        count /= _STEP
        unit += 1
    return f"{count:.3g} {_UNITS[unit]}"


def duration_text(seconds: float) -> str:
    """A time, for people."""
    if seconds < _MINUTE_SECONDS:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_SECONDS:
        return f"{seconds / _MINUTE_SECONDS:.0f} min"
    hours = timedelta(seconds=seconds) / timedelta(hours=1)
    return f"{hours:.1f} h"
