"""The figure of `gain`: the gain against compute, and both frontiers with their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.pages import axes
from analysis.pages.axes import BAND, BLUE, INK, MUTED, ORANGE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

COLOURS = {"base": BLUE, "candidate": ORANGE}
MARKERS = {"base": "o", "candidate": "D"}
PAST = 10.0
"""Of the computes at which the base never gets there so many times the first are shown."""
WIDEST = 30.0
"""The gain's axis ends so many times beyond the gains inside the runs; what is more runs out of it."""


def draw(content: Mapping[str, Any]) -> Figure:
    """The two panels, from the content of gain.json with a gain."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 4.1), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        plot_gain(left, content["curve"], content["inside"])
        plot_frontiers(right, content["frontiers"], {side: content[side]["label"] for side in COLOURS})
        figure.canvas.draw()
    return figure


def plot_gain(ax: Axes, curve: Sequence[Mapping[str, Any]], inside: Sequence[float] | None) -> None:
    """The gain with its interval; grey where a recipe is extrapolated; it ends where the base never gets there."""
    C = np.array([point["C"] for point in curve])
    value, lo, hi = (_endless([point["gain"][end] for point in curve]) for end in ("value", "lo", "hi"))
    bottom, top = _limits(C, value, lo, hi, inside)
    last = float(C[-1])
    if np.isinf(value).any():
        last = min(last, float(C[np.isinf(value)][0]) * PAST)
    axes.log_axis(ax, "x", float(C[0]), last, axes.compute, spacious=True)
    axes.log_axis(ax, "y", bottom, top, notation.times)
    _grey(ax, C, inside)
    shown = np.minimum(lo, top * 10), np.minimum(hi, top * 10)
    ax.fill_between(C, *shown, color=INK, alpha=BAND, linewidth=0)
    ax.plot(C, np.where(np.isfinite(value), value, np.nan), color=INK, linewidth=1.8)
    ax.axhline(1.0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    if np.isinf(value).any():
        at = float(C[np.isinf(value)][0])
        ax.axvline(at, color=ORANGE, linewidth=1.1)
        late = np.log(at / C[0]) > 0.72 * np.log(last / C[0])
        ax.annotate(
            "base never\ngets there", (at, 0.3), xycoords=ax.get_xaxis_transform(), xytext=(-4 if late else 4, 0),
            textcoords="offset points", ha="right" if late else "left", va="top", color=ORANGE, fontsize=9,
        )  # fmt: skip
    ax.set_title("What the candidate is worth (grey: extrapolated)", loc="left")
    ax.set_xlabel("The candidate's training compute C (FLOPs)")
    ax.set_ylabel("Compute the base needs, over C")


def plot_frontiers(ax: Axes, frontiers: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str]) -> None:
    """Both recipes' least loss at each compute, with the runs; dashed beyond a recipe's own runs."""
    entries, reach, last = [], [], 0.0
    for name, front in frontiers.items():
        C, L, lo, hi = (np.array(front[key]) for key in ("C", "L", "lo", "hi"))
        runs = {key: np.array(values) for key, values in front["runs"].items()}
        colour, seen = COLOURS[name], runs["C"].max() * (1 + 1e-9) >= C
        ax.fill_between(C, lo, hi, color=colour, alpha=BAND, linewidth=0)
        ax.plot(C[seen], L[seen], color=colour, linewidth=1.8)
        ax.plot(C[~seen], L[~seen], color=colour, linewidth=1.4, linestyle=(0, (3, 2)))
        ax.scatter(
            runs["C"], runs["L"], s=14, marker=MARKERS[name], color=colour, edgecolor="white", linewidth=0.4
        )
        entries.append((float(L[-1]), labels[name], colour))
        reach += [*runs["L"], *L, *np.clip(lo, L.min() / 1.3, None)]
        last = max(last, float(C[-1]))
    first = min(float(front["C"][0]) for front in frontiers.values())
    largest = max(max(front["runs"]["C"]) for front in frontiers.values())
    if last > largest:
        ax.axvspan(largest, last, color=MUTED, alpha=0.09, linewidth=0)
    axes.log_axis(ax, "x", first / 1.5, last * (last / first) ** 0.3, axes.compute, spacious=True)
    axes.log_axis(ax, "y", *axes.padded(reach, 0.05, 0.05), axes.loss)
    axes.labels_beside(ax, last, entries)
    ax.set_title("Loss of the best split (dashed: beyond the runs)", loc="left")
    ax.set_xlabel("Training compute C (FLOPs)")
    ax.set_ylabel("Held-out loss (nats per token)")


def _grey(ax: Axes, C: Array, inside: Sequence[float] | None) -> None:
    spans = [(C[0], inside[0]), (inside[1], C[-1])] if inside else [(C[0], C[-1])]
    for lo, hi in spans:
        if hi > lo * (1 + 1e-6):
            ax.axvspan(float(lo), float(hi), color=MUTED, alpha=0.09, linewidth=0)


def _limits(
    C: Array, value: Array, lo: Array, hi: Array, inside: Sequence[float] | None
) -> tuple[float, float]:
    """The gain's axis: all that is known inside the runs, and beyond them up to `WIDEST` more."""
    kept = (inside[0] <= C) & (inside[1] >= C) if inside else np.ones(len(C), dtype=bool)
    known = np.concatenate([part[kept & np.isfinite(part)] for part in (value, lo, hi)])
    known = (
        known
        if len(known)
        else np.concatenate([[1.0], *(part[np.isfinite(part)] for part in (value, lo, hi))])
    )
    every = np.concatenate([[1.0], *(part[np.isfinite(part)] for part in (value, lo, hi))])
    held = np.clip(every, known.min() / WIDEST, known.max() * WIDEST)
    return axes.padded(held, 0.08, 0.12)


def _endless(values: Sequence[float | None]) -> Array:
    return np.array([np.inf if value is None else value for value in values], dtype=np.float64)
