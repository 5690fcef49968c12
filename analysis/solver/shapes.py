"""Logarithms of a law's basis functions at many values of its shape parameters, with their derivatives.

A law states log phi_k alone, so slopes and bends are central differences: exact up to rounding (1e-12) for slopes of
powers, to 1e-8 for those of other smooth functions, and to 1e-6 or so for bends, which steer the last steps of a
descent and not where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LogBasis = Callable[[Array], Sequence[Array]]
"""log phi_k, one an amplitude, at shape parameters [M, r]: each broadcasts to [r, n]."""
Pair = tuple[int, int]


@dataclass(frozen=True)
class Shapes:
    """log phi_k [K, r, n], -inf where a phi_k is 0, and its derivatives, 0 there."""

    log: Array
    slopes: dict[Pair, Array]
    """(k, m) -> d log phi_k / d theta_m, [r, n], or [1, n] where theta does not matter."""
    bends: dict[tuple[int, int, int], Array]
    """(k, m, j), m <= j -> d2 log phi_k / d theta_m d theta_j, [r, n]; none of a law of powers."""


def differenced(
    log_basis: LogBasis, theta: Array, step: Array, couplings: Iterable[Pair], rows: int
) -> Shapes:
    """By differences of `step` [M, r], of the terms k in the shape parameters m that `couplings` (k, m) name."""
    couplings = list(couplings)
    shape = (theta.shape[1], rows)
    shifts = np.eye(len(theta))[:, :, None] * step
    with np.errstate(all="ignore"):
        here = log_basis(theta)
        above = [log_basis(theta + shift) for shift in shifts]
        below = [log_basis(theta - shift) for shift in shifts]
        slopes = {
            (k, m): finite((above[m][k] - below[m][k]) / (2 * step[m])[:, None], shape) for k, m in couplings
        }
        bends: dict[tuple[int, int, int], Array] = {}
        for m, j in sorted({(m, j) for k, m in couplings for other, j in couplings if k == other and m <= j}):
            terms = [k for k, other in couplings if other == m and (k, j) in slopes]
            if m == j:
                bent = {k: above[m][k] - 2 * here[k] + below[m][k] for k in terms}
            else:
                further, nearer = (log_basis(theta + sign * (shifts[m] + shifts[j])) for sign in (1, -1))
                sides = [above[m], below[m], above[j], below[j]]
                bent = {
                    k: (further[k] + nearer[k] + 2 * here[k] - sum(side[k] for side in sides)) / 2
                    for k in terms
                }
            area = (step[m] * step[j])[:, None]
            bends |= {(k, m, j): finite(bend / area, shape) for k, bend in bent.items()}
    return Shapes(np.stack([np.broadcast_to(term, shape) for term in here]), slopes, bends)


def log_size(log: Array) -> tuple[Array, Array]:
    """Half the logarithm of the mean over rows of phi_k^2, [K, r], and each row's share of the sum, [K, r, n]; log is
    log phi_k [K, r, n]. The size of a term that is 0 in every row is 1."""
    highest = log.max(axis=2, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, 0.0)
    share = np.exp(2 * (log - highest))
    total = share.sum(axis=2, keepdims=True)
    total = np.where(total > 0, total, 1.0)
    share /= total
    return (highest + 0.5 * np.log(total / log.shape[2]))[:, :, 0], share


def slopes(log_basis: LogBasis, theta: Array, step: Array, rows: int) -> Array:
    """d log phi_k / d theta_m by differences of `step` [M, r], as [K, M, r, n]."""
    shifts = np.eye(len(theta))[:, :, None] * step
    with np.errstate(all="ignore"):
        found = [
            [
                finite((above - below) / (2 * h)[:, None], (theta.shape[1], rows))
                for above, below in zip(log_basis(theta + shift), log_basis(theta - shift), strict=True)
            ]
            for shift, h in zip(shifts, step, strict=True)
        ]
    return np.array(found).swapaxes(0, 1)


def finite(values: Array, shape: Pair) -> Array:
    """`values` of this shape, 0 where they are not finite: at the edge of a term that is absent beyond."""
    return np.broadcast_to(np.where(np.isfinite(values), values, 0.0), shape)
