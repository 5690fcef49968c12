"""Laws in which more than size and data enter: the learning rate's course, or any column of the table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import InputError
from analysis.laws.law import POWER_OF_A_COLUMN, Exponent, Law

Array = NDArray[np.float64]

LARGEST_EFFECT = 3.0


@dataclass(frozen=True)
class Annealing(Law):
    """L = E + A / S1^alpha - B S2 at every step of a run (Tissue et al. 2024, arXiv 2408.11029).

    S1 is the sum of the learning rates so far and S2 the annealing area: what their decay, with momentum, has gained
    (`analysis.annealing` makes both from the steps of curves, and says how). A and B carry units of the learning rate:
    curves of one model size, batch and optimiser are fitted together. The gain is linear in S2 without end, so the law
    breaks where a rate stays decayed for long; S2 must be 0 or more, as it is where a rate falls after its warm-up.
    """

    E: ArrayLike
    A: ArrayLike
    alpha: ArrayLike
    B: ArrayLike

    equation = "E + A / S1^alpha - B S2"
    columns = ("S1", "S2")
    amplitudes = ("E", "A", "B")
    signs = (1, 1, -1)
    signed = ("S2",)
    exponents: ClassVar = {"alpha": POWER_OF_A_COLUMN}

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A / S1^alpha - B S2."""
        (E, A, alpha, B), (S1, S2) = self._outer(columns["S1"], columns["S2"])
        return E + A / S1**alpha - B * S2

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -alpha log S1, log S2); raises InputError where S2 is below 0."""
        S2 = columns["S2"]
        if (S2 < 0).any():
            raise InputError(
                f"S2 is {S2.min()} in a row; it is 0 before the rate decays and grows from there: leave out the rows "
                "of a rate that rises again"
            )
        with np.errstate(divide="ignore"):
            return 0.0, -exponents["alpha"] * np.log(columns["S1"]), np.log(S2)


@dataclass(frozen=True)
class Covariate(Law):
    """L = E + (A / N^alpha + B / D^beta) exp(kappa x): Hoffmann's law, whose reducible part a further column x scales.

    x may be any column of numbers of any sign (`x` names it): a share of code in the mixture, an indicator of another
    recipe (0 or 1, when exp(kappa) is the factor that the recipe puts on the reducible loss), or the logarithm of a
    positive column z, when it is the factor z^kappa. The floor is left alone: a covariate that moves the floor, as
    another corpus does, is not described. E is not determined better than without x, and kappa not at all where x
    goes with N or D. A and B are those at x = 0.
    """

    E: ArrayLike
    A: ArrayLike
    alpha: ArrayLike
    B: ArrayLike
    beta: ArrayLike
    kappa: ArrayLike

    equation = "E + (A / N^alpha + B / D^beta) exp(kappa x)"
    columns = ("N", "D", "x")
    amplitudes = ("E", "A", "B")
    signed = ("x",)
    exponents: ClassVar = {
        "alpha": POWER_OF_A_COLUMN,
        "beta": POWER_OF_A_COLUMN,
        "kappa": Exponent(lo=-LARGEST_EFFECT, hi=LARGEST_EFFECT, count=13, linear=True),
    }
    log_linear = True

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """kappa up to a factor of e^3, about 20, between the least and the greatest x; raises InputError where x is
        the same in every row."""
        x = columns["x"]
        width = float(x.max() - x.min())
        if width == 0:
            raise InputError(
                f"the covariate is {x[0]} in every row; name a column that varies, or fit hoffmann"
            )
        most = LARGEST_EFFECT / width
        return cls.exponents | {"kappa": replace(cls.exponents["kappa"], lo=-most, hi=most)}

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + (A / N^alpha + B / D^beta) exp(kappa x)."""
        (E, A, alpha, B, beta, kappa), (N, D, x) = self._outer(*(columns[name] for name in self.columns))
        return E + (A / N**alpha + B / D**beta) * np.exp(kappa * x)

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -alpha log N + kappa x, -beta log D + kappa x)."""
        factor = exponents["kappa"] * columns["x"]
        of_size, of_data = exponents["alpha"] * np.log(columns["N"]), exponents["beta"] * np.log(columns["D"])
        return 0.0, factor - of_size, factor - of_data
