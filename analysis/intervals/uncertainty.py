"""How far the parameters would move with other runs: the bootstrap, every replicate fitted as globally as the fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import InputError
from analysis.fitting import STATUSES, Fit, scan, solve_batch, vector
from analysis.intervals.interval import (
    FEW_CLUSTERS,
    Interval,
    Jackknifed,
    Percentiles,
    Uncertainty,
    check,
    check_level,
    tails,
)
from analysis.intervals.noise import Sizes, sizes
from analysis.laws import LAWS, Law
from analysis.solver.objective import Likelihood
from analysis.solver.polish import MAX_STEPS
from analysis.solver.problem import Problem

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

CHUNK = 2**20
"""Replicates times rows that are made at once: 8 MiB of weights, and enough for several threads."""

Bootstrap = Uncertainty
"""The name by which modules of before the other methods call it."""

__all__ = [
    "FEW_CLUSTERS",
    "Bootstrap",
    "Interval",
    "Prediction",
    "Uncertainty",
    "bootstrap",
    "grouping",
    "predict",
    "refits",
    "resample",
    "tails",
]


@dataclass(frozen=True)
class Prediction:
    """Loss expected at each point [n], with the interval of the law and that of a new run, which adds its noise."""

    value: Array
    law_lo: Array
    law_hi: Array
    lo: Array
    hi: Array
    level: float


def bootstrap(
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
    """Resample the fit's rows with replacement `replicates` times and search every refit globally.

    clusters "auto" resamples whole trunks where the table has a trunk_id with repeated values (branches of one trunk
    share its noise), else rows ("pairs"); the name of a column resamples the groups of that column. progress is called
    with (done, replicates).

    Percentiles are expanded (see `Percentiles`): of G clusters by sqrt(G / (G - 1)) and G - 1 degrees of freedom.
    """
    check(replicates, level)
    frame = fit.select(table).frame
    problem = fit.problem(frame)
    groups, method = grouping(frame, clusters)
    if groups.max() == 0:
        column = method.split(":")[1]
        raise InputError(
            f"all rows share one {column}, so there is nothing to resample; use --clusters pairs"
        )
    rng, own = np.random.default_rng(seed), fit.weights(frame)
    drawn = ((resample(groups, count, rng) * own, None) for count in chunks(replicates, problem.size))
    law, statuses = refits(problem, fit.law, drawn, replicates, max_steps, progress)
    units = int(groups.max()) + 1
    return Uncertainty(
        drawn=law,
        columns=fit.columns,
        method=method,
        replicates=replicates,
        statuses=statuses,
        seed=seed,
        level=level,
        units=units,
        residuals=scaled_residuals(problem, fit),
        sizes=noise_sizes(fit, frame),
        ends=expanded(method, units, len(fit.params)),
    )


def expanded(method: str, units: int, parameters: int) -> Percentiles:
    """Percentiles of a bootstrap that resampled so many rows ("pairs") or clusters."""
    freedom = max(units - (parameters if method == "pairs" else 1), 1)
    return Percentiles(float(np.sqrt(units / freedom)), freedom)


def refits(
    problem: Problem,
    law: str,
    drawn: Iterable[tuple[Array, Array | None]],
    replicates: int,
    max_steps: int = MAX_STEPS,
    progress: Progress | None = None,
) -> tuple[Law, dict[str, int]]:
    """The global fit of every replicate as one law with a leading axis, and how many ended with each status.

    drawn holds them in parts, so that memory is bounded: weights [r, n] and targets [r, n] (None: the problem's).
    """
    grid, done = scan(problem), 0
    parameters, statuses = [], []
    for weights, targets in drawn:
        batch = solve_batch(problem, weights, grid=grid, max_steps=max_steps, targets=targets)
        parameters.append(batch.parameters)
        statuses.append(batch.status)
        done += len(weights)
        if progress:
            progress(done, replicates)
    counts = Counter(np.concatenate(statuses).tolist())
    found = np.concatenate(parameters, axis=1)
    return (
        LAWS[law](**dict(zip(problem.names, found, strict=True))),
        {name: counts.get(name, 0) for name in STATUSES if counts.get(name, 0)},
    )


def chunks(replicates: int, rows: int) -> list[int]:
    """Sizes of the parts in which so many replicates of so many rows are made."""
    size = max(CHUNK // rows, 16)
    return [min(size, replicates - first) for first in range(0, replicates, size)]


def scaled_residuals(problem: Problem, fit: Fit) -> Array:
    """Residuals [n] of the fit times sqrt(n / (n - P))."""
    best = vector(problem, fit.params)
    spread = np.sqrt(problem.size / max(problem.size - len(best), 1))
    return np.asarray(problem.residual(best[:, None])[0] * spread)


def noise_sizes(fit: Fit, frame: pd.DataFrame) -> Sizes | None:
    """Of the noise of selected rows, as the fit's objective has it; None where it takes rows to be alike."""
    if not isinstance(fit.objective, Likelihood):
        return None
    return sizes(frame, list(fit.columns.values()), fit.weights(frame))


def predict(
    boot: Uncertainty,
    fit: Fit,
    points: pd.DataFrame | Mapping[str, ArrayLike],
    *,
    level: float | None = None,
    noise: bool = True,
) -> Prediction:
    """Loss at points (a mapping or table with the table's column names), with intervals.

    The law's interval is that of the curves of the draws. A new run's reaches from the value v, in the unit of the
    residuals, as far as sqrt(h^2 + q^2) on either side: h is the reach of the law's interval there and q that of plain
    percentiles of `boot.residuals`, which are scaled up already for what the parameters paid for; where rows differ in
    noise (`Likelihood`), in units of each row's and times the point's (see `noise.Sizes`). It never ends inside the
    law's. With noise=False both are the law's. Raises InputError for a method without draws, and, with noise, for a
    jackknife.
    """
    level = boot.level if level is None else level
    check_level(level)
    columns = {name: np.atleast_1d(column) for name, column in fit.arguments(points).items()}
    value, curves = fit.curve(**columns), boot.law(**columns)
    law_lo, law_hi = boot.ends(curves, level)
    lo, hi = law_lo, law_hi
    if noise:
        if isinstance(boot.ends, Jackknifed):
            raise InputError(
                "a jackknife tells of the law and not of a new run; use noise=False or a bootstrap"
            )
        units, size = (1.0, 1.0) if boot.sizes is None else (boot.sizes.rows, boot.sizes.at(points))
        reach = np.multiply.outer(np.quantile(boot.residuals / units, tails(level), method="hazen"), size)
        lo, hi = _of_new_run(value, law_lo, law_hi, reach, raw=fit.objective.raw)
    return Prediction(value, law_lo, law_hi, lo, hi, level)


def _of_new_run(
    value: Array, law_lo: Array, law_hi: Array, reach: Array, *, raw: bool
) -> tuple[Array, Array]:
    """The ends of `predict` where noise alone reaches from reach[0] to reach[1], about 0."""
    if raw:
        below, above = value - law_lo, law_hi - value
    else:
        below, above = np.log(value / law_lo), np.log(law_hi / value)
    below = np.hypot(np.maximum(below, 0.0), np.minimum(reach[0], 0.0))
    above = np.hypot(np.maximum(above, 0.0), np.maximum(reach[1], 0.0))
    lo, hi = (value - below, value + above) if raw else (value * np.exp(-below), value * np.exp(above))
    return np.minimum(lo, law_lo), np.maximum(hi, law_hi)


def grouping(frame: pd.DataFrame, clusters: str = "auto") -> tuple[NDArray[np.intp], str]:
    """Number of the group [n] of each row, and the method's name: "pairs", or "cluster:" and the column."""
    if clusters == "auto":
        repeated = "trunk_id" in frame.columns and frame["trunk_id"].dropna().duplicated().any()
        clusters = "trunk_id" if repeated else ""
    if clusters in ("", "pairs"):
        return np.arange(len(frame)), "pairs"
    if clusters not in frame.columns:
        raise InputError(
            f"clusters is {clusters!r}, which is no column of the table; name one, or 'auto' or 'pairs'"
        )
    labels = frame[clusters].astype("string")
    alone = "\0row " + frame.index.astype("string").to_series(
        index=frame.index
    )  # a row of no cluster is its own
    codes, _ = labels.fillna(alone).factorize()
    return codes.astype(np.intp), f"cluster:{clusters}"


def resample(groups: NDArray[np.intp], replicates: int, rng: np.random.Generator) -> Array:
    """How often each row is drawn, [replicates, n], when whole groups are drawn with replacement."""
    count = int(groups.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=replicates)
    return drawn[:, groups].astype(np.float64)
