"""The compute-equivalent gain: the multiple of compute that the base needs to reach the candidate's loss.

    gain(C) = C_base(L_candidate(C)) / C,

L_candidate the loss of the candidate's best split of C, and C_base the compute at which the base's best split reaches a
loss; infinite where the base's floor lies above. With one floor and one exponent of compute it is the same at every C.
The two bootstraps are of different runs and so independent: draw r of one goes with draw r of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.intervals.interval import Percentiles
from analysis.laws import Law
from analysis.recipes.recipe import Recipe

Array = NDArray[np.float64]

TABULATED, REACH = 181, (1e-8, 1e22)
"""Computes, as multiples of the base's largest run, between which a loss is sought where it has no closed form."""


@dataclass(frozen=True)
class Gains:
    """At computes C [k] of the candidate: its loss, the base's compute for that loss, each with draws [R, k]. A draw is
    infinite where its base never gets there, NaN where one of the two has no best split."""

    C: Array
    loss: Array
    losses: Array
    needed: Array
    draws: Array

    @property
    def never(self) -> Array:
        """Share of the draws in which the base never reaches the candidate's loss, [k]."""
        known = ~np.isnan(self.draws)
        return np.asarray(np.isinf(self.draws).sum(axis=0) / np.maximum(known.sum(axis=0), 1))

    @property
    def unknown(self) -> Array:
        """Share of the draws without a best split, [k]."""
        return np.asarray(np.isnan(self.draws).mean(axis=0))


def gains(base: Recipe, candidate: Recipe, C: Array) -> Gains:
    """The gain at computes C [k], with its draws."""
    loss = candidate.track.loss(candidate.law, C)
    losses = candidate.track.loss(candidate.draws, C)
    return Gains(
        C, loss, losses, compute_for(base, base.law, loss[None])[0], compute_for(base, base.draws, losses)
    )


def compute_for(recipe: Recipe, law: Law, loss: Array) -> Array:
    """Compute [R, k] at which the best split of a law of R draws (of one: R = 1) reaches losses [R, k]."""
    E = np.atleast_1d(np.asarray(law.as_dict()["E"], dtype=np.float64))
    largest = recipe.span[1]
    points = largest * (np.array([1.0, 10.0]) if recipe.straight else np.geomspace(*REACH, TABULATED))
    above = recipe.track.loss(law, points).reshape(len(E), -1) - E[:, None]
    target = loss - E[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = _on_a_line(points, above, target) if recipe.straight else _between(points, above, target)
        split = np.isfinite(above).all(axis=1) & (above[:, 0] > above[:, -1])
    return np.where(split[:, None], np.where(target > 0, found, np.inf), np.nan)


def passing(base: Recipe, candidate: Recipe) -> tuple[Array, Array]:
    """The compute at which the candidate's loss falls below the base's floor, [1] and of every draw [R, 1]: beyond it
    no compute makes up for the base. Infinite where that is never."""

    def at(base_law: Law, law: Law) -> Array:
        floor = np.atleast_1d(np.asarray(base_law.as_dict()["E"], dtype=np.float64))
        return compute_for(candidate, law, floor[:, None])

    return at(base.law, candidate.law)[0], at(base.draws, candidate.draws)


def ends(values: Array, base: Recipe, candidate: Recipe) -> tuple[Array, Array]:
    """The ends [k] of the interval of draws [R, k]: expanded percentiles, by the fewer units and the larger stretch of
    the two bootstraps. An end is infinite where so many draws are; draws that are NaN do not count."""
    own = [side.boot.ends for side in (base, candidate)]
    stretch = max(one.stretch for one in own if isinstance(one, Percentiles))
    freedom = min(one.freedom for one in own if isinstance(one, Percentiles))
    tails = Percentiles(stretch, freedom).probabilities(base.boot.level)
    lo, hi = np.nanquantile(np.atleast_2d(values.T).T, tails, axis=0, method="inverted_cdf")
    return lo, hi


def slope(recipe: Recipe, law: Law, C: float) -> Array:
    """The exponent c [R] of L_opt - E ~ C^-c at C: over the decade that ends there where it is no power."""
    E = np.atleast_1d(np.asarray(law.as_dict()["E"], dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        above = recipe.track.loss(law, C / np.array([10.0, 1.0])).reshape(len(E), 2) - E[:, None]
        return np.asarray(np.log10(above[:, 0] / above[:, 1]))


def _on_a_line(points: Array, above: Array, target: Array) -> Array:
    near, far = above[:, :1], above[:, 1:]
    return np.asarray(points[0] * (near / target) ** (1 / np.log10(near / far)))


def _between(points: Array, above: Array, target: Array) -> Array:
    logs, wanted = np.log(np.maximum(above, 0.0))[:, ::-1], np.log(target)
    x = np.log(points)[::-1]
    return np.exp(
        [np.interp(t, line, x, right=-np.inf, left=np.inf) for t, line in zip(wanted, logs, strict=True)]
    )
