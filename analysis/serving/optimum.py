"""The split of least cost over a model's life: N and D that reach a loss when tokens are to be served as well.

    minimise  kappa N^rho D + price kappa / 3 N^rho T   over N and D with L(N, D) = loss

(Sardana et al. 2024, arXiv 2401.00448, whose 6 N D + 2 N T is kappa = 6, rho = 1 and price = 1: a token served is a
forward pass, a third of one that is trained on). T are the tokens served, in and out.

With s = A / N^alpha + B / D^beta the reducible loss and u = A / N^alpha / s the part of it that is due to size, let
z = log(u / (1 - u)). Then N = (A / (s u))^(1/alpha), D = (B (1 + e^z) / s)^(1/beta), and the cost is least where

    z = log(rho beta / alpha) + log(1 + price T / (3 D(z))).

The left side grows with z and the right side falls, so there is one root, above that of T = 0, which is the
training-optimal split of Hoffmann et al. 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.frontier import Cost, two_powers
from analysis.laws import Coupled, Kaplan, Law

Array = NDArray[np.float64]

HALVINGS = 100
"""Of the interval that holds the root: it is then as exact as its two ends can differ."""


@dataclass(frozen=True)
class Serving:
    """What is to be served, and what a token served costs."""

    tokens: float
    """Tokens served over the model's life, T."""
    price: float = 1.0
    """What a FLOP of inference costs, in FLOPs of training: above 1 where serving uses the machines less well."""

    @property
    def trained(self) -> float:
        """Tokens whose training costs as much as the serving: price T / 3."""
        return self.price * self.tokens / 3

    def __post_init__(self) -> None:
        for name, value, least in (("tokens", self.tokens, "0 or more"), ("price", self.price, "above 0")):
            if not np.isfinite(value) or value < 0 or (name == "price" and value == 0):
                raise InputError(f"{name} is {value}; it must be finite and {least}")


@dataclass(frozen=True)
class Split:
    """Models that reach a loss: parameters, training tokens, and the FLOPs of training and of serving (in training
    FLOPs), each of the law's shape [R]. NaN where the loss lies at or below the floor or a term is absent."""

    N: Array
    D: Array
    training: Array
    serving: Array

    @property
    def total(self) -> Array:
        """Training and serving together."""
        return np.asarray(self.training + self.serving)


def cheapest(
    law: Law, cost: Cost, loss: float | Array, serving: Serving, served_as: Serving | None = None
) -> Split:
    """The split of least cost at a loss, a number or [R]; raises InputError of a law whose split has no closed form.

    With `served_as` the split is that for `serving`, and its cost is told for serving that instead: the
    training-optimal model, `Serving(0)`, has to serve the same tokens as any other.
    """
    powers = two_powers(law)
    if powers is None or set(law.columns) != {"N", "D"}:
        raise InputError(
            f"{type(law).__name__} has no sum of powers of N and D, which the cheapest model to serve is found from; "
            "use --law hoffmann, tied or coupled"
        )
    sums, g = powers
    floor = np.asarray(law.as_dict().get("E", 0.0), dtype=np.float64)
    A, alpha, B, beta = (
        np.asarray(getattr(sums, name), dtype=np.float64) for name in ("A", "alpha", "B", "beta")
    )
    factor = _factor(law)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        s = np.where(loss > floor, (loss - floor) / factor, np.nan) ** (1 / g)
        start = np.log(cost.rho * beta / alpha)

        def tokens(z: Array) -> Array:
            return np.asarray((B * (1 + np.exp(z)) / s) ** (1 / beta))

        z = _root(
            start, lambda z: start + np.log1p(serving.trained / tokens(z)), serving.trained / tokens(start)
        )
        N, D = (A * (1 + np.exp(-z)) / s) ** (1 / alpha), tokens(z)
        found = (A > 0) & (B > 0) & np.isfinite(N) & np.isfinite(D)
        N, D = np.where(found, N, np.nan), np.where(found, D, np.nan)
        flops = cost.kappa * N**cost.rho
    return Split(N, D, np.asarray(flops * D), np.asarray(flops * (served_as or serving).trained))


def _root(start: Array, right: Callable[[Array], Array], reach: Array) -> Array:
    """Where z = right(z), which falls from right(start) >= start."""
    lo, hi = np.array(start, dtype=np.float64), start + np.log1p(reach)
    for _ in range(HALVINGS):
        middle = (lo + hi) / 2
        above = middle >= right(middle)
        lo, hi = np.where(above, lo, middle), np.where(above, middle, hi)
    return np.asarray((lo + hi) / 2)


def _factor(law: Law) -> Array:
    """What the reducible loss is over the power of the sum: A of a law whose sum is inside a power."""
    return np.asarray(law.A if isinstance(law, Coupled | Kaplan) else 1.0, dtype=np.float64)
