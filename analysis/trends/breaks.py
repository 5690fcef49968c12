"""Breaks in a trend: where the slope changes, and whether a break that was searched for is more than chance.

The line may bend at a date, y = a + b x + c max(0, x - tau): the rate of growth changes and the quantity does not jump.
How a date is sought and tested is in `break_search`. A break that one model or one organisation makes, or one at the
edge of the dates that is hardly significant, is fragile and not told of as found.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.intervals.interval import tails
from analysis.trends.break_search import Search, design, fewest, projected, search, signs, tested
from analysis.trends.fragility import weakest
from analysis.trends.lines import Lines
from analysis.trends.models import Series
from analysis.trends.segments import Segment, Tail
from analysis.trends.trend import Sampling

Array = NDArray[np.float64]

ALPHA = 0.05
"""A break is told of where its p-value is below this, ..."""
EDGE_ALPHA = 0.01
"""... and at the edge of the dates, where a few models make it, where it is not above this."""


@dataclass(frozen=True)
class Break:
    """The best one or two dates at which the slope changes, with the test of the last against one fewer."""

    dates: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    segments: tuple[Segment, ...]
    F: float
    p: float
    """Of these breaks against one fewer, the search included."""
    level: float
    side: int
    """Models that a segment had to hold."""
    tail: Tail = field(repr=False, compare=False)
    """The last segment, to be carried on beyond the last model."""
    fragile_reason: str = ""
    """On what a significant break rests that no break should; empty where on nothing of that kind."""

    @property
    def at_edge(self) -> bool:
        """Whether a segment at an end holds no more models than it had to: the true break may lie beyond."""
        return min(self.segments[0].models, self.segments[-1].models) <= self.side

    @property
    def significant(self) -> bool:
        """Whether the test finds it, at `ALPHA`."""
        return self.p < ALPHA

    @property
    def fragile(self) -> bool:
        """Whether one model or organisation makes it, or it is at the edge and hardly significant."""
        return bool(self.fragile_reason)


@dataclass(frozen=True)
class Breaks:
    """What the search found: the best break, and a second where the first is significant; or why none was sought."""

    first: Break | None
    second: Break | None
    reason: str = ""
    two_against_none: float | None = None
    """p of two breaks against none at all; None where two cannot be sought."""

    @property
    def found(self) -> Break | None:
        """The break that is told of, significant and not fragile; None where there is none."""
        return next((one for one in self._significant if not one.fragile), None)

    @property
    def doubtful(self) -> Break | None:
        """A significant break that is fragile, of more dates than what was found; None where there is none."""
        most = self._significant[:1]
        return most[0] if most and most[0].fragile else None

    @property
    def _significant(self) -> list[Break]:
        """Most dates first."""
        return [one for one in (self.second, self.first) if one is not None and one.significant]


def breaks(series: Series, sampling: Sampling) -> Breaks:
    """The best break with its p-value and interval, and a second one where the first is significant."""
    one, two, none = search(series, 1), search(series, 2), search(series, 0)
    if one is None or none is None:
        side = fewest(series)
        why = f"a break takes {2 * side} models at {2 * side} dates, {side} on either side"
        return Breaks(None, None, why)
    if series.units < 2:
        why = "all models are of one organisation, so a test has nothing to draw signs for"
        return Breaks(None, None, why)
    drawn = signs(series, sampling.replicates, sampling.seed)
    first = checked(series, _found(series, none, one, drawn, sampling.level), (), sampling)
    if two is None:
        return Breaks(first, None)
    both = tested(series, none, two, drawn)[1]
    if not first.significant:
        return Breaks(first, None, two_against_none=both)
    second = checked(series, _found(series, one, two, drawn, sampling.level), first.dates, sampling)
    return Breaks(first, second, two_against_none=both)


def checked(series: Series, found: Break, fewer: tuple[float, ...], sampling: Sampling) -> Break:
    """With the reason why it is fragile, where it is significant and fragile."""
    if not found.significant:
        return found
    without = weakest(series, fewer, found.dates, sampling)
    if without.p >= ALPHA:
        return replace(found, fragile_reason=f"without {without.name} p = {notation.plain(without.p, 2)}")
    if found.at_edge and found.p > EDGE_ALPHA:
        p = notation.plain(found.p, 2)
        why = f"a segment at an end holds the fewest models allowed, {found.side}, and p = {p} is above {EDGE_ALPHA}"
        return replace(found, fragile_reason=why)
    return found


def _found(series: Series, fewer: Search, more: Search, drawn: Array, level: float) -> Break:
    """The best candidate of `more` with its test, its dates and slopes with intervals, and its last segment.

    The intervals come of series that are the broken line with its residuals' signs drawn; each finds dates anew.
    """
    x, mean = series.years, float(series.logs.mean())
    y = series.logs[None, :] - mean
    chosen = int(more.best(y)[0][0])
    dates = more.dates[chosen]
    curve = projected(y, more.bases[chosen])
    paid = np.sqrt(len(x) / max(len(x) - 2 - 2 * len(dates), 1))
    again = curve + drawn * (y - curve) * paid
    picked = more.best(again)[0]
    moved = np.array(more.dates)[picked]  # [R, breaks]
    lines = [_coefficients(x, more.dates[i], row) for i, row in zip(picked, again, strict=True)]
    own, redrawn = _coefficients(x, dates, y[0])[None, :], np.array(lines)
    tail = Tail(
        _last(x, own, np.array([dates]), mean), _last(x, redrawn, moved, mean), (y - curve)[0] * paid, level
    )
    intervals = tuple((float(a), float(b)) for a, b in np.quantile(moved, tails(level), axis=0).T)
    segments = _segments(x, dates, own, redrawn, level)
    return Break(dates, intervals, segments, *tested(series, fewer, more, drawn), level, more.side, tail)


def _segments(
    x: Array, dates: tuple[float, ...], own: Array, redrawn: Array, level: float
) -> tuple[Segment, ...]:
    slope, drawn = (np.cumsum(found[:, 1:], axis=1) for found in (own, redrawn))
    lo, hi = np.quantile(drawn, tails(level), axis=0)
    edges = [float(x[0]), *dates, float(x[-1])]
    counts = np.histogram(x, [-np.inf, *dates, np.inf])[0]
    return tuple(
        Segment(
            edges[i],
            edges[i + 1],
            int(counts[i]),
            float(slope[0, i]),
            float(lo[i]),
            float(hi[i]),
            drawn[:, i],
        )
        for i in range(len(dates) + 1)
    )


def _coefficients(x: Array, dates: tuple[float, ...], y: Array) -> Array:
    return np.asarray(np.linalg.lstsq(design(x, dates), y, rcond=None)[0])


def _last(x: Array, coefficients: Array, dates: Array, mean: float) -> Lines:
    """The last segments [R] of broken lines with coefficients [R, 2 + breaks] and dates [R, breaks], mean added."""
    centre, hinges = float(x.mean()), coefficients[:, 2:]
    level = coefficients[:, 0] - (hinges * (dates - centre)).sum(axis=1) + mean
    return Lines(centre, level, coefficients[:, 1:].sum(axis=1))


def broken_line(series: Series, found: Break, years: Array) -> Array:
    """log10 of the broken line at years [k]."""
    weights = _coefficients(series.years, found.dates, series.logs)
    hinges = [np.maximum(0.0, years - date) for date in found.dates]
    columns = [np.ones_like(years), years - series.years.mean(), *hinges]
    return np.asarray(np.stack(columns, axis=1) @ weights)
