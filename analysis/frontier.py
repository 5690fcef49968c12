"""The compute-optimal frontier of a law in N and D: the split of a budget C that gives the least loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import InputError
from analysis.laws import Coupled, Covariate, Hoffmann, Kaplan, Law, OverTrained, Tied
from analysis.rows import Rows

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

DECADES = 12.0
"""How far below and above N = sqrt(C / kappa) the best split is sought, where it has no closed form."""
SCANNED, GOLDEN_STEPS = 97, 38
"""Sizes looked at first, and golden sections after that, which leave 1e-8 of a step of a quarter of a decade: a least
loss is flat, so rounding tells no sizes apart that are nearer."""


@dataclass(frozen=True)
class Cost:
    """What a run costs, C = kappa N^rho D: kappa 6 and rho 1 is 6 N D."""

    kappa: float = 6.0
    rho: float = 1.0
    largest_error: float = 0.0
    """Largest relative error of this formula over the rows it was fitted to."""

    def tokens(self, C: ArrayLike, N: ArrayLike) -> Array:
        """Tokens that a budget C buys at size N."""
        return np.asarray(
            np.asarray(C, dtype=np.float64) / (self.kappa * np.asarray(N, dtype=np.float64) ** self.rho)
        )


def two_powers(law: Law) -> tuple[Hoffmann, Array] | None:
    """The sum s = A / N^alpha + B / D^beta and the power g of a law whose reducible loss is s^g, up to a factor that N
    and D do not change: its best split is that of s. None of a law of another form.
    """
    values = {name: np.asarray(value, dtype=np.float64) for name, value in law.as_dict().items()}
    one = np.asarray(1.0)
    if isinstance(law, Hoffmann):
        return law, one
    if isinstance(law, Tied):
        return Hoffmann(law.E, law.A, law.alpha, law.B, law.alpha), one
    if isinstance(law, OverTrained):
        alpha = 2 * values["eta"]
        return Hoffmann(
            law.E, values["a"] / 6 ** values["eta"], alpha, values["b"] / 6 ** values["eta"], alpha
        ), one
    if isinstance(law, Covariate):
        return Hoffmann(law.E, law.A, law.alpha, law.B, law.beta), one
    if isinstance(law, Coupled | Kaplan):
        g = values["g"] if isinstance(law, Coupled) else values["beta"]
        alpha, beta = values["alpha"] / g, values["beta"] / g
        return Hoffmann(0.0 * alpha, law.N1**alpha, alpha, values["D0"] ** beta, beta), g
    return None


@dataclass(frozen=True)
class Frontier:
    """N_opt, D_opt and L_opt at compute C; a law with a leading axis [R] gives results [R, *C.shape].

    Minimising A / N^alpha + B / D^beta at C = kappa N^rho D:

        N_opt^(alpha + rho beta) = alpha A / (rho beta B) (C / kappa)^beta

    (Hoffmann et al. 2022, equation 4, is kappa = 6 and rho = 1). Where A or B is 0 the optimum is at N = 0 or D = 0
    and N_opt is 0 or infinite. For a law that is no function of such a sum, N_opt is found by a search; at a C far
    below the runs the best split of `Shifted`, whose loss is finite at N = 0, can be the search's end. The loss of
    `Farseer` falls again where N is absurd and D next to nothing: the valley amid the sizes is meant, and where there
    is none, as from C of about 10^23 on at its published parameters, N_opt is the search's end and means nothing.

    Columns beside N and D are held at what is `given`, the unique tokens of `DataConstrained` or the x of `Covariate`.
    """

    law: Law
    """A law in N and D, and in the columns that are given."""
    cost: Cost
    given: Mapping[str, float] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        """Whether the best split has a closed form, and the frontier exponents."""
        return two_powers(self.law) is not None

    @property
    def N_exponent(self) -> Array:
        """a in N_opt ~ C^a, beta / (alpha + rho beta)."""
        powers, _g = self._powers
        alpha, beta = np.asarray(powers.alpha), np.asarray(powers.beta)
        return np.asarray(beta / (alpha + self.cost.rho * beta))

    @property
    def D_exponent(self) -> Array:
        """b in D_opt ~ C^b, alpha / (alpha + rho beta)."""
        return np.asarray(1 - self.cost.rho * self.N_exponent)

    @property
    def L_exponent(self) -> Array:
        """c in L_opt - E ~ C^-c, alpha beta / (alpha + rho beta) with the law's own exponents."""
        powers, g = self._powers
        return np.asarray(g * np.asarray(powers.alpha) * self.N_exponent)

    def N_opt(self, C: ArrayLike) -> Array:
        """Parameters of the best model at compute C."""
        C = np.asarray(C, dtype=np.float64)
        if not self.closed:
            return self._searched(C)
        _E, A, alpha, B, beta = _with_axes(self._powers[0], self._trailing(C)).values()
        rho = self.cost.rho
        with np.errstate(divide="ignore", invalid="ignore"):  # without either term no split is best: NaN
            log = np.log(alpha * A) - np.log(rho * beta * B) + beta * np.log(C / self.cost.kappa)
            return np.asarray(np.exp(log / (alpha + rho * beta)))

    def D_opt(self, C: ArrayLike) -> Array:
        """Tokens of the best model at compute C."""
        with np.errstate(divide="ignore"):
            return self.cost.tokens(C, self.N_opt(C))

    def L_opt(self, C: ArrayLike) -> Array:
        """Least loss at compute C, nats per token."""
        C = np.asarray(C, dtype=np.float64)
        return self._loss(C, self.N_opt(C))

    def _loss(self, C: Array, N: Array) -> Array:
        """Loss at compute C spent on models of N parameters, [R, *C.shape] as N."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self._at(N, self.cost.tokens(C, N), self._trailing(C))

    def _trailing(self, C: Array) -> int:
        """How many axes of C follow those of the law."""
        return C.ndim

    def _at(self, N: Array, D: Array, trailing: int) -> Array:
        """Loss of models of N parameters and D tokens; a term of amplitude 0 is 0."""
        if missing := [name for name in self.law.columns if name not in ("N", "D", *self.given)]:
            raise InputError(f"this law takes {missing[0]} beside N and D; give its value to the frontier")
        values = _with_axes(self.law, trailing)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            columns = {"N": N, "D": D}
            columns |= {name: np.asarray(value, dtype=np.float64) for name, value in self.given.items()}
            terms = self.law.log_basis(values, columns)
            amplitudes = (values[name] for name in self.law.amplitudes)
            parts = [
                np.where(c > 0, c * np.exp(term), 0.0) for c, term in zip(amplitudes, terms, strict=True)
            ]
            return np.asarray(sum(parts))

    def _searched(self, C: Array) -> Array:
        """N of least loss: the best valley of a scan over the sizes (its best end where there is none), then golden
        sections around it."""
        middle = 0.5 * np.log(C / self.cost.kappa)
        places = np.linspace(-DECADES, DECADES, SCANNED) * np.log(10)
        losses = np.stack([self._loss(C, np.exp(middle + place)) for place in places])
        valley = (losses[1:-1] <= losses[:-2]) & (losses[1:-1] <= losses[2:])
        inside = np.where(valley, losses[1:-1], np.inf)
        chosen = np.where(valley.any(axis=0), inside.argmin(axis=0) + 1, losses.argmin(axis=0))
        best = middle + places[chosen]
        return self._narrowed(C, best - (places[1] - places[0]), best + (places[1] - places[0]))

    def _narrowed(self, C: Array, lo: Array, hi: Array) -> Array:
        """N of least loss between exp(lo) and exp(hi) by golden sections, of which each asks for one loss more."""
        golden = (np.sqrt(5) - 1) / 2
        left, right = hi - golden * (hi - lo), lo + golden * (hi - lo)
        at_left, at_right = self._loss(C, np.exp(left)), self._loss(C, np.exp(right))
        for _ in range(GOLDEN_STEPS):
            lower = at_left <= at_right
            lo, hi = np.where(lower, lo, left), np.where(lower, right, hi)
            asked = np.where(lower, hi - golden * (hi - lo), lo + golden * (hi - lo))
            found = self._loss(C, np.exp(asked))
            left, right = np.where(lower, asked, right), np.where(lower, left, asked)
            at_left, at_right = np.where(lower, found, at_right), np.where(lower, at_left, found)
        return np.asarray(np.exp((lo + hi) / 2))

    @property
    def _powers(self) -> tuple[Hoffmann, Array]:
        powers = two_powers(self.law)
        if powers is None:
            raise InputError(f"the frontier of {type(self.law).__name__} is no power of C; ask for L_opt(C)")
        return powers

    def as_dict(self) -> dict[str, Any]:
        """The `frontier` entry of fit.json."""
        cost = self.cost
        return {
            "kappa": cost.kappa,
            "rho": cost.rho,
            "largest_error_of_C": cost.largest_error,
            "N_exponent": float(self.N_exponent),
            "D_exponent": float(self.D_exponent),
            "L_exponent": float(self.L_exponent),
        }


@dataclass(frozen=True)
class Paired(Frontier):
    """The frontier of draws [R] of a law, each at computes of its own: C is [R, T], and so is what it gives."""

    def loss(self, N: Array, D: Array) -> Array:
        """Loss [R, T] of models of N parameters and D tokens, both [R, T]; either may be infinite."""
        return self._at(N, D, N.ndim - 1)

    def _trailing(self, C: Array) -> int:
        """The first axis of C is the law's."""
        return C.ndim - 1


def _with_axes(law: Law, axes: int) -> dict[str, Array]:
    """The law's parameters with trailing axes, so that they broadcast against C."""
    values = {name: np.asarray(value, dtype=np.float64) for name, value in law.as_dict().items()}
    return {name: value.reshape(value.shape + (1,) * axes) for name, value in values.items()}


def cost(rows: Rows) -> Cost:
    """What the rows selected cost: `cost_of` their frame."""
    return cost_of(rows.frame)


def cost_of(frame: pd.DataFrame) -> Cost:
    """kappa and rho by least squares of log(C / D) on log N over the rows' own C.

    Exact counts are not 6 N D for small models (attention over the context, the head), so the power of N is fitted;
    rho is 1 where all rows have one N.
    """
    N, D, C = (np.asarray(frame[name], dtype=np.float64) for name in ("N", "D", "C"))
    x, y = np.log(N), np.log(C / D)
    spread = float(np.var(x))
    rho = float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread > 1e-12 else 1.0
    kappa = float(np.exp(y.mean() - rho * x.mean()))
    return Cost(kappa, rho, float(np.abs(kappa * N**rho * D / C - 1).max()))
