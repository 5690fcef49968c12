"""The search for dates at which a line may bend, and the test that holds what it finds against the same search.

The date is the one of a grid that leaves the least sum of squares. As it was searched for, its F is held against the
largest F of the same search in series without the break (sup-F, Andrews 1993; Bai and Perron 1998 for a second after a
first). Those series are the line without the break and its residuals, with a sign drawn for each organisation (wild
cluster bootstrap, Cameron, Gelbach and Miller 2008), so that models of one organisation stay as alike as they are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.trends.models import Series

Array = NDArray[np.float64]

SIDE = 8
"""Models that a segment must hold at the least, ..."""
SHARE = 0.1
"""... and this share of all models."""
GRID = 40
"""Dates at which a first break is sought, and half as many for a pair."""
EXACT = 1e-12
"""Share of the sum of squares below which what a line leaves is rounding, in which no break is sought."""
_WEBB = np.sqrt([0.5, 1.0, 1.5])


@dataclass(frozen=True)
class Search:
    """Every candidate of a search: its dates, and an orthonormal basis [n, p] of its broken line."""

    dates: tuple[tuple[float, ...], ...]
    bases: tuple[Array, ...]
    side: int

    def best(self, y: Array) -> tuple[NDArray[np.intp], Array]:
        """Of series y [R, n]: which candidate leaves the least sum of squares, and that sum [R]."""
        explained = np.stack([((y @ basis) ** 2).sum(axis=1) for basis in self.bases])
        return explained.argmax(axis=0), (y**2).sum(axis=1) - explained.max(axis=0)


def fewest(series: Series) -> int:
    """Models that a segment must hold."""
    return max(SIDE, int(np.ceil(SHARE * len(series))))


def search(series: Series, count: int) -> Search | None:
    """The candidates with `count` breaks that leave every segment its models; None where there are none."""
    x, side = series.years, fewest(series)
    if count == 0:
        return Search(((),), (basis(x, ()),), side)
    if len(x) < 2 * side:
        return None
    lo, hi = x[side - 1], x[-side]
    if lo >= hi:
        return None
    places = np.linspace(lo, hi, GRID // count)
    found = [
        dates
        for dates in itertools.combinations(places.tolist(), count)
        if np.histogram(x, [-np.inf, *dates, np.inf])[0].min() >= side
    ]
    return Search(tuple(found), tuple(basis(x, dates) for dates in found), side) if found else None


def design(x: Array, dates: tuple[float, ...]) -> Array:
    """[n, 2 + breaks]: 1, x and the hinges, from the mean date on."""
    hinges = [np.maximum(0.0, x - date) for date in dates]
    return np.stack([np.ones_like(x), x - x.mean(), *hinges], axis=1)


def basis(x: Array, dates: tuple[float, ...]) -> Array:
    """An orthonormal basis of the design."""
    return np.asarray(np.linalg.qr(design(x, dates))[0])


def projected(y: Array, base: Array) -> Array:
    """The part of y [R, n] that the basis explains."""
    return np.asarray((y @ base) @ base.T)


def signs(series: Series, replicates: int, seed: int) -> Array:
    """[R, n]: for each organisation one of Webb's six values (2013), which few organisations need."""
    rng = np.random.default_rng([seed, 1])
    values = np.concatenate([-_WEBB, _WEBB])
    return np.asarray(values[rng.integers(0, 6, (replicates, series.units))][:, series.groups])


def tested(series: Series, fewer: Search, more: Search, drawn: Array) -> tuple[float, float]:
    """F and p of the best candidate of `more` against the best of `fewer`, by redrawn signs [R, n]."""
    y = series.logs[None, :] - series.logs.mean()
    free = len(series) - more.bases[0].shape[1] - len(more.dates[0])  # the dates were fitted too
    place, left = fewer.best(y)
    if left[0] <= EXACT * (y**2).sum():
        return 0.0, 1.0
    under = projected(y, fewer.bases[int(place[0])])
    null = under + drawn * (y - under)
    F = float(_gain(y, fewer, more, free)[0])
    return F, float((1 + (_gain(null, fewer, more, free) >= F).sum()) / (1 + len(drawn)))


def _gain(y: Array, fewer: Search, more: Search, free: int) -> Array:
    """F [R] of the best of `more` against the best of `fewer`."""
    left, kept = more.best(y)[1], fewer.best(y)[1]
    return np.asarray((kept - left) / np.maximum(left / max(free, 1), 1e-300))
