"""The gain without a law: at losses that runs of both recipes reached, the ratio of the computes at which they did.

The lower envelope of a study joins the runs that no cheaper run beats, in log compute and log loss. It depends on
which sizes were trained and is a little low by the luck of the best runs, on both sides alike; it says nothing beyond
the runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.intervals.uncertainty import grouping, resample
from analysis.recipes.equivalent import ends
from analysis.recipes.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

LOSSES = 5
"""Losses at which the ratio is told, even in their logarithm."""
REPLICATES = 400
FEW = 0.5
"""Share of the resamplings that must have reached a loss for an interval to be told."""


@dataclass(frozen=True)
class Measured:
    """Ratios of compute, base over candidate, at losses [k]; ends are NaN where too few resamplings reached both."""

    loss: Array
    ratio: Array
    lo: Array
    hi: Array

    def as_list(self) -> list[dict[str, Any]]:
        """For JSON."""
        columns = (self.loss, self.ratio, self.lo, self.hi)
        return [
            {"loss": loss, "ratio": ratio, "lo": _known(lo), "hi": _known(hi)}
            for loss, ratio, lo, hi in zip(*(column.tolist() for column in columns), strict=True)
        ]


def measured(base: Recipe, candidate: Recipe, seed: int) -> Measured | None:
    """At losses inside both envelopes; None where there are none."""
    fronts = [_front(side.frame) for side in (base, candidate)]
    worst, best = min(front[1][0] for front in fronts), max(front[1][-1] for front in fronts)
    if not best < worst:
        return None
    loss = np.geomspace(worst, best, LOSSES + 2)[1:-1]
    rng = np.random.default_rng(seed)
    drawn = np.stack([_resampled(side, loss, rng) for side in (base, candidate)])
    ratios = np.exp(drawn[0] - drawn[1])
    lo, hi = np.full(LOSSES, np.nan), np.full(LOSSES, np.nan)
    enough = np.isfinite(ratios).mean(axis=0) >= FEW
    if enough.any():
        lo[enough], hi[enough] = ends(ratios[:, enough], base, candidate)
    return Measured(loss, np.exp(_at(fronts[0], loss) - _at(fronts[1], loss)), lo, hi)


def _front(frame: pd.DataFrame, kept: NDArray[np.bool_] | None = None) -> tuple[Array, Array]:
    """Log compute and loss of the runs that no cheaper run beats, from the cheapest on."""
    C, L = (np.asarray(frame[name], dtype=np.float64) for name in ("C", "L"))
    if kept is not None:
        C, L = C[kept], L[kept]
    order = np.lexsort((L, C))
    C, L = C[order], L[order]
    record = np.diff(np.minimum.accumulate(L), prepend=np.inf) < 0
    return np.log(C[record]), L[record]


def _at(front: tuple[Array, Array], loss: Array) -> Array:
    """Log compute at which an envelope reaches losses, NaN outside it."""
    C, L = front
    return np.interp(np.log(loss), np.log(L)[::-1], C[::-1], left=np.nan, right=np.nan)


def _resampled(side: Recipe, loss: Array, rng: np.random.Generator) -> Array:
    groups, _ = grouping(side.frame, side.boot.clusters)
    drawn = resample(groups, REPLICATES, rng)
    return np.stack([_at(_front(side.frame, weights > 0), loss) for weights in drawn])


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
