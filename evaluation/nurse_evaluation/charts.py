"""Charts as SVG, for a page that fetches nothing: dots with intervals by model, and lines over a number.

In: figures. Out: one `<svg>` element. Colours are classes (`s0` … `s5`, `grid`, `rule`) that the page's style sheet sets, for light, dark
and print; series differ in shape and dash too, so that they can be told apart without colour. Both axes have a title with its unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 440
"""User units; a phone shows the chart at 0.8 of them and letters of 13 stay readable."""
LEFT, RIGHT, TOP = 62, 14, 12
SERIES = 6
"""Colours there are; a seventh series would look like the first."""
_DASHES = ("", "7 4", "2 4", "9 3 2 3", "4 2", "1 3")


@dataclass(frozen=True)
class Mark:
    """One value of a row of dots."""

    value: float
    low: float | None = None
    high: float | None = None
    series: int = 0


@dataclass(frozen=True)
class Line:
    """A series of points, x ascending."""

    name: str
    points: tuple[tuple[float, float], ...]
    intervals: tuple[tuple[float, float], ...] = ()
    """One for each point, or none."""


@dataclass(frozen=True)
class Axis:
    """What an axis shows."""

    title: str
    """With its unit."""
    low: float
    high: float
    powers: bool = False
    """Whether it goes in powers of two."""

    def place(self, value: float, start: float, length: float) -> float:
        """Where a value lies on `length` units from `start` on."""
        if self.powers:
            return start + length * math.log2(value / self.low) / math.log2(self.high / self.low)
        return start + length * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values, about five."""
        if self.powers:
            first, last = round(math.log2(self.low)), round(math.log2(self.high))
            return [2.0**power for power in range(first, last + 1)]
        step = _round_step((self.high - self.low) / 5)
        count = math.floor((self.high - self.low) / step + 1e-9)
        return [round(self.low + index * step, 10) for index in range(count + 1)]


def axis_for(title: str, values: Sequence[float], start: float = 0.0) -> Axis:
    """An axis from `start` over all values to the next round one."""
    most = max([*values, start + 1e-9])
    step = _round_step((most - start) / 5)
    return Axis(title, start, start + step * math.ceil((most - start) / step - 1e-9))


def dots(name: str, rows: Sequence[tuple[str, Sequence[Mark]]], axis: Axis, rows_title: str, series: Sequence[str] = ()) -> str:
    """A row for each label with its marks on one scale, intervals as whiskers.

    Args:
        name: what the picture shows, for who cannot see it.
        rows: label and marks.
        axis: of the values.
        rows_title: what the rows are.
        series: names of the marks, where there are several in a row.
    """
    step, bottom = 34, TOP + 16 + 34 * len(rows)
    left = LEFT + 74
    width = WIDTH - left - RIGHT
    parts = [_x_axis(axis, left, width, bottom)]
    parts.append(_text(16, TOP + (bottom - TOP) / 2, rows_title, "middle", "axis", turned=True))
    for index, (label, marks) in enumerate(rows):
        y = TOP + 20 + step * index
        parts.append(_text(left - 8, y + 4, _short(label), "end", "label"))
        for mark in marks:
            x = axis.place(mark.value, left, width)
            if mark.low is not None and mark.high is not None:
                ends = [axis.place(min(max(end, axis.low), axis.high), left, width) for end in (mark.low, mark.high)]
                parts.append(f'<path class="line whisker {_series(mark.series)}" d="M{_n(ends[0])} {_n(y)}H{_n(ends[1])}"/>')
            parts.append(_shape(x, y, mark.series))
    return _svg(name, parts, bottom + 44, series)


def lines(name: str, series: Sequence[Line], x_axis: Axis, y_axis: Axis, diagonal: bool = False, limit: float | None = None) -> str:
    """Series of points joined by lines.

    Args:
        name: what the picture shows, for who cannot see it.
        series: at most `SERIES`.
        x_axis: of the points' first numbers.
        y_axis: of their second.
        diagonal: whether to draw where both are equal.
        limit: a level to draw across.
    """
    height, bottom = 210, TOP + 210
    width = WIDTH - LEFT - RIGHT
    parts = [_x_axis(x_axis, LEFT, width, bottom)]
    for tick in y_axis.ticks():
        y = bottom - (y_axis.place(tick, 0, height))
        parts.append(f'<path class="grid" d="M{LEFT} {_n(y)}H{LEFT + width}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{tick:g}", "end", "tick"))
    parts.append(_text(16, TOP + height / 2, y_axis.title, "middle", "axis", turned=True))

    def at(x: float, y: float) -> tuple[float, float]:
        return x_axis.place(x, LEFT, width), bottom - y_axis.place(min(max(y, y_axis.low), y_axis.high), 0, height)

    if diagonal:
        start, end = at(x_axis.low, y_axis.low), at(x_axis.high, y_axis.high)
        parts.append(f'<path class="reference" d="M{_n(start[0])} {_n(start[1])}L{_n(end[0])} {_n(end[1])}"/>')
    if limit is not None:
        parts.append(f'<path class="reference" d="M{LEFT} {_n(at(x_axis.low, limit)[1])}H{LEFT + width}"/>')
    for index, line in enumerate(series[:SERIES]):
        places = [at(x, y) for x, y in line.points]
        for (x, _), interval in zip(line.points, line.intervals, strict=False):
            low, high = at(x, interval[0]), at(x, interval[1])
            parts.append(f'<path class="line whisker {_series(index)}" d="M{_n(low[0])} {_n(low[1])}V{_n(high[1])}"/>')
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y in places)
        parts.append(f'<path class="line {_series(index)}" stroke-dasharray="{_DASHES[index % SERIES]}" d="M{path}"/>')
        parts += [_shape(x, y, index) for x, y in places]
    return _svg(name, parts, bottom + 44, [line.name for line in series[:SERIES]])


def _x_axis(axis: Axis, left: float, width: float, bottom: float) -> str:
    parts = [f'<path class="rule" d="M{_n(left)} {_n(bottom)}H{_n(left + width)}"/>']
    for tick in axis.ticks():
        x = axis.place(tick, left, width)
        parts.append(f'<path class="grid" d="M{_n(x)} {TOP}V{_n(bottom)}"/>')
        parts.append(_text(x, bottom + 17, f"{tick:g}", "middle", "tick"))
    parts.append(_text(left + width / 2, bottom + 36, axis.title, "middle", "axis"))
    return "".join(parts)


def _svg(name: str, parts: Sequence[str], height: float, series: Sequence[str]) -> str:
    legend: list[str] = []
    if len(series) > 1:
        x, y = 20.0, height + 12
        for index, text in enumerate(_short(one, 40) for one in series):
            wide = 24 + 7.2 * len(text)
            if x + wide > WIDTH:
                x, y = 20.0, y + 20
            legend += [_shape(x, y, index), _text(x + 10, y + 4, text, "start", "label")]
            x += wide
        height = y + 12
    body = "".join((*parts, *legend))
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {_n(height)}" role="img" aria-label="{escape(name)}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(name)}</title>{body}</svg>"
    )


def _shape(x: float, y: float, series: int) -> str:
    """A mark of a series: disc, square, diamond, triangle and so on."""
    paths = (
        "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z", "M-4.5 -4.5H4.5V4.5H-4.5Z", "M0 -6.5L6.5 0L0 6.5L-6.5 0Z",
        "M0 -6L6 5H-6Z", "M0 6L6 -5H-6Z", "M-5 -2H-2V-5H2V-2H5V2H2V5H-2V2H-5Z",
    )  # fmt: skip
    return f'<path class="mark {_series(series)}" transform="translate({_n(x)} {_n(y)})" d="{paths[series % SERIES]}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str, turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {_n(x)} {_n(y)})"' if turned else ""
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}"{turn}>{escape(text)}</text>'


def _series(index: int) -> str:
    return f"s{index % SERIES}"


def _short(text: str, most: int = 14) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((step * power for step in (1, 2, 2.5, 5) if step * power >= rough * (1 - 1e-9)), 10 * power)
