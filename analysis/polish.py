"""The local half of a fit: damped Newton steps on the true objective, many fits at once.

The Hessian is the exact one of the log-Huber objective in the amplitudes and exponents (the curvature of log phi in
the exponents, which is zero for powers, is left out). Where it is not positive definite the step uses the matrix of
the least-squares problem that majorises the objective, which always is, up to rounding. Amplitudes refer to the basis
divided by its geometric mean over rows, which takes the correlation of an amplitude with its exponent away. Bounds
hold by projection: a parameter at its bound whose gradient points outwards rests there (Bertsekas 1982).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import math

import numpy as np
from numpy.typing import NDArray

from analysis import quadratic
from analysis.problem import Problem

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

BLOCK = 256
DAMPING_START, DAMPING_MIN, DAMPING_MAX = 1e-3, 1e-12, 1e10
DECREMENT = 1e-12
"""Converged when a Newton step promises less than this share of the objective: a test that no change of units moves."""
NOISE_FREE = 1e-28
"""The same per row in absolute terms, for data that a law fits exactly: residuals of 1e-14 are rounding."""


@dataclass(frozen=True)
class Polished:
    """Fits after polishing; parameters in the fitter's order."""

    parameters: Array
    """[P, S]"""
    objective: Array
    """[S]"""
    converged: Mask
    """[S]"""
    steps: Index
    """[S]"""


@dataclass
class _Point:
    """Objective [r] and its derivatives, [P, r] and [P, P, r], in the parameters of the centred basis."""

    value: Array
    gradient: Array
    hessian: Array
    majorant: Array

    def take(self, index: Index) -> _Point:
        return _Point(self.value[index], self.gradient[:, index], self.hessian[..., index], self.majorant[..., index])

    def put(self, index: Index, other: _Point) -> None:
        self.value[index] = other.value
        self.gradient[:, index] = other.gradient
        self.hessian[..., index] = other.hessian
        self.majorant[..., index] = other.majorant


@dataclass(frozen=True)
class _Terms:
    """The centred basis [K, r, n], the slopes of its logarithm [K, M, r or 1, n] and what was divided out [K, r]."""

    basis: Array
    slopes: Array
    center: Array


@dataclass(frozen=True)
class _Model:
    """Prediction of one block and what derivatives are made of."""

    residual: Array
    """[r, n]"""
    jacobian: Array
    """d log Lhat / d parameter, [r, P, n]"""
    slopes: Array
    """[K, M, r or 1, n]"""


def polish(
    problem: Problem, parameters: Array, weights: Array, *, held: Sequence[str] = (), max_steps: int = 200
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


def _descend(
    problem: Problem, parameters: Array, weights: Array, held: Sequence[str], max_steps: int
) -> Polished:
    terms, starts = problem.terms, parameters.shape[1]
    x = parameters.copy()
    x[:terms] *= _centered(problem, x[terms:], held).center
    lower, upper = problem.lower[:, None], problem.upper[:, None]
    fixed = np.array([name in held for name in problem.names])[:, None]
    now = _point(problem, x, weights, held)
    damping = np.full(starts, DAMPING_START)
    converged, steps = np.zeros(starts, dtype=bool), np.zeros(starts, dtype=np.intp)
    live = np.arange(starts)
    for _ in range(max_steps):
        here, at = now.take(live), x[:, live]
        resting = fixed | ((at <= lower) & (here.gradient > 0)) | ((at >= upper) & (here.gradient < 0))
        step, used = _newton(here, damping[live], resting)
        damping[live] = used
        promise = -(here.gradient * step).sum(axis=0)
        done = (promise <= DECREMENT * here.value + NOISE_FREE * len(problem.loss)) & (used <= DAMPING_START)
        converged[live[done]] = True
        moving = ~done & (used < DAMPING_MAX)
        live, step, at = live[moving], step[:, moving], at[:, moving]
        if not len(live):
            break
        steps[live] += 1
        trial = np.clip(at + step, lower, upper)
        there = _point(problem, trial, weights[live], held)
        better = there.value < now.value[live]
        x[:, live[better]] = trial[:, better]
        now.put(live[better], there.take(better))
        damping[live] = np.where(better, np.maximum(damping[live] / DOWN, DAMPING_MIN), damping[live] * UP)
    x[:terms] /= _centered(problem, x[terms:], held).center
    return Polished(x, now.value, converged, steps)

UP,DOWN,RIDGE=5.,10.,.1

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
        used[left] *= UP
        left = left[used[left] < DAMPING_MAX]
    return step, used


def _centered(problem: Problem, theta: Array, held: Sequence[str]) -> _Terms:
    """The basis at exponents theta [M, r], each term divided by its geometric mean over rows unless its amplitude is
    held (a held amplitude must not move with its exponent)."""
    log_basis, slopes = problem.log_basis(theta), problem.slopes(theta)
    free = np.array([name not in held for name in problem.law.amplitudes])[:, None, None]
    center = log_basis.mean(axis=2, keepdims=True) * free
    slopes = slopes - slopes.mean(axis=3, keepdims=True) * free[..., None]
    log_basis -= center
    return _Terms(np.exp(log_basis, out=log_basis), slopes, np.exp(center[:, :, 0]))


def _model(problem: Problem, x: Array, held: Sequence[str]) -> _Model:
    terms = problem.terms
    made = _centered(problem, x[terms:], held)
    prediction = np.einsum("kr,krn->rn", x[:terms], made.basis)
    jacobian = np.zeros((x.shape[1], len(x), len(problem.loss)))
    with np.errstate(all="ignore"):
        residual = problem.log_loss - np.log(prediction)
        np.divide(made.basis.transpose(1, 0, 2), prediction[:, None], out=jacobian[:, :terms])
    for k, m in problem.couplings:
        jacobian[:, terms + m] += x[k][:, None] * jacobian[:, k] * made.slopes[k, m]
    return _Model(residual, jacobian, made.slopes)


def _outer(jacobian: Array, weights: Array) -> Array:
    """sum_n w j j' as [P, P, r], from jacobian [r, P, n] and weights [r, n]."""
    return np.matmul(jacobian * weights[:, None], jacobian.transpose(0, 2, 1)).transpose(1, 2, 0)


def _point(problem: Problem, x: Array, weights: Array, held: Sequence[str]) -> _Point:
    objective, terms = problem.objective, problem.terms
    model = _model(problem, x, held)
    value = (weights * objective.rho(model.residual)).sum(axis=1)
    value = np.where(np.isfinite(value), value, np.inf)
    slope = weights * objective.psi(model.residual)
    gradient = -np.matmul(model.jacobian, slope[:, :, None])[:, :, 0].T
    hessian = _outer(model.jacobian, slope + weights * objective.curved(model.residual))
    for k, m in problem.couplings:
        tilted = slope * model.jacobian[:, k] * model.slopes[k, m]
        total = tilted.sum(axis=1)
        hessian[k, terms + m] -= total
        hessian[terms + m, k] -= total
        for j, other in problem.couplings:
            if j == k:
                hessian[terms + m, terms + other] -= x[k] * (tilted * model.slopes[k, other]).sum(axis=1)
    majorant = _outer(model.jacobian, weights * objective.weight(model.residual))
    for i in range(len(majorant)):
        majorant[i, i] *= 1 + RIDGE
    return _Point(value, gradient, hessian, majorant)
