"""What a fit minimises: the Huber loss of log residuals, summed over rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LogHuber:
    """sum_i w_i rho(r_i) with r = log L - log Lhat, rho = r^2/2 within delta and delta (|r| - delta/2) beyond.

    Hoffmann et al. 2022, equation 3 and its delta of 1e-3, with the sum of Besiroglu et al. 2024 over rows (a mean
    would be tiny enough to stop an optimiser early). delta is a relative error: one that no residual reaches (1) makes
    the fit least squares, one below every residual makes it least absolute deviations; `linear_share` tells.
    """

    delta: float = 1e-3

    def __post_init__(self) -> None:
        if not (math.isfinite(self.delta) and self.delta > 0):
            raise InputError(f"delta is {self.delta}; it is a relative error and must be above 0, e.g. 0.001")

    def rho(self, residual: Array) -> Array:
        """Loss of each residual."""
        size = np.abs(residual)
        inner = np.minimum(size, self.delta)
        return inner * (size - 0.5 * inner)

    def psi(self, residual: Array) -> Array:
        """First derivative of rho."""
        return np.clip(residual, -self.delta, self.delta)

    def curved(self, residual: Array) -> Array:
        """Second derivative of rho: 1 in the quadratic zone, 0 in the linear zone."""
        return (np.abs(residual) <= self.delta).astype(np.float64)

    def weight(self, residual: Array) -> Array:
        """psi(r) / r: the weights of the least-squares problem that majorises this one at r."""
        return self.delta / np.maximum(np.abs(residual), self.delta)

    def linear_share(self, residual: Array) -> float:
        """Share of residuals in the linear zone, in 0..1."""
        return float(np.mean(np.abs(residual) > self.delta))
