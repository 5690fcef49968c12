"""The local half of a fit: damped Newton steps on the true objective, many fits at once.

The Hessian is the exact one of the log-Huber objective in the amplitudes and exponents. (The curvature of log phi in
the exponents, which is zero for powers, is left out: other laws come to their last digits slowly.) The damping adds a
multiple of the matrix of the least-squares problem that majorises the objective, which knows which parameters trade
against each other; it grows until the sum is positive definite and the objective falls. Amplitudes refer to the basis
divided by its geometric mean over rows, which takes the correlation of an amplitude with its exponent away. Bounds hold
by projection: a parameter at its bound whose gradient points outwards rests there (Bertsekas 1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis import quadratic
from analysis.problem import Problem

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

BLOCK = 256
MAX_STEPS = 300
DAMPING_START, DAMPING_MIN, DAMPING_MAX = 1e-3, 1e-12, 1e8
DAMPING_UP, DAMPING_DOWN = 5.0, 10.0
RIDGE = 0.01
"""Added to the majorant's diagonal, relative: a term near its bound leaves the majorant singular."""
DECREMENT = 1e-12
"""Converged when a Newton step promises less than this share of the objective: a test that no change of units moves."""
NOISE_FREE = 1e-22
"""The same per row in absolute terms, for rows that a law fits exactly: there a relative test would never end."""

PATIENCE, STALLED = 50, 1e-8
"""A law that is no sum of powers has converged, too, when so many steps gained less than this share of the objective,
or when none can be made and the majorant promises less."""


@dataclass(frozen=True)
class Polished:
    """S fits after polishing: parameters [P, S] in the fitter's order, and objective, converged and steps [S]."""

    parameters: Array
    objective: Array
    converged: Mask
    steps: Index


@dataclass
class _Point:
    """Objective [r], gradient [P, r], Hessian and damping matrix [P, P, r], in the centred basis."""

    value: Array
    gradient: Array
    hessian: Array
    majorant: Array

    def take(self, index: Index) -> _Point:
        return _Point(
            self.value[index], self.gradient[:, index], self.hessian[..., index], self.majorant[..., index]
        )

    def put(self, index: Index, other: _Point) -> None:
        self.value[index] = other.value
        self.gradient[:, index] = other.gradient
        self.hessian[..., index] = other.hessian
        self.majorant[..., index] = other.majorant


@dataclass(frozen=True)
class Linearised:
    """A law around parameters: log residuals [r, n], d log Lhat / d parameter of the centred basis [r, P, n], and the
    slopes of the centred log basis [K, M, r or 1, n]."""

    residual: Array
    jacobian: Array
    slopes: Array


def polish(
    problem: Problem,
    parameters: Array,
    weights: Array,
    *,
    held: Sequence[str] = (),
    max_steps: int = MAX_STEPS,
) -> Polished:
    """Minimise sum_i w_i rho(r_i) from each start: parameters [P, S], weights [S, n]; `held` are not moved."""
    blocks = []
    for first in range(0, parameters.shape[1], BLOCK):
        block = slice(first, first + BLOCK)
        blocks.append(_descend(problem, parameters[:, block], weights[block], held, max_steps))
    return Polished(
        parameters=np.concatenate([b.parameters for b in blocks], axis=1),
        objective=np.concatenate([b.objective for b in blocks]),
        converged=np.concatenate([b.converged for b in blocks]),
        steps=np.concatenate([b.steps for b in blocks]),
    )


def linearise(problem: Problem, parameters: Array) -> Linearised:
    """The law around parameters [P, r] in the fitter's order; derivatives are in the centred basis."""
    x = parameters.copy()
    x[: problem.terms] *= _centered(problem, x[problem.terms :], ())[2]
    return _linearised(problem, x, ())


def _descend(
    problem: Problem, parameters: Array, weights: Array, held: Sequence[str], max_steps: int
) -> Polished:
    terms, starts = problem.terms, parameters.shape[1]
    x = parameters.copy()
    x[:terms] *= _centered(problem, x[terms:], held)[2]
    lower, upper = problem.lower[:, None], problem.upper[:, None]
    fixed = np.array([name in held for name in problem.names])[:, None]
    now = _point(problem, x, weights, held)
    damping = np.full(starts, DAMPING_START)
    converged, steps = np.zeros(starts, dtype=bool), np.zeros(starts, dtype=np.intp)
    live, before = np.arange(starts), np.full(starts, np.inf)
    for count in range(1, max_steps + 1):
        here, at = now.take(live), x[:, live]
        outward = ((at <= lower) & (here.gradient > 0)) | ((at >= upper) & (here.gradient < 0))
        without_effect = np.einsum("iir->ir", here.majorant) == 0
        resting = fixed | outward | without_effect
        step, used = _newton(here, damping[live], resting)
        damping[live] = used
        promise = -(here.gradient * step).sum(axis=0)
        enough = DECREMENT * here.value + NOISE_FREE * len(problem.loss)
        done = (promise <= enough) & (used <= DAMPING_START)
        converged[live[done]] = True
        moving = ~done & (used < DAMPING_MAX)
        stuck = np.flatnonzero(~done & ~moving)
        if len(stuck) and not problem.law.log_linear:
            converged[live[stuck]] = _level(here.take(stuck), resting[:, stuck])
        live, step, at = live[moving], step[:, moving], at[:, moving]
        if not len(live):
            break
        steps[live] += 1
        trial = np.clip(at + step, lower, upper)
        there = _point(problem, trial, weights[live], held)
        better = there.value < now.value[live]
        x[:, live[better]] = trial[:, better]
        now.put(live[better], there.take(np.flatnonzero(better)))
        eased = np.maximum(damping[live] / DAMPING_DOWN, DAMPING_MIN)
        damping[live] = np.where(better, eased, damping[live] * DAMPING_UP)
        if not problem.law.log_linear and count % PATIENCE == 0:
            stalled = before[live] - now.value[live] <= STALLED * now.value[live]
            converged[live[stalled]] = True
            live, before = live[~stalled], now.value.copy()
    x[:terms] /= _centered(problem, x[terms:], held)[2]
    return Polished(x, now.value, converged, steps)


def _newton(here: _Point, damping: Array, resting: Mask) -> tuple[Array, Array]:
    """Step [P, r] of the free parameters, 0 for the resting ones, and the damping that made it positive definite."""
    gradient = np.where(resting, 0.0, here.gradient)
    step, used = np.zeros_like(gradient), damping.copy()
    left = np.arange(len(damping))
    while len(left):
        matrix = here.hessian[..., left] + used[left] * here.majorant[..., left]
        still = resting[:, left]
        matrix = np.where(still[:, None] | still[None], np.eye(len(still))[..., None], matrix)
        found, definite = quadratic.solve(matrix, -gradient[:, left])
        definite &= np.isfinite(found).all(axis=0)
        step[:, left] = np.where(definite, found, 0.0)
        left = left[~definite]
        used[left] *= DAMPING_UP
        left = left[used[left] < DAMPING_MAX]
    return step, used


def _level(here: _Point, resting: Mask) -> Mask:
    """Whether the step of the majorant promises next to nothing, for starts that cannot move."""
    gradient = np.where(resting, 0.0, here.gradient)
    still = resting[:, None] | resting[None]
    matrix = np.where(still, np.eye(len(resting))[..., None], here.majorant)
    step, definite = quadratic.solve(matrix, -gradient)
    return np.asarray(definite & (-(gradient * step).sum(axis=0) <= STALLED * here.value))


def _centered(problem: Problem, theta: Array, held: Sequence[str]) -> tuple[Array, Array, Array]:
    """At exponents theta [M, r], each term divided by its geometric mean over rows: the basis [K, r, n], the slopes of
    its logarithm [K, M, r or 1, n], the means [K, r]. A term whose amplitude is held stays as it is: a held amplitude
    must not move with its exponent."""
    log_basis, slopes = problem.log_basis(theta), problem.slopes(theta)
    free = np.array([name not in held for name in problem.law.amplitudes])[:, None, None]
    center = log_basis.mean(axis=2, keepdims=True) * free
    slopes = slopes - slopes.mean(axis=3, keepdims=True) * free[..., None]
    log_basis -= center
    return np.exp(log_basis, out=log_basis), slopes, np.exp(center[:, :, 0])


def _linearised(problem: Problem, x: Array, held: Sequence[str]) -> Linearised:
    terms = problem.terms
    basis, slopes, _center = _centered(problem, x[terms:], held)
    prediction = np.einsum("kr,krn->rn", x[:terms], basis)
    jacobian = np.zeros((x.shape[1], len(x), len(problem.loss)))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        residual = problem.log_loss - np.log(prediction)
        np.divide(basis.transpose(1, 0, 2), prediction[:, None], out=jacobian[:, :terms])
        for k, m in problem.couplings:
            jacobian[:, terms + m] += x[k][:, None] * jacobian[:, k] * slopes[k, m]
    return Linearised(residual, jacobian, slopes)


def _point(problem: Problem, x: Array, weights: Array, held: Sequence[str]) -> _Point:
    objective = problem.objective
    with np.errstate(invalid="ignore", over="ignore"):
        at = _linearised(problem, x, held)
        value = (weights * objective.rho(at.residual)).sum(axis=1)
        value = np.where(np.isfinite(value), value, np.inf)
        slope = weights * objective.psi(at.residual)
        gradient = -np.matmul(at.jacobian, slope[:, :, None])[:, :, 0].T
        hessian = _outer(at.jacobian, slope + weights * objective.curved(at.residual))
        _subtract_curvature_of_terms(problem, x, at, slope, hessian)
        majorant = _outer(at.jacobian, weights * objective.weight(at.residual))
    majorant[np.arange(len(x)), np.arange(len(x))] *= 1 + RIDGE
    return _Point(value, gradient, hessian, majorant)


def _subtract_curvature_of_terms(
    problem: Problem, x: Array, at: Linearised, slope: Array, hessian: Array
) -> None:
    """Take sum_n slope * (d2 Lhat / dx dx) / Lhat off the Hessian [P, P, r]; the rest of d2 log Lhat is an outer
    product of the Jacobian and is in it already."""
    terms = problem.terms
    for k, m in problem.couplings:
        tilted = slope * at.jacobian[:, k] * at.slopes[k, m]
        total = tilted.sum(axis=1)
        hessian[k, terms + m] -= total
        hessian[terms + m, k] -= total
        for j, other in problem.couplings:
            if j == k:
                hessian[terms + m, terms + other] -= x[k] * (tilted * at.slopes[k, other]).sum(axis=1)


def _outer(jacobian: Array, weights: Array) -> Array:
    """sum_n w j j' as [P, P, r], from jacobian [r, P, n] and weights [r, n]."""
    return np.matmul(jacobian * weights[:, None], jacobian.transpose(0, 2, 1)).transpose(1, 2, 0)
