"""The best learning rate between the rates tried: the minimum of a parabola in ln lr, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.tuning import FLAT, INTERIOR, Sweep

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Optimum:
    """The minimum of L = loss + curvature (ln lr - ln rate)^2, fitted over rates from `span[0]` to `span[1]`.

    `error` is the standard error of ln rate; it and the interval lo to hi are NaN where nothing tells the noise.
    """

    rate: float
    lo: float
    hi: float
    level: float
    error: float
    loss: float
    curvature: float
    span: tuple[float, float]

    @property
    def bounded(self) -> bool:
        """Whether it has an interval."""
        return math.isfinite(self.lo) and math.isfinite(self.hi)


def optimum(sweep: Sweep, level: float = 0.9) -> Optimum | None:
    """The minimum of the least-squares parabola through the runs near the best rate (`Sweep.near`), with the interval
    of Fieller (1954) for its place.

    None where the best rate has not a measured rate on either side, the parabola does not bend upwards (by more than
    its noise, where that is known), or its minimum lies beyond the rates that it was fitted to. A loss is a
    parabola near its minimum alone; what the parabola misses further out shifts the place and widens the interval.
    """
    near = sweep.near()
    if sweep.range not in (INTERIOR, FLAT) or not _between_measured(sweep):
        return None
    lowest, highest = (float(rate) for rate in sweep.rates[near][[0, -1]])
    chosen = np.isin(sweep.rate, sweep.rates[near])
    x, loss = np.log(sweep.rate[chosen] / sweep.best), sweep.loss[chosen]
    design = np.stack([np.ones_like(x), x, x**2], axis=1)
    coefficients = np.linalg.lstsq(design, loss, rcond=None)[0]
    a, b, c = map(float, coefficients)
    if not c > 0 or not math.log(lowest / sweep.best) < -b / (2 * c) < math.log(highest / sweep.best):
        return None
    variance, freedom = _variance(sweep, loss - design @ coefficients)
    lo, hi, error = _fieller(b, c, variance * np.linalg.inv(design.T @ design), freedom, level)
    if freedom and not math.isfinite(lo + hi):
        return None
    rate, lo, hi = (sweep.best * math.exp(place) for place in (-b / (2 * c), lo, hi))
    return Optimum(rate, lo, hi, level, error, a - b**2 / (4 * c), c, (lowest, highest))


def _between_measured(sweep: Sweep) -> bool:
    """Whether the rates on either side of the best were measured without divergence."""
    place = sweep.place
    if not 0 < place < len(sweep.rates) - 1:
        return False
    return bool(np.isfinite(sweep.losses[[place - 1, place + 1]]).all())


def _variance(sweep: Sweep, residual: Array) -> tuple[float, int]:
    """Variance of a run's loss about the parabola with its degrees of freedom; NaN and 0 where it is not known.

    Residuals hold the noise between seeds and what the parabola misses; where no run was repeated, no less than the
    noise of the table's other sweeps is assumed.
    """
    freedom = len(residual) - 3
    about = float((residual**2).sum()) / freedom if freedom else 0.0
    if sweep.repeated[1]:
        return about, freedom
    spread, borrowed = sweep.borrowed
    other = (spread * float(sweep.losses.min())) ** 2
    return (max(about, other), borrowed) if borrowed else (math.nan, 0)


def _fieller(b: float, c: float, covariance: Array, freedom: int, level: float) -> tuple[float, float, float]:
    """Ends of the interval of -b / 2c, and its standard error: where b + 2 c x is within t standard errors of 0.

    Infinite ends where c is within t standard errors of 0; NaN without degrees of freedom.
    """
    from scipy.special import stdtrit

    if not freedom:
        return math.nan, math.nan, math.nan
    t = float(stdtrit(freedom, (1 + level) / 2)) ** 2
    vbb, vbc, vcc = map(float, (covariance[1, 1], covariance[1, 2], covariance[2, 2]))
    x = -b / (2 * c)
    error = math.sqrt(max(vbb + 4 * x * vbc + 4 * x**2 * vcc, 0.0)) / (2 * c)
    square, linear, constant = 4 * (c**2 - t * vcc), 4 * (b * c - t * vbc), b**2 - t * vbb
    if square <= 0:
        return -math.inf, math.inf, error
    root = math.sqrt(max(linear**2 - 4 * square * constant, 0.0))
    return (-linear - root) / (2 * square), (-linear + root) / (2 * square), error
