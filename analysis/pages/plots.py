"""The figures of a report: each function draws on the axes given, and fits, saves and shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis import notation
from analysis.pages import axes, run_words
from analysis.pages.axes import BAND, BLUE, GREEN, INK, MUTED, ORANGE, SKY, Shades
from analysis.pages.curves import Curve
from analysis.pages.hover import tell
from analysis.pages.predictions import Band

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

MOST_MARKS = 2000
"""Runs that are drawn one by one."""
MOST_SIZES = 8
"""Sizes that are labelled one by one; more of them get a scale of shades."""
COMPUTE, LOSS = "Training compute C (FLOPs)", "Held-out loss (nats per token)"


def plot_compute(
    ax: Axes,
    table: pd.DataFrame,
    curves: Sequence[Curve],
    frontier: Band | None,
    left_out: pd.DataFrame | None = None,
    *,
    words: str = "fitted",
) -> None:
    """Loss against compute: every training curve (thin), every measured L (dots), the fitted frontier (black).

    Rows left out of the fit are grey crosses; `words` say what the black line is.
    """
    given = [*table["N"], *(curve.N for curve in curves)] if "N" in table else [1.0]
    sizes = Shades(given, MOST_SIZES)
    span = axes.padded(table["C"], 0.06, 0.06)
    reach = [np.asarray(table["L"])]
    for curve in curves:
        ax.plot(
            curve.compute,
            curve.loss,
            color=sizes(curve.N),
            linewidth=0.8,
            alpha=0.55 if curve.is_trunk else 0.9,
        )
        reach.append(curve.loss[curve.compute >= span[0]])
    colours = sizes.each(table["N"]) if "N" in table else BLUE
    ax.scatter(table["C"], table["L"], c=colours, **marks(table))
    tell(ax, table["C"], table["L"], run_words.values(table))
    if left_out is not None:
        tell(
            ax,
            left_out["C"],
            left_out["L"],
            [f"{words}\nleft out of the fit" for words in run_words.values(left_out)],
        )
        ax.scatter(left_out["C"], left_out["L"], color=MUTED, marker="x", s=20, linewidth=0.9, zorder=3)
        reach.append(np.asarray(left_out["L"]))
    if frontier is not None:
        frontier = frontier.between(span[0], float(np.max(table["C"])) * (1 + 1e-9))
        reach.append(frontier.lo)
        _draw_band(ax, frontier, INK)
    axes.log_axis(ax, "x", *span, axes.compute, spacious=True)
    axes.log_axis(ax, "y", *axes.padded(np.concatenate(reach), 0.14, 0.06), axes.loss)
    if frontier is not None:
        told = f"black line: {words}\nshaded: its {frontier.words}"
        ax.text(0.03, 0.03, told, transform=ax.transAxes, fontsize=9, va="bottom")
    if "N" in table:
        _name_sizes(ax, sizes)
    ax.set_xlabel(COMPUTE)
    ax.set_ylabel("Loss (nats per token)")


def plot_budgets(ax: Axes, table: pd.DataFrame, lines: Sequence[tuple[float, Band]]) -> None:
    """Loss against N, a colour and a fitted line with its interval for each budget D; dots take the nearest budget."""
    budgets = Shades([d for d, _ in lines] or table["D"], len(lines) or MOST_SIZES)
    losses = np.asarray(table["L"], dtype=np.float64)
    ends = [
        np.clip(end, losses.min() / 1.3, losses.max() * 1.3)
        for _, band in lines
        for end in (band.lo, band.hi)
    ]
    axes.log_axis(ax, "x", *axes.padded(table["N"], 0.06, 0.24 if lines else 0.06), notation.count)
    axes.log_axis(ax, "y", *axes.padded(np.concatenate([losses, *ends]), 0.05, 0.05), axes.loss)
    ranks = _nearest([d for d, _ in lines], table["D"]) if lines else np.zeros(len(table))
    for rank, (budget, band) in enumerate(lines):
        ax.plot(band.x, band.value, color=budgets(budget), linewidth=1.0, linestyle=(0, (1, 2)), zorder=2)
        sizes = np.asarray(table["N"])[ranks == rank]
        seen = band.between(sizes.min(), sizes.max()) if len(sizes) else band.between(1, 0)
        _draw_band(ax, band, budgets(budget), solid=seen)
    ax.scatter(table["N"], table["L"], c=budgets.each(table["D"]), **marks(table))
    tell(ax, table["N"], table["L"], run_words.values(table))
    entries = [(float(band.value[-1]), notation.count(d), budgets(d)) for d, band in lines]
    if entries:
        first = entries[0]
        entries[0] = (first[0], f"D = {first[1]}", first[2])
        axes.labels_beside(ax, float(lines[0][1].x[-1]), entries)
    else:
        axes.colour_scale(ax, "tokens D", *(notation.count(v) for v in budgets.values[[0, -1]]))
    ax.set_xlabel("Parameters N (count)")
    ax.set_ylabel(LOSS)


def plot_profile(
    ax: Axes,
    values: ArrayLike,
    rise: ArrayLike,
    lo: float,
    hi: float,
    *,
    words: str,
    unit: str = "nats per token",
    together: tuple[float, float] | None = None,
) -> None:
    """How much worse the best fit gets with the floor E held elsewhere; what lies under the threshold is compatible.

    `rise` [V] is in units of the threshold; lo and hi end the compatible range, NaN where it does not end. `together`
    ends the interval of all admissible laws, drawn as a bar below the curve.
    """
    from scipy.interpolate import PchipInterpolator

    ceiling = 4.0
    values = np.asarray(values, dtype=np.float64)
    rise = np.clip(np.asarray(rise, dtype=np.float64), 0.0, 20 * ceiling)
    left, right = _window(values, rise, ceiling)
    ax.axvspan(
        left if np.isnan(lo) else lo, right if np.isnan(hi) else hi, color=SKY, alpha=BAND, linewidth=0
    )
    ax.axhline(1.0, color=ORANGE, linewidth=1.1, linestyle=(0, (4, 3)))
    fine = np.linspace(values[0], values[-1], 2000)
    ax.plot(fine, PchipInterpolator(values, rise)(fine), color=BLUE, linewidth=1.6)
    ax.plot(values, rise, color=BLUE, linestyle="none", marker="o", markersize=3)
    said = [f"floor held at {notation.plain(value)} nats per token" for value in values]
    tell(
        ax,
        values,
        rise,
        [f"{one}\nrise {height:.2f} thresholds" for one, height in zip(said, rise, strict=True)],
    )
    ax.set_ylim(-0.15, ceiling * 1.12)
    if together is not None:
        left, right = _bar(ax, together, left, right)
    ax.set_xlim(left, right)
    ax.annotate(
        "threshold", (1.0, 1.0), xycoords=ax.get_yaxis_transform(), xytext=(-3, 4), textcoords="offset points",
        ha="right", color=ORANGE, fontsize=9, bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 1},
    )  # fmt: skip
    ax.text(
        0.5, 0.99, words, transform=ax.transAxes, ha="center", va="top", fontsize=9.5,
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1},
    )  # fmt: skip
    ax.grid(True, axis="x", color=axes.GRID, linewidth=0.7)
    ax.set_xlabel("Floor E held at (nats per token)")
    ax.set_ylabel("Rise of the objective (threshold = 1)")


def _bar(ax: Axes, ends: tuple[float, float], left: float, right: float) -> tuple[float, float]:
    """The interval of all admissible laws as a bar below 0; the limits of an axis that shows all of it."""
    lo, hi = (end if np.isfinite(end) else right for end in ends)
    ax.set_ylim(-0.85, ax.get_ylim()[1])
    ax.plot([lo, hi], [-0.3, -0.3], color=GREEN, linewidth=4, solid_capstyle="butt")
    ax.annotate(
        "all admissible laws", ((lo + hi) / 2, -0.3), xytext=(0, -4), textcoords="offset points",
        ha="center", va="top", color=GREEN, fontsize=9,
    )  # fmt: skip
    pad = 0.04 * (max(right, hi) - min(left, lo))
    return min(left, lo - pad), max(right, hi + pad)


def _draw_band(ax: Axes, band: Band, colour: Any, solid: Band | None = None) -> None:
    """A line with its interval; the line is drawn along `solid` alone where that is given."""
    line = solid or band
    ax.fill_between(band.x, band.lo, band.hi, color=colour, alpha=BAND, linewidth=0, zorder=1)
    ax.plot(line.x, line.value, color=colour, linewidth=1.6, zorder=3)


def marks(table: pd.DataFrame) -> dict[str, Any]:
    """How runs are marked; as an image where there are so many that single marks would weigh megabytes."""
    return {
        "s": 26,
        "edgecolor": "white",
        "linewidth": 0.6,
        "zorder": 4,
        "rasterized": len(table) > MOST_MARKS,
    }


def _nearest(budgets: Sequence[float], tokens: ArrayLike) -> NDArray[np.intp]:
    """Which of the budgets each run's tokens are nearest to, as a ratio."""
    apart = np.abs(np.log(np.asarray(tokens, dtype=np.float64))[:, None] - np.log(budgets))
    return np.argmin(apart, axis=1)


def _window(values: Array, rise: Array, ceiling: float) -> tuple[float, float]:
    """The stretch of E in which the curve is under the ceiling, and a little more."""
    shown = values[rise <= ceiling]
    pad = max(0.06 * float(np.ptp(shown)), 0.01 * float(values.max()))
    return max(float(shown.min()) - pad, float(values.min())), min(
        float(shown.max()) + pad, float(values.max())
    )


def _name_sizes(ax: Axes, sizes: Shades) -> None:
    """Name the sizes in the upper right, where falling losses leave room: one by one, or by a scale of shades."""
    if not sizes.few:
        axes.colour_scale(ax, "parameters N", *(notation.count(v) for v in sizes.values[[0, -1]]))
        return
    title = ax.text(0.985, 0.985, "N =", transform=ax.transAxes, ha="right", va="top", fontsize=9)
    for rank, n in enumerate(reversed(sizes.values), start=1):
        ax.annotate(
            f"● {notation.count(n)}", (1.0, 1.0), xycoords=title.get_transform(), xytext=(-5, -5 - 12.5 * rank),
            textcoords="offset points", ha="right", va="top", fontsize=9, color=axes.readable(sizes(n)),
        )  # fmt: skip
