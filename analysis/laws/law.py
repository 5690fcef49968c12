"""What a law is: a small frozen class whose fields are its parameters, and the ranges in which they are sought.

A law is a sum of terms, an amplitude times a basis function of its columns whose shape the exponents set,

    y = sum_k s_k c_k phi_k(columns; theta),   c_k >= 0,   s_k = +1 or -1,

so a class states its equation in `__call__`, and in `log_basis` the logarithms of the phi_k, from which the fitter
works. To add a law: one class in this folder, one line in `LAWS`, one row of known answers in the tests.
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
    `count` values, even in the logarithm or, of one that may be 0 or below, even in itself."""

    lo: float
    hi: float
    count: int
    nested: bool = False
    """Whether the law at `lo` is a simpler one, so that a fit may well rest there."""
    linear: bool = False
    """Whether the grid is even in the parameter itself, as it must be where `lo` is not above 0."""

    @property
    def grid(self) -> Array:
        """Values scanned, [count]."""
        return (
            np.linspace(self.lo, self.hi, self.count)
            if self.linear
            else np.geomspace(self.lo, self.hi, self.count)
        )

    def at(self, share: ArrayLike) -> Array:
        """Values at shares from 0 (lo) to 1 (hi) of the range, on the grid's scale."""
        share = np.asarray(share, dtype=np.float64)
        if self.linear:
            return np.asarray(self.lo + share * (self.hi - self.lo))
        return np.asarray(self.lo * (self.hi / self.lo) ** share)

    def place(self, value: ArrayLike) -> Array:
        """Shares of the range, the inverse of `at`."""
        value = np.asarray(value, dtype=np.float64)
        if self.linear:
            return np.asarray((value - self.lo) / (self.hi - self.lo))
        return np.asarray(np.log(value / self.lo) / np.log(self.hi / self.lo))


# Below 0.02 a power is a logarithm over any range of runs, and its amplitude and the floor are one number; published
# exponents begin at 0.05 (Kaplan et al. 2020, of compute). Above 2 a term is gone within half a decade: learning
# theory's fastest rates are 1 and 2. 14 values are steps of 1.43: on 21
# published and simulated tables, 15 random starts a replicate found a lower minimum than the search for 11 of 2100
# bootstrap replicates, lower by 0.16 % at most.
POWER_OF_A_COLUMN = Exponent(lo=0.02, hi=2.0, count=14)

# Laws of four shape parameters scan a product of four grids, so each is coarser: steps of 1.93.
COARSE_POWER = replace(POWER_OF_A_COLUMN, count=8)

# Of a stretched exponential: below 0.1 it is a power of its column over any range of runs, at 1 an exponential.
STRETCH = Exponent(lo=0.1, hi=1.0, count=4, nested=True)


@dataclass(frozen=True)
class Law:
    """What all laws share. A field may be a number, or an array: a bootstrap is one law with a leading axis."""

    equation: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    """Columns that it takes; "x" stands for any one column of the table."""
    amplitudes: ClassVar[tuple[str, ...]]
    exponents: ClassVar[dict[str, Exponent]]
    signs: ClassVar[tuple[int, ...]] = ()
    """+1 or -1 for each amplitude, a term that is added or taken away; empty where all are added."""
    target: ClassVar[str] = "L"
    """The column that it is the law of; "y" stands for any one column of the table."""
    signed: ClassVar[tuple[str, ...]] = ()
    """Columns that may be 0 or below."""
    floor: ClassVar[str | None] = "E"
    """The amplitude that is left at endless scale; None of a law without one."""
    log_linear: ClassVar[bool] = False
    """Whether every log phi_k is linear in the exponents, as it is for products of powers: the fitter then computes
    its slopes once."""

    def __call__(self, **columns: ArrayLike) -> Array:
        """Loss in nats per token, of shape parameters' shape + columns' shape; other columns are ignored."""
        raise NotImplementedError

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """log phi_k, one an amplitude, in the amplitudes' order; shapes broadcast; -inf where a phi_k is 0."""
        raise NotImplementedError

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """`exponents` for these columns: a parameter in the units of a column has a range that moves with it."""
        return cls.exponents

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the parameters, in the order of the equation."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def sign(cls) -> Array:
        """+1 or -1 of every amplitude, [K]."""
        return np.array(cls.signs or (1,) * len(cls.amplitudes), dtype=np.float64)

    def as_dict(self) -> dict[str, Any]:
        """Parameters by name."""
        return {name: getattr(self, name) for name in self.parameters()}

    def _outer(self, *columns: ArrayLike) -> tuple[list[Array], list[Array]]:
        """Parameters with trailing axes, so that they broadcast against the columns, and the columns as arrays."""
        arrays = [np.asarray(column, dtype=np.float64) for column in columns]
        axes = (1,) * max(array.ndim for array in arrays)
        values = (np.asarray(value, dtype=np.float64) for value in self.as_dict().values())
        return [value.reshape(value.shape + axes) for value in values], arrays
