"""Exact derivatives of log phi_k in the shape parameters, for laws whose differences cost most of a fit.

A law that is not here is differentiated by differences (`solver.shapes`), which for four shape parameters takes
twenty-one evaluations where these take about two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.laws.law import Law
from analysis.laws.size_and_data import Coupled, Shifted, Stretched

Array = NDArray[np.float64]
Named = Mapping[str, Array]


@dataclass(frozen=True)
class Derivatives:
    """Of log phi_k, by term k and names: d / d a, and d2 / d a d b in the order of the law's exponents."""

    slopes: dict[tuple[int, str], Array]
    bends: dict[tuple[int, str, str], Array]


def coupled(exponents: Named, columns: Named) -> Derivatives:
    """f = g log(e^u + e^v) with u = (alpha / g) log(N1 / N) and v = (beta / g) log(D0 / D); p is e^u / (e^u + e^v)."""
    alpha, D0, beta, g = (exponents[name] for name in ("alpha", "D0", "beta", "g"))
    a, b = np.log(Coupled.N1 / columns["N"]), np.log(D0 / columns["D"])
    u, v = alpha / g * a, beta / g * b
    apart = u - v
    small = np.exp(-np.abs(apart))
    less = small / (1 + small)
    p = np.where(apart >= 0, 1 - less, less)
    q, total = 1 - p, np.maximum(u, v) + np.log1p(small)
    w = p * q / g
    aw, bw, cw = a * w, b * w, beta / D0 * w  # c is beta / D0
    slopes = {"alpha": a * p, "D0": beta / D0 * q, "beta": b * q, "g": total - p * u - q * v}
    bends = {
        ("alpha", "alpha"): a * aw, ("alpha", "D0"): -a * cw, ("alpha", "beta"): -a * bw, ("alpha", "g"): -aw * apart,
        ("D0", "D0"): beta / D0 * cw - beta / D0**2 * q, ("D0", "beta"): q / D0 + b * cw, ("D0", "g"): cw * apart,
        ("beta", "beta"): b * bw, ("beta", "g"): bw * apart, ("g", "g"): w * apart**2,
    }  # fmt: skip
    return Derivatives(
        {(1, name): value for name, value in slopes.items()},
        {(1, *names): value for names, value in bends.items()},
    )


def shifted(exponents: Named, columns: Named) -> Derivatives:
    """-alpha log(N + N0), and the same of D."""
    slopes, bends = {}, {}
    for k, column, shift, power in _TERMS:
        moved, alpha = columns[column] + exponents[shift], exponents[power]
        slopes[k, shift], slopes[k, power] = -alpha / moved, -np.log(moved)
        bends[k, shift, shift], bends[k, shift, power] = alpha / moved**2, -1 / moved
        bends[k, power, power] = np.zeros_like(moved)
    return Derivatives(slopes, bends)


def stretched(exponents: Named, columns: Named) -> Derivatives:
    """-T with T = (N / N0)^alpha, and the same of D."""
    slopes, bends = {}, {}
    for k, column, scale, power in _TERMS:
        at, alpha = exponents[scale], exponents[power]
        log = np.log(columns[column] / at)
        T = np.exp(alpha * log)
        slopes[k, scale], slopes[k, power] = alpha / at * T, -log * T
        bends[k, scale, scale] = -alpha * (alpha + 1) / at**2 * T
        bends[k, scale, power] = (1 + alpha * log) / at * T
        bends[k, power, power] = -(log**2) * T
    return Derivatives(slopes, bends)


_TERMS = ((1, "N", "N0", "alpha"), (2, "D", "D0", "beta"))

DERIVATIVES: dict[type[Law], Callable[[Named, Named], Derivatives]] = {
    Coupled: coupled,
    Shifted: shifted,
    Stretched: stretched,
}
