"""The profile of a parameter: how much worse the best fit gets when that parameter is held elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import REPLICATE_STARTS, Fit, scan, solve_batch, vector
from analysis.intervals.held import POINTS, Held, HeldLoss, HeldParameter
from analysis.intervals.interval import Interval, Uncertainty
from analysis.intervals.uncertainty import grouping, resample, scaled_residuals
from analysis.solver.problem import Problem

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

CALIBRATION = 400
"""Replicates from which the threshold is taken."""
ROUNDS = 2
"""How often the two crossings of the threshold are looked at more closely, each time in POINTS / 4 steps."""


@dataclass(frozen=True)
class Profile:
    """Least objective [V] at each held value [V] of a parameter, everything else refitted globally.

    The interval is where the objective lies less than `threshold` above its least; `lo` or `hi` is NaN where it has
    not risen that far at the end of the scan, so that the rows do not bound the parameter on that side.
    """

    parameter: str
    values: Array
    objective: Array
    best: float
    threshold: float
    lo: float
    hi: float
    level: float
    method: str

    def between(self, threshold: float) -> tuple[float, float]:
        """Outermost values at which the objective is so much above its least; NaN where it never gets there."""
        return _crossings(self.values, self.objective, self.best + threshold)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "values": self.values.tolist(),
            "objective": self.objective.tolist(),
        }


def profile(
    table: pd.DataFrame,
    fit: Fit,
    parameter: str = "E",
    *,
    level: float = 0.9,
    clusters: str = "auto",
    seed: int = 0,
) -> Profile:
    """The profile of one parameter, and the interval that the likelihood-ratio statistic of robust regression gives.

    The statistic is the rise of the objective when the parameter is held (Schrader and Hettmansperger 1980,
    Biometrika 67:93; Hampel et al. 1986, chapter 7). Its threshold is the level's quantile of the same statistic over
    resampled rows or clusters, each refitted with the parameter free and held at the fit's value. The textbook
    threshold, chi-squared times E psi^2 / E psi', assumes equal and independent noise: on the Chinchilla rows it makes
    the interval of E 0.7 times as wide as its bootstrap says, and with six clusters it covered 50 % where 90 % was
    claimed; it is the least that the threshold may be. This rule was settled on the simulated designs that test it.
    For finite samples the threshold is multiplied by n / (n - P) and by the squared ratio of Student's to the normal
    quantile, with n - P degrees of freedom for rows and clusters - 1 for clusters.
    """
    if parameter not in fit.params:
        raise InputError(f"the law has no parameter {parameter!r}; it has {', '.join(fit.params)}")
    frame = fit.select(table).frame
    problem = fit.problem(frame)
    held = HeldParameter(parameter, problem, fit.params[parameter], scan(problem))
    return _profile(frame, fit, held, level, clusters, seed)


def profile_at(
    table: pd.DataFrame,
    fit: Fit,
    point: Mapping[str, float],
    *,
    level: float = 0.9,
    clusters: str = "auto",
    seed: int = 0,
) -> Profile:
    """The profile of the law's value at a point (the table's names of columns), with the interval of `profile`: every
    other parameter is refitted under the one condition that the curve passes there."""
    frame = fit.select(table).frame
    problem = fit.problem(frame)
    where = {name: np.array([float(point[theirs])]) for name, theirs in fit.columns.items()}
    at = float(fit.curve(**where)[0])
    extended = replace(
        problem,
        columns={name: np.append(values, where[name]) for name, values in problem.columns.items()},
        target=np.append(problem.target, at),
    )
    extended.__dict__.update(exponents=problem.exponents, couplings=problem.couplings)
    name = f"{fit.target} at " + ", ".join(f"{key} {float(value):.3g}" for key, value in point.items())
    return _profile(frame, fit, HeldLoss(name, problem, at, extended, scan(extended)), level, clusters, seed)


def profiles(
    table: pd.DataFrame,
    fit: Fit,
    parameters: Sequence[str] = (),
    points: Sequence[Mapping[str, float]] = (),
    *,
    level: float = 0.9,
    clusters: str = "auto",
    seed: int = 0,
) -> Uncertainty:
    """Profile intervals of parameters (all of the law's, where neither they nor points are named) and of the law's
    value at points, as what every method returns: without draws, so that nothing else has an interval."""
    how = {"level": level, "clusters": clusters, "seed": seed}
    named = parameters or (() if points else tuple(fit.params))
    found = [
        *(profile(table, fit, name, **how) for name in named),  # type: ignore[arg-type]
        *(profile_at(table, fit, point, **how) for point in points),  # type: ignore[arg-type]
    ]
    frame = fit.select(table).frame
    groups, method = grouping(frame, clusters)
    return Uncertainty(
        drawn=None,
        columns=fit.columns,
        method="profile" + (f":{method.partition(':')[2]}" if method != "pairs" else ""),
        replicates=CALIBRATION,
        statuses={},
        seed=seed,
        level=level,
        units=int(groups.max()) + 1,
        residuals=scaled_residuals(fit.problem(frame), fit),
        given={one.parameter: Interval(one.lo, one.hi, level, one.method) for one in found},
        remark=_unbounded(found),
        details={"thresholds": {one.parameter: one.threshold for one in found}},
    )


def _unbounded(found: Sequence[Profile]) -> str:
    open_ended = [one.parameter for one in found if np.isnan(one.lo) or np.isnan(one.hi)]
    return f"The rows do not bound {', '.join(open_ended)} on a side, given as NaN." if open_ended else ""


def _profile(frame: pd.DataFrame, fit: Fit, held: Held, level: float, clusters: str, seed: int) -> Profile:
    weights = fit.weights(frame)
    groups, method = grouping(frame, clusters)
    threshold = _threshold(held, fit, level, groups, weights, seed)

    def objective(values: Array) -> Array:
        repeated = np.broadcast_to(weights, (len(values), len(weights)))
        return held.objective(repeated, values, None, REPLICATE_STARTS)

    values = held.first_values()
    heights = np.append(objective(values), fit.value)
    values = np.append(values, held.at)
    for _ in range(ROUNDS):
        values, heights = _sorted(values, heights)
        extra = _near_crossings(values, heights, float(heights.min()) + threshold)
        if not len(extra):
            break
        values, heights = np.append(values, extra), np.append(heights, objective(extra))
    values, heights = _sorted(values, heights)
    best = float(heights.min())
    lo, hi = _crossings(values, heights, best + threshold)
    return Profile(held.name, values, heights, best, threshold, lo, hi, level, f"likelihood ratio, {method}")


def _threshold(
    held: Held, fit: Fit, level: float, groups: NDArray[np.intp], weights: Array, seed: int
) -> float:
    from scipy.special import ndtri, stdtrit

    drawn = resample(groups, CALIBRATION, np.random.default_rng(seed)) * weights
    free = solve_batch(held.problem, drawn, starts=1).objective
    fixed = held.objective(drawn, np.full(CALIBRATION, held.at), None, 1)
    rise = float(np.quantile(np.maximum(fixed - free, 0.0), level))
    rise = max(rise, _textbook_rise(held.problem, fit, level, weights))
    rows, paid, units = len(weights), len(fit.params), int(groups.max()) + 1
    freedom = max(rows - paid if units == rows else units - 1, 1)
    tail = 0.5 + level / 2
    return rise * rows / max(rows - paid, 1) * float(stdtrit(freedom, tail) / ndtri(tail)) ** 2


def _textbook_rise(problem: Problem, fit: Fit, level: float, weights: Array) -> float:
    """Chi-squared / 2 times E psi^2 / E psi': the least that the threshold may be.

    Where the fit lies on the edge of its range (E = 0), most resamples lie there too, held or free, and the calibrated
    rise is zero: resampling is not consistent at a boundary (Andrews 2000, Econometrica 68:399).
    """
    from scipy.special import chdtri

    residual = problem.residual(vector(problem, fit.params)[:, None])[0]
    delta = problem.objective.delta
    inside = max(float(np.average(np.abs(residual) <= delta, weights=weights)), 1 / len(residual))
    psi_squared = float(np.average(np.clip(residual, -delta, delta) ** 2, weights=weights))
    return float(chdtri(1, 1 - level)) / 2 * psi_squared / inside


def _sorted(values: Array, heights: Array) -> tuple[Array, Array]:
    values, first = np.unique(values, return_index=True)
    return values, heights[first]


def _near_crossings(values: Array, heights: Array, height: float) -> Array:
    inside = np.flatnonzero(heights <= height)
    brackets = [(i, i + 1) for i in (inside[0] - 1, inside[-1]) if 0 <= i < len(values) - 1]
    inner = [np.linspace(values[i], values[j], POINTS // 4 + 2)[1:-1] for i, j in brackets]
    return np.concatenate(inner) if inner else np.empty(0)


def _crossings(values: Array, heights: Array, height: float) -> tuple[float, float]:
    """Outermost values at which the profile is at this height, interpolated; NaN where it never gets there."""
    inside = np.flatnonzero(heights <= height)

    def between(i: int, j: int) -> float:
        share = (height - heights[i]) / (heights[j] - heights[i])
        return float(values[i] + share * (values[j] - values[i]))

    first, last = int(inside[0]), int(inside[-1])
    lo = between(first, first - 1) if first > 0 else float("nan")
    hi = between(last, last + 1) if last < len(values) - 1 else float("nan")
    return lo, hi
