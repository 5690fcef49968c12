"""One law to be fitted to one set of rows: what the search and the polish are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.laws import Exponent, Law
from analysis.objective import Objective

Array = NDArray[np.float64]

STEP = 1e-4
"""Of the differences by which slopes are taken: absolute where they are constant, else a share of the exponent, or of
the range of one that may be 0."""
SAMPLE = 4096
"""Rows that stand for all where they are scanned and centred: at least this many are never thinned."""


@dataclass(frozen=True)
class Problem:
    """A law, the columns it takes [n], the target [n] (losses, mostly) and the objective; everything float64."""

    law: type[Law]
    columns: dict[str, Array]
    target: Array
    objective: Objective

    def __post_init__(self) -> None:
        if missing := [name for name in self.law.columns if name not in self.columns]:
            raise InputError(
                f"this law takes the columns {', '.join(self.law.columns)}; {missing[0]} is missing"
            )
        for name, values in {**self.columns, self.law.target: self.target}.items():
            _check(name, values, self._signed(name))
        if len(self.target) < len(self.law.parameters()):
            raise InputError(
                f"{len(self.target)} rows for the {len(self.law.parameters())} parameters of this law; "
                "add runs or fit a law with fewer parameters"
            )

    def _signed(self, name: str) -> bool:
        """Whether a column may be 0 or below."""
        return self.objective.raw if name == self.law.target else name in self.law.signed

    @cached_property
    def sample(self) -> Problem:
        """The same with at most `SAMPLE` of the rows, every so many in the order of the columns; itself where there
        are no more."""
        chosen = self.sampled
        return self if len(chosen) == len(self.target) else self.part(chosen)

    @cached_property
    def sampled(self) -> NDArray[np.intp]:
        """The rows of the sample, in ascending order."""
        n = len(self.target)
        if n <= SAMPLE:
            return np.arange(n)
        order = np.lexsort([*self.columns.values(), self.target])
        return np.sort(order[np.linspace(0, n - 1, SAMPLE).astype(np.intp)])

    def part(self, rows: NDArray[np.intp] | slice) -> Problem:
        """The same of some of the rows; ranges that move with the columns stay those of all of them."""
        found = replace(
            self,
            columns={name: values[rows] for name, values in self.columns.items()},
            target=self.target[rows],
        )
        found.__dict__.update(exponents=self.exponents, couplings=self.couplings)
        return found

    @property
    def size(self) -> int:
        """Number of rows, n."""
        return len(self.target)

    def parts(self, rows: int) -> Iterator[tuple[slice, Problem]]:
        """The problem cut into parts of so many rows."""
        for first in range(0, self.size, rows):
            piece = slice(first, first + rows)
            yield piece, self.part(piece)

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
        """log phi_k at exponents theta [M, r], as [K, r, n]; -inf where a phi_k is 0."""
        if self.law.log_linear:
            return np.matmul(theta.T, self._constant_slopes)
        return self._law_log_basis(theta)

    def slopes(self, theta: Array) -> Array:
        """d log phi_k / d theta_m at theta [M, r], as [K, M, r, n], or [K, M, 1, n] where theta does not matter.

        Central differences: exact up to rounding (1e-12) for powers, to 1e-8 for other smooth functions.
        """
        if self.law.log_linear:
            return self._constant_slopes[:, :, None]
        return self._differences(theta, self._steps(theta))

    @cached_property
    def couplings(self) -> list[tuple[int, int]]:
        """Pairs (k, m) in which the basis function k depends on the exponent m."""
        middle = np.array([float(e.at(0.47)) for e in self.exponents.values()])[:, None]
        few = {name: values[self.sampled] for name, values in self.columns.items()}
        slopes = replace(self, columns=few, target=self.target[self.sampled]).slopes(middle)
        return [(int(k), int(m)) for k, m in np.argwhere(np.any(slopes != 0, axis=(2, 3)))]

    @cached_property
    def aim(self) -> Array:
        """What a prediction is compared with: log y, or y under a raw objective, [n]."""
        return self.target if self.objective.raw else np.log(self.target)

    @cached_property
    def unit(self) -> float:
        """The square of what a residual is measured in: 1 under logarithms, else the mean square of y."""
        return float(np.mean(self.target**2)) if self.objective.raw else 1.0

    def residual_of(self, prediction: Array, targets: Array | None = None) -> Array:
        """Residuals [..., n] of predictions, from other targets [..., n] where they are given; NaN where a logarithm of
        one below 0 would be taken."""
        aim = self.aim if targets is None else targets if self.objective.raw else np.log(targets)
        return aim - (prediction if self.objective.raw else np.log(prediction))

    @cached_property
    def _constant_slopes(self) -> Array:
        theta = self.lower[self.terms :, None]
        return self._differences(theta, np.full_like(theta, STEP))[:, :, 0]

    def _steps(self, theta: Array) -> Array:
        widths = [
            np.full(theta.shape[1], e.hi - e.lo) if e.linear else at
            for e, at in zip(self.exponents.values(), theta, strict=True)
        ]
        return STEP * np.stack(widths) if widths else np.empty_like(theta)

    def _law_log_basis(self, theta: Array) -> Array:
        exponents = {name: value[:, None] for name, value in zip(self.law.exponents, theta, strict=True)}
        shape = (theta.shape[1], len(self.target))
        return np.stack([np.broadcast_to(t, shape) for t in self.law.log_basis(exponents, self.columns)])

    def _differences(self, theta: Array, step: Array) -> Array:
        shifts = np.eye(len(theta))[:, :, None] * step
        found = np.zeros((self.terms, len(theta), theta.shape[1], len(self.target)))
        for m, (shift, h) in enumerate(zip(shifts, step, strict=True)):
            above, below = self._law_log_basis(theta + shift), self._law_log_basis(theta - shift)
            present = np.isfinite(above) & np.isfinite(below)
            np.subtract(above, below, out=found[:, m], where=present)
            found[:, m] /= (2 * h)[:, None]
        return found

    def predict(self, parameters: Array) -> Array:
        """The law [r, n] at parameters [P, r] in the fitter's order."""
        basis = self.log_basis(parameters[self.terms :])
        signed = parameters[: self.terms] * self.law.sign()[:, None]
        return np.asarray(sum(c[:, None] * np.exp(term) for c, term in zip(signed, basis, strict=True)))

    def residual(self, parameters: Array) -> Array:
        """Residuals of the objective [r, n] at parameters [P, r] in the fitter's order: log y - log yhat, or y - yhat
        under a raw one."""
        return self.residual_of(self.predict(parameters))


def _check(name: str, values: Array, signed: bool) -> None:
    if values.dtype != np.float64:
        raise InputError(f"column {name} is {values.dtype}; fits are made in float64 only, convert it")
    if not np.isfinite(values).all():
        raise InputError(f"column {name} holds a value that is not finite; exclude its row")
    if not (signed or (values > 0).all()):
        raise InputError(f"column {name} holds a value that is not finite or not above 0; exclude its row")
