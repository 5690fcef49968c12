"""The best split of compute where the text is a stock, and repeated tokens are worth less than fresh ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.frontier import DECADES, Cost, Paired
from analysis.laws import Law

Array = NDArray[np.float64]

SPENT = 40.0
"""Repeats, in units of R*_D, after which nothing is left to gain (e^-40)."""
GOLDEN_STEPS = 44
"""Golden sections, which leave 1e-9 of the stretch between the stock and the tokens that compute would ask for."""
NO_REPEATS = 1e-12
"""R*_D in place of 0, which the formula divides by."""

END = 0.3
"""Decades from the end of the search for a split within which its result counts as that end: a step of its scan."""


@dataclass(frozen=True)
class Stocked:
    """Draws [R] of a law in N and D, each with a stock of unique tokens and the repetition value of its own.

    D tokens drawn from a stock U are worth, with r = D / U - 1 repeats (Muennighoff et al. 2023, arXiv 2305.16264; the
    D' of analysis.laws.DataConstrained),

        D' = D up to U,  D' = U + U R (1 - exp(-r / R)) beyond,

    which never passes U (1 + R). The fitted law is taken at D' in place of D. Its N stays what it is: the paper lets
    parameters in excess lose worth too (R*_N), which a fit to runs without repetition says nothing of, and which would
    put the wall higher. So this wall is the lowest that the stock allows.
    """

    law: Law
    cost: Cost
    stock: Array
    """Unique tokens, [R] or [R, T]; infinite where text has no end."""
    repetition: Array
    """R*_D [R]."""

    def times(self, factor: float | Array) -> Stocked:
        """The same with so many times the stock."""
        return replace(self, stock=self.stock * factor)

    @property
    def wall(self) -> Array:
        """Loss [R] of endless compute, N without end on all that the stock is worth, U (1 + R)."""
        stock = self.stock.reshape(len(self.repetition), -1)[:, :1]
        tokens = stock * (1 + self.repetition[:, None])
        return self._free.loss(np.full_like(tokens, np.inf), tokens)[:, 0]

    def fresh(self, C: Array) -> Array:
        """Tokens [R, T] of the best split of C [R, T] where text has no end."""
        return np.nan_to_num(self._free.D_opt(C), nan=0.0, posinf=np.inf)

    def asked_for(self, C: Array, fresh: Array | None = None) -> Array:
        """As `fresh`, which may be given, and 0 where that is but the end of the search for the best split: a law of no
        closed form then has none, and asks for nothing."""
        tokens = self.fresh(C) if fresh is None else fresh
        if self._free.closed:
            return tokens
        with np.errstate(divide="ignore"):
            log_N = (np.log10(C / self.cost.kappa) - np.log10(tokens)) / self.cost.rho
        away = np.abs(log_N - np.log10(C / self.cost.kappa) / 2)
        return np.where(away > DECADES - END, 0.0, tokens)

    def split(self, C: Array, fresh: Array | None = None) -> tuple[Array, Array]:
        """Tokens trained on, repeats among them, and loss, both [R, T], of the best split of C [R, T].

        `fresh` is what the method of this name gives, where it is known already.
        """
        tokens = self.fresh(C) if fresh is None else fresh.copy()
        stock = np.broadcast_to(_column(self.stock), C.shape)
        loss = self._free.L_opt(C)
        rows, columns = np.nonzero(tokens > stock)
        if len(rows):
            best = self._searched(rows, C[rows, columns], stock[rows, columns], tokens[rows, columns])
            tokens[rows, columns], loss[rows, columns] = best
        return tokens, loss

    def _searched(self, rows: NDArray[np.intp], C: Array, U: Array, fresh: Array) -> tuple[Array, Array]:
        """Tokens and loss [k] of draws `rows`: golden sections between the stock and what compute alone would ask for.

        A repeated token is worth less than a fresh one, so the best split buys fewer of them and more parameters.
        """
        law = taken(self.law, rows)
        R = self.repetition[rows]

        def at(log_D: Array) -> Array:
            D = np.exp(log_D)
            N = (C / (self.cost.kappa * D)) ** (1 / self.cost.rho)
            return Paired(law, self.cost).loss(N, worth(D, U, R))

        lo, hi = np.log(U), np.log(np.minimum(fresh, U * (1 + SPENT * np.maximum(R, NO_REPEATS))))
        golden = (np.sqrt(5) - 1) / 2
        left, right = hi - golden * (hi - lo), lo + golden * (hi - lo)
        at_left, at_right = at(left), at(right)
        for _ in range(GOLDEN_STEPS):
            lower = at_left <= at_right
            lo, hi = np.where(lower, lo, left), np.where(lower, right, hi)
            new = np.where(lower, hi - golden * (hi - lo), lo + golden * (hi - lo))
            at_new = at(new)
            left, right = np.where(lower, new, right), np.where(lower, left, new)
            at_left, at_right = np.where(lower, at_new, at_right), np.where(lower, at_left, at_new)
        best = (lo + hi) / 2
        return np.exp(best), at(best)

    @property
    def _free(self) -> Paired:
        return Paired(self.law, self.cost)


def worth(D: Array, U: Array, R: Array) -> Array:
    """Fresh tokens that D tokens from a stock U are worth at R*_D = R."""
    R = np.maximum(R, NO_REPEATS)
    repeats = np.maximum(D / U - 1, 0.0)
    return np.asarray(np.minimum(D, U) - U * R * np.expm1(-repeats / R))


def each(law: Law, **columns: Array) -> Array:
    """Losses [R, T] of draws [R] of a law, each at columns [R, T] of its own."""
    values = {name: np.asarray(value, dtype=np.float64)[:, None] for name, value in law.as_dict().items()}
    with np.errstate(over="ignore", under="ignore"):
        terms = law.log_basis(values, columns)
        amplitudes = [values[name] for name in law.amplitudes]
        parts = [s * c * np.exp(term) for s, c, term in zip(law.sign(), amplitudes, terms, strict=True)]
    return np.asarray(sum(parts[1:], np.broadcast_to(parts[0], next(iter(columns.values())).shape)))


def taken(law: Law, rows: NDArray[np.intp]) -> Law:
    """Draws of a law by their numbers."""
    return type(law)(**{name: np.asarray(value)[rows] for name, value in law.as_dict().items()})


def _column(values: Array) -> Array:
    return values if values.ndim == 2 else values[:, None]
