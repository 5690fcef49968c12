"""Figures of the three classical approaches: each function draws on the axes given; none fits, saves or shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import axes, notation
from analysis.allocation import Allocation
from analysis.axes import BAND, BLUE, GREEN, INK, MUTED, ORANGE, Shades
from analysis.isoflop import Parabola
from analysis.plots import COMPUTE, LOSS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

MOST_BUDGETS = 12
"""Budgets that are labelled one by one; more of them get a scale of shades."""
COLOURS = {"envelope": GREEN, "parabolas": BLUE, "splines": "#a0528a", "parametric": INK}
"""Colour of each approach."""
MARKERS = {"envelope": "s", "parabolas": "o", "splines": "^"}


def plot_isoflop(
    ax: Axes, table: pd.DataFrame, curves: Sequence[Parabola], splines: Allocation | None = None
) -> None:
    """Loss against N: every run in the shade of its compute, each budget's parabola with its minimum (circle), and the
    minima of the splines (triangles); runs of no parabola are grey."""
    shades = Shades([curve.budget.C for curve in curves] or [1.0], MOST_BUDGETS)
    used = np.zeros(len(table), dtype=bool)
    entries = []
    N, L = (np.asarray(table[name], dtype=np.float64) for name in ("N", "L"))
    for curve in curves:
        colour = shades(curve.budget.C)
        used[curve.budget.place] = True
        sizes = np.geomspace(curve.budget.N[0], curve.budget.N[-1], 100)
        ax.plot(sizes, curve.loss(sizes), color=colour, linewidth=1.3, zorder=2)
        ax.scatter(
            curve.budget.N, curve.budget.L, color=colour, s=16, edgecolor="white", linewidth=0.4, zorder=3
        )
        entries.append((float(curve.loss(sizes[-1:])[0]), sizes[-1], curve.budget.C, colour))
    least = [float(curve.loss(np.array([curve.N_opt]))[0]) for curve in curves]
    ax.plot(
        [curve.N_opt for curve in curves], least, linestyle="none", marker="o", markersize=7.5,
        markerfacecolor="white", markeredgecolor=ORANGE, markeredgewidth=1.6, zorder=5,
    )  # fmt: skip
    if splines is not None:
        ax.plot(
            [p.N for p in splines.points], [p.L for p in splines.points], linestyle="none", marker="^",
            markersize=4.5, color=INK, zorder=6,
        )  # fmt: skip
    ax.scatter(N[~used], L[~used], color=MUTED, marker="x", s=18, linewidth=0.9, zorder=3)
    axes.log_axis(ax, "x", *axes.padded(N, 0.05, 0.2), notation.count)
    axes.log_axis(ax, "y", *axes.padded(L, 0.05, 0.14), axes.loss)
    _name_budgets(ax, shades, entries)
    words = ["circles: minima of the parabolas"]
    words += ["triangles: minima of the splines"] if splines is not None else []
    words += ["crosses: runs of no parabola"] if (~used).any() else []
    ax.text(0.02, 0.99, "\n".join(words), transform=ax.transAxes, va="top", fontsize=9, color=INK)
    ax.set_xlabel("Parameters N (count)")
    ax.set_ylabel(LOSS)


def plot_envelope(ax: Axes, table: pd.DataFrame, found: Allocation, best: tuple[Array, Array]) -> None:
    """Loss against compute: every row by size, the best run of each bin (circles) and the fitted law's frontier, given
    as (C, L)."""
    sizes = Shades(table["N"], 8)
    ax.scatter(
        table["C"], table["L"], c=sizes.each(table["N"]), s=18, edgecolor="white", linewidth=0.4, zorder=3
    )
    ax.plot(*best, color=INK, linewidth=1.4, zorder=4)
    ax.plot(
        [p.C for p in found.points], [p.L for p in found.points], linestyle="none", marker="o", markersize=8,
        markerfacecolor="none", markeredgecolor=ORANGE, markeredgewidth=1.6, zorder=5,
    )  # fmt: skip
    axes.log_axis(ax, "x", *axes.padded(table["C"], 0.05, 0.05), axes.compute, spacious=True)
    axes.log_axis(ax, "y", *axes.padded([*table["L"], *best[1]], 0.16, 0.05), axes.loss)
    if sizes.few:
        _name_sizes(ax, sizes)
    else:
        axes.colour_scale(ax, "parameters N", *(notation.count(v) for v in sizes.values[[0, -1]]))
    words = "circles: best run of each bin, where its size lies between others\nblack line: frontier of the fitted law"
    ax.text(0.02, 0.02, words, transform=ax.transAxes, va="bottom", fontsize=9)
    ax.set_xlabel(COMPUTE)
    ax.set_ylabel(LOSS)


def plot_lines(ax: Axes, found: dict[str, Allocation], largest: float, C: float, which: str) -> None:
    """N_opt (or D_opt) against compute by each approach: its optima, its line, and its interval at C as a bar; compute
    beyond the largest run is on grey. which is "N" or "D"."""
    starts = [point.C for item in found.values() for point in item.points]
    span = np.geomspace(min(starts, default=largest / 1e3), max(C, largest), 100)
    low, high = axes.padded(span, 0.03, 0.3)
    ends, entries = [], []
    for rank, (name, item) in enumerate(found.items()):
        line, colour = getattr(item, which), COLOURS[name]
        value = line.at(span)
        interval = item.interval(line.replicated(C))
        law = name == "parametric"
        ax.plot(span, value, color=colour, linewidth=2.0 if law else 1.3, zorder=3)
        if law:
            lo, hi = np.quantile(line.replicated(span), item.probabilities, axis=0)
            ax.fill_between(span, lo, hi, color=colour, alpha=BAND, linewidth=0, zorder=1)
        points = [getattr(point, which) for point in item.points]
        if points:
            at = [point.C for point in item.points]
            ax.plot(
                at, points, linestyle="none", marker=MARKERS[name], markersize=4.5, color=colour, zorder=4
            )
        beside = span[-1] * (span[-1] / span[0]) ** (0.012 * (rank + 1))
        ax.plot([beside, beside], [interval.lo, interval.hi], color=colour, linewidth=1.8, zorder=3)
        ends += [*points, *value, interval.lo, interval.hi]
        exponent = item.a[0] if which == "N" else item.b[0]
        entries.append((float(line.at(C)), f"{name}: {exponent:.3f}", colour))
    axes.log_axis(ax, "x", low, high, axes.compute, spacious=True)
    axes.log_axis(
        ax, "y", *axes.padded([end for end in ends if np.isfinite(end)], 0.05, 0.05), notation.count
    )
    ax.axvspan(largest, high, color=MUTED, alpha=0.09, linewidth=0)
    axes.labels_beside(ax, span[-1] * (span[-1] / span[0]) ** 0.06, entries)
    level = next(iter(found.values())).level
    words = f"slope: exponent of C\nbars, and the law's band: {100 * level:g} % intervals\ngrey: beyond the largest run"
    ax.text(0.02, 0.98, words, transform=ax.transAxes, va="top", fontsize=9)
    ax.set_xlabel(COMPUTE)
    ax.set_ylabel("Best parameters N_opt (count)" if which == "N" else "Best tokens D_opt (count)")


def _name_budgets(ax: Axes, shades: Shades, entries: list[tuple[float, float, float, object]]) -> None:
    """The budgets' computes at the right, each beside the end of its parabola, or a scale of shades for many."""
    if not entries:
        return
    if not shades.few:
        axes.colour_scale(ax, "compute C (FLOPs)", *(axes.compute(v) for v in shades.values[[0, -1]]))
        return
    for loss, N, C, colour in entries:
        ax.annotate(
            axes.compute(C), (N, loss), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5,
            color=colour,
        )  # fmt: skip


def _name_sizes(ax: Axes, sizes: Shades) -> None:
    for rank, n in enumerate(reversed(sizes.values)):
        ax.text(
            0.985, 0.985 - 0.045 * rank, f"● {'N = ' if not rank else ''}{notation.count(n)}", ha="right", va="top",
            transform=ax.transAxes, fontsize=9, color=sizes(n),
        )  # fmt: skip
