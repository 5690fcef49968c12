"""Which figures a report has: title, a caption that says what to see, and what is drawn on which axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis import notation
from analysis.intervals.uncertainty import predict
from analysis.pages import plots, prediction_plots
from analysis.pages.answer import VERDICTS
from analysis.pages.curves import Curve
from analysis.pages.predictions import Band

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from analysis.pages.findings import Findings

Draw = Callable[["Axes"], None]

POINTS = 60
"""Of a line with its interval: an interval is that of all replicates of all laws, point by point, which takes time."""
MOST_BUDGETS = 6
"""Lines of the figure by budget; more budgets than that are shown by as many between the smallest and the largest."""


@dataclass(frozen=True)
class Figure:
    """A figure before it is drawn: one or two panels, each a function of the axes it draws on."""

    name: str
    title: str
    caption: str
    panels: tuple[Draw, ...]


def of_findings(found: Findings, curves: list[Curve]) -> list[Figure]:
    """The figures of a fitted study or table, in the order of the report."""
    made = [compute(found, curves)] if "C" in found.fitted else []
    if {"N", "D"} <= set(found.fitted.columns):
        made.append(budgets(found))
    return [*made, predictions(found), profile(found)]


def of_table(table: pd.DataFrame, curves: list[Curve]) -> list[Figure]:
    """The figure of a table that could not be fitted: what was measured, and nothing else."""
    if not {"C", "L"} <= set(table.columns):
        return []
    measured = table[(table["C"] > 0) & (table["L"] > 0)]
    if measured.empty:
        return []
    caption = "Each dot is the held-out loss of a run; no law could be fitted, so no line is drawn."
    panels: tuple[Draw, ...] = (lambda ax: plots.plot_compute(ax, measured, curves, None),)
    return [Figure("loss_by_compute", "Loss against compute", caption, panels)]


def compute(found: Findings, curves: list[Curve]) -> Figure:
    """Loss against compute with training curves, measured losses and the frontier."""
    split = found.forecast.track.cost is not None
    band, whose = _band(found) if found.forecast.track.x == "C" else None, found.forecast.whose
    left_out = found.left_out if len(found.left_out) else None
    best = f"the best loss for that compute by {whose}" if split else whose
    parts = [
        "Each thin line is a training run on its way (training loss, smoothed) and each"
        if curves
        else "Each",
        " dot is the held-out loss at the end of a run",
        ", coloured by model size" if "N" in found.fitted else "",
        f"; the black line is {best}, from where each of its fits has runs on" if band else "",
        "; grey crosses were left out of the fit" if left_out is not None else "",
    ]
    words = f"{whose},\ncompute split at its best" if split else whose

    def draw(ax: Axes) -> None:
        plots.plot_compute(ax, found.fitted, curves, band, left_out, words=words)

    return Figure("loss_by_compute", "Loss against compute", f"{''.join(parts)}.", (draw,))


def budgets(found: Findings) -> Figure:
    """Loss against N by D, with the law's curves where it is a law of both."""
    lines = _lines(found) if {"N", "D"} == set(found.fit.columns.values()) else []
    many = bool(lines) and found.fitted["D"].nunique() > len(lines)
    coloured = f"the nearest of {len(lines)} numbers of training tokens D" if many else "training tokens D"
    caption = (
        f"Dots are runs, coloured by {coloured}; where a line flattens, a larger model no longer pays without "
        f"more tokens (shaded: {lines[0][1].words} of the law; dotted where no run has about that D)."
        if lines
        else "Dots are runs, coloured by training tokens D; the fitted law, not being one of N and D, has no line here."
    )

    def draw(ax: Axes) -> None:
        plots.plot_budgets(ax, found.fitted, lines)

    return Figure("loss_by_parameters", "Loss against model size, by training budget", caption, (draw,))


def predictions(found: Findings) -> Figure:
    """Predicted against observed losses, and the errors against compute."""
    made = found.predictions
    held = int(made.held_out.sum())
    inside = int(((made.observed >= made.lo) & (made.observed <= made.hi) & made.held_out).sum())
    level = notation.percent(made.level)
    caption = (
        f"The {held} runs of most compute (orange) were predicted from a fit of the other {len(made.observed) - held} "
        f"alone: {inside} of {held} lie within their {level} prediction interval (bars)."
        if held
        else f"Every run was seen by the fit, as there are too few to hold any out; bars: {level} prediction intervals."
    )
    panels: tuple[Draw, ...] = (lambda ax: prediction_plots.plot_predictions(ax, made),)
    if np.isfinite(made.compute).all():
        panels = (*panels, lambda ax: prediction_plots.plot_errors(ax, made))
    return Figure("predicted_and_observed", "Predicted against observed", caption, panels)


def profile(found: Findings) -> Figure:
    """The profile of E with its threshold, and what this law alone would say."""
    scan, verdict = found.fit.profile, found.verdict["alone"]["verdict"]
    several = len(found.verdict["admissible"]["admitted"]) > 1
    together = (found.verdict["lo"], found.verdict["hi"]) if several else None
    ends = [math.nan if scan[end] is None else scan[end] for end in ("lo", "hi")]
    allowed = _allowed(*ends)
    caption = (
        f"With the floor held at E and all else refitted, the fit gets worse by the height of the curve: {allowed} the "
        f"runs about as well as the best one (under the threshold, {notation.percent(scan['level'])}); "
        f"by this law alone: {VERDICTS[verdict]}."
    )
    if together:
        caption += (
            f" Green, and what the answer goes by: the {notation.percent(found.forecast.level)} interval of all "
            f"admissible laws together, {notation.interval(*together)}: {VERDICTS[found.verdict['verdict']]}."
        )
    rise = (np.asarray(scan["objective"]) - scan["best"]) / max(scan["threshold"], 1e-200)

    def draw(ax: Axes) -> None:
        words = f"by this law alone\n{allowed}"
        plots.plot_profile(ax, scan["values"], rise, *ends, words=words, together=together)

    title = f"Which floors the runs allow, by the law {found.fit.law} alone"
    return Figure("profile_of_floor", title, caption, (draw,))


def _allowed(lo: float, hi: float) -> str:
    """The profile's range in words that go on "the runs" or stand alone."""
    if math.isfinite(lo) and math.isfinite(hi):
        return f"floors from {notation.interval(lo, hi)} fit"
    if math.isfinite(hi):
        return f"any floor from 0 to {notation.plain(hi)} fits" if hi >= 5e-4 else "no floor but 0 fits"
    return (
        f"any floor above {notation.plain(lo)} fits"
        if math.isfinite(lo)
        else "any floor below the losses fits"
    )


def _band(found: Findings) -> Band:
    """The track's loss from where every law is among the runs it was fitted to up to the largest run."""
    made = found.forecast
    begin = float(found.fitted[made.track.x].min()) if made.begin is None else made.begin
    x = np.geomspace(begin, made.largest, POINTS)
    return Band(x, *made.loss(x), made.level)


def _lines(found: Findings) -> list[tuple[float, Band]]:
    """The law against N at each budget, or at some between the smallest and the largest."""
    tokens = np.unique(found.fitted["D"].to_numpy(dtype=np.float64))
    if len(tokens) > MOST_BUDGETS:
        tokens = np.geomspace(tokens[0], tokens[-1], MOST_BUDGETS)
    sizes = np.geomspace(float(found.fitted["N"].min()), float(found.fitted["N"].max()), 80)
    lines = []
    for budget in tokens:
        points = {"N": sizes, "D": np.full(len(sizes), budget)}
        made = predict(found.bootstrap, found.fit, points, noise=False)
        lines.append((float(budget), Band(sizes, made.value, made.law_lo, made.law_hi, made.level)))
    return lines
