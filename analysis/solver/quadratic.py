"""Minima of many small quadratics at once, x'Hx/2 - g'x, free or with x >= 0.

The matrices are tiny and there are millions of them, so the elimination is written out over the p variables and each
step is one array operation over all problems: shapes are H [p, p, *batch], g [p, *batch].
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PIVOT = 1e-13
"""A pivot below this share of its diagonal entry is rounding: the matrix counts as singular."""


def solve(H: Array, g: Array) -> tuple[Array, NDArray[np.bool_]]:
    """x with H x = g for symmetric H, and whether H is positive definite; x means nothing where it is not."""
    p = len(g)
    rows = [[H[i, j] for j in range(p)] for i in range(p)]
    right = [g[i] for i in range(p)]
    definite = np.ones(g.shape[1:], dtype=bool)
    inverse = []
    with np.errstate(all="ignore"):
        for i in range(p):
            definite &= rows[i][i] > PIVOT * H[i, i]
            inverse.append(1.0 / rows[i][i])
            for j in range(i + 1, p):
                factor = rows[i][j] * inverse[i]
                for k in range(j, p):
                    rows[j][k] = rows[j][k] - factor * rows[i][k]
                right[j] = right[j] - factor * right[i]
        x = np.empty_like(g)
        for i in reversed(range(p)):
            total = right[i]
            for j in range(i + 1, p):
                total = total - rows[i][j] * x[j]
            x[i] = total * inverse[i]
    return x, definite


def nonnegative(H: Array, g: Array) -> tuple[Array, Array]:
    """The x >= 0 of least x'Hx/2 - g'x, and that value: the best feasible solution over all sets of positive x."""
    p = len(g)
    shape = g.shape[1:]
    H, g = H.reshape(p, p, -1), g.reshape(p, -1)
    x, good = solve(H, g)
    good &= (x >= 0).all(axis=0) & np.isfinite(x).all(axis=0)
    with np.errstate(all="ignore"):  # x is garbage where the matrix is singular
        value = np.where(good, -0.5 * (g * x).sum(axis=0), np.inf)
    left = np.flatnonzero(~good)
    x[:, left], value[left] = _best_subset(H[..., left], g[:, left])
    return x.reshape((p, *shape)), value.reshape(shape)


def _best_subset(H: Array, g: Array) -> tuple[Array, Array]:
    """As `nonnegative`, for problems whose free solution is infeasible: at least one x is zero."""
    best, value = np.zeros_like(g), np.zeros(g.shape[1])
    for size in range(1, len(g)):
        for subset in combinations(range(len(g)), size):
            index = np.asarray(subset)
            x, good = solve(H[np.ix_(index, index)], g[index])
            with np.errstate(all="ignore"):
                candidate = -0.5 * (g[index] * x).sum(axis=0)
                better = np.flatnonzero(good & (x >= 0).all(axis=0) & (candidate < value))
            best[:, better] = 0.0
            best[np.ix_(index, better)] = x[:, better]
            value[better] = candidate[better]
    return best, value
