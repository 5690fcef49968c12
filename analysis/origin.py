"""One origin of a forecast: runs up to a compute are fitted, those beyond foretold; how its error grows with distance.

A bootstrap knows of the noise between runs, and not of a law that is only nearly right: its prediction intervals of
larger runs are too narrow (they held half of the larger Chinchilla runs where 90 % was claimed). By how much is
measured within the rows that an origin sees, at origins further down.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import fitting
from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.intervals.uncertainty import bootstrap, predict
from analysis.rows import X

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

INNER = (math.sqrt(3.0), 3.0, math.sqrt(30.0), 10.0, 30.0)
"""Origins within the rows seen, as factors below the largest compute of these: two a decade, and one at 30."""
INNER_REPLICATES = 100
STEPS = 60
"""Of the optimiser in an inner refit."""
TIE = 1e-9
FEWEST = 4
"""Rows beyond an inner origin from which it is asked how many it misses."""


@dataclass(frozen=True)
class Foretelling:
    """What a fit of the rows up to a cut says of the rows [n] beyond: their value, the ends that the bootstrap claims
    for a new run, and what they turned out to be.

    Distances are in the unit of the fit's residuals: logarithms, or the target itself under a raw objective.
    """

    truth: Array
    value: Array
    lo: Array
    hi: Array
    distance: Array
    """log(1 + C / cut) of each row."""
    raw: bool
    status: str

    def inside(self) -> NDArray[np.bool_]:
        """Whether each truth lies inside what was claimed."""
        return (self.truth >= self.lo) & (self.truth <= self.hi)

    def needed(self) -> Array:
        """The growth at which each truth lies inside, 0 where it does without: see `widened`."""
        error = self._scaled(self.truth) - self._scaled(self.value)
        below, above = self._halves()
        half = np.where(error < 0, below, above)
        return np.asarray(np.sqrt(np.maximum(error**2 - half**2, 0.0)) / self.distance)

    def widened(self, growth: float) -> Foretelling:
        """The same with both ends moved out to sqrt(h^2 + (growth log(1 + C / cut))^2) from the value, h being what is
        claimed: an error of the law, independent of noise, that grows like the logarithm of how far a run is beyond
        the cut, as the error of a slope does."""
        below, above = (np.hypot(half, growth * self.distance) for half in self._halves())
        middle = self._scaled(self.value)
        lo, hi = middle - below, middle + above
        lo, hi = (lo, hi) if self.raw else (np.exp(lo), np.exp(hi))
        return Foretelling(self.truth, self.value, lo, hi, self.distance, self.raw, self.status)

    def _halves(self) -> tuple[Array, Array]:
        middle = self._scaled(self.value)
        return (
            np.maximum(middle - self._scaled(self.lo), 0.0),
            np.maximum(self._scaled(self.hi) - middle, 0.0),
        )

    def _scaled(self, values: Array) -> Array:
        return values if self.raw else np.log(values)


def foretell(
    fit: Fit,
    frame: pd.DataFrame,
    cut: float,
    *,
    replicates: int,
    level: float,
    seed: int,
    clusters: str,
    max_steps: int = fitting.polish.MAX_STEPS,
) -> Foretelling:
    """Fit selected rows with C at most `cut` as `fit` was, and foretell those beyond.

    Raises InputError where they cannot be fitted: no row more than parameters, or all of one cluster.
    """
    compute = np.asarray(frame["C"], dtype=np.float64)
    small = within(compute, cut)
    seen, unseen = frame[small], frame[~small]
    needed = len(fit.params) + 1
    if len(seen) < needed:
        raise InputError(
            f"{len(seen)} rows at or below the cut; {needed} are needed for {len(fit.params)} parameters"
        )
    refit = refitted(seen, fit)
    boot = bootstrap(
        seen, refit, replicates=replicates, clusters=clusters, seed=seed, level=level, max_steps=max_steps
    )
    made = predict(boot, refit, unseen, level=level)
    distance = np.log1p(compute[~small] / cut)
    return Foretelling(
        fit.aims(unseen), made.value, made.lo, made.hi, distance, fit.objective.raw, refit.status
    )


def within(compute: Array, cut: float) -> NDArray[np.bool_]:
    """Which runs are at most at the cut; one at it to the rounding of its units is."""
    return np.asarray(compute <= cut * (1 + TIE))


def refitted(rows: pd.DataFrame, fit: Fit) -> Fit:
    """The same law, objective and weights fitted to other rows; a delta from the noise is that of these rows."""
    x = fit.columns.get(X, "C")
    objective = None if fit.delta_from_noise else fit.objective
    return fitting.fit(rows, fit.law, objective=objective, weights=fit.weighted_by, x=x, y=fit.target)


def growth(
    fit: Fit, seen: pd.DataFrame, *, level: float, seed: int, clusters: str
) -> tuple[float, tuple[float, ...]]:
    """The growth by which intervals of runs beyond these rows are to be widened, and the inner origins it is from.

    At each origin within the rows seen it is the least at which `level` of the rows beyond lie inside; the largest of
    the origins counts, since the rows beyond one are missed together and there are few origins. NaN without any. It
    breaks where the loss bends beyond the rows seen as it does nowhere within them.
    """
    largest = float(np.asarray(seen["C"], dtype=np.float64).max())
    found: dict[float, float] = {}
    for factor in INNER:
        with contextlib.suppress(InputError):
            made = foretell(
                fit, seen, largest / factor, replicates=INNER_REPLICATES, level=level, seed=seed, clusters=clusters,
                max_steps=STEPS,
            )  # fmt: skip
            if len(made.truth) >= FEWEST:
                found[factor] = float(np.quantile(made.needed(), level))
    return max(found.values(), default=math.nan), tuple(found)
