"""Straight lines of a logarithm on the date, many at once: weights [R, n] give the line of every replicate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HUBER = 1.345
"""Residual, in standard deviations, from which on it counts linearly: 95 % efficient where errors are normal."""
STEPS = 30
_NORMAL_MAD = 1.4826


@dataclass(frozen=True)
class Lines:
    """y = level + slope (x - centre), level and slope [R]."""

    centre: float
    level: Array
    slope: Array

    def at(self, x: Array) -> Array:
        """[R, k] at x [k]."""
        return np.asarray(self.level[:, None] + self.slope[:, None] * (x[None, :] - self.centre))


def least_squares(x: Array, y: Array, weights: Array) -> Lines:
    """Weighted least squares, sum w (y - a - b (x - centre))^2; NaN where all weighted x are equal."""
    centre = float(x.mean())
    t = x - centre
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_t, mean_y = weights @ t / total, weights @ y / total
        variance = weights @ t**2 / total - mean_t**2
        slope = (weights @ (t * y) / total - mean_t * mean_y) / np.where(variance > 1e-12, variance, np.nan)
        return Lines(centre, mean_y - slope * mean_t, slope)


def huber(x: Array, y: Array, weights: Array) -> Lines:
    """Huber's M-estimate (1964) with the scale from the median absolute residual, by reweighted least squares.

    Weights count rows: a row of weight 2 is there twice, in the median too.
    """
    lines = least_squares(x, y, weights)
    order_free = weights > 0
    for _ in range(STEPS):
        residual = np.abs(y - lines.at(x))
        scale = _NORMAL_MAD * _weighted_median(np.where(order_free, residual, np.inf), weights)
        bound = HUBER * np.maximum(scale, 1e-12)[:, None]
        reach = np.maximum(residual, 1e-300)
        found = least_squares(x, y, weights * np.minimum(1.0, bound / reach))
        moved = np.nanmax(np.abs(found.slope - lines.slope), initial=0.0)
        lines = found
        if moved < 1e-9:
            break
    return lines


METHODS = {"OLS": least_squares, "Huber": huber}


def _weighted_median(values: Array, weights: Array) -> Array:
    """[R]: the least value of a row [R, n] at which half of its weight is reached."""
    order = np.argsort(values, axis=1)
    reached = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    first = (reached < 0.5 * reached[:, -1:]).sum(axis=1)
    picked = np.take_along_axis(order, np.minimum(first, values.shape[1] - 1)[:, None], axis=1)
    return np.asarray(np.take_along_axis(values, picked, axis=1)[:, 0])
