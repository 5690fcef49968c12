"""Bootstraps that keep the design and draw new losses: of the fit's residuals, or of the noise between seeds.

Every replicate has the runs' own N and D, so that no size is ever missing from it, as it is when few sizes or trunks
are resampled; what they need in exchange is that the law is right and that noise is alike over rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.fitting import Fit, vector
from analysis.intervals import noise
from analysis.intervals.interval import Percentiles, Uncertainty, check
from analysis.intervals.noise import Codes, Noise
from analysis.intervals.uncertainty import Progress, chunks, grouping, noise_sizes, refits, scaled_residuals
from analysis.solver import expansion
from analysis.solver.objective import Likelihood, Objective
from analysis.solver.polish import MAX_STEPS
from analysis.solver.problem import Problem

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]

BISECTIONS = 100
LEVERAGE = 0.99
"""A row's leverage counts as no more: its residual is next to nothing and cannot be scaled up."""
MISFIT = 0.01
"""Level of the test by which residuals are larger than the noise between seeds."""


def residual_bootstrap(
    table: pd.DataFrame,
    fit: Fit,
    *,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
    max_steps: int = MAX_STEPS,
    progress: Progress | None = None,
) -> Uncertainty:
    """Refits to the fitted losses times the exponential of residuals drawn with replacement (added to them under a raw
    objective).

    Residuals are divided by sqrt(1 - h) for the row's leverage h and centred at the objective's location (Davison and
    Hinkley 1997, section 6.2.3; the location, as a robust fit leaves residuals whose mean is not 0), and percentiles
    are those of Student's n - P degrees of freedom. Under `Likelihood` they are drawn in units of each row's noise.

    Where runs share the noise of a trunk (`clusters`, as in `bootstrap`), a replicate's noise is that of its trunks,
    normal, plus residuals about them, both of the size that Henderson's method finds, drawn anew each time as uncertain
    as it is (see `noise.Noise.drawn_spreads`). Trunks are never left out, and few of them make wide intervals.
    """
    check(replicates, level)
    frame = fit.select(table).frame
    problem, weights = fit.problem(frame), fit.weights(frame)
    groups, method = grouping(frame, clusters)
    column = method.partition(":")[2]
    draw, found, ends = residual_noise(problem, fit, weights, groups if column else None)
    details = {"noise": found.as_dict()} if column else {}
    made = simulated(
        frame, fit, draw, f"residual:{column}" if column else "residual", int(groups.max()) + 1,
        replicates, seed, level, max_steps, progress, ends,
    )  # fmt: skip
    return replace(made, details=details)


def seed_noise_bootstrap(
    table: pd.DataFrame,
    fit: Fit,
    *,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
    max_steps: int = MAX_STEPS,
    progress: Progress | None = None,
) -> Uncertainty:
    """Refits to the fitted losses times log-normal noise of the size that replicates show: rows that differ in seed
    alone (see `noise.of_replicates`), with the parts that trunks share told apart.

    The size is drawn anew for each refit, as uncertain as the replicates leave it. The law's own misfit is not in these
    intervals; the remark says so where residuals are larger than seeds explain (F test at 1 %). Raises InputError where
    no two rows are replicates.
    """
    check(replicates, level)
    frame = fit.select(table).frame
    problem, columns = fit.problem(frame), list(fit.columns.values())
    groups, method = grouping(frame, clusters)
    column = method.partition(":")[2]
    found = noise.of_replicates(frame, problem.aim, columns, groups if column else None)
    shape = found.shape(noise.scale_of(frame, columns))

    def draw(rng: np.random.Generator, count: int) -> Array:
        return found.draw(rng, count, groups, shape)

    made = simulated(
        frame, fit, draw, f"seed_noise:{column}" if column else "seed_noise", int(groups.max()) + 1,
        replicates, seed, level, max_steps, progress, Percentiles(),
    )  # fmt: skip
    return replace(made, remark=_misfit(problem, fit, found, shape), details={"noise": found.as_dict()})


def residual_noise(
    problem: Problem, fit: Fit, weights: Array, trunks: Codes | None
) -> tuple[Draw, Noise, Percentiles]:
    """Noise like that of the fit's residuals, for rows that stand alone or share that of trunks [n]: how it is drawn,
    its size, and the percentiles that its draws make."""
    basis = design(problem, fit, weights)
    shape = 1 / np.sqrt(weights) if isinstance(problem.objective, Likelihood) else np.ones(problem.size)
    residual = problem.residual(vector(problem, fit.params)[:, None])[0] / shape
    if trunks is not None:
        found = noise.components(residual, basis, trunks)
        return _of_trunks(found, residual, trunks, shape), found, Percentiles()
    pool, freedom = modified(problem.objective, residual, basis), max(problem.size - len(fit.params), 1)
    size = float(np.sqrt(np.mean(pool**2)))
    return _of_pool(pool, shape), Noise(size, freedom), Percentiles(1.0, freedom)


def design(problem: Problem, fit: Fit, weights: Array) -> Array:
    """Orthonormal basis [n, p] of the directions in which the fit's parameters move the residuals of weighted rows; a
    parameter without effect has none, so that p may be below P."""
    jacobian = expansion.linearise(problem, vector(problem, fit.params)[:, None]).jacobian[0]
    jacobian = jacobian * np.sqrt(weights / weights.mean())
    lengths = np.linalg.norm(jacobian, axis=1)
    used = jacobian[lengths > 0] / lengths[lengths > 0, None]
    left, values, _ = np.linalg.svd(used.T, full_matrices=False)
    return np.asarray(left[:, values > noise.SINGULAR * values[0]])


def modified(objective: Objective, residual: Array, basis: Array) -> Array:
    """Residuals [n] over sqrt(1 - leverage), centred at the objective's location."""
    leverage = np.minimum((basis**2).sum(axis=1), LEVERAGE)
    scaled = residual / np.sqrt(1 - leverage)
    return np.asarray(scaled - location(objective, scaled))


def location(objective: Objective, values: Array) -> float:
    """The c of least sum of rho(values - c): the mean for least squares, Huber's location for log-Huber."""
    lo, hi = float(values.min()), float(values.max())
    for _ in range(BISECTIONS):
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if objective.psi(values - middle).sum() > 0 else (lo, middle)
    return (lo + hi) / 2


def _of_pool(pool: Array, shape: Array) -> Draw:
    return lambda rng, count: shape * rng.choice(pool, size=(count, len(pool)))


def _of_trunks(found: Noise, residual: Array, groups: Codes, shape: Array) -> Draw:
    """Noise of normal trunks and of residuals about their trunk's mean, scaled to a standard deviation of 1."""
    about = residual - (np.bincount(groups, residual) / np.bincount(groups))[groups]
    about = about - about.mean()
    size = float(np.sqrt(np.mean(about**2)))
    pool = about / size if size > 0 else about

    def draw(rng: np.random.Generator, count: int) -> Array:
        trunk, branch = found.drawn_spreads(rng, count)
        of_trunks = rng.standard_normal((count, int(groups.max()) + 1))[:, groups]
        of_rows = rng.choice(pool, size=(count, len(pool)))
        return np.asarray(shape * (trunk[:, None] * of_trunks + branch[:, None] * of_rows))

    return draw


def simulated(
    frame: pd.DataFrame, fit: Fit, draw: Draw, method: str, units: int,
    replicates: int, seed: int, level: float, max_steps: int, progress: Progress | None, ends: Percentiles,
) -> Uncertainty:  # fmt: skip
    """Refits to the fitted losses moved by noise [R, n] that `draw` gives for so many replicates."""
    problem, weights = fit.problem(frame), fit.weights(frame)
    fitted = problem.predict(vector(problem, fit.params)[:, None])[0]
    rng = np.random.default_rng(seed)

    def moved(count: int) -> tuple[Array, Array]:
        error = draw(rng, count)
        targets = fitted + error if problem.objective.raw else fitted * np.exp(error)
        return np.broadcast_to(weights, targets.shape), targets

    drawn = (moved(count) for count in chunks(replicates, problem.size))
    law, statuses = refits(problem, fit.law, drawn, replicates, max_steps, progress)
    residuals = scaled_residuals(problem, fit)
    of_rows = noise_sizes(fit, frame)
    return Uncertainty(
        law, fit.columns, method, replicates, statuses, seed, level, units, residuals, ends, of_rows
    )


def _misfit(problem: Problem, fit: Fit, found: Noise, shape: Array) -> str:
    """That the law misses more than seeds explain, by the F test of their variances; empty where it does not."""
    from scipy.special import fdtrc

    residual = problem.residual(vector(problem, fit.params)[:, None])[0] / shape
    freedom = max(len(residual) - len(fit.params), 1)
    ratio = float(residual @ residual) / freedom / found.total**2 if found.total else np.inf
    if fdtrc(freedom, found.branch_freedom + found.trunk_freedom, ratio) > MISFIT:
        return ""
    return (
        f"Residuals are {np.sqrt(ratio):.2g} times the noise between seeds: the law misses more than seeds explain, "
        "and these intervals know of the noise alone."
    )
