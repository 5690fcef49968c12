"""The global half of a fit: a scan of the exponents with the amplitudes solved at every point (variable projection).

At fixed exponents a law is linear in its amplitudes (Golub and Pereyra 1973), so only the exponents are scanned. At
each grid point the amplitudes are a non-negative least-squares problem in relative residuals, reweighted on the
unweighted rows until its weights are those that majorise the Huber loss there. A replicate of a bootstrap keeps these
weights times its own, so the normal equations of all replicates at all grid points are matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from analysis.solver import blas, polish, quadratic
from analysis.solver.objective import SquaredLog, SquaredRaw
from analysis.solver.problem import Problem
from analysis.solver.shapes import log_size

Array = NDArray[np.float64]

REWEIGHTINGS = 12
BLOCK = 128
PRODUCT = 4000
"""Most grid points of a product of grids; a law with more is scanned at points that fill its ranges evenly."""
SCATTERED = 4096
APART = 0.2
"""Share of a range by which two starts among scattered points differ in some exponent."""
PLATEAU = 1e-9
"""Share by which two minima of the scan differ if they are two."""
SETTLED, SETTLED_STEPS, SETTLED_ROWS = 256, (100, 300), 512
"""How many of the scattered points are followed towards a minimum, by how many steps all and then the best quarter, and
on at most how many rows."""
LARGEST_LOG = 600.0
"""Of the size of a term: its exponential, and that of minus it, are finite."""
MEMORY = 2**27
"""Bytes that the moments of a scan may take; with more, it is over a sample of the rows."""


@dataclass(frozen=True)
class Grid:
    """The scan of one problem: G grid points, K terms, M exponents, n rows."""

    theta: Array
    """Exponents, [M, G]."""
    shape: tuple[int, ...]
    """Points an exponent; empty where the points are scattered."""
    center: Array
    """The logarithm of each term's size (see `log_size`), taken out of the basis, [K, G]."""
    moments: Array
    """Weighted products of the basis, to be summed over rows: pairs, then the right-hand side, then the offset of the
    majoriser, [K (K + 1) / 2 + K + 1, n, G]."""
    weight: Array
    """The weights of the majoriser, [n, G]."""
    rows: NDArray[np.intp] | slice
    """The rows that are scanned."""

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """Points [G] at which some term is so large or small that its amplitude is no number."""
        return np.asarray((np.abs(self.center) > LARGEST_LOG).any(axis=0))


def scan(problem: Problem) -> Grid:
    """The grid of a problem, with the majoriser of its objective at every point.

    Scattered points are too few to be near every minimum, so the minima of least squares that the best of them lead
    to are among the points as well.
    """
    theta, shape = _points(problem)
    if not shape:
        theta = np.concatenate([theta, _settled(problem, theta)], axis=1)
    return _grid(problem, theta, shape)


def _settled(problem: Problem, theta: Array) -> Array:
    """Exponents [M, S] at which the best of the points theta [M, G] end under least squares, on some of the rows. A
    small delta would make a valley of nearly absolute errors, in which few of them arrive."""
    rows = problem.sampled[np.linspace(0, len(problem.sampled) - 1, SETTLED_ROWS).astype(np.intp)]
    squares = replace(problem, objective=SquaredRaw() if problem.objective.raw else SquaredLog())
    few = squares.part(np.unique(rows))
    points, _ = starts(few, _grid(few, theta, ()), np.ones((1, few.size)), SETTLED)
    for steps in SETTLED_STEPS:
        done = polish.polish(few, points, np.ones((points.shape[1], few.size)), max_steps=steps)
        points = done.parameters[:, np.argsort(done.objective, kind="stable")[: points.shape[1] // 4]]
    return points[problem.terms :]


def _grid(problem: Problem, theta: Array, shape: tuple[int, ...]) -> Grid:
    terms = problem.terms
    rows: NDArray[np.intp] | slice = slice(None)
    most = MEMORY // (8 * theta.shape[1] * (terms * (terms + 1) // 2 + terms + 1))
    if problem.size > most:
        rows = problem.sampled[
            np.linspace(0, len(problem.sampled) - 1, min(most, len(problem.sampled))).astype(np.intp)
        ]
        problem = problem.part(rows)
    log_basis = problem.log_basis(theta)
    center, _ = log_size(log_basis)
    size = np.abs(problem.target) + (problem.target == 0)
    basis = np.exp(log_basis - center[:, :, None]) / size * problem.law.sign()[:, None, None]
    weight, offset = _majoriser(problem, basis, size)
    aim = problem.target / size  # 1, or -1 where a raw target is below 0
    pairs = _pairs(terms)
    moments = np.empty((len(pairs) + terms + 1, problem.size, theta.shape[1]))
    for row, (j, k) in enumerate(pairs):
        np.multiply(basis[j] * weight, basis[k], out=moments[row].T)
    for k in range(terms):
        np.multiply(basis[k] * weight, aim, out=moments[len(pairs) + k].T)
    moments[-1] = offset.T
    return Grid(theta, shape, center, moments, np.broadcast_to(weight, offset.shape).T, rows)


def _points(problem: Problem) -> tuple[Array, tuple[int, ...]]:
    """Grid points [M, G]: the product of the exponents' grids with its shape, or, where that is too large, the first
    points of Sobol's sequence (1967), which fill the ranges evenly, and an empty shape."""
    exponents = problem.exponents.values()
    shape = tuple(exponent.count for exponent in exponents)
    if math.prod(shape) <= PRODUCT:
        axes = np.meshgrid(*(exponent.grid for exponent in exponents), indexing="ij")
        return np.stack([axis.ravel() for axis in axes]), shape
    from scipy.stats import qmc

    share = qmc.Sobol(len(shape), scramble=False).random(SCATTERED).T
    share = share * (1 - 1 / SCATTERED) + 0.5 / SCATTERED  # its first point is a corner
    return np.stack([e.at(part) for e, part in zip(exponents, share, strict=True)]), ()


def _pairs(terms: int) -> list[tuple[int, int]]:
    return [(j, k) for j in range(terms) for k in range(j, terms)]


def _majoriser(problem: Problem, basis: Array, size: Array) -> tuple[Array, Array]:
    """Weights w and offsets o [G, n] with rho(r) <= w e^2 / 2 + o, near equality at each point's unweighted fit; e is
    the error as a share of `size`."""
    objective = problem.objective
    aim = problem.target / size
    unit = size**2 if objective.raw else np.ones_like(size)
    weight = np.broadcast_to(unit, basis.shape[1:])
    for _ in range(REWEIGHTINGS):
        weighted = basis * weight
        H = np.einsum("jgn,kgn->jkg", weighted, basis, optimize=True)
        amplitude, _value = quadratic.nonnegative(H, weighted @ aim)
        fitted = np.einsum("kg,kgn->gn", amplitude, basis)
        error = aim - fitted
        residual = error * size if objective.raw else -np.log(np.maximum(fitted, 1e-300))
        weight = objective.weight(residual) * unit
        if math.isinf(objective.delta):
            break
    return weight, objective.rho(residual) - 0.5 * weight * error**2 + 0.5 * weight * aim**2


def starts(
    problem: Problem,
    grid: Grid,
    weights: Array,
    count: int,
    fixed: Mapping[str, Array] | None = None,
    targets: Array | None = None,
) -> tuple[Array, NDArray[np.intp]]:
    """Local minima of the majorised profile over the exponents, at most `count` a replicate, best first.

    weights [R, n]; fixed maps names of parameters to values [R]; targets [R, n] stand for the problem's. Returns
    parameters [P, S] in the fitter's order and, for each, the replicate that it belongs to [S].
    """
    found, owner = [], []
    for first in range(0, len(weights), BLOCK):
        block = slice(first, first + BLOCK)
        held = {name: value[block] for name, value in (fixed or {}).items()}
        own = None if targets is None else targets[block]
        amplitude, value = _profile(problem, grid, weights[block], held, own)
        if grid.shape:
            replicate, point = _local_minima(value, grid.shape, count)
        else:
            replicate, point = _lowest_apart(problem, grid, value, count)
        parameters = _parameters(grid, amplitude, replicate, point)
        for name, values in held.items():
            parameters[problem.names.index(name)] = values[replicate]
        found.append(parameters)
        owner.append(replicate + first)
    return np.concatenate(found, axis=1), np.concatenate(owner)


def spread(problem: Problem, grid: Grid, weights: Array, count: int) -> Array:
    """About `count` points of the grid, evenly spread, with the best amplitudes there for weights [n]: [P, S]."""
    amplitude, value = _profile(problem, grid, weights[None], {})
    possible = np.flatnonzero(np.isfinite(value[0]))
    # a step of the golden ratio visits every region of the grid, whatever its number of axes
    share = np.arange(count) * 0.6180339887498949 % 1.0
    point = possible[np.unique((share * len(possible)).astype(np.intp))]
    return _parameters(grid, amplitude, np.zeros_like(point), point)


def _parameters(grid: Grid, amplitude: Array, replicate: NDArray[np.intp], point: NDArray[np.intp]) -> Array:
    c = amplitude[:, replicate, point] * np.exp(-grid.center[:, point])
    return np.concatenate([c, grid.theta[:, point]])


def _profile(
    problem: Problem,
    grid: Grid,
    weights: Array,
    fixed: Mapping[str, Array],
    targets: Array | None = None,
) -> tuple[Array, Array]:
    """Best amplitudes of the centred basis [K, r, G] and the majorised objective there [r, G]."""
    with blas.one_thread():
        sums = np.matmul(weights[:, grid.rows], grid.moments)
    pairs = _pairs(problem.terms)
    if targets is not None:
        _aim_at(targets, problem, grid, weights, sums)
    H = np.empty((problem.terms, problem.terms, *sums.shape[1:]))
    for (j, k), total in zip(pairs, sums, strict=False):
        H[j, k] = H[k, j] = total
    amplitude, value = _amplitudes(problem, grid, H, sums[len(pairs) : -1], fixed)
    value = value + sums[-1]
    value[:, grid.beyond] = np.inf
    for m, (name, exponent) in enumerate(problem.exponents.items()):
        if name in fixed:
            away = np.abs(exponent.place(grid.theta[m])[None] - exponent.place(fixed[name])[:, None])
            if grid.shape:
                value = np.where(away <= away.min(axis=1, keepdims=True) + 1e-9, value, np.inf)
            else:
                value = np.where(away <= APART / 2, value, np.inf)
    return amplitude, value


def _aim_at(targets: Array, problem: Problem, grid: Grid, weights: Array, sums: Array) -> None:
    """Put the right-hand sides and offsets of other targets [r, n] into the sums [.., r, G]. The weights stay those of
    the problem's own targets, so that the profile is near the majorised one where the targets differ by noise."""
    first = len(_pairs(problem.terms))
    old, weights = problem.target[grid.rows], weights[:, grid.rows]
    size = np.where(old == 0, 1.0, old)  # a row whose old target is 0 has no right-hand side to be scaled
    share = targets[:, grid.rows] / size
    with blas.one_thread():
        sums[first:-1] = np.matmul(weights * share, grid.moments[first:-1])
        sums[-1] += 0.5 * np.matmul(weights * (share**2 - (old != 0)), grid.weight)


def _amplitudes(
    problem: Problem, grid: Grid, H: Array, g: Array, fixed: Mapping[str, Array]
) -> tuple[Array, Array]:
    """Amplitudes [K, r, G] of the centred basis and the value there, some of them held."""
    held = [k for k, name in enumerate(problem.law.amplitudes) if name in fixed]
    if not held:
        return quadratic.nonnegative(H, g)
    free = [k for k in range(problem.terms) if k not in held]
    x = np.empty_like(g)
    for k in held:
        x[k] = fixed[problem.law.amplitudes[k]][:, None] * np.exp(grid.center[k])
    right = g[free] - np.einsum("fkrg,krg->frg", H[np.ix_(free, held)], x[held])
    x[free], value = quadratic.nonnegative(H[np.ix_(free, free)], right)
    quadratics = np.einsum("jkrg,jrg,krg->rg", H[np.ix_(held, held)], x[held], x[held])
    return x, value + 0.5 * quadratics - (g[held] * x[held]).sum(axis=0)


def _local_minima(
    value: Array, shape: tuple[int, ...], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(replicate, grid point) of the `count` lowest local minima of value [r, G], diagonal neighbours included."""
    cube = value.reshape(-1, *shape)
    padded = np.pad(cube, [(0, 0)] + [(1, 1)] * len(shape), constant_values=np.inf)
    lowest = np.isfinite(cube)
    for offsets in product((-1, 0, 1), repeat=len(shape)):
        if any(offsets):
            window = tuple(slice(1 + o, 1 + o + size) for o, size in zip(offsets, shape, strict=True))
            lowest &= cube <= padded[(slice(None), *window)]
    candidates = np.where(lowest.reshape(value.shape), value, np.inf)
    order = np.argsort(candidates, axis=1, kind="stable")[:, : 4 * count]
    values = np.take_along_axis(candidates, order, axis=1)
    kept = np.isfinite(values)
    with np.errstate(invalid="ignore"):  # all points of a plateau, where a term is idle, are local minima
        kept[:, 1:] &= np.diff(values, axis=1) > PLATEAU * values[:, :-1]
    kept &= np.cumsum(kept, axis=1) <= count
    replicate, rank = np.nonzero(kept)
    return replicate, order[replicate, rank]


def _lowest_apart(
    problem: Problem, grid: Grid, value: Array, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(replicate, grid point) of the `count` lowest of value [r, G] that differ by `APART` in some exponent."""
    place = np.stack(
        [e.place(theta) for e, theta in zip(problem.exponents.values(), grid.theta, strict=True)]
    )
    left = value.copy()
    every = np.arange(len(value))
    found = []
    for _ in range(count):
        lowest = left.argmin(axis=1)
        found.append(np.where(np.isfinite(left[every, lowest]), lowest, -1))
        near = np.ones_like(left, dtype=bool)
        for axis in place:
            near &= np.abs(axis[None] - axis[lowest][:, None]) < APART
        left[near] = np.inf
    points = np.stack(found, axis=1)
    replicate, rank = np.nonzero(points >= 0)
    return replicate, points[replicate, rank]
