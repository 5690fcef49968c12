"""Points of a figure that tell their values: kept with the axes while drawing, laid over the SVG as spots to point at.

A plot says `tell(ax, x, y, words)` beside drawing its marks. The spots do not depend on how matplotlib writes marks:
their places are computed from the axes, so a test can hold both against each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from numpy.typing import ArrayLike

from analysis.pages.page import Html, element, joined

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

RADIUS = 6
"""Of a spot, in points: as large as a finger can be asked to hit where points lie close."""
MOST_SPOTS = 1000
"""Spots of a panel; of more points, as many evenly chosen ones tell their values."""


class Told(Artist):
    """Points x, y [n] in data coordinates with what each says; it draws nothing."""

    def __init__(self, x: ArrayLike, y: ArrayLike, words: Sequence[str]) -> None:
        super().__init__()
        self.points = np.column_stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
        self.words = list(words)
        if len(self.words) != len(self.points):
            raise ValueError(f"{len(self.points)} points and words for {len(self.words)} of them")
        self.set_in_layout(False)

    def draw(self, renderer: Any) -> None:
        """Nothing: the marks are drawn by others."""


@dataclass(frozen=True)
class Spot:
    """A place in shares of the figure's width and height, from the upper left, and its words."""

    x: float
    y: float
    words: str


def tell(ax: Axes, x: ArrayLike, y: ArrayLike, words: Sequence[str]) -> None:
    """Let points (data coordinates) tell their words, a line each for a name and its values."""
    kept = np.unique(np.linspace(0, len(words) - 1, min(len(words), MOST_SPOTS)).astype(int))
    ax.add_artist(Told(np.asarray(x)[kept], np.asarray(y)[kept], [words[place] for place in kept]))


def spots(canvas: Canvas) -> list[Spot]:
    """Every told point inside its axes, from left to right; the figure must have been drawn, which places the axes."""
    return sorted(_spots(canvas), key=lambda spot: (spot.x, spot.y))


def overlaid(svg: str, canvas: Canvas) -> str:
    """The SVG of a drawn figure with a spot over each told point, whose title browsers show."""
    made = spots(canvas)
    if not made:
        return svg
    width, height = _size(svg)
    head, end, tail = svg.rpartition("</svg>")
    circles = [_circle(spot, width, height) for spot in made]
    return f"{head}{element('g', joined(circles), class_='spots')}\n{end}{tail}"


def _spots(canvas: Canvas) -> Iterator[Spot]:
    for told in canvas.findobj(Told):
        ax = told.axes
        assert isinstance(told, Told) and ax is not None
        with np.errstate(all="ignore"):
            pixels = ax.transData.transform(told.points)
        ends = ax.bbox.padded(1)
        inside = (np.isfinite(pixels) & (pixels >= ends.min) & (pixels <= ends.max)).all(axis=1)
        places = canvas.transFigure.inverted().transform(pixels[inside])
        words = [word for word, shown in zip(told.words, inside, strict=True) if shown]
        yield from (Spot(float(x), float(1 - y), word) for (x, y), word in zip(places, words, strict=True))


def _circle(spot: Spot, width: float, height: float) -> Html:
    """One spot; it is seen only while it is pointed at or has the focus."""
    return element(
        "circle",
        element("title", spot.words),
        cx=f"{spot.x * width:.1f}",
        cy=f"{spot.y * height:.1f}",
        r=RADIUS,
        fill_opacity=0,
    )


def _size(svg: str) -> tuple[float, float]:
    """Width and height of the viewBox."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise ValueError("the SVG has no viewBox from 0 0")
    return float(found[1]), float(found[2])
