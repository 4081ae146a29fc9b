"""A chart of stacked bars as numbers for an SVG; the template draws it, and a style sheet colours it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from django.utils.formats import number_format

#: In units of the drawing, which is scaled to the width of the page.
WIDTH, HEIGHT = 600, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 14, 30
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
#: One job among thousands is seen, too.
LEAST_HEIGHT = 2.0


@dataclass(frozen=True)
class Column:
    """What stands above one place of the axis."""

    title: str
    #: Below the axis; may be empty.
    label: str
    #: The series, each with its value, from the bottom to the top.
    values: Sequence[tuple[str, int]]
    marked: bool = False


@dataclass(frozen=True)
class Bar:
    series: str
    y: float
    height: float


@dataclass(frozen=True)
class Place:
    """One column, drawn."""

    title: str
    label: str
    marked: bool
    x: float
    width: float
    middle: float
    bars: list[Bar]


@dataclass(frozen=True)
class Line:
    y: float
    text: str


@dataclass(frozen=True)
class Chart:
    places: list[Place]
    lines: list[Line]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    room: int = PLOT_HEIGHT


def draw(columns: Sequence[Column], highest: int) -> Chart:
    """Draw the columns side by side.

    Args:
        highest: the greatest sum of a column here, or in another chart that is to have the same scale.
    """
    scale = round_up(highest)
    step = PLOT_WIDTH / len(columns)
    places = [place(column, LEFT + n * step, step, scale) for n, column in enumerate(columns)]
    lines = [
        Line(HEIGHT - BOTTOM - PLOT_HEIGHT * part / scale, number_format(part, force_grouping=True))
        for part in (0, scale // 2, scale)
    ]
    return Chart(places, lines)


def round_up(value: int) -> int:
    """The next even number of the kind 2, 4, 6, 10, 20, 40, 60, 100 …"""
    power = 1
    while True:
        for digit in (2, 4, 6, 10):
            if digit * power >= value:
                return digit * power
        power *= 10


def place(column: Column, x: float, step: float, scale: int) -> Place:
    gap = step * 0.15
    return Place(
        title=column.title,
        label=column.label,
        marked=column.marked,
        x=round(x + gap, 1),
        width=round(step - 2 * gap, 1),
        middle=round(x + step / 2, 1),
        bars=stack(column.values, scale),
    )


def stack(values: Sequence[tuple[str, int]], scale: int) -> list[Bar]:
    shown = [(series, max(PLOT_HEIGHT * value / scale, LEAST_HEIGHT)) for series, value in values if value]
    tops = accumulate(height for _, height in shown)
    base = HEIGHT - BOTTOM
    return [
        Bar(series, round(base - top, 1), round(height, 1)) for (series, height), top in zip(shown, tops, strict=True)
    ]
