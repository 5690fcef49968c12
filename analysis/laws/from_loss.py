"""Laws of what follows from a loss: an error or accuracy downstream, or the loss on another corpus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws.law import Exponent, Law

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ErrorExponential(Law):
    """y = epsilon - k exp(-gamma L): an error downstream against a loss in nats (Gadre et al. 2024, arXiv 2403.08540).

    epsilon is the error of a model of endless loss and gamma is in 1/nats. It has one bend: an error that stays at
    chance over many losses and then falls does not follow it (`ErrorSigmoid`), and nothing keeps it above 0.
    """

    epsilon: ArrayLike
    k: ArrayLike
    gamma: ArrayLike

    equation = "epsilon - k exp(-gamma L)"
    columns = ("L",)
    amplitudes = ("epsilon", "k")
    signs = (1, -1)
    target = "y"
    # over a span of a nat, at 0.01 it is a straight line and at 20 a wall
    exponents: ClassVar = {"gamma": Exponent(lo=0.01, hi=20.0, count=24)}
    floor = None
    log_linear = True

    def __call__(self, **columns: ArrayLike) -> Array:
        """epsilon - k exp(-gamma L)."""
        (epsilon, k, gamma), (L,) = self._outer(columns["L"])
        return epsilon - k * np.exp(-gamma * L)

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -gamma L)."""
        return 0.0, -exponents["gamma"] * columns["L"]


@dataclass(frozen=True)
class ErrorSigmoid(Law):
    """y = b + a / (1 + exp(-k (L - L0))): an error (k > 0) or an accuracy (k < 0) against a loss.

    The four-parameter sigmoid by which Bhagia et al. 2024 (OLMo ladder, arXiv 2412.04403) take an accuracy from a task
    loss; theirs with a below 0 is the same curve with b + a, -a and -k (`published`). k is in 1/nats, L0 in nats. Where
    all runs lie to one side of L0 it is an exponential, and only the asymptote on their side is known.
    """

    b: ArrayLike
    a: ArrayLike
    k: ArrayLike
    L0: ArrayLike

    equation = "b + a / (1 + exp(-k (L - L0)))"
    columns = ("L",)
    amplitudes = ("b", "a")
    target = "y"
    exponents: ClassVar = {
        "k": Exponent(lo=-40.0, hi=40.0, count=40, linear=True),
        "L0": Exponent(lo=0.0, hi=10.0, count=25, linear=True),
    }
    floor = None

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """L0 within the span of the losses and one span to either side; the middle of the bend a fortieth of the span
        or wider."""
        lo, hi = float(columns["L"].min()), float(columns["L"].max())
        span = (hi - lo) or 1.0
        return {
            "k": replace(cls.exponents["k"], lo=-40 / span, hi=40 / span),
            "L0": replace(cls.exponents["L0"], lo=lo - span, hi=hi + span),
        }

    @classmethod
    def published(cls, a: float, b: float, k: float, L0: float) -> ErrorSigmoid:
        """The law of a / (1 + exp(-k (L - L0))) + b with a of either sign."""
        return cls(b, a, k, L0) if a >= 0 else cls(b + a, -a, -k, L0)

    def __call__(self, **columns: ArrayLike) -> Array:
        """b + a / (1 + exp(-k (L - L0)))."""
        (b, a, k, L0), (L,) = self._outer(columns["L"])
        return np.asarray(b + a * np.exp(-np.logaddexp(0.0, -k * (L - L0))))

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, -log(1 + exp(-k (L - L0))))."""
        return 0.0, -np.logaddexp(0.0, -exponents["k"] * (columns["L"] - exponents["L0"]))


@dataclass(frozen=True)
class LossToLoss(Law):
    """y = E + K (x - E_x)^kappa: the loss on one corpus against that on another, by a shifted power (Brandfonbrener et
    al. 2024, arXiv 2411.12925).

    x and y are losses of the same runs, or of runs paired by compute, in nats per token of each corpus. E_x, below the
    least x, is the floor on the one and E that on the other: a run at the floor of the first would be at that of the
    second, and E is what the law gives below E_x. Where the losses span little, E_x, kappa and E are one number.
    """

    E: ArrayLike
    K: ArrayLike
    E_x: ArrayLike
    kappa: ArrayLike

    equation = "E + K (x - E_x)^kappa"
    columns = ("x",)
    amplitudes = ("E", "K")
    target = "y"
    exponents: ClassVar = {
        "E_x": Exponent(lo=0.0, hi=10.0, count=60, nested=True, linear=True),
        "kappa": Exponent(lo=0.1, hi=10.0, count=24),
    }

    @classmethod
    def ranges(cls, columns: dict[str, Array]) -> dict[str, Exponent]:
        """E_x from 0 to a thousandth of the span below the least x."""
        lo, hi = float(columns["x"].min()), float(columns["x"].max())
        return cls.exponents | {"E_x": replace(cls.exponents["E_x"], hi=lo - 1e-3 * min(hi - lo, lo))}

    def __call__(self, **columns: ArrayLike) -> Array:
        """E + K (x - E_x)^kappa; E where x is below E_x."""
        (E, K, E_x, kappa), (x,) = self._outer(columns["x"])
        return np.asarray(E + K * np.maximum(x - E_x, 0.0) ** kappa)

    @staticmethod
    def log_basis(exponents: dict[str, Array], columns: dict[str, Array]) -> tuple[Any, ...]:
        """(0, kappa log(x - E_x))."""
        with np.errstate(divide="ignore"):
            return 0.0, exponents["kappa"] * np.log(np.maximum(columns["x"] - exponents["E_x"], 0.0))
