"""The wild bootstrap of whole trunks: every trunk's residuals kept together and multiplied by one random number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import Fit, vector
from analysis.intervals.interval import Percentiles, Uncertainty, check
from analysis.intervals.noise import Codes
from analysis.intervals.resampling import design, simulated
from analysis.intervals.uncertainty import Progress, grouping
from analysis.solver.polish import MAX_STEPS

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

WEBB = np.sqrt([1.5, 1.0, 0.5])
ABSORBED = 1e-6
"""Of a trunk's residuals that the parameters fit exactly nothing is left to be scaled up."""


def wild_bootstrap(
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
    """Refits to the fitted losses times exp(v_g r_i), r_i the residual of row i of trunk g and v_g one of the six
    numbers +-sqrt(1/2), +-1, +-sqrt(3/2) for each trunk (Webb 2023): with 4 trunks there are 1296 different replicates,
    with signs alone 16. Residuals are added under a raw objective.

    Before, a trunk's residuals are multiplied by (I - H_gg)^-1, H the hat matrix, which undoes how far the fit bent
    towards them (CR3, Bell and McCaffrey 2002); percentiles are those of Student's G - 1 degrees of freedom. Unlike
    the residual bootstrap it does not need noise to be alike in all trunks, and pays for that with wider intervals.
    Without trunks every row is its own.
    """
    check(replicates, level)
    frame = fit.select(table).frame
    problem = fit.problem(frame)
    groups, method = grouping(frame, clusters)
    column, units = method.partition(":")[2], int(groups.max()) + 1
    if units < 3:
        raise InputError(
            f"there are {units} groups of one {column}, too few to be told apart from the law; use clusters 'pairs'"
        )
    residual = problem.residual(vector(problem, fit.params)[:, None])[0]
    freed = unbent(residual, design(problem, fit, fit.weights(frame)), groups)
    numbers = np.concatenate([WEBB, -WEBB])

    def draw(rng: np.random.Generator, count: int) -> Array:
        return np.asarray(rng.choice(numbers, size=(count, units))[:, groups] * freed)

    return simulated(
        frame, fit, draw, f"wild:{column}" if column else "wild", units,
        replicates, seed, level, max_steps, progress, Percentiles(1.0, units - 1),
    )  # fmt: skip


def unbent(residual: Array, basis: Array, groups: Codes) -> Array:
    """(I - H_gg)^-1 r_g for every group, with H = Q Q' of an orthonormal basis [n, p]."""
    found = np.empty_like(residual)
    for group in range(int(groups.max()) + 1):
        rows = np.flatnonzero(groups == group)
        values, vectors = np.linalg.eigh(np.eye(len(rows)) - basis[rows] @ basis[rows].T)
        scale = np.where(values > ABSORBED, 1 / np.maximum(values, ABSORBED), 0.0)
        found[rows] = vectors @ (scale * (vectors.T @ residual[rows]))
    return found
