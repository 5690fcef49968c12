"""What a fit minimises, summed over rows: a loss of each row's residual, in logarithms or as it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError

Array = NDArray[np.float64]

STAGE = 10.0
"""By what factor delta falls from one stage of a fit to the next."""


@dataclass(frozen=True)
class Objective:
    """sum_i w_i rho(r_i) with rho = r^2/2 within delta and delta (|r| - delta/2) beyond (Huber 1964).

    The residual r is log y - log yhat, or y - yhat where `raw`. delta is a relative error, or one in the unit of y
    where `raw`; infinite, it makes least squares.
    """

    delta: float = math.inf
    name: ClassVar[str]
    raw: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise InputError(f"delta is {self.delta}; it is a relative error and must be above 0, e.g. 0.001")

    @property
    def stages(self) -> tuple[Objective, ...]:
        """Objectives to be minimised in turn, each from where the one before ended; the last is this one."""
        return (self,)

    def rho(self, residual: Array) -> Array:
        """Loss of each residual."""
        size = np.abs(residual)
        inner = np.minimum(size, self.delta)
        return inner * (size - 0.5 * inner)

    def psi(self, residual: Array) -> Array:
        """First derivative of rho."""
        return np.clip(residual, -self.delta, self.delta)

    def curved(self, residual: Array) -> Array:
        """Second derivative of rho: 1 in the quadratic zone, 0 in the linear zone."""
        return (np.abs(residual) <= self.delta).astype(np.float64)

    def weight(self, residual: Array) -> Array:
        """psi(r) / r: the weights of the least-squares problem that majorises this one at r."""
        if math.isinf(self.delta):
            return np.ones_like(residual)
        return self.delta / np.maximum(np.abs(residual), self.delta)

    def linear_share(self, residual: Array) -> float:
        """Share of residuals in the linear zone, in 0..1."""
        return float(np.mean(np.abs(residual) > self.delta))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; delta is null where it is infinite."""
        return {"name": self.name, "delta": self.delta if math.isfinite(self.delta) else None}


@dataclass(frozen=True)
class LogHuber(Objective):
    """Huber's loss of log residuals: Hoffmann et al. 2022, equation 3 and its delta of 1e-3, with the sum of Besiroglu
    et al. 2024 over rows (a mean would be tiny enough to stop an optimiser early).

    A delta that no residual reaches makes the fit least squares, one below every residual makes it least absolute
    deviations; `linear_share` tells.
    """

    delta: float = 1e-3
    name: ClassVar[str] = "log_huber"

    @property
    def stages(self) -> tuple[Objective, ...]:
        """From a delta of 0.001 down to a smaller one: valleys of nearly absolute errors are slow to walk."""
        return (*_falling(1e-3, self.delta), self)


@dataclass(frozen=True)
class LeastAbsolute(Objective):
    """Least absolute deviations of log residuals: Huber's loss divided by its delta, as delta goes to 0.

    Reached in stages, each with a tenth of the delta before; what is printed is that of the last, whose quadratic zone
    holds the rows that an exact fit would pass through.
    """

    delta: float = 1e-9
    name: ClassVar[str] = "least_absolute"

    @property
    def stages(self) -> tuple[Objective, ...]:
        """LogHuber from a delta of 0.01 down to this one's."""
        return (*_falling(1e-2, self.delta), self)


def _falling(first: float, last: float) -> tuple[LogHuber, ...]:
    """LogHuber with deltas from about `first` down to the one before `last`, each a tenth of the one before."""
    count = max(math.ceil(math.log(first / last) / math.log(STAGE) - 1e-9), 0)
    return tuple(LogHuber(last * STAGE**k) for k in range(count, 0, -1))


@dataclass(frozen=True)
class SquaredLog(Objective):
    """Least squares of log residuals; the likelihood of log-normal noise. With row weights 1 / variance it is the
    likelihood of noise that differs between rows."""

    name: ClassVar[str] = "squared_log"


@dataclass(frozen=True)
class SquaredRaw(Objective):
    """Least squares of residuals as they stand, in nats per token for a loss; rows of great loss count most."""

    name: ClassVar[str] = "squared_raw"
    raw: ClassVar[bool] = True


@dataclass(frozen=True)
class Likelihood(Objective):
    """Least squares of log residuals in units of the noise between seeds: each row counts by 1 / variance, estimated
    from the table's replicates (`intervals.noise`). The sum is minus the log likelihood of normal noise but for a
    constant, and half of chi-squared of n - P degrees of freedom where the law is right."""

    name: ClassVar[str] = "likelihood"


OBJECTIVES: dict[str, type[Objective]] = {
    kind.name: kind for kind in (LogHuber, LeastAbsolute, SquaredLog, SquaredRaw, Likelihood)
}


def objective_named(name: str, delta: float | None = None) -> Objective:
    """The objective of this name, with a delta where one is given; raises InputError with the names there are."""
    if name not in OBJECTIVES:
        raise InputError(f"no objective is called {name!r}; there are: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]() if delta is None else OBJECTIVES[name](delta)
