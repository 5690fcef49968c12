"""Laws of loss in any one column, such as the compute along a frontier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws.law import POWER_OF_A_COLUMN, Law

Array = NDArray[np.float64]


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
