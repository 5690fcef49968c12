"""Which interval catches the truth as often as it says: percentile intervals calibrated on simulated truths.

An interval of level 90 % is one of a nested family: the central share of the bootstrap replicates, ever wider, and,
where even nearly all of them would not do, that range stretched. For each simulated table there is a smallest member
that catches its truth; the member that is large enough for 90 % of them is the calibrated one (Loh 1987, Journal of
the American Statistical Association 82:155; Beran 1987, Biometrika 74:457, the double bootstrap; Hall 1986, Annals of
Statistics 14:1431, that it gains an order in n).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError

Array = NDArray[np.float64]

LEAST_BELOW = 2
"""Replicates that a percentile must have below it; one further out is the outermost few, and an accident."""


@dataclass(frozen=True)
class Member:
    """One interval of the family: from the `tail` quantile of the replicates to the 1 - `tail` one, each end then
    moved to `stretch` times its distance from their median (1: not moved)."""

    tail: float
    stretch: float = 1.0

    @property
    def size(self) -> float:
        """By which members are ordered: 1 - 2 tail, and above 1 where they are stretched."""
        return 1 - 2 * self.tail if self.stretch == 1 else self.stretch

    def interval(self, values: Array, least: float = -math.inf) -> tuple[float, float]:
        """Its ends for replicates [R], none below `least`.

        A stretch is in logarithms where all replicates are above 0, so that no end falls below it.
        """
        lo, middle, hi = np.quantile(values, [self.tail, 0.5, 1 - self.tail], method="weibull")
        if self.stretch != 1:
            positive = bool((values > 0).all())
            lo, middle, hi = (math.log(v) if positive else float(v) for v in (lo, middle, hi))
            lo, hi = middle - self.stretch * (middle - lo), middle + self.stretch * (hi - middle)
            lo, hi = (math.exp(v) if positive else v for v in (lo, hi))
        return max(float(lo), least), float(hi)


def outermost(replicates: int) -> float:
    """The smallest tail of the family, and the largest interval that is not stretched."""
    return LEAST_BELOW / (replicates + 1)


def smallest(values: Array, truth: float) -> float:
    """The `size` of the smallest member that catches the truth, for replicates [R]: infinite where none does."""
    ordered = np.sort(values)
    tail = _tail(ordered, truth)
    widest = outermost(len(values))
    if tail >= widest:
        return max(1 - 2 * tail, 0.0)
    lo, middle, hi = np.quantile(ordered, [widest, 0.5, 1 - widest], method="weibull")
    if ordered[0] > 0 and truth > 0:
        lo, middle, hi, truth = (math.log(v) for v in (lo, middle, hi, truth))
    reach, away = (hi - middle, truth - middle) if truth > middle else (middle - lo, middle - truth)
    return max(float(away / reach), math.nextafter(1, 2)) if reach > 0 else math.inf


def member(size: float, replicates: int) -> Member:
    """The member of this size of a family over so many replicates."""
    if size > 1:
        return Member(outermost(replicates), size)
    return Member(max((1 - size) / 2, outermost(replicates)))


def calibrated(sizes: Array, level: float) -> float:
    """The size that catches a further truth with at least this probability, from those needed for simulated ones [K].

    It is the ceil((K + 1) level)-th smallest: if the further truth is like the simulated ones, each place among them is
    equally likely (as in conformal prediction). Infinite where K is too few to tell, or too many cannot be caught.
    """
    place = math.ceil((len(sizes) + 1) * level - 1e-9)
    return float(np.sort(sizes)[place - 1]) if place <= len(sizes) else math.inf


def level_of(tail: float, tails: Callable[[float], tuple[float, float]]) -> float:
    """The level at which `tails` (of a bootstrap) has this lower tail, by bisection."""
    lo, hi = 0.0, 1.0
    for _ in range(50):
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if tails(middle)[0] > tail else (lo, middle)
    return (lo + hi) / 2


def share_interval(caught: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a share that was met `caught` times in `of` (Clopper and Pearson 1934, Biometrika 26:404)."""
    from scipy.special import betaincinv

    if not 0 <= caught <= of or of < 1:
        raise InputError(f"{caught} of {of} is no share; count from 0 to all of at least 1")
    tail = (1 - level) / 2
    lo = float(betaincinv(caught, of - caught + 1, tail)) if caught else 0.0
    hi = float(betaincinv(caught + 1, of - caught, 1 - tail)) if caught < of else 1.0
    return lo, hi


def _tail(ordered: Array, truth: float) -> float:
    """The largest tail whose interval catches the truth, 0 where that lies outside all replicates.

    The r-th smallest of R is the quantile r / (R + 1), and between two of them it is interpolated; equal ones (at a
    bound) are caught from either side.
    """
    count = len(ordered)
    below, upto = np.searchsorted(ordered, truth, "left"), np.searchsorted(ordered, truth, "right")
    if upto > below:  # as good as equal to some of them
        up, down = float(upto), float(below) + 1
    elif below in (0, count):
        return 0.0
    else:
        before, after = ordered[below - 1], ordered[below]
        up = down = float(below) + float((truth - before) / (after - before))
    return min(up / (count + 1), 1 - down / (count + 1))
