"""Laws of loss where models are trained far beyond the best split of compute, or on data that repeats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws.law import COARSE_POWER, POWER_OF_A_COLUMN, Exponent, Law

Array = NDArray[np.float64]

SIX = float(np.log(6.0))
HALF_LIVES = Exponent(lo=0.1, hi=1e3, count=6)


@dataclass(frozen=True)
class OverTrained(Law):
    """L = E + (a M^eta + b M^-eta) C^-eta with M = D / N tokens a parameter and C = 6 N D (Gadre et al. 2024, arXiv
    2403.08540): at every M the reducible loss falls with C by one exponent.

    It is `Tied` in other words, E + a 6^-eta N^(-2 eta) + b 6^-eta D^(-2 eta), so it breaks where the exponents of N
    and D differ. The authors' program writes a' N^e + b 6^(e/2) (M N)^e, with e = -2 eta and a' = a 6^-eta (`coded`).
    """

    E: ArrayLike
    a: ArrayLike
    b: ArrayLike
    eta: ArrayLike

    equation = "E + (a (D / N)^eta + b (N / D)^eta) / (6 N D)^eta"
    columns = ("N", "D")
    amplitudes = ("E", "a", "b")
    exponents: ClassVar = {
        "eta": replace(POWER_OF_A_COLUMN, lo=POWER_OF_A_COLUMN.lo / 2, hi=POWER_OF_A_COLUMN.hi / 2)
    }
    log_linear = True

    @classmethod
    def coded(cls, E: ArrayLike, a: ArrayLike, b: ArrayLike, e: ArrayLike) -> OverTrained:
        """The law of the parameters of the authors' program, in which e is below 0."""
        eta = -np.asarray(e, dtype=np.float64) / 2
        return cls(E, np.asarray(a) * 6**eta, b, eta)

    def as_coded(self) -> dict[str, Array]:
        """The parameters of the authors' program by name."""
        eta = np.asarray(self.eta, dtype=np.float64)
        return {
            "E": np.asarray(self.E),
            "a": np.asarray(self.a) * 6**-eta,
            "b": np.asarray(self.b),
            "e": -2 * eta,
        }

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + (a M^eta + b M^-eta) C^-eta."""
        (E, a, b, eta), (N, D) = self._outer(columns["N"], columns["D"])
        M, C = D / N, 6 * N * D
        return E + (a * M**eta + b * M**-eta) * C**-eta

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -eta (log 6 + 2 log N), -eta (log 6 + 2 log D))."""
        eta = exponents["eta"]
        return 0.0, -eta * (SIX + 2 * np.log(columns["N"])), -eta * (SIX + 2 * np.log(columns["D"]))


@dataclass(frozen=True)
class DataConstrained(Law):
    """L = E + A / N'^alpha + B / D'^alpha with the worth N' of the parameters and D' of the tokens, where tokens repeat
    (Muennighoff et al. 2023, arXiv 2305.16264):

        D' = U + U R_D (1 - exp(-r_D / R_D)),  r_D = D / U - 1,  U = min(D, D_unique)
        N' = V + V R_N (1 - exp(-r_N / R_N)),  r_N = N / V - 1,  V = min(N, N_opt(U))

    N_opt(U) = (A / B)^(1/alpha) U is the size for which U tokens are the best split of compute at C = 6 N D, and R_D
    and R_N are how many repeats, and how many times V in excess, the half-life of their worth amounts to. A and B
    enter N_opt, so the law is written in N0 = N_opt(10^9 tokens), the size that a billion fresh tokens suit:

        L = E + B ((N0 / 10^9)^alpha / N'^alpha + 1 / D'^alpha),  A = B (N0 / 10^9)^alpha

    `published` makes it from the authors' ln A, ln B, ln E; `A` gives A back. Where no run repeats tokens R_D is
    free, and where no model is larger than its unique tokens suit R_N is; alpha is one exponent for both, as theirs.
    """

    E: ArrayLike
    B: ArrayLike
    N0: ArrayLike
    alpha: ArrayLike
    R_D: ArrayLike
    R_N: ArrayLike

    D1: ClassVar[float] = 1e9
    equation = "E + B ((N0 / 1e9)^alpha / N'^alpha + 1 / D'^alpha), N' and D' worth N and D at R_N and R_D"
    columns = ("N", "D", "D_unique")
    amplitudes = ("E", "B")
    exponents: ClassVar = {
        "N0": Exponent(lo=1e2, hi=1e14, count=9),
        "alpha": COARSE_POWER,
        "R_D": HALF_LIVES,
        "R_N": HALF_LIVES,
    }

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """N0 within three decades of the size that the runs gave to a billion unique tokens."""
        N, D = (float(np.exp(np.log(columns[name]).mean())) for name in ("N", "D_unique"))
        middle = cls.D1 * N / D
        return cls.exponents | {"N0": replace(cls.exponents["N0"], lo=middle / 1e3, hi=middle * 1e3)}

    @classmethod
    def published(
        cls,
        log_E: ArrayLike,
        log_A: ArrayLike,
        log_B: ArrayLike,
        alpha: ArrayLike,
        R_D: ArrayLike,
        R_N: ArrayLike,
    ) -> DataConstrained:
        """The law of the authors' parameters, natural logarithms of E, A and B."""
        ratio = np.exp((np.asarray(log_A) - np.asarray(log_B)) / np.asarray(alpha))
        return cls(np.exp(log_E), np.exp(log_B), cls.D1 * ratio, alpha, R_D, R_N)

    @property
    def A(self) -> Array:
        """B (N0 / 10^9)^alpha."""
        N0, alpha = np.asarray(self.N0, dtype=np.float64), np.asarray(self.alpha)
        return np.asarray(self.B * (N0 / self.D1) ** alpha)

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + B ((N0 / 10^9)^alpha / N'^alpha + 1 / D'^alpha)."""
        (E, B, N0, alpha, R_D, R_N), (N, D, unique) = self._outer(*(columns[name] for name in self.columns))
        used = np.minimum(D, unique)
        sizes, tokens = _worth(N, np.minimum(N, N0 / self.D1 * used), R_N), _worth(D, used, R_D)
        return E + B * ((N0 / self.D1) ** alpha / sizes**alpha + 1 / tokens**alpha)

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, log((N0 / 10^9)^alpha / N'^alpha + 1 / D'^alpha))."""
        N0, alpha, R_D, R_N = (exponents[name] for name in DataConstrained.exponents)
        N, D, unique = (columns[name] for name in DataConstrained.columns)
        used, ratio = np.minimum(D, unique), N0 / DataConstrained.D1
        sizes, tokens = _worth(N, np.minimum(N, ratio * used), R_N), _worth(D, used, R_D)
        return 0.0, np.logaddexp(alpha * np.log(ratio / sizes), -alpha * np.log(tokens))


def _worth(amount: Array, fresh: Array, half_life: Array) -> Array:
    """fresh (1 + R (1 - exp(-r / R))) with r = amount / fresh - 1 repeats."""
    worth: Array = fresh * (1 - half_life * np.expm1((1 - amount / fresh) / half_life))
    return worth
