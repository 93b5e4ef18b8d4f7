"""The results as a picture: events per CPU second, as SVG."""

from __future__ import annotations

from html import escape
from math import floor, log10
from typing import TYPE_CHECKING

from benchmarks.variants import FLOOR, PLAIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.speed import Measured

_WIDTH = 860
_NAMES = 300
_RIGHT = 90
_BAR = 14
_ROW = 24
_HEADING = 34
_AXIS = 40
_LINES = 8

_LOOK = 'font-family="system-ui, sans-serif" font-size="13" role="img"'
_TITLES = {"wide": "35 properties an event", "adobe": "11 properties an event"}
_COLORS = {PLAIN: "#1f7a4d", FLOOR: "#8a8f98"}
_OWN = "#6fb592"
_OTHER = "#c98a4b"


def svg(results: Mapping[str, Sequence[Measured]]) -> str:
    """Draw one block of bars for each shape; the lines in the bars are the spread of the runs.

    Args:
        results: Of each shape. What failed is left out, the table tells why.
    """
    blocks = {
        shape: [result for result in measured if result.failure is None]
        for shape, measured in results.items()
    }
    rates = [r.events_per_cpu_second.most for block in blocks.values() for r in block]
    axis = _Axis(rates)
    height = sum(_HEADING + _ROW * len(block) for block in blocks.values()) + _AXIS
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_LOOK}>',
        "<title>Events exported per CPU second</title>",
        # Readable on dark pages, too.
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        *axis.lines(height - _AXIS + 6),
    ]
    top = 0
    for shape, block in blocks.items():
        title = escape(_TITLES.get(shape, shape))
        parts.append(f'<text x="10" y="{top + 22}" font-weight="600">{title}</text>')
        top += _HEADING
        for result in block:
            parts += _bar(result, axis, top)
            top += _ROW
    parts.append(
        f'<text x="{_WIDTH - 10}" y="{height - 6}" text-anchor="end" fill="#555">'
        "events per CPU second; more is better</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """From rates to places; it begins at zero, so that lengths compare as rates do."""

    def __init__(self, rates: Sequence[float]) -> None:
        self._most = max(rates)
        step = 10 ** floor(log10(self._most))
        # Three to eight lines.
        self._step = next(
            s for s in (step // 5, step // 2, step, 2 * step) if self._most / s <= _LINES
        )

    def x(self, rate: float) -> float:
        """Where a rate stands."""
        return _NAMES + rate / self._most * (_WIDTH - _NAMES - _RIGHT)

    def lines(self, height: int) -> list[str]:
        """Lines at round rates."""
        parts = []
        for rate in range(0, int(self._most) + 1, self._step):
            x = self.x(rate)
            parts.append(
                f'<line x1="{x:.1f}" y1="20" x2="{x:.1f}" y2="{height}" stroke="#e3e5e8"/>'
                f'<text x="{x:.1f}" y="{height + 14}" text-anchor="middle" fill="#555">'
                f"{rate:,}</text>"
            )
        return parts


def _bar(result: Measured, axis: _Axis, top: int) -> list[str]:
    rate = result.events_per_cpu_second
    key = result.variant.key
    own = result.variant.title.startswith("this tap")
    color = _COLORS.get(key, _OWN if own else _OTHER)
    middle, text = top + _BAR / 2, top + _BAR / 2 + 4.5
    least, median, most = (axis.x(value) for value in (rate.least, rate.median, rate.most))
    weight = ' font-weight="600"' if key == PLAIN else ""
    name = escape(result.variant.title.replace("`", ""))
    box = f'x="{_NAMES}" y="{top}" width="{median - _NAMES:.1f}" height="{_BAR}"'
    beside = f'x="{max(most, median) + 6:.1f}" y="{text}"'
    return [
        f'<text x="{_NAMES - 8}" y="{text}" text-anchor="end"{weight}>{name}</text>',
        f'<rect {box} rx="2" fill="{color}"/>',
        f'<line x1="{least:.1f}" y1="{middle}" x2="{most:.1f}" y2="{middle}" stroke="#222"/>',
        f"<text {beside}{weight}>{rate.median:,.0f}</text>",
    ]
