"""Line plots as SVG, to stand within a page. Pure text; colours are the page's (`var(--...)`), so that both its themes fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from msgspec import Struct

__all__ = ["Series", "line_plot", "ticks"]

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 28, 40
_STEPS: Final = (1.0, 2.0, 5.0, 10.0)


class Series(Struct, frozen=True):
    """One line: what it is called, its colour (a custom property of the page), and its points; None is a gap."""

    name: str
    colour: str
    points: Sequence[tuple[float, float | None]]


def ticks(highest: float, most: int = 5) -> list[float]:
    """Round numbers from 0 to at least `highest`, `most` steps or fewer."""
    if not 0 < highest < math.inf:
        return [0.0, 1.0]
    size = 10.0 ** math.floor(math.log10(highest / most))
    step = next(size * factor for factor in _STEPS if size * factor * most >= highest * (1 - 1e-9))
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def line_plot(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: Callable[[float], str],
    x_ticks: Sequence[tuple[float, str]] | None = None,
) -> str:
    """A plot of `series`, whose values are at least 0. `y_label` writes a value; `x_ticks` where round numbers will not do."""
    xs = [x for each in series for x, y in each.points if y is not None]
    ys = [y for each in series for _, y in each.points if y is not None]
    y_ticks = ticks(max(ys, default=0.0))
    if x_ticks is None:
        x_ticks = [(each, f"{each:g}") for each in ticks(max(xs, default=0.0), 8)]
    scale = _Scale(max(x_ticks[-1][0], 1e-9), y_ticks[-1])
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text x="{_LEFT}" y="14" class="title">{escape(title)}</text>',
        *[_horizontal(scale.y(value), y_label(value)) for value in y_ticks],
        *[_vertical(scale.x(value), label) for value, label in x_ticks],
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">{escape(x_label)}</text>',
        *[_line(each, scale) for each in series],
        _legend(series),
        "</svg>",
    ]
    return "\n".join(parts)


class _Scale(Struct, frozen=True):
    most_x: float
    most_y: float

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.most_x

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.most_y


def _horizontal(y: float, label: str) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'
    )


def _vertical(x: float, label: str) -> str:
    return f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{escape(label)}</text>'


def _line(series: Series, scale: _Scale) -> str:
    """One path; a lone point between gaps is drawn as a dot, since a line has no width of its own there."""
    words, pieces, run = [], [], 0
    for x, y in series.points:
        if y is None:
            run = 0
            continue
        words.append(f"{'L' if run else 'M'}{scale.x(x):.1f} {scale.y(y):.1f}")
        pieces.append((x, y))
        run += 1
    dots = ""
    if len(pieces) <= 2 or sum(word[0] == "M" for word in words) > len(words) / 2:
        dots = "".join(
            f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="2.5" style="fill:var({series.colour})"/>'
            for x, y in pieces
        )
    return f'<path d="{" ".join(words)}" style="stroke:var({series.colour})"/>{dots}'


def _legend(series: Sequence[Series]) -> str:
    parts, x = [], _WIDTH - _RIGHT
    for each in reversed(series):
        parts.append(
            f'<text x="{x}" y="14" text-anchor="end" style="fill:var({each.colour})">{escape(each.name)}</text>'
        )
        x -= 7 * len(each.name) + 18
    return "".join(parts)
