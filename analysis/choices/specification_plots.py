"""The specification curve (Simonsohn, Simmons and Nelson 2020): sorted estimates above, the choices of each below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.choices.decomposition import Decomposition
from analysis.choices.spread import Spread
from analysis.pages.axes import BLUE, GRID, INK, MUTED, ORANGE, STYLE, loss

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

HEADINGS = {
    "law": "law", "objective": "objective", "exclusion": "rows", "scale": "scales kept", "N": "N counts", "C": "C is",
}  # fmt: skip
OBJECTIVE_WORDS = {
    "least_absolute": "least absolute", "squared_log": "squared logs", "squared_raw": "squared losses",
}  # fmt: skip
N_WORDS = {"N": "column N", "N_total": "all parameters", "N without head": "N without head"}
C_WORDS = {"C": "column C", "6 N D": "6 N D"}
WIDE, NARROW = "wide", "narrow"
WIDTHS = {WIDE: 9.2, NARROW: 4.6}
UPPER, LINE, EDGES = 3.1, 0.185, 0.75
"""Inches of the upper panel, of a line of the lower one, and of what lies around the two."""
SHOWN = (0.01, 0.99)
"""Quantiles of the ends of the intervals between which the upper axis lies; longer ones are cut."""


def draw_curve(
    table: pd.DataFrame, spread: Spread, decomposition: Decomposition, name: str, shape: str = WIDE
) -> Figure:
    """The figure of a curve's table, sorted by the spread's quantity; `name` is what its axis says."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    quantity = spread.quantity
    order = np.argsort(np.asarray(table[quantity], dtype=np.float64), kind="stable")
    ordered = table.iloc[order].reset_index(drop=True)
    lines = lower_lines(ordered, quantity, decomposition)
    heights = UPPER, LINE * len(lines)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTHS[shape], sum(heights) + EDGES), layout="constrained")
        FigureCanvasAgg(figure)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=heights)
        plot_estimates(upper, ordered, spread, name)
        plot_choices(lower, ordered, lines)
        lower.set_xlabel(_below(name, shape), fontsize=9, color=MUTED)
        figure.canvas.draw()
    return figure


def plot_estimates(ax: Axes, table: pd.DataFrame, spread: Spread, name: str) -> None:
    """Sorted estimates with intervals; the unsound in orange, the default on its interval as a band."""
    quantity = spread.quantity
    value, lo, hi = (_numbers(table, f"{quantity}{end}") for end in ("", "_lo", "_hi"))
    rank = np.arange(len(value), dtype=np.float64)
    marked = np.asarray(table["mark"] != "")
    low, high = _window(value, lo, hi)
    ax.set_ylim(low, high)
    ax.set_xlim(-0.01 * len(rank) - 0.5, 1.01 * len(rank) - 0.5)
    ax.axhspan(spread.default_lo, spread.default_hi, color=INK, alpha=0.07, linewidth=0, zorder=0)
    room = _room(ax, len(rank))
    for chosen, colour in ((~marked, BLUE), (marked, ORANGE)):
        _segments(ax, rank[chosen], lo[chosen], hi[chosen], color=colour, linewidth=0.6 * room, alpha=0.28)
        size = max(1.2 * room, 2.4)
        ax.plot(rank[chosen], value[chosen], "o", color=colour, markersize=size, markeredgewidth=0, zorder=3)
    _cut(ax, rank[hi > high], high, "^")
    _cut(ax, rank[lo < low], low, "v")
    place = float(np.flatnonzero(np.asarray(table["default"]))[0])
    _segments(ax, np.array([place]), low, spread.default, color=INK, linewidth=0.8)
    ax.plot(place, spread.default, "D", color=INK, markersize=6, markeredgecolor="white", zorder=4)
    _name_default(ax, place, spread)
    _key(ax, marked, bool((hi > high).any() or (lo < low).any()))
    ax.grid(True, axis="y", color=GRID, linewidth=0.7)
    ax.set_ylabel(name)
    ax.yaxis.set_major_formatter(lambda tick, _: loss(tick))
    ax.tick_params(axis="x", length=0, labelbottom=False)
    ax.spines["bottom"].set_visible(False)


def plot_choices(ax: Axes, table: pd.DataFrame, lines: Sequence[Mapping[str, Any]]) -> None:
    """A line a level: a stroke at the rank of each specification that made the choice, and their median at the end."""
    width = 0.6 * _room(ax, len(table))
    place = float(np.flatnonzero(np.asarray(table["default"]))[0])
    ax.axvline(place, color=INK, linewidth=0.8, zorder=1)
    for y, line in enumerate(lines):
        if line["level"] is None:
            continue
        rank = np.flatnonzero(line["chosen"]).astype(np.float64)
        _segments(ax, rank, y - 0.36, y + 0.36, color=INK if line["default"] else BLUE, linewidth=width)
    ax.set_ylim(len(lines) - 0.4, -0.7)
    ax.set_yticks(range(len(lines)), [line["words"] for line in lines], fontsize=8.5)
    for label, line in zip(ax.get_yticklabels(), lines, strict=True):
        heading = line["level"] is None
        label.set_color(INK if heading or line["default"] else MUTED)
        label.set_fontweight("bold" if heading else "normal")
    ends = ax.secondary_yaxis("right")
    ends.set_yticks(range(len(lines)), [line["end"] for line in lines], fontsize=8.5)
    ends.tick_params(length=0)
    ends.spines["right"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xticks([0, len(table) - 1], ["lowest", f"highest of {len(table)}"])
    first, last = ax.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def lower_lines(table: pd.DataFrame, quantity: str, decomposition: Decomposition) -> list[dict[str, Any]]:
    """The lines of the lower panel: a heading a factor, the largest share first, and its levels in the table's order of
    medians; each with the specifications that made the choice, [S]."""
    default = table[table["default"]].iloc[0]
    values = _numbers(table, quantity)
    lines: list[dict[str, Any]] = []
    for part in decomposition.parts:
        share = f"{100 * part.share:.0f} % of variance"
        lines.append({"level": None, "words": HEADINGS[part.factor], "end": share, "default": False})
        names = table[part.factor].astype(str).to_numpy()
        for level, median in sorted(part.levels.items(), key=lambda item: item[1]):
            lines.append({
                "level": level,
                "words": words(part.factor, level),
                "end": notation.fixed(median, _places(values)),
                "default": level == str(default[part.factor]),
                "chosen": names == level,
            })  # fmt: skip
    return lines


def words(factor: str, level: str) -> str:
    """A level as the figure and the report name it."""
    if factor == "scale":
        return "all" if float(level) == 1 else f"upper {float(level):.0%} of log C"
    if factor == "objective":
        name, _, delta = level.partition(" ")
        told = "from the noise" if delta == "noise" else delta
        return f"log-Huber, δ {told}" if name == "log_huber" else OBJECTIVE_WORDS.get(name, name)
    return {"N": N_WORDS, "C": C_WORDS}.get(factor, {}).get(level, level)


def _below(name: str, shape: str) -> str:
    """What the lower panel's numbers and colours are."""
    quantity = name.split(" (")[0]
    told = (
        f"specifications, sorted by {quantity}",
        f"right: median {quantity} of each choice",
        "black: the default",
    )
    return ("\n" if shape == NARROW else "; ").join(told)


def _name_default(ax: Axes, place: float, spread: Spread) -> None:
    from matplotlib.patheffects import withStroke

    text = f"default {notation.estimate(spread.default, spread.default_lo, spread.default_hi)}"
    right = place > 0.5 * ax.get_xlim()[1]
    ax.annotate(
        text, (place, spread.default), xytext=(-8 if right else 8, 16 if right else -16), fontsize=9.5,
        textcoords="offset points", ha="right" if right else "left", va="center", color=INK, fontweight="bold",
        path_effects=[withStroke(linewidth=3, foreground="white")], zorder=5,
    )  # fmt: skip


def _key(ax: Axes, marked: NDArray[np.bool_], cut: bool) -> None:
    """What colours mean, above the axes."""
    told = [(BLUE, f"converged ({int((~marked).sum())})")]
    if marked.any():
        told.append((ORANGE, f"at a bound, ill conditioned or E at 0 ({int(marked.sum())})"))
    told.append((MUTED, "bars: intervals; grey band: the default's"))
    if cut:
        told.append((MUTED, "arrows: intervals that end beyond the axis"))
    for line, (colour, text) in enumerate(reversed(told)):
        ax.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(0, 5 + 12.5 * line), fontsize=9, va="bottom",
            textcoords="offset points", color=colour,
        )  # fmt: skip


def _room(ax: Axes, count: int) -> float:
    """Points of width that a specification has."""
    inches = ax.get_window_extent().width / ax.get_figure(root=True).dpi  # type: ignore[union-attr]
    return float(np.clip(0.72 * 72 * inches / count, 0.5, 5.0))


def _window(value: Array, lo: Array, hi: Array) -> tuple[float, float]:
    """Ends of the upper axis: every estimate, and all but the longest intervals."""
    finite = np.isfinite(lo) & np.isfinite(hi)
    low = min(np.nanmin(value), np.quantile(lo[finite], SHOWN[0]) if finite.any() else np.inf)
    high = max(np.nanmax(value), np.quantile(hi[finite], SHOWN[1]) if finite.any() else -np.inf)
    pad = 0.04 * max(high - low, 1e-9)
    return float(low - pad), float(high + pad)


def _cut(ax: Axes, rank: Array, end: float, arrow: str) -> None:
    """An arrow at the end of the axis over each interval that goes on beyond it."""
    if len(rank):
        heads = ax.plot(
            rank, np.full_like(rank, end), arrow, color=INK, markersize=4.5, markeredgewidth=0, zorder=5
        )
        heads[0].set(clip_on=False, in_layout=False)


def _segments(ax: Axes, x: Array, lo: Array | float, hi: Array | float, **style: Any) -> None:
    """Vertical strokes as one line, which keeps a file of a thousand of them small."""
    lo, hi = np.broadcast_to(lo, x.shape), np.broadcast_to(hi, x.shape)
    gap = np.full_like(x, np.nan)
    xs, ys = np.stack([x, x, gap], axis=1).ravel(), np.stack([lo, hi, gap], axis=1).ravel()
    ax.plot(xs, ys, solid_capstyle="butt", zorder=2, **style)


def _places(values: Array) -> int:
    return max(notation.decimals(*np.nanquantile(values, [0.05, 0.95]).tolist()), 2)


def _numbers(table: pd.DataFrame, column: str) -> Array:
    return np.asarray(table[column], dtype=np.float64)
