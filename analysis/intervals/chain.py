"""A law of a law: the loss that a run would have, and the error or other loss that follows from it, with one interval.

Both laws are refitted in every replicate. Where they are fitted to one table its rows are resampled once for both, so
that a run that is left out is left out of both; else the replicates of one are independent of the other's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.intervals.interval import Interval, Percentiles, check
from analysis.intervals.uncertainty import chunks, expanded, grouping, refits, resample, scaled_residuals
from analysis.laws import Law

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """Two fitted laws, the second of what the first gives, and R refits of both."""

    first: Fit
    second: Fit
    first_drawn: Law
    second_drawn: Law
    first_residuals: Array
    """Residuals [n] of the first fit, scaled up for the parameters that they paid for; likewise of the second."""
    second_residuals: Array
    ends: Percentiles
    method: str
    level: float
    seed: int

    def __call__(self, **columns: ArrayLike) -> Array:
        """What the second law gives at what the first gives at the columns of the first."""
        return _through(self.first.curve(**self._arguments(columns)), self.second.curve, self.second)

    def interval(self, level: float | None = None, **columns: ArrayLike) -> Interval:
        """Where the chained curve may lie at one point, the uncertainty of both fits propagated."""
        middle = self.first_drawn(**self._arguments(columns))
        return self._interval(_through(middle, self.second_drawn, self.second), level)

    def run_interval(self, level: float | None = None, **columns: ArrayLike) -> Interval:
        """Where one run may lie: as `interval`, with a residual of each fit drawn into each replicate."""
        rng = np.random.default_rng(self.seed)
        middle = self.first_drawn(**self._arguments(columns))
        middle = _missed(middle, rng.choice(self.first_residuals, len(middle)), self.first)
        values = _through(middle, self.second_drawn, self.second)
        return self._interval(
            _missed(values, rng.choice(self.second_residuals, len(values)), self.second), level
        )

    def _interval(self, values: Array, level: float | None) -> Interval:
        level = self.level if level is None else level
        lo, hi = self.ends(values, level)
        return Interval(float(lo), float(hi), level, self.method)

    def _arguments(self, columns: Mapping[str, ArrayLike]) -> dict[str, Array]:
        if missing := [name for name in self.first.columns.values() if name not in columns]:
            raise InputError(f"{self.first.law} takes the column {missing[0]}; give its value")
        return self.first.arguments(columns)


def chain(
    first_table: pd.DataFrame,
    first: Fit,
    second_table: pd.DataFrame,
    second: Fit,
    *,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
) -> Chain:
    """The second law chained to the first, with their joint bootstrap: second is a law in one column, which first is
    the law of (`first.target`).

    Tables that are the same object, or equal, are resampled jointly over the rows that either fit used. Replicates that
    leave a law fewer distinct rows than parameters are drawn again: the intervals of very few rows are those of the
    rest, and too narrow. Raises InputError where the laws do not meet, and where no such replicate is found.
    """
    check(replicates, level)
    if tuple(second.columns.values()) != (first.target,):
        raise InputError(
            f"{second.law} takes {', '.join(second.columns.values())} and {first.law} gives {first.target}; fit the "
            f"second to the column {first.target}"
        )
    rng = np.random.default_rng(seed)
    rows = (first.select(first_table).frame, second.select(second_table).frame)
    needed = (len(first.params), len(second.params))
    if first_table is second_table or first_table.equals(second_table):
        together = first_table.loc[rows[0].index.union(rows[1].index)]
        groups, method = grouping(together, clusters)
        places = [together.index.get_indexer(frame.index) for frame in rows]
        counts = _drawn(groups, replicates, rng, places, needed)
        weights, units = [counts[:, place] for place in places], int(groups.max()) + 1
    else:
        grouped = [grouping(frame, clusters) for frame in rows]
        method = grouped[0][1]
        weights = [
            _drawn(groups, replicates, rng, [np.arange(len(groups))], (least,))
            for (groups, _method), least in zip(grouped, needed, strict=True)
        ]
        units = min(int(groups.max()) + 1 for groups, _method in grouped)
    ends = expanded(method, units, max(needed))
    (one, off_one), (two, off_two) = (
        _refitted(*of) for of in zip((first, second), rows, weights, strict=True)
    )
    return Chain(first, second, one, two, off_one, off_two, ends, f"chain:{method}", level, seed)


def _refitted(fit: Fit, frame: pd.DataFrame, weights: Array) -> tuple[Law, Array]:
    """Refits under the weights [R, n], and the residuals of the fit."""
    problem = fit.problem(frame)
    law, _statuses = refits(problem, fit.law, _in_chunks(weights * fit.weights(frame)), len(weights))
    return law, scaled_residuals(problem, fit)


def _in_chunks(weights: Array) -> Iterator[tuple[Array, None]]:
    at = 0
    for count in chunks(*weights.shape):
        yield weights[at : at + count], None
        at += count


def _drawn(
    groups: NDArray[np.intp],
    replicates: int,
    rng: np.random.Generator,
    places: list[NDArray[np.intp]],
    needed: tuple[int, ...],
) -> Array:
    """Counts [replicates, n] that leave at each of the places as many distinct rows as are needed there."""
    kept: list[Array] = []
    found = 0
    for _ in range(1000):
        counts = resample(groups, replicates, rng)
        enough = np.ones(replicates, dtype=bool)
        for place, least in zip(places, needed, strict=True):
            enough &= (counts[:, place] > 0).sum(axis=1) >= least
        kept.append(counts[enough])
        found += int(enough.sum())
        if found >= replicates:
            return np.concatenate(kept)[:replicates]
    raise InputError(
        f"{len(groups)} rows leave next to no resample with {max(needed)} distinct rows; add runs, or "
        "fit a law with fewer parameters"
    )


def _through(middle: Array, law: Law, fit: Fit) -> Array:
    """The law at what the first gave; one with a leading axis [R] takes of middle [R] what its own replicate gave."""
    (name,) = fit.columns
    values = {name: np.asarray(value, dtype=np.float64) for name, value in law.as_dict().items()}
    terms = law.log_basis(values, {name: middle})
    amplitudes = (values[name] for name in law.amplitudes)
    parts = [s * c * np.exp(t) for s, c, t in zip(law.sign(), amplitudes, terms, strict=True)]
    return np.asarray(sum(parts))


def _missed(values: Array, residuals: Array, fit: Fit) -> Array:
    return values + residuals if fit.objective.raw else values * np.exp(residuals)
