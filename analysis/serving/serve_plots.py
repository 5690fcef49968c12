"""The figure of `serve`: the cheapest model against the tokens that it is to serve, and what it saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import notation
from analysis.pages import axes
from analysis.pages.axes import BAND, BLUE, GREEN, MUTED, ORANGE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDLESS = 30.0
"""Times the value at which the axis ends where the interval is endless."""


def draw(content: Mapping[str, Any]) -> Figure:
    """The two panels, from the content of serve.json with a sweep."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.9), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        plot_split(left, content["sweep"])
        plot_saving(right, content["sweep"])
        figure.canvas.draw()
    return figure


def plot_split(ax: Axes, sweep: Sequence[Mapping[str, Any]]) -> None:
    """N and D of the cheapest model against tokens served; dashed, those of the training-optimal one."""
    x = np.array([point["tokens_served"] for point in sweep])
    entries, reach = [], []
    for name, words, colour in (("D", "tokens D", ORANGE), ("N", "parameters N", BLUE)):
        value, lo, hi = _columns(sweep, "cheapest", name)
        reach += [*lo, *np.where(np.isfinite(hi), hi, value * ENDLESS)]
        hi = np.where(np.isfinite(hi), hi, value * ENDLESS**2)
        ax.fill_between(x, lo, hi, color=colour, alpha=BAND, linewidth=0)
        ax.plot(x, value, color=colour, linewidth=1.8)
        flat = sweep[0]["training_optimal"][name]["value"]
        ax.plot(x[[0, -1]], [flat, flat], color=colour, linewidth=1.0, linestyle=(0, (4, 3)))
        entries.append((float(value[-1]), words, colour))
    axes.log_axis(ax, "x", float(x[0]), float(x[-1]) * (x[-1] / x[0]) ** 0.34, notation.count)
    axes.log_axis(ax, "y", *axes.padded(reach, 0.08, 0.12), notation.count)
    axes.labels_beside(ax, float(x[-1]), entries)
    ax.set_title("Cheapest model (dashed: training-optimal)", loc="left")
    ax.set_xlabel("Tokens served (count)")
    ax.set_ylabel("Parameters, training tokens (count)")


def plot_saving(ax: Axes, sweep: Sequence[Mapping[str, Any]]) -> None:
    """What the cheapest model saves of training and serving together, in per cent."""
    x = np.array([point["tokens_served"] for point in sweep])
    value, lo, hi = (100 * part for part in _columns(sweep, "saving"))
    ax.fill_between(x, lo, hi, color=GREEN, alpha=BAND, linewidth=0)
    ax.plot(x, value, color=GREEN, linewidth=1.8)
    axes.log_axis(ax, "x", float(x[0]), float(x[-1]), notation.count)
    ax.set_ylim(0, max(float(hi.max()) * 1.08, 0.1))
    ax.annotate(
        "band: interval of the fit", (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=9, color=MUTED
    )
    ax.set_title("FLOPs saved, training and serving together", loc="left")
    ax.set_xlabel("Tokens served (count)")
    ax.set_ylabel("Saved (%)")


def _columns(sweep: Sequence[Mapping[str, Any]], *keys: str) -> list[np.ndarray]:
    entries = []
    for point in sweep:
        entry = point
        for key in keys:
            entry = entry[key]
        entries.append(entry)
    ends = ([entry[end] for entry in entries] for end in ("value", "lo", "hi"))
    return [np.array([np.inf if one is None else one for one in end], dtype=np.float64) for end in ends]
