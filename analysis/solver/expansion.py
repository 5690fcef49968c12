"""The objective of many fits at once, with its gradient, its Hessian and the matrix of its majorant.

The amplitudes refer to a centred basis, each phi_k divided by its size over rows (the geometric mean of powers, the
root mean square of other terms): that takes the correlation of an amplitude with the exponents of its term away. With J
the slopes of log yhat (of yhat under a raw objective),

    gradient = -J' w psi(r)
    Hessian  = J' w rho''(r) J - sum_i w_i psi(r_i) d2 log yhat_i
    majorant = J' w (psi(r) / r) J

the last being the least-squares problem that lies above the objective and touches it at r: it is positive
semi-definite, and knows which parameters trade against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.solver.problem import Problem
from analysis.solver.shapes import Shapes, log_size

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass
class Expansion:
    """Objective [r], gradient [P, r], Hessian and majorant [P, P, r]."""

    value: Array
    gradient: Array
    hessian: Array
    majorant: Array

    def take(self, index: Index) -> Expansion:
        return Expansion(
            self.value[index], self.gradient[:, index], self.hessian[..., index], self.majorant[..., index]
        )

    @staticmethod
    def together(parts: Sequence[Expansion]) -> Expansion:
        """Of the fits of all parts."""
        if len(parts) == 1:
            return parts[0]
        return Expansion(
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.gradient for part in parts], axis=1),
            np.concatenate([part.hessian for part in parts], axis=2),
            np.concatenate([part.majorant for part in parts], axis=2),
        )

    def put(self, index: Index, other: Expansion) -> None:
        self.value[index] = other.value
        self.gradient[:, index] = other.gradient
        self.hessian[..., index] = other.hessian
        self.majorant[..., index] = other.majorant

    def add(self, other: Expansion) -> None:
        self.value = self.value + other.value
        self.gradient = self.gradient + other.gradient
        self.hessian = self.hessian + other.hessian
        self.majorant = self.majorant + other.majorant


@dataclass(frozen=True)
class Center:
    """The logarithm of each term's size over rows (of a sample, where there are many), [K, r], and its derivatives,
    each [r] or [1], by the same keys: what is taken out of the shapes. 0 for a term whose amplitude is held, which must
    not move with its exponents."""

    log: Array
    slopes: dict[tuple[int, int], Array]
    bends: dict[tuple[int, int, int], Array]


@dataclass(frozen=True)
class Linearised:
    """A law around parameters: residuals [r, n], and J, the slopes of log yhat (of yhat under a raw objective) in the
    parameters of the centred basis [r, P, n]."""

    residual: Array
    jacobian: Array


def _center_of_powers(problem: Problem, theta: Array) -> Center:
    """The logarithms of geometric means, which are linear in theta [M, r]."""
    slopes = problem.mean_slopes
    return Center(slopes @ theta, {(k, m): slopes[k, m][None] for k, m in problem.couplings}, {})


def _center_of_squares(shapes: Shapes) -> Center:
    """Half the logarithm of the mean of phi_k^2: rows in which a term is next to nothing do not count, as they would in
    a geometric mean. With shares p of phi^2 its slopes are sum p s, and its bends
    sum p (b + 2 s s') - 2 (sum p s) (sum p s')."""
    log, share = log_size(shapes.log)
    slopes = {key: np.einsum("rn,rn->r", share[key[0]], value) for key, value in shapes.slopes.items()}
    bends = {
        (k, m, j): np.einsum("rn,rn->r", share[k], value)
        + 2 * np.einsum("rn,rn,rn->r", share[k], shapes.slopes[k, m], shapes.slopes[k, j])
        - 2 * slopes[k, m] * slopes[k, j]
        for (k, m, j), value in shapes.bends.items()
    }
    return Center(log, slopes, bends)


def _free(problem: Problem, found: Center, held: Sequence[str]) -> Center:
    """Nothing is taken out of a term whose amplitude is held."""
    still = {k for k, name in enumerate(problem.law.amplitudes) if name in held}
    if not still:
        return found
    found.log[list(still)] = 0.0
    return Center(
        found.log,
        {key: np.zeros_like(value) if key[0] in still else value for key, value in found.slopes.items()},
        {key: np.zeros_like(value) if key[0] in still else value for key, value in found.bends.items()},
    )


def centred(problem: Problem, parameters: Array, held: Sequence[str]) -> Array:
    """Parameters [P, r] in the fitter's order as x: amplitudes of the centred basis, and exponents `inside`."""
    terms = problem.terms
    x = np.concatenate([parameters[:terms], problem.inside(parameters[terms:])])
    x[:terms] *= np.exp(_center_at(problem, x, held).log)
    return x


def uncentred(problem: Problem, x: Array, held: Sequence[str]) -> Array:
    """The inverse of `centred`."""
    terms = problem.terms
    amplitudes = x[:terms] / np.exp(_center_at(problem, x, held).log)
    return np.concatenate([amplitudes, problem.outside(x[terms:])])


def _center_at(problem: Problem, x: Array, held: Sequence[str]) -> Center:
    theta = x[problem.terms :]
    if problem.law.log_linear:
        return _free(problem, _center_of_powers(problem, theta), held)
    return _free(problem, _center_of_squares(problem.sample.shapes(theta)), held)


def linearise(problem: Problem, parameters: Array) -> Linearised:
    """The law around parameters [P, r] in the fitter's order; derivatives are in the centred basis."""
    x = centred(problem, parameters, ())
    shapes = problem.shapes(x[problem.terms :])
    return _linearised(problem, x, _centred(shapes, _center_at(problem, x, ())))


def expand(
    problem: Problem, x: Array, weights: Array, held: Sequence[str] = (), targets: Array | None = None
) -> Expansion:
    """At x [P, r] (see `centred`); weights and targets [r, n]. Infinite where a prediction has no logarithm."""
    parts = [_sums(*part) for part in _parts(problem, x, weights, held, targets)]
    total = parts[0]
    for part in parts[1:]:
        total.add(part)
    total.value = np.where(np.isfinite(total.value), total.value, np.inf)
    return total


def value(
    problem: Problem, x: Array, weights: Array, held: Sequence[str] = (), targets: Array | None = None
) -> Array:
    """The objective alone [r], as in `expand`."""
    total = sum(_value(*part) for part in _parts(problem, x, weights, held, targets))
    return np.where(np.isfinite(total), total, np.inf)


def _parts(
    problem: Problem, x: Array, weights: Array, held: Sequence[str], targets: Array | None
) -> Iterator[tuple[Problem, Array, Shapes, Array, Array | None]]:
    """The problem, or the pieces of it that a core's cache holds, each with x, centred shapes, weights and targets."""
    theta = x[problem.terms :]
    if problem.sample is not problem:
        middle = _center_at(problem, x, held)
        for rows, piece in problem.pieces:
            own = None if targets is None else targets[:, rows]
            yield piece, x, _centred(piece.shapes(theta), middle), weights[:, rows], own
        return
    shapes = problem.shapes(theta)
    powers = problem.law.log_linear
    middle = _free(problem, _center_of_powers(problem, theta) if powers else _center_of_squares(shapes), held)
    yield problem, x, _centred(shapes, middle), weights, targets


def _centred(shapes: Shapes, middle: Center) -> Shapes:
    """The shapes of the centred basis; the log is that of `shapes`, changed in place."""
    shapes.log[...] -= middle.log[..., None]
    return Shapes(
        shapes.log,
        {key: value - middle.slopes[key][:, None] for key, value in shapes.slopes.items()},
        {key: value - middle.bends[key][:, None] for key, value in shapes.bends.items()},
    )


def _basis(problem: Problem, shapes: Shapes) -> Array:
    """s_k phi_k of the centred basis, [K, r, n]; the log of `shapes` is used up."""
    basis = np.exp(shapes.log, out=shapes.log)
    if problem.law.signs:
        basis *= problem.law.sign()[:, None, None]
    return basis


def _value(problem: Problem, x: Array, shapes: Shapes, weights: Array, targets: Array | None) -> Array:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        prediction = np.einsum("kr,krn->rn", x[: problem.terms], _basis(problem, shapes))
        residual = problem.residual_of(prediction, targets)
        return np.asarray((weights * problem.objective.rho(residual)).sum(axis=1))


def _linearised(problem: Problem, x: Array, shapes: Shapes, targets: Array | None = None) -> Linearised:
    terms = problem.terms
    jacobian = np.zeros((x.shape[1], len(x), problem.size))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        basis = _basis(problem, shapes)
        prediction = np.einsum("kr,krn->rn", x[:terms], basis)
        residual = problem.residual_of(prediction, targets)
        if problem.objective.raw:
            jacobian[:, :terms] = basis.transpose(1, 0, 2)
        else:
            np.multiply(basis.transpose(1, 0, 2), (1 / prediction)[:, None], out=jacobian[:, :terms])
        for (k, m), slope in shapes.slopes.items():
            jacobian[:, terms + m] += x[k][:, None] * jacobian[:, k] * slope
    return Linearised(residual, jacobian)


def _sums(problem: Problem, x: Array, shapes: Shapes, weights: Array, targets: Array | None) -> Expansion:
    objective = problem.objective
    with np.errstate(invalid="ignore", over="ignore"):
        at = _linearised(problem, x, shapes, targets)
        value = (weights * objective.rho(at.residual)).sum(axis=1)
        slope = weights * objective.psi(at.residual)
        gradient = -np.matmul(at.jacobian, slope[:, :, None])[:, :, 0].T
        bent = weights * objective.curved(at.residual)
        # the logarithm bends too: - d2 log yhat = J J' - (d2 yhat) / yhat
        hessian = _outer(at.jacobian, bent if objective.raw else bent + slope)
        _subtract_bends(problem, x, at, shapes, slope, hessian)
        majorant = _outer(at.jacobian, weights * objective.weight(at.residual))
    return Expansion(value, gradient, hessian, majorant)


def _subtract_bends(
    problem: Problem, x: Array, at: Linearised, shapes: Shapes, slope: Array, hessian: Array
) -> None:
    """Take sum_i slope_i (d2 yhat_i / dx dx), divided by yhat under logarithms, off the Hessian [P, P, r]."""
    terms = problem.terms
    tilted = {k: slope * at.jacobian[:, k] for k in {k for k, _ in shapes.slopes}}
    for (k, m), own in shapes.slopes.items():
        total = _over_rows(tilted[k], own)
        hessian[k, terms + m] -= total
        hessian[terms + m, k] -= total
        for (other, j), theirs in shapes.slopes.items():
            if other == k:
                hessian[terms + m, terms + j] -= x[k] * _over_rows(tilted[k], own * theirs)
    for (k, m, j), bend in shapes.bends.items():
        total = x[k] * _over_rows(tilted[k], bend)
        hessian[terms + m, terms + j] -= total
        if m != j:
            hessian[terms + j, terms + m] -= total


def _over_rows(left: Array, right: Array) -> Array:
    """Sums over rows of the product of [r, n] and [r or 1, n]."""
    return np.asarray(left @ right[0] if len(right) == 1 else np.einsum("rn,rn->r", left, right))


def _outer(jacobian: Array, weights: Array) -> Array:
    """sum_n w j j' as [P, P, r], from jacobian [r, P, n] and weights [r, n]."""
    return np.matmul(jacobian * weights[:, None], jacobian.transpose(0, 2, 1)).transpose(1, 2, 0)
