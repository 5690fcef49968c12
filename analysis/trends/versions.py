"""Versions of a trend: all models or the records, by least squares or Huber, with replicates over organisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.intervals.interval import Percentiles
from analysis.intervals.uncertainty import resample
from analysis.trends.leaders import leaders
from analysis.trends.lines import METHODS, Lines
from analysis.trends.models import FEWEST, Series, Window
from analysis.trends.trend import (
    ALL,
    FASTEST,
    FEWEST_ORGANIZATIONS,
    RECORDS,
    Missing,
    Sampling,
    Trend,
    doubling,
)

Array = NDArray[np.float64]

SHARE_OF_USE = 0.9
"""Of the replicates, those that must have a line: a replicate may hold too few records for one."""


def all_models(
    series: Series, window: Window, method: str, sampling: Sampling, version: str = ALL
) -> Trend | Missing:
    """The trend of all models of the window; replicates resample organisations."""
    chosen = series.among(series.within(window))
    reason = _reason(chosen)
    if reason:
        return Missing(series.quantity, version, method, reason)

    def through(weights: Array) -> Lines:
        return METHODS[method](chosen.years, chosen.logs, weights)

    return _made(chosen, version, method, window, through, chosen, sampling)


def running(series: Series, window: Window, method: str, sampling: Sampling, top: int = 1) -> Trend | Missing:
    """The trend of the models that were among the `top` largest at their date, of all that came before.

    Each replicate resamples organisations and finds the leaders among those it drew.
    """
    version = RECORDS if top == 1 else f"running top {top}"
    past = series.among(series.years <= window.end)
    if not len(past):
        return Missing(series.quantity, version, method, "no model has it")
    inside = past.within(window)
    lead = leaders(past.logs, np.ones((1, len(past)), dtype=bool), top)[0] & inside
    chosen = past.among(lead)
    reason = _reason(chosen)
    if reason:
        return Missing(series.quantity, version, method, reason)

    def through(weights: Array) -> Lines:
        leading = leaders(past.logs, weights > 0, top) & inside
        return METHODS[method](past.years, past.logs, leading.astype(np.float64))

    made = _made(chosen, version, method, window, through, past, sampling)
    if isinstance(made, Missing):
        return made
    return replace(made, range_without_one=_without_one(past, inside, lead, method, top))


def _without_one(
    past: Series, inside: NDArray[np.bool_], lead: NDArray[np.bool_], method: str, top: int
) -> tuple[float, float] | None:
    """Shortest and longest doubling when each leader in turn is left out and the leaders are found anew."""
    out = np.flatnonzero(lead)
    present = np.ones((len(out), len(past)), dtype=bool)
    present[np.arange(len(out)), out] = False
    weights = (leaders(past.logs, present, top) & inside).astype(np.float64)
    slopes = METHODS[method](past.years, past.logs, weights).slope
    found = [doubling(float(slope)) for slope in slopes if np.isfinite(slope)]
    return (min(found), max(found)) if found else None


def _made(
    chosen: Series, version: str, method: str, window: Window, through: Callable[[Array], Lines], sampled: Series,
    sampling: Sampling,
) -> Trend | Missing:  # fmt: skip
    """The trend by resampled organisations; by models where there is one, by the wider of both where they are few."""
    alone = np.arange(len(sampled))
    ways = [(sampled.groups, chosen.groups, "organisations")] if sampled.units > 1 else []
    if sampled.units < FEWEST_ORGANIZATIONS:
        why = "all are of one organisation" if sampled.units == 1 else "organisations are few"
        ways.append((alone, np.arange(len(chosen)), f"models, since {why}"))
    line = through(np.ones((1, len(sampled))))
    made: list[Trend] = []
    for groups, own, what in ways:
        drawn = through(resample(groups, sampling.replicates, np.random.default_rng(sampling.seed)))
        usable = np.isfinite(drawn.slope)
        if usable.mean() < SHARE_OF_USE:
            continue
        drawn = Lines(drawn.centre, drawn.level[usable], drawn.slope[usable])
        units, effective = int(groups.max()) + 1, effective_clusters(chosen, own)
        ends = Percentiles(math.sqrt(units / (units - 1)), max(effective - 1.0, 1.0))
        made.append(
            Trend(
                chosen.quantity, version, method, window, chosen, line, drawn, ends, sampling.level, units, what,
                effective, sampled.units,
            )
        )  # fmt: skip
    if not made:
        reason = f"fewer than {SHARE_OF_USE:.0%} of the replicates hold models of two dates"
        return Missing(chosen.quantity, version, method, reason)
    widest = max(made, key=lambda trend: trend.slopes[1] - trend.slopes[0])
    if max(map(abs, widest.slopes)) > FASTEST:
        reason = "the dates are too close to tell a rate: its interval reaches a factor of 1e30 a year"
        return Missing(chosen.quantity, version, method, reason)
    return widest


def effective_clusters(series: Series, groups: NDArray[np.intp]) -> float:
    """Clusters of equal weight in the slope to which these amount: (sum q)^2 / sum q^2, q the sum of squared distances
    from the mean date (after Carter, Schnepel and Steigerwald 2017)."""
    q = np.bincount(groups, (series.years - series.years.mean()) ** 2)
    return float(q.sum() ** 2 / (q**2).sum())


def _reason(series: Series) -> str:
    if len(series) < FEWEST:
        count = f"{len(series)} model{'s' if len(series) != 1 else ''}"
        return f"{count}, and a trend takes {FEWEST}" if len(series) else "no model"
    if np.ptp(series.years) == 0:
        return "all models are of one date"
    return ""
