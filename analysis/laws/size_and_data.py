"""Laws of loss in the size of the model N and the training tokens D."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws.law import COARSE_POWER, POWER_OF_A_COLUMN, STRETCH, Exponent, Law

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hoffmann(Law):
    """L = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, arXiv 2203.15556, equation 2)."""

    E: ArrayLike
    A: ArrayLike
    alpha: ArrayLike
    B: ArrayLike
    beta: ArrayLike

    equation = "E + A / N^alpha + B / D^beta"
    columns = ("N", "D")
    amplitudes = ("E", "A", "B")
    exponents: ClassVar = {"alpha": POWER_OF_A_COLUMN, "beta": POWER_OF_A_COLUMN}
    log_linear = True

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A / N^alpha + B / D^beta."""
        (E, A, alpha, B, beta), (N, D) = self._outer(columns["N"], columns["D"])
        return E + A / N**alpha + B / D**beta

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -alpha log N, -beta log D)."""
        return 0.0, -exponents["alpha"] * np.log(columns["N"]), -exponents["beta"] * np.log(columns["D"])


@dataclass(frozen=True)
class Tied(Law):
    """L = E + A / N^alpha + B / D^alpha: Hoffmann's with one exponent (Muennighoff et al. 2023, arXiv 2305.16264)."""

    E: ArrayLike
    A: ArrayLike
    alpha: ArrayLike
    B: ArrayLike

    equation = "E + A / N^alpha + B / D^alpha"
    columns = ("N", "D")
    amplitudes = ("E", "A", "B")
    exponents: ClassVar = {"alpha": POWER_OF_A_COLUMN}
    log_linear = True

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A / N^alpha + B / D^alpha."""
        (E, A, alpha, B), (N, D) = self._outer(columns["N"], columns["D"])
        return E + A / N**alpha + B / D**alpha

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -alpha log N, -alpha log D)."""
        return 0.0, -exponents["alpha"] * np.log(columns["N"]), -exponents["alpha"] * np.log(columns["D"])


@dataclass(frozen=True)
class Coupled(Law):
    """L = E + A ((N1 / N)^(alpha/g) + (D0 / D)^(beta/g))^g with N1 = 10^6 parameters.

    The same curves as E + (a / N^p + b / D^q)^g with p = alpha / g and q = beta / g, in parameters that keep their
    meaning as g moves: alpha and beta are the exponents where only N or only D binds, A is the loss above the floor of
    a model of N1 parameters on endless data, and D0 the tokens at which that model loses as much to either. g is how
    the two losses add: g = 1 is Hoffmann et al. 2022, g -> 0 the larger of the two, g = beta is Kaplan et al. 2020
    (arXiv 2001.08361, equation 1.5) with a floor, A = (N_c / N1)^alpha and D0 = D_c (N1 / N_c)^(alpha/beta).
    """

    E: ArrayLike
    A: ArrayLike
    alpha: ArrayLike
    D0: ArrayLike
    beta: ArrayLike
    g: ArrayLike

    N1: ClassVar[float] = 1e6
    equation = "E + A ((1e6 / N)^(alpha/g) + (D0 / D)^(beta/g))^g"
    columns = ("N", "D")
    amplitudes = ("E", "A")
    exponents: ClassVar = {
        "alpha": COARSE_POWER,
        "D0": Exponent(lo=1e2, hi=1e14, count=7),
        "beta": COARSE_POWER,
        "g": Exponent(lo=0.1, hi=4.0, count=5),
    }

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """D0 within three decades of where the terms would be equal amid the runs, for alpha / beta from 0 to 2."""
        return cls.exponents | {"D0": even_tokens(cls.exponents["D0"], columns, cls.N1)}

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A ((N1 / N)^(alpha/g) + (D0 / D)^(beta/g))^g."""
        (E, A, alpha, D0, beta, g), (N, D) = self._outer(columns["N"], columns["D"])
        return E + A * ((self.N1 / N) ** (alpha / g) + (D0 / D) ** (beta / g)) ** g

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, g log((N1 / N)^(alpha/g) + (D0 / D)^(beta/g)))."""
        alpha, D0, beta, g = (exponents[name] for name in ("alpha", "D0", "beta", "g"))
        of_size = alpha / g * np.log(Coupled.N1 / columns["N"])
        of_data = beta / g * np.log(D0 / columns["D"])
        # as np.logaddexp, which takes four times as long
        return 0.0, g * (np.maximum(of_size, of_data) + np.log1p(np.exp(-np.abs(of_size - of_data))))


@dataclass(frozen=True)
class Shifted(Law):
    """L = E + A / (N + N0)^alpha + B / (D + D0)^beta: Hoffmann's where N0 = D0 = 0.

    The local exponent, alpha N / (N + N0), grows with scale up to alpha: the loss falls ever faster than the power of N
    that was seen, as it does near the floor of a language of finitely many states. Where alpha and N0 grow together
    the term is an exponential, exp(-alpha N / N0).
    """

    E: ArrayLike
    A: ArrayLike
    N0: ArrayLike
    alpha: ArrayLike
    B: ArrayLike
    D0: ArrayLike
    beta: ArrayLike

    equation = "E + A / (N + N0)^alpha + B / (D + D0)^beta"
    columns = ("N", "D")
    amplitudes = ("E", "A", "B")
    exponents: ClassVar = {
        "N0": Exponent(lo=1e2, hi=1e10, count=5, nested=True),
        "alpha": COARSE_POWER,
        "D0": Exponent(lo=1e4, hi=1e12, count=5, nested=True),
        "beta": COARSE_POWER,
    }

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """Shifts from a hundredth of the smallest run, where they no longer matter, to ten times the largest."""
        shifts = {"N0": columns["N"], "D0": columns["D"]}
        return cls.exponents | {
            name: replace(cls.exponents[name], lo=float(values.min()) / 100, hi=float(values.max()) * 10)
            for name, values in shifts.items()
        }

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A / (N + N0)^alpha + B / (D + D0)^beta."""
        (E, A, N0, alpha, B, D0, beta), (N, D) = self._outer(columns["N"], columns["D"])
        return E + A / (N + N0) ** alpha + B / (D + D0) ** beta

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -alpha log(N + N0), -beta log(D + D0))."""
        N0, alpha, D0, beta = (exponents[name] for name in ("N0", "alpha", "D0", "beta"))
        return 0.0, -alpha * np.log(columns["N"] + N0), -beta * np.log(columns["D"] + D0)


@dataclass(frozen=True)
class Stretched(Law):
    """L = E + A exp(-(N / N0)^alpha) + B exp(-(D / D0)^beta): stretched exponentials (Kohlrausch 1854).

    The local exponent, alpha (N / N0)^alpha, grows without end: the gap to the floor falls faster than every power of
    N, as where a model becomes large enough to be exact. Where alpha is small it grows so slowly that the term is
    nearly a power of N, of an exponent up to alpha 200^alpha by the range of N0.
    """

    E: ArrayLike
    A: ArrayLike
    N0: ArrayLike
    alpha: ArrayLike
    B: ArrayLike
    D0: ArrayLike
    beta: ArrayLike

    equation = "E + A exp(-(N / N0)^alpha) + B exp(-(D / D0)^beta)"
    columns = ("N", "D")
    amplitudes = ("E", "A", "B")
    exponents: ClassVar = {
        "N0": Exponent(lo=1e2, hi=1e10, count=6),
        "alpha": STRETCH,
        "D0": Exponent(lo=1e4, hi=1e12, count=6),
        "beta": STRETCH,
    }

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """Scales from 1/200 of the largest run, where its term is e^-200 at alpha 1, to ten times it."""
        scales = {"N0": columns["N"], "D0": columns["D"]}
        return cls.exponents | {
            name: replace(cls.exponents[name], lo=float(values.max()) / 200, hi=float(values.max()) * 10)
            for name, values in scales.items()
        }

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A exp(-(N / N0)^alpha) + B exp(-(D / D0)^beta)."""
        (E, A, N0, alpha, B, D0, beta), (N, D) = self._outer(columns["N"], columns["D"])
        return E + A * np.exp(-((N / N0) ** alpha)) + B * np.exp(-((D / D0) ** beta))

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -(N / N0)^alpha, -(D / D0)^beta)."""
        N0, alpha, D0, beta = (exponents[name] for name in ("N0", "alpha", "D0", "beta"))
        return 0.0, -((columns["N"] / N0) ** alpha), -((columns["D"] / D0) ** beta)


def even_tokens(exponent: Exponent, columns: dict[str, Array], N1: float) -> Exponent:
    """The range of tokens at which a model of N1 parameters loses as much to its size as to its data: three decades
    to either side of where that would be amid the runs, and more the further N1 lies from them."""
    N, D = (float(np.exp(np.log(columns[name]).mean())) for name in ("N", "D"))
    away = 1e3 * max(N / N1, N1 / N)
    middle = D * N1 / N
    return replace(exponent, lo=middle / away, hi=middle * away)
