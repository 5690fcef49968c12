"""Smoothly broken power laws: the exponent of one column changes at a break, once or twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws.law import Exponent, Law

Array = NDArray[np.float64]

# The first segment may be flat (a plateau before learning begins), a later one may rise (double descent).
FIRST = Exponent(lo=0.0, hi=2.0, count=8, nested=True, linear=True)
CHANGE = Exponent(lo=-2.0, hi=2.0, count=10, linear=True)
# The width of a break in log x: below 0.1 it is a corner between any two runs, above 2 it fills seven decades.
WIDTH = Exponent(lo=0.1, hi=2.0, count=4)


@dataclass(frozen=True)
class Broken(Law):
    """y = E + A x^-c0 (1 + (x / d1)^(1/f1))^(-c1 f1): a power of x whose exponent goes from c0 to c0 + c1 at d1.

    The smoothly broken law of Caballero et al. 2022 (arXiv 2210.14891) with one break; their a and b are E and A. The
    break spans about f1 in log x. It is not determined where c1 is 0; where c0 + c1 is below 0 the curve rises after
    the break, and E is no floor; where it is 0 E and A are one number at large x. A break is sought amid the runs: one
    beyond the largest run cannot be seen, which is why no extrapolation by this law is safe.
    """

    E: ArrayLike
    A: ArrayLike
    c0: ArrayLike
    d1: ArrayLike
    c1: ArrayLike
    f1: ArrayLike

    equation = "E + A / x^c0 / (1 + (x / d1)^(1/f1))^(c1 f1)"
    columns = ("x",)
    amplitudes = ("E", "A")
    exponents: ClassVar = {
        "c0": FIRST,
        "d1": Exponent(lo=1e2, hi=1e10, count=11),
        "c1": CHANGE,
        "f1": WIDTH,
    }

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """d1 from the smallest to the largest x."""
        return cls.exponents | {"d1": _amid(cls.exponents["d1"], columns["x"])}

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A x^-c0 (1 + (x / d1)^(1/f1))^(-c1 f1)."""
        (E, A, c0, d1, c1, f1), (x,) = self._outer(columns["x"])
        return E + A * x**-c0 * (1 + (x / d1) ** (1 / f1)) ** (-c1 * f1)

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -c0 log x - c1 f1 log(1 + (x / d1)^(1/f1)))."""
        c0, d1, c1, f1 = (exponents[name] for name in ("c0", "d1", "c1", "f1"))
        x = columns["x"]
        return 0.0, -c0 * np.log(x) - _bend(x / d1, c1, f1)


@dataclass(frozen=True)
class BrokenTwice(Law):
    """y = E + A x^-c0 (1 + (x / d1)^(1/f1))^(-c1 f1) (1 + (x / d2)^(1/f2))^(-c2 f2) with d2 = r d1, r >= 1.

    Caballero et al. 2022 (arXiv 2210.14891) with two breaks, the second at r times the first, so that no two sets of
    parameters are one curve. The exponent is c0, then c0 + c1, then c0 + c1 + c2. Nine parameters ask for runs on
    every segment; breaks closer than their widths cannot be told apart. It breaks where `Broken` does.
    """

    E: ArrayLike
    A: ArrayLike
    c0: ArrayLike
    d1: ArrayLike
    c1: ArrayLike
    f1: ArrayLike
    r: ArrayLike
    c2: ArrayLike
    f2: ArrayLike

    equation = "E + A / x^c0 / (1 + (x / d1)^(1/f1))^(c1 f1) / (1 + (x / (r d1))^(1/f2))^(c2 f2)"
    columns = ("x",)
    amplitudes = ("E", "A")
    exponents: ClassVar = {
        "c0": FIRST,
        "d1": Exponent(lo=1e2, hi=1e10, count=9),
        "c1": CHANGE,
        "f1": WIDTH,
        "r": Exponent(lo=1.0, hi=1e8, count=9, nested=True),
        "c2": CHANGE,
        "f2": WIDTH,
    }

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """d1 from the smallest to the largest x, r up to their ratio."""
        first = _amid(cls.exponents["d1"], columns["x"])
        return cls.exponents | {"d1": first, "r": replace(cls.exponents["r"], hi=first.hi / first.lo)}

    @property
    def d2(self) -> Array:
        """Where the second break is, r d1."""
        return np.asarray(self.r, dtype=np.float64) * np.asarray(self.d1, dtype=np.float64)

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + A x^-c0 (1 + (x / d1)^(1/f1))^(-c1 f1) (1 + (x / (r d1))^(1/f2))^(-c2 f2)."""
        (E, A, c0, d1, c1, f1, r, c2, f2), (x,) = self._outer(columns["x"])
        first, second = 1 + (x / d1) ** (1 / f1), 1 + (x / (r * d1)) ** (1 / f2)
        return E + A * x**-c0 * first ** (-c1 * f1) * second ** (-c2 * f2)

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, log of what A multiplies)."""
        c0, d1, c1, f1, r, c2, f2 = (exponents[name] for name in BrokenTwice.exponents)
        x = columns["x"]
        return 0.0, -c0 * np.log(x) - _bend(x / d1, c1, f1) - _bend(x / (r * d1), c2, f2)


def _bend(ratio: Array, change: Array, width: Array) -> Array:
    """change * width * log(1 + ratio^(1/width)), without overflow."""
    bend: Array = change * width * np.logaddexp(0.0, np.log(ratio) / width)
    return bend


def _amid(exponent: Exponent, x: Array) -> Exponent:
    return replace(exponent, lo=float(x.min()), hi=float(x.max()))
