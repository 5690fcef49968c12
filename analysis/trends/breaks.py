"""Breaks in a trend: where the slope changes, and whether a break that was searched for is more than chance.

The line may bend at a date, y = a + b x + c max(0, x - tau): the rate of growth changes and the quantity does not jump.
The date is the one of a grid that leaves the least sum of squares. As it was searched for, its F is held against the
largest F of the same search in series without the break (sup-F, Andrews 1993; Bai and Perron 1998 for a second after a
first). Those series are the line without the break and its residuals, with a sign drawn for each organisation (wild
cluster bootstrap, Cameron, Gelbach and Miller 2008), so that models of one organisation stay as alike as they are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.intervals.interval import tails
from analysis.trends.models import Series
from analysis.trends.trend import Sampling, doubling

Array = NDArray[np.float64]

SIDE = 8
"""Models that a segment must hold at the least, ..."""
SHARE = 0.1
"""... and this share of all models."""
GRID = 40
"""Dates at which a first break is sought, and half as many for a pair."""
ALPHA = 0.05
"""A break is told of where its p-value is below this."""
EXACT = 1e-12
"""Share of the sum of squares below which what a line leaves is rounding, in which no break is sought."""
_WEBB = np.sqrt([0.5, 1.0, 1.5])


@dataclass(frozen=True)
class Segment:
    """The trend between two breaks."""

    begin: float
    end: float
    models: int
    slope: float
    lo: float
    hi: float
    drawn: Array = field(repr=False, compare=False)
    """[R] slopes in the series with redrawn signs."""

    def probability(self, lo: float, hi: float) -> float:
        """Share of the redrawn slopes between lo and hi, no more certain than their number allows."""
        least = 0.5 / len(self.drawn)
        share = float(((self.drawn >= lo) & (self.drawn <= hi)).mean())
        return min(max(share, least), 1 - least)

    @property
    def doubling(self) -> tuple[float, float, float]:
        """Months to double, with the interval; infinite where it does not grow."""
        return doubling(self.slope), doubling(self.hi), doubling(self.lo)


@dataclass(frozen=True)
class Break:
    """The best one or two dates at which the slope changes, with the test of the last against one fewer."""

    dates: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    segments: tuple[Segment, ...]
    F: float
    p: float
    level: float
    side: int
    """Models that a segment had to hold."""

    @property
    def at_edge(self) -> bool:
        """Whether a segment at an end holds no more models than it had to: the true break may lie beyond."""
        return min(self.segments[0].models, self.segments[-1].models) <= self.side

    @property
    def significant(self) -> bool:
        """Whether the test finds it, at `ALPHA`."""
        return self.p < ALPHA


@dataclass(frozen=True)
class Breaks:
    """What the search found: the best break, and a second where the first is significant; or why none was sought."""

    first: Break | None
    second: Break | None
    reason: str = ""

    @property
    def found(self) -> Break | None:
        """The break that is told of; None where there is no significant one."""
        if self.second is not None and self.second.significant:
            return self.second
        return self.first if self.first is not None and self.first.significant else None


@dataclass(frozen=True)
class _Search:
    """Every candidate of a search: its dates, and an orthonormal basis [n, p] of its broken line."""

    dates: tuple[tuple[float, ...], ...]
    bases: tuple[Array, ...]
    side: int

    def best(self, y: Array) -> tuple[NDArray[np.intp], Array]:
        """Of series y [R, n]: which candidate leaves the least sum of squares, and that sum [R]."""
        explained = np.stack([((y @ basis) ** 2).sum(axis=1) for basis in self.bases])
        return explained.argmax(axis=0), (y**2).sum(axis=1) - explained.max(axis=0)


def breaks(series: Series, sampling: Sampling) -> Breaks:
    """The best break with its p-value and interval, and a second one where the first is significant."""
    x, side = series.years, max(SIDE, int(np.ceil(SHARE * len(series))))
    one = _search(x, side, 1, GRID)
    if one is None:
        return Breaks(
            None, None, f"a break takes {2 * side} models at {2 * side} dates, {side} on either side"
        )
    if series.units < 2:
        return Breaks(
            None, None, "all models are of one organisation, so a test has nothing to draw signs for"
        )
    none = _Search(((),), (_basis(x, ()),), side)
    signs = _signs(series, sampling)
    first = _tested(series, none, one, signs, sampling.level)
    two = _search(x, side, 2, GRID // 2)
    if not first.significant or two is None:
        return Breaks(first, None)
    return Breaks(first, _tested(series, one, two, signs, sampling.level))


def _search(x: Array, side: int, count: int, grid: int) -> _Search | None:
    """The candidates with `count` breaks that leave `side` models in every segment; None where there are none."""
    if len(x) < 2 * side:
        return None
    lo, hi = x[side - 1], x[-side]
    if lo >= hi:
        return None
    places = np.linspace(lo, hi, grid)
    found = [
        dates
        for dates in itertools.combinations(places.tolist(), count)
        if np.histogram(x, [-np.inf, *dates, np.inf])[0].min() >= side
    ]
    return _Search(tuple(found), tuple(_basis(x, dates) for dates in found), side) if found else None


def _design(x: Array, dates: tuple[float, ...]) -> Array:
    """[n, 2 + breaks]: 1, x and the hinges, from the mean date on."""
    centre = x.mean()
    hinges = [np.maximum(0.0, x - date) for date in dates]
    return np.stack([np.ones_like(x), x - centre, *hinges], axis=1)


def _basis(x: Array, dates: tuple[float, ...]) -> Array:
    return np.asarray(np.linalg.qr(_design(x, dates))[0])


def _signs(series: Series, sampling: Sampling) -> Array:
    """[R, n]: for each organisation one of Webb's six values (2013), which few organisations need."""
    rng = np.random.default_rng([sampling.seed, 1])
    values = np.concatenate([-_WEBB, _WEBB])
    return np.asarray(values[rng.integers(0, 6, (sampling.replicates, series.units))][:, series.groups])


def _tested(series: Series, fewer: _Search, more: _Search, signs: Array, level: float) -> Break:
    """The best candidate of `more`, tested against the best of `fewer`."""
    y = series.logs[None, :] - series.logs.mean()
    free = len(series) - more.bases[0].shape[1] - len(more.dates[0])  # the dates were fitted too
    place, left = fewer.best(y)
    if left[0] <= EXACT * (y**2).sum():
        return _described(series, more, y, signs, 0.0, 1.0, level)
    chosen = int(place[0])
    under = _projected(y, fewer.bases[chosen])
    null = under + signs * (y - under)
    F = _gain(y, fewer, more, free)[0]
    p = (1 + (_gain(null, fewer, more, free) >= F).sum()) / (1 + len(signs))
    return _described(series, more, y, signs, float(F), float(p), level)


def _gain(y: Array, fewer: _Search, more: _Search, free: int) -> Array:
    """F [R] of the best of `more` against the best of `fewer`."""
    left, kept = more.best(y)[1], fewer.best(y)[1]
    return np.asarray((kept - left) / np.maximum(left / max(free, 1), 1e-300))


def _projected(y: Array, basis: Array) -> Array:
    return np.asarray((y @ basis) @ basis.T)


def _described(
    series: Series, search: _Search, y: Array, signs: Array, F: float, p: float, level: float
) -> Break:
    """Dates and slopes with intervals, from series of the broken line with its residuals' signs drawn."""
    x = series.years
    chosen = int(search.best(y)[0][0])
    dates = search.dates[chosen]
    curve = _projected(y, search.bases[chosen])
    again = curve + signs * (y - curve) * np.sqrt(len(x) / max(len(x) - 2 - 2 * len(dates), 1))
    picked = search.best(again)[0]
    moved = np.array(search.dates)[picked]  # [R, breaks]
    ends = np.quantile(moved, tails(level), axis=0)
    slopes = np.array([_slopes(x, search.dates[i], row) for i, row in zip(picked, again, strict=True)])
    own = _slopes(x, dates, y[0])
    lo, hi = np.quantile(slopes, tails(level), axis=0)
    edges = [float(x[0]), *dates, float(x[-1])]
    counts = np.histogram(x, [-np.inf, *dates, np.inf])[0]
    segments = tuple(
        Segment(
            edges[i], edges[i + 1], int(counts[i]), float(own[i]), float(lo[i]), float(hi[i]), slopes[:, i]
        )
        for i in range(len(own))
    )
    intervals = tuple((float(a), float(b)) for a, b in ends.T)
    return Break(dates, intervals, segments, F, p, level, search.side)


def _slopes(x: Array, dates: tuple[float, ...], y: Array) -> Array:
    """The slope of every segment of the broken line through y."""
    found = np.linalg.lstsq(_design(x, dates), y, rcond=None)[0]
    return np.asarray(np.cumsum(found[1:]))


def broken_line(series: Series, found: Break, years: Array) -> Array:
    """log10 of the broken line at years [k]."""
    centre = series.years.mean()
    weights = np.linalg.lstsq(_design(series.years, found.dates), series.logs, rcond=None)[0]
    hinges = [np.maximum(0.0, years - date) for date in found.dates]
    return np.asarray(np.stack([np.ones_like(years), years - centre, *hinges], axis=1) @ weights)
