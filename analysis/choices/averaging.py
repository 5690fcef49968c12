"""The specifications as one answer: averaged by how well each foretold runs larger than those it was fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.choices.specification_curve import Curve
from analysis.floor.admissible import EXACT
from analysis.floor.combination import weighted_quantiles
from analysis.intervals.uncertainty import tails

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Average:
    """E and the loss at the curve's compute, averaged over the specifications of one convention of N and C.

    E means the same under every convention and may be compared. The loss is that at one number C, which each convention
    counts in its own way and so spends on a run of its own, and amplitudes and exponents of N are in its own units: no
    two conventions are mixed.
    """

    N: str
    C: str
    specifications: int
    tested: bool
    """Whether larger runs could be held out; if not, all count the same."""
    E: float
    E_lo: float
    E_hi: float
    L: float
    L_lo: float
    L_hi: float
    by_law: dict[str, float]
    """Share of the weight of each law."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


def averages(curve: Curve) -> tuple[Average, ...]:
    """One average for every convention of N and C, in the order of the table's columns.

    A specification counts by 1 / (its held-out error)^2, as candidates do in `admissible` (Bates and Granger 1969); a
    law with more specifications counts more for it. The interval is that of the weighted replicates, each moved by its
    specification's held-out error times a normal number, as a share of the best loss for E and of the loss itself:
    it holds the runs' noise, the spread of the specifications and the error of each. The middle is the median; no E is
    above the least loss of a run.
    """
    pairs = dict.fromkeys((one.N, one.C) for one in curve.plan.made)
    return tuple(_average(curve, N, C) for N, C in pairs)


def _average(curve: Curve, N: str, C: str) -> Average:
    here = np.asarray((curve.table["N"] == N) & (curve.table["C"] == C))
    table, E, L = curve.table[here], curve.E[here], curve.L[here]
    errors = np.asarray(table["held_out_error"], dtype=np.float64)
    tested = bool(np.isfinite(errors).all())
    shares = 1 / (errors**2 + EXACT**2) if tested else np.ones(len(table))
    weights = shares / shares.sum()
    blur = errors if tested else np.zeros(len(table))
    rng = np.random.default_rng(curve.seed + 1)
    by_E, by_L = rng.standard_normal((2, *E.shape)) * blur[:, None]
    probabilities = [0.5, *tails(curve.level)]
    E_middle, E_lo, E_hi = np.clip(
        _quantiles(E + curve.best * by_E, weights, probabilities), 0.0, curve.best
    ).tolist()
    L_middle, L_lo, L_hi = _quantiles(L * np.exp(by_L), weights, probabilities).tolist()
    laws = {str(law): float(weights[np.asarray(table["law"] == law)].sum()) for law in table["law"].unique()}
    return Average(N, C, len(table), tested, E_middle, E_lo, E_hi, L_middle, L_lo, L_hi, laws)


def _quantiles(values: Array, weights: Array, probabilities: list[float]) -> Array:
    """Quantiles of values [S, R] whose rows count by weights [S]."""
    each = np.repeat(weights / values.shape[1], values.shape[1])
    return weighted_quantiles(values.ravel(), each, probabilities)
