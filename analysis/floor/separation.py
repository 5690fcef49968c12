"""By how much runs fail to tell two exponents apart, and which two would: for designs where N and D grow in step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.fitting import Fit, condition_number, robust_scale, scan, solve_batch, vector
from analysis.floor.identify import Confounded, confounded
from analysis.intervals.profile import profile
from analysis.solver import expansion
from analysis.solver.problem import Problem
from analysis.solver.shapes import slopes

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

CANDIDATES = 100
"""Further runs that are tried, each with each: a grid over the columns' ranges."""
KNOWN_BEFORE = 1.0
"""Standard deviation of the logarithm of every exponent, and of every term amid the runs, before any run is seen: it
keeps a singular information matrix invertible."""
LEAST_NOISE, LEAST_FACTOR = 1e-5, 1.5
"""Noise of runs that a law fits exactly, and the gain below which no advice is given."""


@dataclass(frozen=True)
class Advice:
    """Two runs that would tell two exponents apart, and by what factor the first one's standard error would shrink. One
    run tells how the loss is shared between the two terms at one scale; how that changes takes a second."""

    runs: tuple[dict[str, float], dict[str, float]]
    factor: float


@dataclass(frozen=True)
class Separation:
    """Two exponents that the runs confound, with the evidence."""

    first: str
    second: str
    correlation: float
    """Of the logarithms of their terms over the runs."""
    condition_number: float
    """Of the fit, and without the second term: what the confounding costs."""
    condition_without: float
    low: dict[str, float]
    """Values of both where the first is least among the fits that are as good, and where it is largest."""
    high: dict[str, float]
    level: float
    advice: Advice | None
    """The best two further runs within the columns' ranges, none of more compute than the largest; None where no two
    help."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        advice = None if self.advice is None else vars(self.advice)
        return vars(self) | {"advice": advice, "words": self.words}

    @property
    def words(self) -> str:
        """A sentence or three for a person."""
        ends = " and ".join(
            f"{self.first} {end[self.first]:.2f} with {self.second} {end[self.second]:.2f}"
            for end in (self.low, self.high)
        )
        told = (
            f"{self.first} and {self.second} cannot be told apart: their terms correlate {self.correlation:.4f} over "
            f"the runs. All from {ends} fit as well ({self.level:.0%}); the condition number is "
            f"{self.condition_number:.3g}, and {self.condition_without:.3g} without the term of {self.second}."
        )
        if self.advice is None:
            return told + " No two runs within the ranges of these would separate them."
        where = " and ".join(
            ", ".join(f"{name} = {value:.2g}" for name, value in run.items()) for run in self.advice.runs
        )
        return told + (
            f" Two more runs, at {where}, would make the standard error of {self.first} about "
            f"{notation.plain(self.advice.factor, 2)} times smaller."
        )


def separations(
    table: pd.DataFrame, fit: Fit, *, level: float = 0.9, clusters: str = "auto", seed: int = 0
) -> tuple[Separation, ...]:
    """The pairs of exponents that the fit's rows confound (see `identify.confounded`); empty where none."""
    frame = fit.select(table).frame
    problem = fit.problem(frame)
    return tuple(
        _separation(table, frame, fit, problem, pair, level, clusters, seed)
        for pair in confounded(problem, fit)
    )


def _separation(
    table: pd.DataFrame,
    frame: pd.DataFrame,
    fit: Fit,
    problem: Problem,
    pair: Confounded,
    level: float,
    clusters: str,
    seed: int,
) -> Separation:
    weights, parameters = fit.weights(frame), vector(problem, fit.params)
    low, high = _ends(table, fit, problem, weights, pair, level, clusters, seed)
    halved = _halved(problem, parameters, pair)
    return Separation(
        pair.first,
        pair.second,
        pair.correlation,
        condition_number(problem, parameters, weights),
        _condition_without(problem, halved, weights, pair.second),
        low,
        high,
        level,
        _best_runs(frame, fit, problem, halved, pair.first),
    )


def _ends(
    table: pd.DataFrame, fit: Fit, problem: Problem, weights: Array, pair: Confounded, level: float,
    clusters: str, seed: int,
) -> tuple[dict[str, float], dict[str, float]]:  # fmt: skip
    """Both exponents at the ends of the first one's profile interval, everything else refitted."""
    curve = profile(table, fit, pair.first, level=level, clusters=clusters, seed=seed)
    inside = curve.values[curve.objective <= curve.best + curve.threshold]
    ends = np.array([
        inside.min() if np.isnan(curve.lo) else curve.lo, inside.max() if np.isnan(curve.hi) else curve.hi
    ])  # fmt: skip
    repeated = np.broadcast_to(weights, (2, len(weights)))
    batch = solve_batch(problem, repeated, {pair.first: ends}, grid=scan(problem))
    found = dict(zip(problem.names, batch.parameters, strict=True))
    low, high = ({name: float(found[name][i]) for name in (pair.first, pair.second)} for i in (0, 1))
    return low, high


def _halved(problem: Problem, parameters: Array, pair: Confounded) -> Array:
    """Parameters [P] of a fit about as good in which the larger of the two terms is shared equally by both: where one
    is 0 its exponent has no effect, and no run would seem to tell of it."""
    exponents = list(problem.exponents)
    m = [exponents.index(name) for name in (pair.first, pair.second)]
    k = [next(k for k, other in problem.couplings if other == exponent) for exponent in m]
    halved = parameters.copy()

    def log_term(term: int) -> Array:
        return np.asarray(problem.log_basis(halved[problem.terms :, None])[term, 0])

    sizes = [parameters[term] * np.exp(log_term(term).mean()) for term in k]
    large, small = (0, 1) if sizes[0] >= sizes[1] else (1, 0)
    if problem.law.log_linear:  # the same power of what grows in step
        halved[problem.terms + m[small]] *= np.ptp(log_term(k[large])) / np.ptp(log_term(k[small]))
    halved[k[large]] /= 2
    halved[k[small]] = sizes[large] / 2 / np.exp(log_term(k[small]).mean())
    return halved


def _condition_without(problem: Problem, parameters: Array, weights: Array, exponent: str) -> float:
    """Condition number with the exponent, and the amplitudes of its terms, held."""
    m = list(problem.exponents).index(exponent)
    dropped = [problem.terms + m, *(k for k, other in problem.couplings if other == m)]
    jacobian = expansion.linearise(problem, parameters[:, None]).jacobian[0] * np.sqrt(weights)
    kept = np.delete(jacobian, dropped, axis=0)
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    if not (lengths > 0).all():
        return float("inf")
    values = np.linalg.svd(kept / lengths, compute_uv=False)
    return float(values[0] / values[-1]) if values[-1] > 0 else float("inf")


def _best_runs(
    frame: pd.DataFrame, fit: Fit, problem: Problem, parameters: Array, exponent: str
) -> Advice | None:
    """The two runs on a grid over the columns' ranges, each of no more compute than the largest run, that together
    leave the least standard error of an exponent, by the linearised law (a c-optimal design, two runs ahead)."""
    names = list(fit.columns.values())
    steps = int(CANDIDATES ** (1 / len(names)))
    axes = [np.geomspace(float(frame[name].min()), float(frame[name].max()), steps) for name in names]
    grid = dict(zip(names, np.array(list(product(*axes))).T, strict=True))
    if {"N", "D", "C"} <= {*names, *frame.columns}:
        grid = _affordable(frame, grid)
    candidates = {law: grid[theirs] for law, theirs in fit.columns.items()}
    residual = problem.residual(vector(problem, fit.params)[:, None])[0]
    noise = max(robust_scale(residual, len(parameters)), LEAST_NOISE)
    seen = _log_slopes(problem, parameters, fit.arguments(frame)) / noise  # [P, n]
    new = _log_slopes(problem, parameters, candidates) / noise  # [P, candidates]
    information = seen @ seen.T + np.eye(len(parameters)) / KNOWN_BEFORE**2
    added = np.einsum("pc,qc->cpq", new, new)
    i, j = np.triu_indices(new.shape[1])
    at = problem.names.index(exponent)
    left = np.linalg.inv(information + added[i] + added[j])[:, at, at]
    best = int(np.argmin(left))
    factor = float(np.sqrt(np.linalg.inv(information)[at, at] / left[best]))
    if factor < LEAST_FACTOR:
        return None
    first, second = ({name: float(grid[name][k[best]]) for name in names} for k in (i, j))
    return Advice((first, second), factor)


def _affordable(frame: pd.DataFrame, grid: dict[str, Array]) -> dict[str, Array]:
    from analysis.frontier import cost_of

    cost = cost_of(frame)
    C = cost.kappa * grid["N"] ** cost.rho * grid["D"]
    cheap = float(frame["C"].max()) * (1 + 1e-9) >= C
    return {name: values[cheap] for name, values in grid.items()}


def _log_slopes(problem: Problem, parameters: Array, columns: dict[str, Array]) -> Array:
    """d log Lhat / d log parameter at columns [m], as [P, m] in the fitter's order, of exponents while their terms keep
    their mean logarithm over the fitted rows (else an exponent and the amplitude at N = D = 1 are one unknown)."""
    theta = parameters[problem.terms :, None]
    wide = Problem(problem.law, columns, np.ones(len(next(iter(columns.values())))), problem.objective)
    wide.__dict__["exponents"] = problem.exponents
    sign = problem.law.sign()[:, None]
    terms = sign * parameters[: problem.terms, None] * np.exp(wide.log_basis(theta)[:, 0])
    step = 1e-4 * np.maximum(np.abs(theta), 1e-4)
    far, near = (slopes(partial(_terms, of), theta, step, of.size)[:, :, 0] for of in (wide, problem))
    bends = far - near.mean(axis=-1, keepdims=True)
    turned = np.einsum("kn,kmn->mn", terms, bends) * theta
    return np.concatenate([terms, turned]) / terms.sum(axis=0)


def _terms(problem: Problem, theta: Array) -> list[Array]:
    return list(problem.log_basis(theta))
