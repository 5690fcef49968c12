"""Names beside points of a figure, as many as fit without touching a point, a name or the edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

SIZE = 8.0
"""Points of the names."""
WIDTH, HEIGHT = 0.6, 1.15
"""A letter's mean width and a line's height, in units of the size."""
GAP = 4.5
"""Points between a mark and its name."""


def draw_names(
    ax: Axes,
    x: Array,
    y: Array,
    names: Sequence[str],
    order: Sequence[int],
    colours: Sequence[Any],
    most: int,
) -> None:
    """Write at most `most` names, the first in `order` first; limits, scales and labels of the axes must be set.

    A name that the figure's font cannot write, or that has no letter, is left out; the tables of a page hold it.
    """
    ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
    scale = float(ax.get_figure(root=True).dpi) / 72  # type: ignore[union-attr]
    marks = np.asarray(ax.transData.transform(np.column_stack([x, y])))
    frame = ax.get_window_extent()
    taken: list[tuple[float, float, float, float]] = []
    font = _letters()
    for i in order:
        if len(taken) >= most:
            break
        if not names[i] or not set(map(ord, names[i])) <= font:
            continue
        width, height = WIDTH * SIZE * scale * len(names[i]), HEIGHT * SIZE * scale
        for side, box in _boxes(marks[i], width, height, GAP * scale):
            inside = box[0] >= frame.x0 and box[2] <= frame.x1 and box[1] >= frame.y0 and box[3] <= frame.y1
            if inside and not _touches(box, taken) and not _covers(box, marks, 2.5 * scale):
                taken.append(box)
                _write(ax, (float(x[i]), float(y[i])), names[i], side, colours[i])
                break


def _letters() -> set[int]:
    """Code points that the figure's font has; a line break is none, as it would leave the name's box."""
    from matplotlib import font_manager

    path = font_manager.findfont(font_manager.FontProperties())
    return set(font_manager.get_font(path).get_charmap())


def _boxes(
    mark: Array, width: float, height: float, gap: float
) -> list[tuple[tuple[int, int], tuple[float, float, float, float]]]:
    """Boxes (left, bottom, right, top) about a mark in pixels: right, left, above, below, and the corners."""
    found = []
    for h, v in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
        reach = gap if 0 in (h, v) else 0.7 * gap
        left = mark[0] + (h * reach if h > 0 else -width + h * reach if h < 0 else -width / 2)
        bottom = mark[1] + (v * reach if v > 0 else -height + v * reach if v < 0 else -height / 2)
        found.append(((h, v), (left, bottom, left + width, bottom + height)))
    return found


def _touches(
    box: tuple[float, float, float, float], others: Sequence[tuple[float, float, float, float]]
) -> bool:
    return any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in others)


def _covers(box: tuple[float, float, float, float], marks: Array, reach: float) -> bool:
    x, y = marks.T
    hit = (x > box[0] - reach) & (x < box[2] + reach) & (y > box[1] - reach) & (y < box[3] + reach)
    return bool(hit.any())


def _write(ax: Axes, at: tuple[float, float], name: str, side: tuple[int, int], colour: Any) -> None:
    from matplotlib.patheffects import withStroke

    h, v = side
    reach = GAP if 0 in side else 0.7 * GAP
    halo = [
        withStroke(linewidth=2.2, foreground="white")
    ]  # a line that crosses the name leaves it to be read
    ax.annotate(
        name, at, xytext=(h * reach, v * reach), textcoords="offset points", fontsize=SIZE, color=colour, zorder=6,
        ha=("center", "left", "right")[h], va=("center", "bottom", "top")[v], path_effects=halo,
    )  # fmt: skip
