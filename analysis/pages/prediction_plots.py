"""Figures of predictions: predicted against observed losses, and how far off they are against compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.pages import axes
from analysis.pages.axes import BLUE, MUTED, ORANGE
from analysis.pages.hover import tell
from analysis.pages.plots import COMPUTE, MOST_MARKS
from analysis.pages.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

LONGEST_BAR = 1.6
"""Bars that reach further than this factor from every loss run out of the axes, which would show nothing else."""


def plot_predictions(ax: Axes, made: Predictions) -> None:
    """Predicted against observed loss; a perfect prediction lies on the line."""
    ends = np.clip([made.lo, made.hi], made.observed.min() / LONGEST_BAR, made.observed.max() * LONGEST_BAR)
    limits = axes.padded([*made.observed, *made.predicted, *ends.ravel()], 0.04, 0.04)
    axes.log_axis(ax, "x", *limits, axes.loss)
    axes.log_axis(ax, "y", *limits, axes.loss)
    ax.plot(limits, limits, color=MUTED, linewidth=0.9)
    ax.annotate(
        "predicted = observed ", (0.97, 0.97), xycoords="axes fraction", xytext=(-14, -2), textcoords="offset points",
        ha="right", va="top", fontsize=9, color=MUTED,
    )  # fmt: skip
    _draw_predictions(ax, made, made.observed, (made.predicted, made.lo, made.hi))
    fitted, held = int((~made.held_out).sum()), int(made.held_out.sum())
    ax.text(0.04, 0.97, f"● {fitted} runs fitted", color=BLUE, transform=ax.transAxes, va="top", fontsize=9)
    if held:
        words = f"◆ {held} larger {'run' if held == 1 else 'runs'}, held out"
        ax.text(0.04, 0.91, words, color=ORANGE, transform=ax.transAxes, va="top", fontsize=9)
    ax.set_xlabel("Observed loss (nats per token)")
    ax.set_ylabel("Predicted loss (nats per token)")


def plot_errors(ax: Axes, made: Predictions) -> None:
    """How far predictions lie from the observed losses, in per cent, against compute; the cut divides the runs."""
    axes.log_axis(ax, "x", *axes.padded(made.compute, 0.06, 0.12), axes.compute, spacious=True)
    ax.axhline(0, color=MUTED, linewidth=0.9)
    relative = [100 * (values / made.observed - 1) for values in (made.predicted, made.lo, made.hi)]
    _draw_predictions(ax, made, made.compute, relative)
    longest = max(100 * (LONGEST_BAR - 1), 1.5 * float(np.abs(relative[0]).max()))
    low, high = max(ax.get_ylim()[0], -longest), min(ax.get_ylim()[1], longest)
    ax.set_ylim(low, high)
    if made.held_out.any():
        ax.set_ylim(low, high + 0.14 * (high - low))
        ax.axvline(made.cut, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        for words, side in (("fitted ", "right"), (" held out", "left")):
            ax.annotate(
                words, (made.cut, 0.99), xycoords=ax.get_xaxis_transform(), ha=side, va="top", fontsize=9, color=MUTED
            )  # fmt: skip
    ax.set_xlabel(COMPUTE)
    ax.set_ylabel("Prediction minus observation (%)")


def _draw_predictions(ax: Axes, made: Predictions, x: Array, lines: Sequence[Array]) -> None:
    y, lo, hi = lines
    tell(ax, x, y, made.words or [""] * len(x))
    many = len(x) > 60
    for mask, colour, marker in ((~made.held_out, BLUE, "o"), (made.held_out, ORANGE, "D")):
        bars = np.maximum(np.stack([y - lo, hi - y])[:, mask], 0.0)
        strength = 0.3 if many and colour == BLUE else 0.8
        ax.errorbar(
            x[mask], y[mask], yerr=bars, fmt="none", ecolor=colour, elinewidth=0.8, alpha=strength,
            rasterized=len(x) > MOST_MARKS,
        )  # fmt: skip
        ax.plot(
            x[mask],
            y[mask],
            linestyle="none",
            marker=marker,
            color=colour,
            markersize=3 if many else 4.5,
            rasterized=len(x) > MOST_MARKS,
        )
