"""The figures of what lies beyond the data: the fan of losses by compute, and losses by date with the walls' dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import notation
from analysis.pages import axes, run_words
from analysis.pages.axes import BLUE, GREEN, INK, MUTED, ORANGE
from analysis.pages.figures import Figure
from analysis.pages.hover import tell
from analysis.pages.plots import COMPUTE, LOSS, marks
from analysis.walls import date_words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

STRENGTH = 0.14
"""Opacity of a band; the inner ones lie on the outer and so are darker."""
REACHES = (1, 10, 100, 1000)
"""Multiples of the largest run that are marked."""
NAMES = {
    "growth_ends": "growth ends",
    "stock_passed": "stock passed",
    "repetition_exhausted": "next repeat worth 1/e",
    "data_worth_most": "text worth most",
}
COLOURS = {
    "growth_ends": INK,
    "stock_passed": ORANGE,
    "repetition_exhausted": ORANGE,
    "data_worth_most": GREEN,
}


def figures(limit: Mapping[str, Any], runs: pd.DataFrame | None = None) -> list[Figure]:
    """The figures that the content of limit.json makes, with the runs that were fitted where they are given."""
    made = [fan(limit, runs)]
    if limit["walls"] and limit["walls"]["calendar"]:
        made.append(by_date(limit["walls"]))
    return made


def fan(limit: Mapping[str, Any], runs: pd.DataFrame | None = None) -> Figure:
    """Losses by compute with their bands, as far as was asked."""
    found, floor = limit["fan"], limit["E"]
    outer = found["bands"][-1]
    reach = found["at"][-1] / found["largest"]
    levels = ", ".join(notation.percent(band["level"]) for band in found["bands"])
    what = "the best split of compute" if limit["losses"][0].keys() >= {"N_opt"} else "the law"
    parts = [
        "Dots are the runs. " if runs is not None else "",
        f"The line is the loss of {what} by {limit['fan']['whose']}, shaded its intervals ({levels}, from dark to "
        f"light), beyond the largest run on grey. At its end, {notation.times(reach)} the largest run, the loss lies "
        f"from {notation.interval(outer['lo'][-1], outer['hi'][-1])} at {notation.percent(outer['level'])}, "
        "if these laws hold so far.",
        f" Green: the floor with its {notation.percent(floor['level'])} interval." if floor["value"] else "",
        " Dotted: the bound that the floor lies below." if not floor["value"] and floor["hi"] else "",
    ]

    def draw(ax: Axes) -> None:
        plot_fan(ax, found, floor, runs)

    return Figure("fan", "Beyond the data", "".join(parts), (draw,))


def by_date(found: Mapping[str, Any]) -> Figure:
    """Losses by date in the scenario, and the dates of its walls."""
    outer, last = found["calendar"][0]["bands"][-1]["level"], found["calendar"][-1]
    caption = (
        f"The loss of the scenario's largest training run by date (line: the middle; bands: "
        f"{', '.join(notation.percent(band['level']) for band in last['bands'])}), beyond the runs that were fitted on "
        f"grey. Bars are the {notation.percent(outer)} intervals of the dates at which walls are met, with an arrow "
        "where they reach beyond the horizon."
    )

    def draw(ax: Axes) -> None:
        plot_by_date(ax, found)

    return Figure("loss_by_date", "Which wall comes first", caption, (draw,))


def plot_fan(
    ax: Axes,
    found: Mapping[str, Any],
    floor: Mapping[str, Any] | None = None,
    runs: pd.DataFrame | None = None,
) -> None:
    """The fan of limit.json over the measured runs; `floor` is the E of limit.json, {value, lo, hi}: a line with its
    interval where it has a value, else its upper end as a dotted line where it has that."""
    x, name, outer = np.asarray(found["at"]), found["x"], found["bands"][-1]
    dots = runs if runs is not None and name in runs else None
    left = float(x[0]) if dots is None else min(float(x[0]), 0.7 * float(dots[name].min()))
    axes.log_axis(ax, "x", left, float(x[-1]), axes.compute if name == "C" else notation.count)
    ends = [] if floor is None else [floor[end] for end in ("lo", "hi") if floor[end] is not None]
    reach = np.array([*outer["lo"], *outer["hi"], *ends, *([] if dots is None else dots["L"])])
    axes.log_axis(ax, "y", *axes.padded(reach[reach > 0], 0.05, 0.12), axes.loss)
    for band in found["bands"]:
        ax.fill_between(x, band["lo"], band["hi"], color=BLUE, alpha=STRENGTH, linewidth=0, zorder=1)
    ax.plot(x, np.array(found["L"], dtype=np.float64), color=BLUE, linewidth=1.6, zorder=3)
    if dots is not None:
        ax.scatter(dots[name], dots["L"], color=INK, **marks(dots) | {"s": 14})
        tell(ax, dots[name], dots["L"], run_words.values(dots))
    _name_bands(ax, float(x[-1]), [(band["level"], band["hi"][-1]) for band in found["bands"]])
    if floor is not None:
        _floor(ax, floor)
    _reach(ax, found["largest"], float(x[-1]))
    ax.set_xlabel(
        {"C": COMPUTE, "N": "Parameters N (count)", "D": "Training tokens D (count)"}.get(name, name)
    )
    ax.set_ylabel(LOSS)


def _floor(ax: Axes, floor: Mapping[str, Any]) -> None:
    """The floor with its interval, or the bound that it lies below; nothing where there is neither."""
    if floor["value"] is not None:
        ax.axhspan(floor["lo"], floor["hi"], color=GREEN, alpha=STRENGTH, linewidth=0)
        ax.axhline(floor["value"], color=GREEN, linewidth=1.1)
        place, words = floor["value"], "floor E"
    elif floor["hi"] is not None:
        ax.axhline(floor["hi"], color=GREEN, linewidth=1.1, linestyle=(0, (1, 2)))
        place, words = floor["hi"], f"floor lies below {notation.plain(floor['hi'])}"
    else:
        return
    ax.annotate(
        words, (0.0, place), xycoords=ax.get_yaxis_transform(), xytext=(4, 3), textcoords="offset points",
        color=GREEN, fontsize=9,
    )  # fmt: skip


def _reach(ax: Axes, largest: float, last: float) -> None:
    """Grey beyond the largest run, and lines that tell how many times it a claim is about."""
    ax.axvspan(largest, last, color=MUTED, alpha=0.09, linewidth=0)
    named = REACHES if axes.decade(ax) > 36 else (1, 1000)
    for factor in REACHES:
        if largest * factor > last * 1.001:
            break
        ax.axvline(largest * factor, color=MUTED, linewidth=0.7, linestyle=(0, (2, 3)))
        if factor in named:
            ax.annotate(
                "largest run" if factor == 1 else f"{factor:,}×", (largest * factor, 1.0),
                xycoords=ax.get_xaxis_transform(), xytext=(-3, -3), textcoords="offset points",
                ha="right", va="top", color=MUTED, fontsize=9,
            )  # fmt: skip


def plot_by_date(ax: Axes, found: Mapping[str, Any]) -> None:
    """Losses by date with their bands, and below them a bar for the interval of each wall's date."""
    entries = found["calendar"]
    dates = np.array([entry["date"] for entry in entries])
    for rank in range(len(entries[0]["bands"])):
        lo, hi = (np.array([entry["bands"][rank][end] for entry in entries]) for end in ("lo", "hi"))
        ax.fill_between(dates, lo, hi, color=BLUE, alpha=STRENGTH, linewidth=0, zorder=1)
    ax.plot(dates, [entry["loss"]["value"] for entry in entries], color=BLUE, linewidth=1.6, zorder=3)
    lowest = min(entry["bands"][-1]["lo"] for entry in entries)
    highest = max(entry["bands"][-1]["hi"] for entry in entries)
    events = [(name, date) for name, date in date_words.dates(found).items() if date["never"] < 0.995]
    room = (highest - lowest) * (0.1 + 0.14 * len(events))
    ax.set_ylim(lowest - room, highest + 0.06 * (highest - lowest))
    _years(ax, dates, lowest)
    _shade(ax, found, dates)
    for rank, (name, date) in enumerate(events, start=1):
        _bar(ax, name, date, lowest - room * (rank + 0.3) / (len(events) + 0.6), dates)
    _name_bands(ax, float(dates[-1]), [(band["level"], band["hi"]) for band in entries[-1]["bands"]])
    ax.set_xlabel("Date")
    ax.set_ylabel(LOSS)


def _years(ax: Axes, dates: np.ndarray, lowest: float) -> None:
    """Whole years below, and losses beside the losses alone, above the bars."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(dates[0], dates[-1])
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.xaxis.set_major_formatter(lambda year, _: f"{year:.0f}")
    ax.set_yticks([tick for tick in ax.get_yticks() if lowest <= tick <= ax.get_ylim()[1]])
    ax.yaxis.set_major_formatter(lambda value, _: axes.loss(value))
    ax.grid(True, color=axes.GRID, linewidth=0.7)


def _name_bands(ax: Axes, x: float, ends: Sequence[tuple[float, float]]) -> None:
    """The level of each band beside its upper end."""
    axes.labels_beside(ax, x, [(hi, notation.percent(level), BLUE) for level, hi in ends])


def _shade(ax: Axes, found: Mapping[str, Any], dates: np.ndarray) -> None:
    """Grey from the date on at which compute, in the middle of the draws, passes the largest run that was fitted."""
    beyond = [e["date"] for e in found["calendar"] if e["C"]["value"] > found["largest_run"] * (1 + 1e-9)]
    if beyond:
        first = max(dates[dates < beyond[0]], default=beyond[0])
        ax.axvspan(first, dates[-1], color=MUTED, alpha=0.09, linewidth=0)


def _bar(ax: Axes, name: str, date: Mapping[str, Any], y: float, dates: np.ndarray) -> None:
    """An interval from lo to hi with its middle, an arrow where it goes on beyond the last date, and its name."""
    colour, last = COLOURS[name], dates[-1]
    lo = last if date["lo"] is None else date["lo"]
    hi = last if date["hi"] is None else date["hi"]
    ax.plot([lo, hi], [y, y], color=colour, linewidth=2.2, zorder=4, solid_capstyle="butt")
    if date["hi"] is None:
        ax.plot([last], [y], marker=">", color=colour, markersize=6, clip_on=False, zorder=5)
    if date["value"] is not None:
        ax.plot([date["value"]], [y], marker="o", color=colour, markersize=5, zorder=5)
    ahead = (lo + hi) / 2 > (dates[0] + last) / 2
    ax.annotate(
        NAMES[name], (hi if ahead else lo, y), xytext=(0, 3), textcoords="offset points",
        ha="right" if ahead else "left", va="bottom", color=colour, fontsize=9,
    )  # fmt: skip
