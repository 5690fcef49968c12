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

ELEMENTS = 2**16
"""Starts times rows that are worked on at once: what a core's cache holds."""
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

    def add(self, other: _Point) -> None:
        self.value = self.value + other.value
        self.gradient = self.gradient + other.gradient
        self.hessian = self.hessian + other.hessian
        self.majorant = self.majorant + other.majorant

    def put(self, index: Index, other: _Point) -> None:
        self.value[index] = other.value
        self.gradient[:, index] = other.gradient
        self.hessian[..., index] = other.hessian
        self.majorant[..., index] = other.majorant


@dataclass(frozen=True)
class Linearised:
    """A law around parameters: residuals [r, n], the slopes of log yhat (of yhat under a raw objective) in the
    parameters of the centred basis [r, P, n], and those of the centred log basis in the exponents [K, M, r or 1, n]."""

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
    targets: Array | None = None,
) -> Polished:
    """Minimise sum_i w_i rho(r_i) from each start: parameters [P, S], weights [S, n]; `held` are not moved. targets
    [S, n] stand for the problem's, so that each start is fitted to losses of its own."""
    blocks = []
    size = max(ELEMENTS // problem.size, 1)
    for first in range(0, parameters.shape[1], size):
        block = slice(first, first + size)
        own = None if targets is None else targets[block]
        blocks.append(_descend(problem, parameters[:, block], weights[block], held, max_steps, own))
    return Polished(
        parameters=np.concatenate([b.parameters for b in blocks], axis=1),
        objective=np.concatenate([b.objective for b in blocks]),
        converged=np.concatenate([b.converged for b in blocks]),
        steps=np.concatenate([b.steps for b in blocks]),
    )


def linearise(problem: Problem, parameters: Array) -> Linearised:
    """The law around parameters [P, r] in the fitter's order; derivatives are in the centred basis."""
    x = parameters.copy()
    middle = _center(problem, x[problem.terms :], ())
    x[: problem.terms] *= np.exp(middle.log)
    return _linearised(problem, x, middle)


def _descend(
    problem: Problem,
    parameters: Array,
    weights: Array,
    held: Sequence[str],
    max_steps: int,
    targets: Array | None,
) -> Polished:
    terms, starts = problem.terms, parameters.shape[1]
    x = parameters.copy()
    x[:terms] *= np.exp(_center(problem, x[terms:], held).log)
    lower, upper = problem.lower[:, None], problem.upper[:, None]
    fixed = np.array([name in held for name in problem.names])[:, None]
    now = _point(problem, x, weights, held, targets)
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
        enough = DECREMENT * here.value + NOISE_FREE * problem.size * problem.unit
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
        there = _point(problem, trial, weights[live], held, None if targets is None else targets[live])
        better = there.value < now.value[live]
        x[:, live[better]] = trial[:, better]
        now.put(live[better], there.take(np.flatnonzero(better)))
        eased = np.maximum(damping[live] / DAMPING_DOWN, DAMPING_MIN)
        damping[live] = np.where(better, eased, damping[live] * DAMPING_UP)
        if not problem.law.log_linear and count % PATIENCE == 0:
            stalled = before[live] - now.value[live] <= STALLED * now.value[live]
            converged[live[stalled]] = True
            live, before = live[~stalled], now.value.copy()
    x[:terms] /= np.exp(_center(problem, x[terms:], held).log)
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


@dataclass(frozen=True)
class _Center:
    """By what each term is divided: the geometric mean over rows (of a sample, where there are many) of its basis,
    as logarithm [K, r], and the slopes of that in the exponents [K, M, r or 1]."""

    log: Array
    slopes: Array
    whole: tuple[Array, Array] | None = None
    """log phi_k [K, r, n] and its slopes [K, M, r or 1, n] at all rows, where the sample is all of them."""


def _center(problem: Problem, theta: Array, held: Sequence[str]) -> _Center:
    """At exponents theta [M, r]. A term whose amplitude is held stays as it is: a held amplitude must not move with its
    exponent."""
    sample = problem.sample
    log_basis, slopes = sample.log_basis(theta), sample.slopes(theta)
    present = np.isfinite(log_basis)
    count = np.maximum(present.sum(axis=2), 1)
    free = np.array([name not in held for name in problem.law.amplitudes])[:, None]
    log = np.where(present, log_basis, 0.0).sum(axis=2) / count
    if slopes.shape[2] == present.shape[1]:
        mean = (slopes * present[:, None]).sum(axis=3) / count[:, None]
    else:
        mean = slopes.mean(axis=3)  # of a law of powers, whose terms are present everywhere
    whole = (log_basis, slopes) if sample is problem else None
    return _Center(log * free, mean * free[:, None], whole)


def _linearised(problem: Problem, x: Array, middle: _Center, targets: Array | None = None) -> Linearised:
    terms = problem.terms
    log_basis, slopes = middle.whole or (problem.log_basis(x[terms:]), problem.slopes(x[terms:]))
    slopes = slopes - middle.slopes[..., None]
    basis = log_basis - middle.log[..., None]
    np.exp(basis, out=basis)
    if problem.law.signs:
        basis *= problem.law.sign()[:, None, None]
    prediction = np.einsum("kr,krn->rn", x[:terms], basis)
    jacobian = np.zeros((x.shape[1], len(x), problem.size))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        residual = problem.residual_of(prediction, targets)
        scale = 1.0 if problem.objective.raw else prediction[:, None]
        np.divide(basis.transpose(1, 0, 2), scale, out=jacobian[:, :terms])
        for k, m in problem.couplings:
            jacobian[:, terms + m] += x[k][:, None] * jacobian[:, k] * slopes[k, m]
    return Linearised(residual, jacobian, slopes)


def _point(
    problem: Problem, x: Array, weights: Array, held: Sequence[str], targets: Array | None = None
) -> _Point:
    """The objective and its derivatives, summed over parts of the rows that a core's cache holds."""
    middle = _center(problem, x[problem.terms :], held)
    if problem.size <= ELEMENTS:
        total = _sums(problem, x, weights, middle, targets)
    else:
        parts = (
            _sums(part, x, weights[:, rows], middle, None if targets is None else targets[:, rows])
            for rows, part in problem.parts(ELEMENTS)
        )
        total = next(parts)
        for part in parts:
            total.add(part)
    total.value = np.where(np.isfinite(total.value), total.value, np.inf)
    total.majorant[np.arange(len(x)), np.arange(len(x))] *= 1 + RIDGE
    return total


def _sums(problem: Problem, x: Array, weights: Array, middle: _Center, targets: Array | None) -> _Point:
    objective = problem.objective
    with np.errstate(invalid="ignore", over="ignore"):
        at = _linearised(problem, x, middle, targets)
        value = (weights * objective.rho(at.residual)).sum(axis=1)
        slope = weights * objective.psi(at.residual)
        gradient = -np.matmul(at.jacobian, slope[:, :, None])[:, :, 0].T
        bent = weights * objective.curved(at.residual)
        # the logarithm bends too: - d2 log yhat = J J' - (d2 yhat) / yhat
        hessian = _outer(at.jacobian, bent if objective.raw else bent + slope)
        _subtract_curvature_of_terms(problem, x, at, slope, hessian)
        majorant = _outer(at.jacobian, weights * objective.weight(at.residual))
    return _Point(value, gradient, hessian, majorant)


def _subtract_curvature_of_terms(
    problem: Problem, x: Array, at: Linearised, slope: Array, hessian: Array
) -> None:
    """Take sum_n slope * (d2 yhat / dx dx), divided by yhat under logarithms, off the Hessian [P, P, r]."""
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
