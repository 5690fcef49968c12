"""Functional forms of loss against parameters, data and compute: each a small class whose fields are its parameters.

A law is a sum of terms, an amplitude times a basis function of its columns whose shape the exponents set,

    L = sum_k c_k phi_k(columns; theta),   c_k >= 0,

so a class states its equation in `__call__`, and in `log_basis` the logarithms of the phi_k, from which the fitter
works. To add a law: one class here, one line in `LAWS`, one row of known answers in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Exponent:
    """Where an exponent (or another parameter of a term's shape) may lie, and the grid that the global search scans:
    `count` values even in the logarithm."""

    lo: float
    hi: float
    count: int
    nested: bool = False
    """Whether the law at `lo` is a simpler one, so that a fit may well rest there."""

    @property
    def grid(self) -> Array:
        """Values scanned, [count]."""
        return np.geomspace(self.lo, self.hi, self.count)


# Below 0.02 a power is a logarithm over any range of runs, and its amplitude and the floor are one number; published
# exponents begin at 0.05 (Kaplan et al. 2020, of compute). Above 2 a term is gone within half a decade: learning
# theory's fastest rates are 1 and 2. 14 values are steps of 1.43: on 21
# published and simulated tables, 15 random starts a replicate found a lower minimum than the search for 11 of 2100
# bootstrap replicates, lower by 0.16 % at most.
POWER_OF_A_COLUMN = Exponent(lo=0.02, hi=2.0, count=14)

# Laws of four shape parameters scan a product of four grids, so each is coarser: steps of 1.93.
COARSE_POWER = replace(POWER_OF_A_COLUMN, count=8)


@dataclass(frozen=True)
class Law:
    """What all laws share. A field may be a number, or an array: a bootstrap is one law with a leading axis."""

    equation: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    amplitudes: ClassVar[tuple[str, ...]]
    exponents: ClassVar[dict[str, Exponent]]
    log_linear: ClassVar[bool] = False
    """Whether every log phi_k is linear in the exponents, as it is for products of powers: the fitter then computes
    its slopes once."""

    def __call__(self, **columns: ArrayLike) -> Array:
        """Loss in nats per token, of shape parameters' shape + columns' shape; other columns are ignored."""
        raise NotImplementedError

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """log phi_k, one an amplitude, in the amplitudes' order; shapes broadcast."""
        raise NotImplementedError

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """`exponents` for these columns: a parameter in the units of a column has a range that moves with it."""
        return cls.exponents

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the parameters, in the order of the equation."""
        return tuple(field.name for field in fields(cls))

    def as_dict(self) -> dict[str, Any]:
        """Parameters by name."""
        return {name: getattr(self, name) for name in self.parameters()}

    def _outer(self, *columns: ArrayLike) -> tuple[list[Array], list[Array]]:
        """Parameters with trailing axes, so that they broadcast against the columns, and the columns as arrays."""
        arrays = [np.asarray(column, dtype=np.float64) for column in columns]
        axes = (1,) * max(array.ndim for array in arrays)
        values = (np.asarray(value, dtype=np.float64) for value in self.as_dict().values())
        return [value.reshape(value.shape + axes) for value in values], arrays


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
class Power(Law):
    """L = E + A / x^alpha in any one column x; with x = C along the frontier, Kaplan et al. 2020 with a floor."""

    E: ArrayLike
    A: ArrayLike
    alpha: ArrayLike

    equation = "E + A / x^alpha"
    columns = ("x",)
    amplitudes = ("E", "A")
    exponents: ClassVar = {"alpha": POWER_OF_A_COLUMN}
    log_linear = True

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A / x^alpha."""
        (E, A, alpha), (x,) = self._outer(columns["x"])
        return E + A / x**alpha

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -alpha log x)."""
        return 0.0, -exponents["alpha"] * np.log(columns["x"])


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
        N, D = (float(np.exp(np.log(columns[name]).mean())) for name in ("N", "D"))
        away = 1e3 * max(N / cls.N1, cls.N1 / N)
        middle = D * cls.N1 / N
        return cls.exponents | {"D0": replace(cls.exponents["D0"], lo=middle / away, hi=middle * away)}

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


LAWS: dict[str, type[Law]] = {
    "hoffmann": Hoffmann,
    "power": Power,
    "tied": Tied,
    "coupled": Coupled,
    "shifted": Shifted,
}
