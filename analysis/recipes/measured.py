"""The gain without a law: at losses that runs of both recipes reached, the ratio of the computes at which they did.

The lower envelope of a study joins the runs that no cheaper run beats, in log compute and log loss. It depends on
which sizes were trained and is a little low by the luck of the best runs, on both sides alike; it says nothing beyond
the runs. It has no interval: an envelope is made of minima, and a minimum of a resampled set is never below that of the
set, so that the bootstrap's percentiles do not hold as often as they say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.recipes.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

LOSSES = 5
"""Losses at which the ratio is told, even in their logarithm."""


@dataclass(frozen=True)
class Measured:
    """Ratios of compute, base over candidate, at losses [k]."""

    loss: Array
    ratio: Array

    def as_list(self) -> list[dict[str, Any]]:
        """For JSON."""
        pairs = zip(self.loss.tolist(), self.ratio.tolist(), strict=True)
        return [{"loss": loss, "ratio": ratio} for loss, ratio in pairs]


def measured(base: Recipe, candidate: Recipe) -> Measured | None:
    """At losses inside both envelopes; None where there are none."""
    fronts = [_front(side.frame) for side in (base, candidate)]
    worst, best = min(front[1][0] for front in fronts), max(front[1][-1] for front in fronts)
    if not best < worst:
        return None
    loss = np.geomspace(worst, best, LOSSES + 2)[1:-1]
    return Measured(loss, np.exp(_at(fronts[0], loss) - _at(fronts[1], loss)))


def _front(frame: pd.DataFrame) -> tuple[Array, Array]:
    """Log compute and loss of the runs that no cheaper run beats, from the cheapest on."""
    C, L = (np.asarray(frame[name], dtype=np.float64) for name in ("C", "L"))
    order = np.lexsort((L, C))
    C, L = C[order], L[order]
    record = np.diff(np.minimum.accumulate(L), prepend=np.inf) < 0
    return np.log(C[record]), L[record]


def _at(front: tuple[Array, Array], loss: Array) -> Array:
    """Log compute at which an envelope reaches losses, NaN outside it."""
    C, L = front
    return np.interp(np.log(loss), np.log(L)[::-1], C[::-1], left=np.nan, right=np.nan)
