"""Approach 2 without a shape: a spline through the losses of each budget (Porian et al. 2024, arXiv 2406.19146).

Log loss against log N is interpolated by Akima's spline, which bends only where neighbouring points do, and its least
value is sought on a fine grid. That goes through the noise of every run, so the curve is redrawn with noise added to
the losses many times; the optimum is the median over the redrawings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.classical.allocation import VALID_SHARE, Allocation, Refused, fitted_line
from analysis.classical.budgets import LEAST_SIZES, Budget
from analysis.classical.isoflop import point, require_budgets
from analysis.errors import InputError
from analysis.frontier import Cost
from analysis.intervals.uncertainty import tails

Array = NDArray[np.float64]

STEPS = 25
"""Grid points for each gap between neighbouring sizes."""
LEAST_SPREAD = 0.33
"""Least standard deviation of log N_opt, as a share of the mean gap between sizes: what the sizes cannot resolve."""


@dataclass(frozen=True)
class Spline:
    """The optimum of a budget."""

    C: float
    N_opt: float
    """Median over the redrawn curves."""
    L_opt: float
    error: float
    """Standard deviation of log N_opt, no less than the sizes resolve, over the share of curves with a minimum."""
    optima: Array
    """log N_opt of every redrawn curve, [R]; NaN where its least value is at an end."""
    place: NDArray[np.intp]


def noise_between(budgets: Sequence[Budget]) -> float:
    """Standard deviation of one run's loss in nats per token, from how far neighbouring sizes are off a parabola.

    1.4826 times the median size of e = sum_i w_i L_i / (sum_i w_i^2 / n_i)^(1/2) over all four neighbouring sizes of a
    budget, where w are the weights of the third divided difference in log N, which is 0 for every parabola, and L_i the
    mean of n_i runs (after Gasser, Sroka and Jennen-Steinmetz 1986, who take the second). NaN without four sizes in any
    budget.
    """
    found = []
    for budget in budgets:
        sizes, losses, runs = _means(budget)
        for first in range(len(sizes) - 3):
            four = slice(first, first + 4)
            apart = sizes[four, None] - sizes[None, four] + np.eye(4)
            weights = 1 / apart.prod(axis=1)
            found.append(weights @ losses[four] / np.sqrt((weights**2 / runs[four]).sum()))
    return 1.4826 * float(np.median(np.abs(found))) if found else math.nan


def spline(
    budget: Budget, noise: float, replicates: int, rng: np.random.Generator, least: int = LEAST_SIZES
) -> Spline | Refused:
    """The optimum of a budget from redrawn curves, or why it has none. noise: standard deviation of a run's loss in
    nats per token. Runs of one size count by their mean loss.

    Differs from the published code in one point: there, redrawings without a minimum are dropped, here they are NaN.
    """
    few = budget.few(least)
    if few:
        return Refused(budget.C, len(budget.N), few)
    sizes, losses, runs = _means(budget)
    drawn = losses + noise / np.sqrt(runs) * rng.standard_normal((replicates, len(sizes)))
    grid = np.linspace(sizes[0], sizes[-1], STEPS * (len(sizes) - 1))
    optima, least_losses = _least(sizes, drawn, grid)
    good = np.isfinite(optima)
    if good.mean() < VALID_SHARE:
        end = "a minimum between its sizes in " + f"{good.mean():.0%} of {replicates} redrawings"
        return Refused(budget.C, len(budget.N), end)
    resolved = LEAST_SPREAD * STEPS * (grid[1] - grid[0])
    error = max(float(np.std(optima[good])), float(resolved)) / good.mean()
    middle = float(np.exp(np.median(optima[good])))
    return Spline(budget.C, middle, float(np.exp(np.median(least_losses[good]))), error, optima, budget.place)


def splines(
    cost: Cost,
    budgets: Sequence[Budget],
    *,
    noise: float,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.9,
    least: int = LEAST_SIZES,
) -> Allocation:
    """N_opt ~ C^a by least squares of log N_opt on log C, weighted by 1 / error^2, with percentiles over redrawings.

    noise: standard deviation of a run's loss in nats per token. A replicate is a line through one redrawing of every
    budget; the interval is that of the noise alone, not of other sizes or other runs. Raises InputError for noise below
    0 and where fewer than two budgets have an optimum.
    """
    if replicates < 2:
        raise InputError(
            f"replicates is {replicates}; splines are redrawn at least twice, 1000 times for steadiness"
        )
    if not (math.isfinite(noise) and noise >= 0):
        raise InputError(f"the noise is {noise}; it is a standard deviation in nats per token, 0 or more")
    rng = np.random.default_rng(seed)
    tried = [spline(budget, noise, replicates, rng, least) for budget in budgets]
    kept = [found for found in tried if isinstance(found, Spline)]
    refused = [found for found in tried if isinstance(found, Refused)]
    require_budgets(len(kept), refused, "spline")
    C, N_opt = (np.array([getattr(found, name) for found in kept]) for name in ("C", "N_opt"))
    weights = np.array([found.error for found in kept]) ** -2.0
    optima = np.stack([found.optima for found in kept], axis=1)
    N = fitted_line(C, N_opt, weights, optima, np.isfinite(optima).astype(float))
    places = np.concatenate([found.place for found in kept])
    return Allocation(
        approach="IsoFLOP Akima splines",
        N=N,
        D=N.paid(cost),
        points=tuple(point(found.C, found.N_opt, cost, found.L_opt) for found in kept),
        refused=tuple(refused),
        rows=len(places),
        method=f"redrawn with noise of {noise:.2g} nats",
        level=level,
        probabilities=tails(level),
        seed=seed,
        used=f"{len(kept)} of {len(budgets)} budgets, {len(places)} rows",
        warnings=("two budgets: nothing checks that the line is one",) if len(kept) == 2 else (),
        places=places,
    )


def _means(budget: Budget) -> tuple[Array, Array, NDArray[np.intp]]:
    """log of the different sizes, the mean loss of each and its number of runs."""
    sizes, which, runs = np.unique(budget.N, return_inverse=True, return_counts=True)
    return np.log(sizes), np.bincount(which, budget.L) / runs, runs


def _least(x: Array, losses: Array, grid: Array) -> tuple[Array, Array]:
    """Where on the grid the spline of each row of losses [R, n] is least, and its log there; NaN at either end."""
    from scipy.interpolate import Akima1DInterpolator

    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.asarray(Akima1DInterpolator(x, np.log(losses).T)(grid))  # [G, R]
    best = np.argmin(values, axis=0)
    inside = (best > 0) & (best < len(grid) - 1)
    least = values[best, np.arange(values.shape[1])]
    return np.where(inside, grid[best], np.nan), np.where(inside, least, np.nan)
