"""The published way to bootstrap Hoffmann's law: one BFGS run a resample, from the published parameters.

The recipe of Besiroglu et al. 2024 (arXiv 2404.10102), written for this comparison: Huber's loss with delta 1e-3 of log
residuals, summed over rows, the law as a log-sum-exp of (a - alpha log N, b - beta log D, e), scipy's BFGS with its
default tolerances, gradients by autograd. autograd is needed by this file alone; without it the gradient is written
out by hand, which is several times as fast and not what was published.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]
Gradient = Callable[[Array, Array, Array, Array], Array]

DELTA = 1e-3
# a = log A, b = log B, e = log E, alpha, beta as that paper prints them
PUBLISHED = np.array([np.log(482.01), np.log(2085.43), np.log(1.8172), 0.3478, 0.3658])


def objective(p: Array, log_n: Array, log_d: Array, log_loss: Array, xp: object = np) -> Array:
    """Huber's loss summed over rows at p = (a, b, e, alpha, beta); xp is numpy, or autograd's."""
    a, b, e, alpha, beta = p
    size, data = a - alpha * log_n, b - beta * log_d
    highest = xp.maximum(xp.maximum(size, data), e)
    predicted = highest + xp.log(xp.exp(size - highest) + xp.exp(data - highest) + xp.exp(e - highest))
    residual = xp.abs(log_loss - predicted)
    return xp.sum(xp.where(residual <= DELTA, 0.5 * residual**2, DELTA * (residual - 0.5 * DELTA)))


def by_autograd() -> Gradient:
    """The gradient that the published notebook takes."""
    import autograd
    import autograd.numpy as xp

    return autograd.grad(lambda p, *logs: objective(p, *logs, xp=xp))


def by_hand(p: Array, log_n: Array, log_d: Array, log_loss: Array) -> Array:
    """The same gradient written out in NumPy."""
    a, b, e, alpha, beta = p
    terms = np.exp(np.stack([a - alpha * log_n, b - beta * log_d, np.full_like(log_n, e)]))
    predicted = terms.sum(axis=0)
    slope = -np.clip(log_loss - np.log(predicted), -DELTA, DELTA)
    size, data, floor = terms / predicted * slope
    return np.array([size.sum(), data.sum(), floor.sum(), -(size @ log_n), -(data @ log_d)])


def has_autograd() -> bool:
    """Whether the published gradient can be taken here."""
    return find_spec("autograd") is not None


def refit(logs: tuple[Array, Array, Array], rows: NDArray[np.intp], gradient: Gradient) -> Array:
    """Parameters (a, b, e, alpha, beta) of the resample that these row numbers make."""
    resample = tuple(values[rows] for values in logs)
    return np.asarray(minimize(objective, PUBLISHED, args=resample, jac=gradient, method="BFGS").x)
