"""Drawing of the growth a year by version of the trend, on axes that are given: growth and fall alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.pages import axes
from analysis.pages.axes import BAND, GREEN, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REACH = 2.5
"""Factor by which the axis goes beyond the slowest and the fastest growth; longer intervals end in an arrow there."""
MONTHS = (1, 2, 3, 4, 6, 8, 12, 18, 24, 48)
"""Doubling times that the upper scale may tell."""
APART = 26.0
"""Points between neighbours of the upper scale."""


@dataclass(frozen=True)
class Bar:
    """A row of the plot: growth as a factor a year, with its interval; below 1 where it falls."""

    group: str
    label: str
    value: float
    lo: float
    hi: float
    colour: str


def plot_growth(ax: Axes, bars: Sequence[Bar], claimed: Mapping[str, tuple[float, float]]) -> None:
    """Growth a year as dots with intervals on a logarithmic axis, by quantity; the claimed range shaded behind."""
    lo, hi = _limits(bars, claimed)
    axes.log_axis(ax, "x", lo, hi, lambda value: f"{notation.plain(value, 2)}×")
    ax.grid(False, axis="y")
    places = _places(bars, claimed)
    ax.set_ylim(max(places) + (1.1 if claimed else 0.7), -0.9)
    ax.set_yticks(places, [bar.label for bar in bars], fontsize=8.8)
    ax.tick_params(axis="y", length=0)
    ax.axvline(1.0, color=MUTED, linewidth=1.1, zorder=1)
    if lo < 1.0:
        ax.axvspan(lo, 1.0, color=MUTED, alpha=0.09, linewidth=0, zorder=0)
        ax.annotate(
            "falls", (1.0, 0.0), xycoords=ax.get_xaxis_transform(), xytext=(-4, 4), textcoords="offset points",
            ha="right", va="bottom", fontsize=8.5, color=MUTED,
        )  # fmt: skip
    for place, bar in zip(places, bars, strict=True):
        _bar(ax, place, bar, lo, hi)
    for group in dict.fromkeys(bar.group for bar in bars):
        mine = [place for place, bar in zip(places, bars, strict=True) if bar.group == group]
        ax.annotate(
            group, (0.0, mine[0] - 0.62), xycoords=ax.get_yaxis_transform(), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=9.2, fontweight="bold",
        )  # fmt: skip
        if group in claimed:
            _claimed(ax, mine, claimed[group])
    ax.set_xlabel("Growth a year (factor)")
    _months(ax)


def _limits(bars: Sequence[Bar], claimed: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """So that every value, 1 and the claims are seen, and of intervals what lies within `REACH` of a value."""
    values = [bar.value for bar in bars]
    least, most = min(values) / REACH, max(values) * REACH
    ends = np.clip([end for bar in bars for end in (bar.lo, bar.hi)], least, most).tolist()
    shown = [*values, *ends, 1.0, *(end for ends in claimed.values() for end in ends if end <= most)]
    return min(shown) / 1.12, max(shown) * 1.12


def _places(bars: Sequence[Bar], claimed: Collection[str]) -> list[float]:
    """A row a bar, with room for a heading before each group, and for a word under one that is claimed of."""
    found, at = [], 0.0
    for before, bar in zip([None, *bars], bars, strict=False):
        new = before is not None and bar.group != before.group
        at += (2.7 if before and before.group in claimed else 2.0) if new else 1.0
        found.append(at)
    return [place - 0.6 for place in found]


def _bar(ax: Axes, place: float, bar: Bar, left: float, right: float) -> None:
    """A dot and its interval; an arrow at the edge where it goes on beyond."""
    begin, end = max(bar.lo, left), min(bar.hi, right)
    ax.plot([begin, end], [place, place], color=bar.colour, linewidth=1.6, zorder=3)
    for beyond, edge, marker in ((bar.lo < left, left, "<"), (bar.hi > right, right, ">")):
        if beyond:
            ax.plot([edge], [place], marker=marker, color=bar.colour, markersize=6, clip_on=False, zorder=3)
    ax.plot([bar.value], [place], marker="o", color=bar.colour, markersize=5.5, zorder=4)


def _claimed(ax: Axes, rows: Sequence[float], ends: tuple[float, float]) -> None:
    lo, hi = ax.get_xlim()
    begin, end = (float(np.clip(value, lo, hi)) for value in ends)
    ax.fill_betweenx([rows[0] - 0.35, rows[-1] + 0.4], begin, end, color=GREEN, alpha=BAND, linewidth=0)
    ax.annotate(
        "claimed", (float(np.sqrt(begin * end)), rows[-1] + 0.7), ha="center", va="center", color=GREEN, fontsize=8.8
    )  # fmt: skip


def _months(ax: Axes) -> None:
    """The doubling times that these growths are, as a scale above."""
    lo, hi = ax.get_xlim()
    known = [month for month in MONTHS if lo <= factor(month) <= hi]
    if not known:
        return
    kept: list[int] = []
    pixels: NDArray[np.float64] = np.asarray(ax.transData.transform([(factor(m), 0.0) for m in known]))[:, 0]
    gap = APART * float(ax.get_figure(root=True).dpi) / 72  # type: ignore[union-attr]
    last = np.inf
    for month, at in zip(known, pixels.tolist(), strict=True):
        if last - at >= gap:
            kept.append(month)
            last = at
    above = ax.twiny()
    above.set_xscale("log")
    above.set_xlim(lo, hi)
    above.set_xticks([factor(month) for month in kept], [str(month) for month in kept])
    above.minorticks_off()
    above.grid(False)
    above.spines["top"].set_visible(True)
    above.set_xlabel("Doubling time (months)")


def factor(months: float) -> float:
    """Growth a year of what doubles in so many months."""
    return float(2.0 ** (12.0 / months))
