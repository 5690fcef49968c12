"""Laws without a floor: the loss they give at endless scale is 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws.law import POWER_OF_A_COLUMN, Exponent, Law
from analysis.laws.size_and_data import Coupled, even_tokens

Array = NDArray[np.float64]

LARGEST = 150.0
"""Logarithm of the largest term that a law of exponentials of powers gives the fitter: a fit's products of such numbers
would leave float64."""


@dataclass(frozen=True)
class PurePower(Law):
    """L = A / x^alpha in any one column x: Kaplan et al. 2020 (arXiv 2001.08361), equations 1.1 to 1.3, with
    A = x_c^alpha.

    It cannot hold to the end, since no language is predicted without loss; with a floor in the truth its local
    exponent falls with x and its extrapolation lies too low.
    """

    A: ArrayLike
    alpha: ArrayLike

    equation = "A / x^alpha"
    columns = ("x",)
    amplitudes = ("A",)
    exponents: ClassVar = {"alpha": POWER_OF_A_COLUMN}
    floor = None
    log_linear = True

    def __call__(self, **columns: ArrayLike) -> Array:
        """A / x^alpha."""
        (A, alpha), (x,) = self._outer(columns["x"])
        return A / x**alpha

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(-alpha log x,)."""
        return (-exponents["alpha"] * np.log(columns["x"]),)


@dataclass(frozen=True)
class Kaplan(Law):
    """L = ((N_c / N)^(alpha/beta) + D_c / D)^beta (Kaplan et al. 2020, arXiv 2001.08361, equation 1.5).

    As `Coupled` it is written A ((N1 / N)^(alpha/beta) + D0 / D)^beta with N1 = 10^6 parameters: A is the loss of a
    model of N1 parameters on endless data, A = (N_c / N1)^alpha, and D0 the tokens at which such a model loses as much
    to either, D0 = D_c (N1 / N_c)^(alpha/beta). `published` makes it from N_c and D_c; `N_c` and `D_c` give them back.
    The paper's N leaves embeddings out. It has no floor: where the truth has one it extrapolates too low.
    """

    A: ArrayLike
    alpha: ArrayLike
    D0: ArrayLike
    beta: ArrayLike

    N1: ClassVar[float] = Coupled.N1
    equation = "A ((1e6 / N)^(alpha/beta) + D0 / D)^beta"
    columns = ("N", "D")
    amplitudes = ("A",)
    exponents: ClassVar = {
        "alpha": POWER_OF_A_COLUMN,
        "D0": Coupled.exponents["D0"],
        "beta": POWER_OF_A_COLUMN,
    }
    floor = None

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """D0 as for `Coupled`."""
        return cls.exponents | {"D0": even_tokens(cls.exponents["D0"], columns, cls.N1)}

    @classmethod
    def published(cls, N_c: ArrayLike, D_c: ArrayLike, alpha: ArrayLike, beta: ArrayLike) -> Kaplan:
        """The law of the paper's constants; alpha and beta are its alpha_N and alpha_D."""
        ratio = np.asarray(N_c, dtype=np.float64) / cls.N1
        D0 = np.asarray(D_c) * ratio ** (-np.asarray(alpha) / np.asarray(beta))
        return cls(ratio ** np.asarray(alpha), alpha, D0, beta)

    @property
    def N_c(self) -> Array:
        """Parameters at which endless data leave a loss of 1 nat."""
        return np.asarray(self.N1 * np.asarray(self.A, dtype=np.float64) ** (1 / np.asarray(self.alpha)))

    @property
    def D_c(self) -> Array:
        """Tokens at which an endless model has a loss of 1 nat."""
        return np.asarray(self.D0 * (self.N_c / self.N1) ** (np.asarray(self.alpha) / np.asarray(self.beta)))

    def __call__(self, **columns: ArrayLike) -> Array:
        """A ((N1 / N)^(alpha/beta) + D0 / D)^beta."""
        (A, alpha, D0, beta), (N, D) = self._outer(columns["N"], columns["D"])
        return A * ((self.N1 / N) ** (alpha / beta) + D0 / D) ** beta

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(beta log((N1 / N)^(alpha/beta) + D0 / D),)."""
        return (Coupled.log_basis(exponents | {"g": exponents["beta"]}, columns)[1],)


@dataclass(frozen=True)
class Farseer(Law):
    """L = exp(a3 N^gamma + b3) + exp(a2 N^-beta + b2) / D^exp(a1 N^alpha + b1) (Li et al. 2025, arXiv 2506.10972).

    Written about N1 = 10^6 parameters, with n = N / N1,

        L = E1 exp(-u (n^gamma - 1)) + B1 exp(v (n^-beta - 1)) / D^(p exp(-w (n^alpha - 1)))

    so that E1 is the loss of a model of N1 parameters on endless data, and p its exponent of D: a1 = -w N1^-alpha,
    b1 = log p + w, a2 = v N1^beta, b2 = log B1 - v, a3 = -u N1^-gamma, b3 = log E1 + u (`published`,
    `as_published`; the paper's own beta is the negative of this one). The signs are those of the published fit: with
    N the loss on endless data falls, the amplitude of the data's term falls, and the exponent of D falls.

    It has no floor: on endless data the loss goes to 0 as N grows, however slowly (u may be next to 0). It breaks far
    above the sizes fitted: there the exponent of D is gone, next to no data give a loss of exp(b2), and compute has no
    best split. Its family changes with the unit of D: fitted to billions of tokens it is another law. Seven shape
    parameters trade against each other: a fit to a narrow table is ill conditioned.
    """

    E1: ArrayLike
    u: ArrayLike
    gamma: ArrayLike
    B1: ArrayLike
    v: ArrayLike
    beta: ArrayLike
    p: ArrayLike
    w: ArrayLike
    alpha: ArrayLike

    N1: ClassVar[float] = 1e6
    equation = "E1 exp(-u (n^gamma - 1)) + B1 exp(v (n^-beta - 1)) / D^(p exp(-w (n^alpha - 1))), n = N / 1e6"
    columns = ("N", "D")
    amplitudes = ("E1", "B1")
    exponents: ClassVar = {
        "u": Exponent(lo=0.001, hi=10.0, count=5, nested=True),
        "gamma": Exponent(lo=0.03, hi=1.0, count=4),
        "v": Exponent(lo=0.01, hi=100.0, count=5, nested=True),
        "beta": Exponent(lo=0.03, hi=1.0, count=4),
        "p": Exponent(lo=0.05, hi=3.0, count=6),
        "w": Exponent(lo=0.001, hi=10.0, count=5, nested=True),
        "alpha": Exponent(lo=0.03, hi=1.0, count=4),
    }
    floor = None

    @classmethod
    def published(
        cls,
        a1: ArrayLike,
        b1: ArrayLike,
        alpha: ArrayLike,
        a2: ArrayLike,
        b2: ArrayLike,
        beta: ArrayLike,
        a3: ArrayLike,
        b3: ArrayLike,
        gamma: ArrayLike,
    ) -> Farseer:
        """The law of the paper's parameters, whose beta is below 0."""
        u, v, w = (
            -np.asarray(a3) * cls.N1 ** np.asarray(gamma),
            np.asarray(a2) * cls.N1 ** np.asarray(beta),
            -np.asarray(a1) * cls.N1 ** np.asarray(alpha),
        )
        E1, B1, p = (
            np.exp(np.asarray(b3) - u),
            np.exp(np.asarray(b2) + v),
            np.exp(np.asarray(b1) - w),
        )
        return cls(E1, u, gamma, B1, v, -np.asarray(beta), p, w, alpha)

    def as_published(self) -> dict[str, Array]:
        """The paper's parameters by name."""
        values = {name: np.asarray(value, dtype=np.float64) for name, value in self.as_dict().items()}
        alpha, beta, gamma = values["alpha"], values["beta"], values["gamma"]
        return {
            "a1": -values["w"] * self.N1**-alpha,
            "b1": np.log(values["p"]) + values["w"],
            "alpha": alpha,
            "a2": values["v"] * self.N1**beta,
            "b2": np.log(values["B1"]) - values["v"],
            "beta": -beta,
            "a3": -values["u"] * self.N1**-gamma,
            "b3": np.log(values["E1"]) + values["u"],
            "gamma": gamma,
        }

    def __call__(self, **columns: ArrayLike) -> Array:
        """E1 exp(-u (n^gamma - 1)) + B1 exp(v (n^-beta - 1)) / D^(p exp(-w (n^alpha - 1))), n = N / N1."""
        (E1, u, gamma, B1, v, beta, p, w, alpha), (N, D) = self._outer(columns["N"], columns["D"])
        n = N / self.N1
        of_data = B1 * np.exp(v * (n**-beta - 1)) * D ** (-p * np.exp(-w * (n**alpha - 1)))
        return E1 * np.exp(-u * (n**gamma - 1)) + of_data

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(-u (n^gamma - 1), v (n^-beta - 1) - p exp(-w (n^alpha - 1)) log D), held within e^-150 and e^150."""
        u, gamma, v, beta, p, w, alpha = (exponents[name] for name in Farseer.exponents)
        log_n = np.log(columns["N"] / Farseer.N1)
        power = p * np.exp(np.minimum(-w * np.expm1(alpha * log_n), LARGEST))
        of_data = v * np.expm1(-beta * log_n) - power * np.log(columns["D"])
        return _within(-u * np.expm1(gamma * log_n)), _within(of_data)


def _within(log_term: Array) -> Array:
    within: Array = np.clip(log_term, -LARGEST, LARGEST)
    return within
