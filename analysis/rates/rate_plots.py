"""The figures of a learning-rate sweep: loss against rate at every size, and the best rate against size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import notation
from analysis.pages import axes
from analysis.pages.axes import BLUE, GREEN, INK, MUTED, ORANGE, Shades
from analysis.pages.hover import tell
from scaling.tuning import HIGH, INTERIOR, LOW, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from analysis.rates.parabola import Optimum
    from analysis.rates.transfer import Series

COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#a67c00", INK)
"""Of series; a series' marker tells it apart as well."""
MARKERS = ("o", "s", "D", "^", "v", "P")
MOST_SIZES = 8
"""Sizes that are named one by one; more of them get a scale of shades."""
ABOVE = 1.6
"""The loss axis ends this many spans of the best losses, and a tenth of the loss at least, above the largest of them:
losses beyond are marks at its top, since they would flatten everything else."""
RATE = "Peak learning rate (no unit)"


def plot_loss_by_rate(ax: Axes, series: Series, lowest: float, highest: float) -> None:
    """Loss against learning rate, a colour a size; the loss axis goes from `lowest` to `highest`.

    Dots are runs, thin lines their means, thick ones the parabola near the best rate with its minimum (diamond) and
    interval; a ring is a best rate at the edge of the range. Triangles at the top are losses beyond, crosses runs that
    diverged.
    """
    shades = Shades(series.sizes, MOST_SIZES)
    rates = np.concatenate([one.rates for one in series.sweeps])
    axes.log_axis(ax, "x", *axes.padded(rates, 0.06, 0.3), rate)  # the sizes are named to the right
    ax.set_ylim(lowest, highest)
    ax.grid(True, axis="y", color=axes.GRID, linewidth=0.7)
    for size, sweep, best in zip(series.sizes, series.sweeps, series.optima, strict=True):
        _draw_sweep(ax, sweep, best, shades(size), highest)
        _tell_sweep(ax, sweep, f"{series.axis} = {_size(series, size)}")
    _name_sizes(ax, series, shades)
    ax.set_title(series.name)
    ax.set_xlabel(RATE)
    ax.set_ylabel("Held-out loss (nats per token)")


def plot_best_rate(ax: Axes, found: Sequence[Series]) -> None:
    """The best rate against size, a colour a series, with the fitted power where there is one.

    Bars are the parabola's interval, or reach to the neighbouring rates where there is none (open marks). An arrow is a
    best rate at the edge of the range tried: the optimum lies there or beyond.
    """
    sizes = np.concatenate([one.sizes for one in found])
    axes.log_axis(ax, "x", *axes.padded(sizes, 0.08, 0.08), notation.count)
    reach = [_reach(sweep, best) for one in found for sweep, best in zip(one.sweeps, one.optima, strict=True)]
    if np.ptp(np.log(reach)) < 0.3:  # one and the same rate: the range tried says where it lies
        reach += [(float(sweep.rates[0]), float(sweep.rates[-1])) for one in found for sweep in one.sweeps]
    axes.log_axis(ax, "y", *axes.padded(reach, 0.12, 0.2 + 0.07 * len(found)), rate)
    ax.xaxis.set_major_locator(_at(np.unique(sizes)))
    for place, one in enumerate(found):
        colour = COLOURS[place % len(COLOURS)]
        nudge = 1.03 ** (place - (len(found) - 1) / 2)  # series side by side where they agree
        for size, sweep, best in zip(one.sizes, one.sweeps, one.optima, strict=True):
            _draw_best(ax, size * nudge, sweep, best, colour, MARKERS[place % len(MARKERS)])
        if one.trend is not None:
            ends_of = np.array(one.trend.span)
            ax.plot(ends_of * nudge, one.trend.rate(ends_of), color=colour, linewidth=1.4, zorder=2)
        words = f"{MARKS[place % len(MARKS)]} {_power(one)}"
        ax.text(
            0.02, 0.985 - 0.062 * place, words, color=colour, transform=ax.transAxes, va="top", fontsize=9
        )
    ax.set_xlabel(
        {"N": "Parameters N (count)", "width": "Width (features)", "depth": "Depth (blocks)"}[found[0].axis]
    )
    ax.set_ylabel("Best peak learning rate (no unit)")


MARKS = ("●", "■", "◆", "▲", "▼", "✚")
"""`MARKERS` as text."""


def loss_limits(found: Sequence[Series]) -> tuple[float, float]:
    """Limits of the loss axis that series share: all best losses and what is little above them."""
    measured = [one.losses[np.isfinite(one.losses)] for some in found for one in some.sweeps]
    least = np.array([losses.min() for losses in measured if len(losses)])
    top = float(max(losses.max() for losses in measured if len(losses)))
    reach = float(least.max() + max(ABOVE * (least.max() - least.min()), 0.1 * least.max()))
    highest = min(top, reach)
    room = max(0.06 * (highest - float(least.min())), 1e-3 * highest)
    return float(least.min()) - room, highest + 1.3 * room


def rate(value: float) -> str:
    """A tick of an axis of rates: 0.003, 2 × 10⁻⁵."""
    return notation.plain(value, 2)


def _draw_sweep(ax: Axes, sweep: Sweep, best: Optimum | None, colour: Any, highest: float) -> None:
    seen = np.isfinite(sweep.losses)
    faint = 0.5 if best is not None else 0.9
    ax.plot(sweep.rates[seen], sweep.losses[seen], color=colour, linewidth=0.9, alpha=faint, zorder=2)
    inside = sweep.loss <= highest
    ax.scatter(
        sweep.rate[inside], sweep.loss[inside], color=colour, s=16, edgecolor="white", linewidth=0.4, zorder=3
    )
    top = ax.get_xaxis_transform()
    for missing, marker in ((np.isinf(sweep.loss), "x"), (~inside & np.isfinite(sweep.loss), "^")):
        spots = np.unique(sweep.rate[missing])
        ax.scatter(
            spots, np.full(len(spots), 0.985), color=colour, marker=marker, s=22, transform=top, zorder=3
        )
    if sweep.at_edge:
        least = float(sweep.losses.min())
        ax.scatter(sweep.best, least, s=110, facecolor="none", edgecolor=ORANGE, linewidth=1.6, zorder=5)
    if best is not None:
        x = np.geomspace(*best.span, 60)
        ax.plot(
            x, best.loss + best.curvature * np.log(x / best.rate) ** 2, color=colour, linewidth=1.8, zorder=4
        )
        ends = np.clip([[best.rate - best.lo], [best.hi - best.rate]], 0, None)
        ax.errorbar(
            best.rate, best.loss, xerr=None if np.isnan(ends).any() else ends, color=colour, marker="D",
            markersize=6, markeredgecolor="white", markeredgewidth=0.7, elinewidth=1.4, capsize=3, zorder=6,
        )  # fmt: skip


def _tell_sweep(ax: Axes, sweep: Sweep, size: str) -> None:
    words = [
        f"{size}\nlearning rate {rate(value)}\nL = {notation.fixed(loss, 3)} nats per token"
        for value, loss in zip(sweep.rate.tolist(), sweep.loss.tolist(), strict=True)
    ]
    tell(ax, sweep.rate, sweep.loss, words)


def _size(series: Series, value: float) -> str:
    return notation.count(value) if series.axis == "N" else f"{value:g}"


def _draw_best(ax: Axes, size: float, sweep: Sweep, best: Optimum | None, colour: Any, marker: str) -> None:
    if sweep.at_edge:
        up = {HIGH: 1, LOW: -1}[sweep.range]
        ax.plot(size, sweep.best, marker="_", color=colour, markersize=9, markeredgewidth=1.6, zorder=4)
        ax.annotate(
            "", (size, sweep.best), xytext=(0, 16 * up), textcoords="offset points",
            arrowprops={"arrowstyle": "<|-", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
        return
    known = best is not None and best.bounded
    if not known and sweep.range != INTERIOR:
        return  # one rate, or a flat curve
    lo, hi = _reach(sweep, best)
    middle = best.rate if best is not None else sweep.best
    ends = np.clip([[middle - lo], [hi - middle]], 0, None)
    ax.errorbar(
        size, middle, yerr=ends, color=colour, marker=marker, markersize=6, elinewidth=1.2, capsize=3, zorder=4,
        markerfacecolor=colour if known else "white", markeredgecolor=colour,
    )  # fmt: skip


def _reach(sweep: Sweep, best: Optimum | None) -> tuple[float, float]:
    """Where the best rate may lie: in the parabola's interval, between the neighbours of the best rate, or at it."""
    if best is not None and best.bounded:
        return best.lo, best.hi
    if sweep.range == INTERIOR:
        return float(sweep.rates[sweep.place - 1]), float(sweep.rates[sweep.place + 1])
    return sweep.best, sweep.best


def _power(one: Series) -> str:
    name = f"{one.name}: " if one.name else ""
    if one.trend is None:
        return f"{name}too few optima for a trend"
    ends = notation.interval(one.trend.lo, one.trend.hi)
    return f"{name}{one.axis}^s, s = {notation.estimate(one.trend.power, one.trend.lo, one.trend.hi)} ({ends})".replace(
        "-", "−"
    )


def _at(values: Any) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator(
        values.tolist() if len(values) <= MOST_SIZES else axes.log_ticks(values[0], values[-1])
    )


def _name_sizes(ax: Axes, series: Series, shades: Shades) -> None:
    """Name the sizes to the right of the axes' upper left: one by one, or by a scale of shades."""
    if not shades.few:
        axes.colour_scale(ax, series.axis, *(_size(series, value) for value in shades.values[[0, -1]]))
        return
    title = ax.text(
        0.985, 0.94, f"{series.axis} =", transform=ax.transAxes, ha="right", va="top", fontsize=9, color=MUTED
    )
    for rank, value in enumerate(shades.values, start=1):
        ax.annotate(
            f"● {_size(series, value)}", (1.0, 1.0), xycoords=title.get_transform(), xytext=(-5, -18 - 12.5 * rank),
            textcoords="offset points", ha="right", va="top", fontsize=9, color=axes.readable(shades(value)),
        )  # fmt: skip
