"""Whether a break rests on one model or one organisation: the test again without each of those that carry it most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.trends.break_search import basis, search, signs, tested
from analysis.trends.models import Series
from analysis.trends.trend import Sampling

LOOKED = 6
"""Models, and organisations, without which the test is made again: those that the break's F falls most without."""
REPLICATES = 399
"""Redrawn series of each such test, at the most: p is then known to about 0.01 where it is 0.05."""


@dataclass(frozen=True)
class Without:
    """The test without a model or an organisation."""

    name: str
    p: float
    """1 where nothing is left to seek a break in."""


def weakest(
    series: Series, fewer: tuple[float, ...], dates: tuple[float, ...], sampling: Sampling
) -> Without:
    """The model or organisation without which the break's p is largest; `fewer` are the dates of one break less."""
    models = [(f"the model {name}", np.arange(len(series)) != i) for i, name in enumerate(series.models)]
    counts = np.bincount(series.groups)
    makers = [
        (f"the models of {series.organizations[int((series.groups == g).argmax())]}", series.groups != g)
        for g in range(series.units)
        if counts[g] > 1
    ]
    looked = [*_carriers(series, fewer, dates, models), *_carriers(series, fewer, dates, makers)]
    found = [Without(name, _p(series.among(kept), len(dates), sampling)) for name, kept in looked]
    return max(found, key=lambda one: one.p)


Left = tuple[str, NDArray[np.bool_]]


def _carriers(
    series: Series, fewer: tuple[float, ...], dates: tuple[float, ...], ways: list[Left]
) -> list[Left]:
    """The ways of leaving out that lower F at the dates that were found most; those dates are not sought again."""
    gains = [_gain(series.among(kept), fewer, dates) for _, kept in ways]
    return [ways[int(i)] for i in np.argsort(gains, kind="stable")[:LOOKED]]


def _gain(series: Series, fewer: tuple[float, ...], dates: tuple[float, ...]) -> float:
    """How much less the line with the dates leaves, as a share of what it leaves."""
    y = series.logs - series.logs.mean()
    kept, left = (float(y @ y - ((y @ basis(series.years, at)) ** 2).sum()) for at in (fewer, dates))
    return (kept - left) / max(left, 1e-300)


def _p(series: Series, count: int, sampling: Sampling) -> float:
    fewer, more = search(series, count - 1), search(series, count)
    if fewer is None or more is None or series.units < 2:
        return 1.0
    drawn = signs(series, min(sampling.replicates, REPLICATES), sampling.seed)
    return tested(series, fewer, more, drawn)[1]
