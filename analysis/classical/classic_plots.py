"""Figures of the three classical approaches: each function draws on the axes given; none fits, saves or shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.classical.allocation import Allocation
from analysis.classical.isoflop import Parabola
from analysis.pages import axes
from analysis.pages.axes import BAND, BLUE, GREEN, INK, MUTED, ORANGE, Shades
from analysis.pages.plots import COMPUTE, LOSS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

LOG_LOSS = f"{LOSS.removesuffix(')')}; log scale)"
MOST_BUDGETS = 10
"""Budgets that are labelled one by one; more of them get a scale of shades."""
COLOURS = {"envelope": GREEN, "parabolas": BLUE, "splines": "#a0528a", "parametric": INK}
"""Colour of each approach."""
HIGHEST = 1.3
"""How far above the highest minimum losses are shown, as a factor: the minima are what is to be seen."""
MARKERS = {"envelope": "s", "parabolas": "o", "splines": "^"}


def plot_isoflop(
    ax: Axes, table: pd.DataFrame, curves: Sequence[Parabola], splines: Allocation | None = None
) -> None:
    """Loss against N: every run in the shade of its compute, each budget's parabola with its minimum (circle), and the
    minima of the splines (triangles); runs of no parabola are crosses. Runs far above the minima run out of the axes.
    """
    shades = Shades([curve.budget.C for curve in curves] or [1.0], MOST_BUDGETS)
    used = np.zeros(len(table), dtype=bool)
    N, L = (np.asarray(table[name], dtype=np.float64) for name in ("N", "L"))
    for curve in curves:
        colour = shades(curve.budget.C)
        used[curve.budget.place] = True
        sizes = np.geomspace(curve.budget.N[0], curve.budget.N[-1], 100)
        ax.plot(sizes, curve.loss(sizes), color=colour, linewidth=1.3, zorder=2)
        ax.scatter(
            curve.budget.N, curve.budget.L, color=colour, s=16, edgecolor="white", linewidth=0.4, zorder=3
        )
    least = [curve.L_opt for curve in curves]
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
    axes.log_axis(ax, "x", *axes.padded(N, 0.05, 0.13), notation.count)
    above = _loss_axis(ax, L, least)
    _name_budgets(ax, shades, curves)
    words = ["circles: minima of the parabolas"]
    words += ["triangles: minima of the splines"] if splines is not None else []
    words += ["crosses: runs of no parabola"] if (~used).any() else []
    words += [f"{above} rows lie above"] if above else []
    ax.text(0.02, 0.02, "\n".join(words), transform=ax.transAxes, va="bottom", fontsize=9, color=INK)
    ax.set_xlabel("Parameters N (count)")
    ax.set_ylabel(LOG_LOSS)


def plot_envelope(ax: Axes, table: pd.DataFrame, found: Allocation, best: tuple[Array, Array]) -> None:
    """Loss against compute: every row by size, the best run of each bin (circles) and the fitted law's frontier, given
    as (C, L). Runs far above the envelope run out of the axes."""
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
    above = _loss_axis(ax, np.asarray(table["L"], dtype=np.float64), [p.L for p in found.points])
    if sizes.few:
        _name_sizes(ax, sizes)
    else:
        axes.colour_scale(ax, "parameters N", *(notation.count(v) for v in sizes.values[[0, -1]]))
    words = [
        "circles: best run of each bin, where its size lies between others",
        "black line: frontier of the fitted law",
        *([f"{above} rows lie above"] if above else []),
    ]
    ax.text(0.02, 0.02, "\n".join(words), transform=ax.transAxes, va="bottom", fontsize=9)
    ax.set_xlabel(COMPUTE)
    ax.set_ylabel(LOG_LOSS)


def plot_lines(ax: Axes, found: dict[str, Allocation], largest: float, C: float, which: str) -> None:
    """N_opt (or D_opt) against compute by each approach: its optima, its line, and its interval at C as a bar; compute
    beyond the largest run is on grey. which is "N" or "D"."""
    starts = [point.C for item in found.values() for point in item.points]
    span = np.geomspace(min(starts, default=largest / 1e3), max(C, largest), 100)
    low, high = axes.padded(span, 0.03, 0.09)
    ends, entries, letter = [], [], {"N": "a", "D": "b"}[which]
    for rank, (name, item) in enumerate(found.items()):
        line, colour = getattr(item, which), COLOURS[name]
        value = line.at(span)
        interval = item.interval(line.replicated(C))
        law = name == "parametric"
        dashes = (0, (5, 2)) if name == "envelope" else "solid"
        ax.plot(span, value, color=colour, linewidth=2.0 if law else 1.3, linestyle=dashes, zorder=3)
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
        entries.append((float(line.at(C)), f"{name}: {letter} = {exponent:.3f}", colour))
    axes.log_axis(ax, "x", low, high, axes.compute, spacious=True)
    axes.log_axis(
        ax, "y", *axes.padded([end for end in ends if np.isfinite(end)], 0.05, 0.05), notation.count
    )
    ax.axvspan(largest, high, color=MUTED, alpha=0.09, linewidth=0)
    _name_approaches(ax, entries)
    level = next(iter(found.values())).level
    words = [
        f"{letter}: exponent of C, the slope",
        f"bars, and the law's band: {100 * level:g} % intervals",
        "grey: beyond the largest run",
    ]
    ax.text(0.02, 0.98, "\n".join(words), transform=ax.transAxes, va="top", fontsize=9)
    ax.set_xlabel(COMPUTE)
    ax.set_ylabel(f"Best {'parameters N_opt' if which == 'N' else 'tokens D_opt'} (count; log scale)")


def _loss_axis(ax: Axes, losses: Array, least: Sequence[float]) -> int:
    """A logarithmic axis that ends at `HIGHEST` times the highest minimum; returns how many rows lie above it."""
    top = min(float(losses.max()), HIGHEST * max(least, default=float(losses.max())))
    shown = losses[losses <= top]
    axes.log_axis(ax, "y", *axes.padded([*shown, *least], 0.28, 0.06), axes.loss)
    return int((losses > ax.get_ylim()[1]).sum())


def _name_budgets(ax: Axes, shades: Shades, curves: Sequence[Parabola]) -> None:
    """Each budget's compute where its parabola ends or leaves the axes; of many the first's and the last's, and a scale
    of shades."""
    if not curves:
        return
    if not shades.few:
        ax.fill_between(
            [0.63, 1.0], 0.89, 1.0, transform=ax.transAxes, color="white", alpha=0.8, linewidth=0, zorder=4.5
        )
        axes.colour_scale(ax, "compute C (FLOPs)", *(axes.compute(v) for v in shades.values[[0, -1]]))
        for curve, above in ((curves[0], True), (curves[-1], False)):
            end = curve.budget.N[-1:]
            ax.annotate(
                f"C = {axes.compute(curve.budget.C)}", (end[0], curve.loss(end)[0]),
                xytext=(0, 5) if above else (6, -9), textcoords="offset points", ha="right" if above else "center",
                va="bottom" if above else "top", fontsize=8.5, color=INK,
            )  # fmt: skip
        return
    for rank, curve in enumerate(curves):
        _name_budget(ax, shades, curve, first=rank == 0)


def _name_budget(ax: Axes, shades: Shades, curve: Parabola, first: bool) -> None:
    sizes = np.geomspace(curve.N_opt, curve.budget.N[-1], 400)
    shown = sizes[curve.loss(sizes) <= ax.get_ylim()[1]]
    leaves = len(shown) < len(sizes)
    ax.annotate(
        f"{'C = ' if first else ''}{axes.compute(curve.budget.C)}", (shown[-1], float(curve.loss(shown[-1:])[0])),
        xytext=(0, 5) if leaves else (5, 0), textcoords="offset points", ha="center" if leaves else "left",
        va="bottom" if leaves else "center", fontsize=8.5, color=shades(curve.budget.C), annotation_clip=False,
    )  # fmt: skip


def _name_approaches(ax: Axes, entries: Sequence[tuple[float, str, str]]) -> None:
    """Entries (value, text, colour) in the lower right, which rising lines leave free, the highest value first."""
    for rank, (_, text, colour) in enumerate(sorted(entries)):
        ax.text(
            0.985, 0.02 + 0.045 * rank, text, ha="right", va="bottom", transform=ax.transAxes, fontsize=9, color=colour,
        )  # fmt: skip


def _name_sizes(ax: Axes, sizes: Shades) -> None:
    for rank, n in enumerate(reversed(sizes.values)):
        ax.text(
            0.985, 0.985 - 0.045 * rank, f"● {'N = ' if not rank else ''}{notation.count(n)}", ha="right", va="top",
            transform=ax.transAxes, fontsize=9, color=sizes(n),
        )  # fmt: skip
