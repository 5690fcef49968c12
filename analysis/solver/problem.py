"""One law to be fitted to one set of rows: what the search and the polish are given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.laws import Exponent, Law
from analysis.laws.derivatives import DERIVATIVES
from analysis.solver.objective import Objective
from analysis.solver.shapes import Shapes, differenced, finite, slopes

Array = NDArray[np.float64]

STEP = 1e-5
"""Of the differences by which derivatives are taken: a share of the exponent, or of the range of one that may be 0."""
SAMPLE = 4096
"""Rows that stand for all where they are scanned and centred: at least this many are never thinned."""
PIECE = 2**16
"""Rows that are worked on at once: what a core's cache holds."""


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
        if self.law.log_linear:
            found.__dict__.update(mean_slopes=self.mean_slopes)
        return found

    @property
    def size(self) -> int:
        """Number of rows, n."""
        return len(self.target)

    @cached_property
    def pieces(self) -> tuple[tuple[slice, Problem], ...]:
        """The problem cut into parts of `PIECE` rows, with the slices that they are."""
        slices = [slice(first, first + PIECE) for first in range(0, self.size, PIECE)]
        return tuple((rows, self.part(rows)) for rows in slices)

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
        shape = (theta.shape[1], self.size)
        return np.stack([np.broadcast_to(term, shape) for term in self._terms(theta)])

    def shapes(self, inside: Array) -> Shapes:
        """log phi_k at exponents `inside` [M, r], with first and second derivatives in those."""
        if self.law.log_linear:
            constant = {(k, m): self._constant_slopes[k, m][None] for k, m in self.couplings}
            return Shapes(self.log_basis(inside), constant, {})
        if self.law in DERIVATIVES:
            return self._exact_shapes(inside)
        return differenced(self._terms_inside, inside, self._steps(inside), self.couplings, self.size)

    def _exact_shapes(self, inside: Array) -> Shapes:
        """As `shapes`, of a law with derivatives of its own; in a logarithm, d / d log a is a d / d a."""
        theta = self.outside(inside)
        names, shape = list(self.law.exponents), (inside.shape[1], self.size)
        exponents = {name: value[:, None] for name, value in zip(names, theta, strict=True)}
        found = DERIVATIVES[self.law](exponents, self.columns)
        scale = {name: exponents[name] if self._by_log(name) else 1.0 for name in names}
        first = {(k, names.index(a)): scale[a] * value for (k, a), value in found.slopes.items()}
        second = {
            (k, names.index(a), names.index(b)): scale[a] * scale[b] * value
            + (first[k, names.index(a)] if a == b and self._by_log(a) else 0.0)
            for (k, a, b), value in found.bends.items()
        }
        return Shapes(
            self.log_basis(theta),
            {key: finite(value, shape) for key, value in first.items()},
            {key: finite(value, shape) for key, value in second.items()},
        )

    def _by_log(self, name: str) -> bool:
        """Whether the descent takes the logarithm of an exponent."""
        exponent = self.exponents[name]
        return not (self.law.log_linear or exponent.linear or exponent.nested)

    @cached_property
    def couplings(self) -> list[tuple[int, int]]:
        """Pairs (k, m) in which the basis function k depends on the exponent m."""
        few = self
        if self.size > SAMPLE:
            columns = {name: values[self.sampled] for name, values in self.columns.items()}
            few = replace(self, columns=columns, target=self.target[self.sampled])
        if self.law.log_linear:
            moved = np.any(few._constant_slopes != 0, axis=2)
        else:  # at several places, as a term may be idle at one of them
            theta = np.array([e.at([0.23, 0.47, 0.71]) for e in self.exponents.values()])
            inside = self.inside(theta)
            found = slopes(few._terms_inside, inside, self._steps(inside), few.size)
            moved = np.any(found != 0, axis=(2, 3))
        return [(int(k), int(m)) for k, m in np.argwhere(moved)]

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
    def mean_slopes(self) -> Array:
        """Means over the rows (of the sample) of d log phi_k / d theta_m, [K, M], of a law of powers."""
        chosen = self._constant_slopes if self.size <= SAMPLE else self._constant_slopes[..., self.sampled]
        return np.asarray(chosen.mean(axis=2))

    @cached_property
    def _constant_slopes(self) -> Array:
        """d log phi_k / d theta_m [K, M, n] of a law of powers."""
        theta = self.lower[self.terms :, None]
        return slopes(self._terms, theta, np.full_like(theta, 0.01), self.size)[:, :, 0]

    def inside(self, theta: Array) -> Array:
        """Exponents [M, r] as the descent takes them: of a law of powers as they are, else the logarithms of those with
        a grid even in the logarithm, along which a scale of size moves by decades."""
        if self.law.log_linear:
            return theta
        pairs = zip(self.exponents.values(), theta, strict=True)
        return np.array([value if e.linear or e.nested else np.log(value) for e, value in pairs])

    def outside(self, inside: Array) -> Array:
        """The inverse of `inside`."""
        if self.law.log_linear:
            return inside
        pairs = zip(self.exponents.values(), inside, strict=True)
        return np.array([value if e.linear or e.nested else np.exp(value) for e, value in pairs])

    def _steps(self, inside: Array) -> Array:
        widths = [
            np.full_like(value, e.hi - e.lo) if e.linear else value if e.nested else np.ones_like(value)
            for e, value in zip(self.exponents.values(), inside, strict=True)
        ]
        return STEP * np.array(widths)

    def _terms_inside(self, inside: Array) -> tuple[Array, ...]:
        return self._terms(self.outside(inside))

    def _terms(self, theta: Array) -> tuple[Array, ...]:
        """As the law states them: each broadcasts to [r, n]."""
        exponents = {name: value[:, None] for name, value in zip(self.law.exponents, theta, strict=True)}
        return tuple(np.asarray(term) for term in self.law.log_basis(exponents, self.columns))

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
