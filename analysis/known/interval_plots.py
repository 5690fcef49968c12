"""The figure of a benchmark: the limits that methods gave, side by side, against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.pages.axes import BLUE, GREEN, GRID, INK, MUTED, ORANGE, SKY

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#a67c00", SKY, "#8c8c8c", "#7f3c8d", INK)
"""Okabe and Ito's, the yellows darkened to be read on white; a method's place in a group tells it apart as well."""
GROUP = 0.84
"""Share of the room of a truncation that its bars take."""
SHOWN = 0.8
"""Share of the intervals that fit into the axes whole; the others end in an arrow."""


def plot_limits(ax: Axes, limits: pd.DataFrame, truth: float) -> None:
    """Intervals of every method at every truncation of one language; the truth is the line across.

    A filled dot is an interval that holds the truth, an open one with a cross a miss. Thick bars claim a limit
    ("identified"), thin ones do not; an arrow is an end beyond the axes, "–" below the axis a method without an answer.
    """
    methods = list(dict.fromkeys(limits["method"]))
    factors = sorted(set(limits["factor"]), reverse=True)
    low, high = _window(limits, truth)
    ax.set_xlim(-0.5, len(factors) - 0.5)
    ax.set_ylim(low, high)
    for divide in range(1, len(factors)):
        ax.axvline(divide - 0.5, color=GRID, linewidth=0.8, zorder=0)
    ax.axhline(truth, color=INK, linewidth=1.2, zorder=1)
    step = GROUP / len(methods)
    for _, row in limits.iterrows():
        place = methods.index(row["method"])
        x = factors.index(row["factor"]) - GROUP / 2 + (place + 0.5) * step
        _draw(ax, x, row, COLOURS[place % len(COLOURS)], low, high)
    ax.set_xticks(range(len(factors)), [_share(factor) for factor in factors])
    ax.tick_params(axis="x", length=0)
    ax.set_xlabel("largest compute seen, as a share of the ladder's")
    ax.set_ylabel("Limit E (nats per token)")


def plot_key(ax: Axes, methods: list[str]) -> None:
    """What colours, dots and bars mean, in axes of its own."""
    from matplotlib.lines import Line2D

    def entry(label: str, **style: Any) -> Line2D:
        return Line2D([], [], label=label, **style)

    dot: dict[str, Any] = {"linestyle": "none", "color": MUTED, "markersize": 5}
    handles = [
        entry("methods, from left to right", linestyle="none"),
        *(
            entry(name, color=COLOURS[i % len(COLOURS)], marker="o", markersize=5, linewidth=2.4)
            for i, name in enumerate(methods)
        ),
        entry("", linestyle="none"),
        entry("what they say", linestyle="none"),
        entry("interval holds the truth", marker="o", **dot),
        entry("interval misses it", marker="X", markerfacecolor="white", **dot | {"markersize": 7}),
        entry("claims a limit (identified)", color=MUTED, linewidth=2.6),
        entry("claims none", color=MUTED, linewidth=0.9),
        entry("goes on beyond the axes", marker="^", **dot),
        entry("no answer", marker="_", **dot),
        entry("the true limit", color=INK, linewidth=1.2),
    ]
    ax.set_axis_off()
    ax.legend(
        handles=handles, loc="upper left", frameon=False, fontsize=9, bbox_to_anchor=(0, 1), borderpad=0
    )


def _draw(ax: Axes, x: float, row: pd.Series, colour: str, low: float, high: float) -> None:
    if not row["answered"]:
        ax.plot(x, 0.02, marker="_", color=MUTED, markersize=5, transform=ax.get_xaxis_transform())
        return
    pad = 0.025 * (high - low)
    lo, hi = (float(np.clip(row[name], low + pad, high - pad)) for name in ("lo", "hi"))
    E = float(
        np.clip(row["E"], low + 2.5 * pad, high - 2.5 * pad)
    )  # beside an arrow, where it lies beyond the axes
    thick = 2.4 if row["verdict"] == "identified" else 0.9
    ax.plot([x, x], [lo, hi], color=colour, linewidth=thick, solid_capstyle="butt", zorder=2)
    if row["lo"] < low:
        ax.plot(x, lo, marker="v", color=colour, markersize=4.5, zorder=3)
    if row["hi"] > high:
        ax.plot(x, hi, marker="^", color=colour, markersize=4.5, zorder=3)
    if row["hit"]:
        ax.plot(x, E, marker="o", color=colour, markersize=4.5, zorder=4)
    else:
        ax.plot(x, E, marker="X", color=colour, markerfacecolor="white", markersize=6.5, zorder=4)


def _window(limits: pd.DataFrame, truth: float) -> tuple[float, float]:
    """Losses shown: around the truth, as far as most intervals reach on either side."""
    answered = limits[limits["answered"]]
    if answered.empty:
        return truth - 0.1, truth + 0.1
    ends = answered[["lo", "hi"]].to_numpy(dtype=np.float64)
    below, above = (
        float(np.quantile(np.maximum(away[np.isfinite(away)], 0.0), SHOWN))
        if np.isfinite(away).any()
        else 0.0
        for away in (truth - ends[:, 0], ends[:, 1] - truth)
    )
    least = 0.15 * max(below, above, 1e-3)
    low, high = truth - 1.2 * max(below, least), truth + 1.2 * max(above, least)
    return max(low, -0.04 * high), high  # no limit lies below 0


def _share(factor: float) -> str:
    return "all runs" if factor == 1 else f"1/{factor:g}"
