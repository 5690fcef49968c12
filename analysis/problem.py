"""One law to be fitted to one set of rows: what the search and the polish are given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.laws import Exponent, Law
from analysis.objective import LogHuber

Array = NDArray[np.float64]

STEP = 1e-4
"""Of the differences by which slopes are taken: absolute where they are constant, else a share of the exponent."""


@dataclass(frozen=True)
class Problem:
    """A law, the columns it takes [n], the losses [n] and the objective; everything float64."""

    law: type[Law]
    columns: dict[str, Array]
    loss: Array
    objective: LogHuber

    def __post_init__(self) -> None:
        arrays = {**self.columns, "L": self.loss}
        for name, values in arrays.items():
            if values.dtype != np.float64:
                raise InputError(
                    f"column {name} is {values.dtype}; fits are made in float64 only, convert it"
                )
            if not (np.isfinite(values).all() and (values > 0).all()):
                raise InputError(
                    f"column {name} holds a value that is not finite or not above 0; exclude its row"
                )
        if len(self.loss) < len(self.law.parameters()):
            raise InputError(
                f"{len(self.loss)} rows for the {len(self.law.parameters())} parameters of this law; "
                "add runs or fit a law with fewer parameters"
            )

    @cached_property
    def exponents(self) -> dict[str, Exponent]:
        """The law's exponents and other shape parameters, with their ranges for these columns."""
        return self.law.ranges(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters in the fitter's order: amplitudes, then exponents."""
        return (*self.law.amplitudes, *self.law.exponents)

    @property
    def terms(self) -> int:
        """Number of amplitudes."""
        return len(self.law.amplitudes)

    @property
    def lower(self) -> Array:
        """Lower bounds in the fitter's order."""
        return np.array([0.0] * self.terms + [e.lo for e in self.exponents.values()])

    @property
    def upper(self) -> Array:
        """Upper bounds in the fitter's order."""
        return np.array([np.inf] * self.terms + [e.hi for e in self.exponents.values()])

    def log_basis(self, theta: Array) -> Array:
        """log phi_k at exponents theta [M, r], as [K, r, n]."""
        if self.law.log_linear:
            return np.matmul(theta.T, self._constant_slopes)
        return self._law_log_basis(theta)

    def slopes(self, theta: Array) -> Array:
        """d log phi_k / d theta_m at theta [M, r], as [K, M, r, n], or [K, M, 1, n] where theta does not matter.

        Central differences: exact up to rounding (1e-12) for powers, to 1e-8 for other smooth functions.
        """
        if self.law.log_linear:
            return self._constant_slopes[:, :, None]
        return self._differences(theta, STEP * theta)

    @cached_property
    def couplings(self) -> list[tuple[int, int]]:
        """Pairs (k, m) in which the basis function k depends on the exponent m."""
        middle = np.sqrt(self.lower[self.terms :] * self.upper[self.terms :])[:, None]
        depends = np.any(self.slopes(middle) != 0, axis=(2, 3))
        return [(int(k), int(m)) for k, m in np.argwhere(depends)]

    @cached_property
    def log_loss(self) -> Array:
        """log L, [n]."""
        return np.log(self.loss)

    @cached_property
    def _constant_slopes(self) -> Array:
        theta = self.lower[self.terms :, None]
        return self._differences(theta, np.full_like(theta, STEP))[:, :, 0]

    def _law_log_basis(self, theta: Array) -> Array:
        exponents = {name: value[:, None] for name, value in zip(self.law.exponents, theta, strict=True)}
        shape = (theta.shape[1], len(self.loss))
        return np.stack([np.broadcast_to(t, shape) for t in self.law.log_basis(exponents, self.columns)])

    def _differences(self, theta: Array, step: Array) -> Array:
        shifts = np.eye(len(theta))[:, :, None] * step
        pairs = [(self._law_log_basis(theta + s), self._law_log_basis(theta - s)) for s in shifts]
        slopes = [(above - below) / (2 * h)[:, None] for (above, below), h in zip(pairs, step, strict=True)]
        return np.stack(slopes, axis=1)

    def residual(self, parameters: Array) -> Array:
        """log L - log Lhat [r, n] at parameters [P, r] in the fitter's order."""
        basis = self.log_basis(parameters[self.terms :])
        prediction = sum(c[:, None] * np.exp(term) for c, term in zip(parameters, basis, strict=False))
        return self.log_loss - np.log(prediction)
