"""Laws of loss in any one column, such as the compute along a frontier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws.law import POWER_OF_A_COLUMN, Exponent, Law

Array = NDArray[np.float64]

NEWTON_STEPS = 60
GONE = 300.0
"""A gap that has fallen by e^-300 is 0: a fit's products of such numbers would leave float64."""


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
class Exponential(Law):
    """L = E + A exp(-(x / x0)^alpha): the gap to the floor decays exponentially in a power of x.

    alpha = 1 is the plain exponential, alpha < 1 a stretched one (Kohlrausch 1854). Among models of learning curves it
    is `exp4`, c - exp(-a x^alpha + b), of Domhan et al. 2015 (IJCAI), for a quantity that falls: A = e^b and
    x0 = a^(-1/alpha). Its local exponent, alpha (x / x0)^alpha, grows without end, so where the truth is a power of x
    it puts the floor too high; where alpha is small it is nearly such a power.
    """

    E: ArrayLike
    A: ArrayLike
    x0: ArrayLike
    alpha: ArrayLike

    equation = "E + A exp(-(x / x0)^alpha)"
    columns = ("x",)
    amplitudes = ("E", "A")
    exponents: ClassVar = {
        "x0": Exponent(lo=1e2, hi=1e10, count=30),
        # above 1 lies what falls faster than an exponential, so that an exponential is no bound of the law
        "alpha": Exponent(lo=0.1, hi=2.0, count=12),
    }

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """x0 from the smallest x, below which no gap is left to be seen, to ten times the largest."""
        x = columns["x"]
        return cls.exponents | {"x0": replace(cls.exponents["x0"], lo=float(x.min()), hi=float(x.max()) * 10)}

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A exp(-(x / x0)^alpha)."""
        (E, A, x0, alpha), (x,) = self._outer(columns["x"])
        return E + A * np.exp(-((x / x0) ** alpha))

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -(x / x0)^alpha), with no gap where it is below e^-300."""
        fallen = (columns["x"] / exponents["x0"]) ** exponents["alpha"]
        return 0.0, np.where(fallen < GONE, -fallen, -np.inf)


@dataclass(frozen=True)
class Saturating(Law):
    """y = E + K u with u in (0, 1) and u / (1 - u)^a = (x0 / x)^c: bounded by E at endless x and by E + K at x = 0.

    The estimator M4 of Alabdulmohsin et al. 2022 (arXiv 2209.06640), (y - e_inf) / (e_0 - y)^alpha = beta x^c, with
    e_inf = E, e_0 = E + K, alpha = a, their c the negative of this one, and beta = K^(1 - a) x0^c (`beta`); `published`
    makes the law from theirs. Where x is far above x0 it is E + K (x0 / x)^c, a power with a floor: if all runs lie
    there, K and x0 are one number and E + K is not known.
    """

    E: ArrayLike
    K: ArrayLike
    x0: ArrayLike
    c: ArrayLike
    a: ArrayLike

    equation = "E + K u, u / (1 - u)^a = (x0 / x)^c"
    columns = ("x",)
    amplitudes = ("E", "K")
    exponents: ClassVar = {
        "x0": Exponent(lo=1.0, hi=1e10, count=16),
        "c": POWER_OF_A_COLUMN,
        # at 0 the upper bound is reached at x0 with an edge; a symmetric curve in log x has a = 1
        "a": Exponent(lo=0.05, hi=5.0, count=9, nested=True),
    }

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """x0 from a thousandth of the smallest x, where the upper bound no longer matters, to the largest."""
        x = columns["x"]
        return cls.exponents | {
            "x0": replace(cls.exponents["x0"], lo=float(x.min()) / 1e3, hi=float(x.max()))
        }

    @classmethod
    def published(
        cls, e_inf: ArrayLike, e_0: ArrayLike, alpha: ArrayLike, beta: ArrayLike, c: ArrayLike
    ) -> Saturating:
        """The law of the paper's parameters; its c is below 0."""
        K, a, falling = np.asarray(e_0) - np.asarray(e_inf), np.asarray(alpha), -np.asarray(c)
        return cls(e_inf, K, (np.asarray(beta) * K ** (a - 1)) ** (1 / falling), falling, a)

    @property
    def beta(self) -> Array:
        """The paper's beta, K^(1 - a) x0^c."""
        K, x0, c, a = (np.asarray(v, dtype=np.float64) for v in (self.K, self.x0, self.c, self.a))
        return np.asarray(K ** (1 - a) * x0**c)

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + K u."""
        (E, K, x0, c, a), (x,) = self._outer(columns["x"])
        return np.asarray(E + K * np.exp(_log_share(c * np.log(x0 / x), a)))

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, log u)."""
        x0, c, a = (exponents[name] for name in ("x0", "c", "a"))
        return 0.0, _log_share(c * np.log(x0 / columns["x"]), a)


def _log_share(t: Array, a: Array) -> Array:
    """log u with log u - a log(1 - u) = t, to the last digits whether u is next to 0 or to 1.

    In s = log(u / (1 - u)) the equation is f(s) = s + (a - 1) log(1 + e^s) = t, whose slope lies between 1 and a and
    whose curvature has the sign of a - 1. f is on one side of its asymptotes s and a s, so Newton's method begun where
    these reach t comes to the root from one side and needs no safeguard.
    """
    s = np.where(t < 0, t, t / a)
    for _ in range(NEWTON_STEPS):
        one = np.logaddexp(0.0, s)
        step = (t - s - (a - 1) * one) / (1 + (a - 1) * np.exp(s - one))
        s = s + step
        if (np.abs(step) <= 4e-16 * np.maximum(np.abs(s), 1.0)).all():
            break
    return np.asarray(-np.logaddexp(0.0, -s))
