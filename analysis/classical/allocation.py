"""How compute is split at its best, as an approach found it: N_opt ~ C^a and D_opt ~ C^b, with what they rest on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import InputError
from analysis.frontier import Cost, Frontier
from analysis.intervals.uncertainty import Interval, tails
from analysis.laws import Law

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

VALID_SHARE = 0.5
"""Share of replicates that need an answer (Porian et al. 2024, arXiv 2406.19146, ask it of a budget)."""
FAILED_SHARE = 0.05
"""Share of replicates without an answer above which a reader is told."""


@dataclass(frozen=True)
class Line:
    """y = exp(intercept) C^slope, by the rows and by each bootstrap replicate, [R]; NaN where one has no answer."""

    intercept: float
    slope: float
    intercepts: Array = field(default_factory=lambda: np.empty(0))
    slopes: Array = field(default_factory=lambda: np.empty(0))

    @property
    def coefficient(self) -> float:
        """y at C = 1 FLOP, far outside any runs: of use only beside the slope."""
        return float(np.exp(self.intercept))

    def at(self, C: ArrayLike) -> Array:
        """y at compute C."""
        return np.asarray(np.exp(self.intercept + self.slope * np.log(np.asarray(C, dtype=np.float64))))

    def replicated(self, C: ArrayLike) -> Array:
        """y at compute C by each replicate, [R, *C.shape]."""
        logs = np.log(np.asarray(C, dtype=np.float64))
        axes = (...,) + (None,) * logs.ndim
        return np.asarray(np.exp(self.intercepts[axes] + self.slopes[axes] * logs))

    def paid(self, cost: Cost) -> Line:
        """The tokens that C buys at these sizes: D = C / (kappa N^rho)."""
        kappa, rho = np.log(cost.kappa), cost.rho
        return Line(
            float(-kappa - rho * self.intercept),
            1 - rho * self.slope,
            -kappa - rho * self.intercepts,
            1 - rho * self.slopes,
        )


@dataclass(frozen=True)
class Point:
    """The best split of compute C that was seen: the model, its tokens and its loss (nats per token)."""

    C: float
    N: float
    D: float
    L: float


@dataclass(frozen=True)
class Refused:
    """A budget, bin or replicate's worth of rows at compute C that was not used, and why."""

    C: float
    rows: int
    reason: str


@dataclass(frozen=True)
class Bias:
    """What an approach gets wrong without any noise: its answer on losses of a law at the table's own N, D and C, less
    the law's own. `a` and `b` are differences of exponents, N and D relative errors at compute C, and `N_amid` is that
    of N_opt at the geometric mean of the rows' compute."""

    a: float
    b: float
    C: float
    N: float
    D: float
    N_amid: float
    law: str


@dataclass(frozen=True)
class Allocation:
    """An approach's answer, in the same form for all three."""

    approach: str
    N: Line
    D: Line
    points: tuple[Point, ...]
    """Optima that the lines go through; none for a law, whose lines go through no points."""
    refused: tuple[Refused, ...]
    rows: int
    method: str
    """How the replicates were made."""
    level: float
    probabilities: tuple[float, float]
    """Where percentiles are taken for an interval of that level."""
    seed: int
    used: str
    """What was used, in words."""
    warnings: tuple[str, ...] = ()
    places: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    """Rows of the frame that were used."""
    bias: Bias | None = None

    @property
    def replicates(self) -> int:
        """How many times it was refitted."""
        return len(self.N.slopes)

    @property
    def failed(self) -> int:
        """Replicates without an answer."""
        return int(np.isnan(self.N.slopes).sum())

    def interval(self, values: Array) -> Interval:
        """Percentile interval of a function of the replicates, values [R]; NaN where under two or under `VALID_SHARE`
        of them have an answer, since those that have one are not any."""
        good = values[np.isfinite(values)]
        enough = len(good) >= max(2, VALID_SHARE * len(values))
        lo, hi = np.quantile(good, self.probabilities) if enough else (np.nan, np.nan)
        return Interval(float(lo), float(hi), self.level, self.method)

    @property
    def a(self) -> tuple[float, Interval]:
        """Exponent of N_opt ~ C^a with its interval."""
        return self.N.slope, self.interval(self.N.slopes)

    @property
    def b(self) -> tuple[float, Interval]:
        """Exponent of D_opt ~ C^b with its interval."""
        return self.D.slope, self.interval(self.D.slopes)

    def at(self, C: float) -> dict[str, tuple[float, Interval]]:
        """N_opt and D_opt at compute C with their intervals."""
        lines = {"N_opt": self.N, "D_opt": self.D}
        return {name: (float(line.at(C)), self.interval(line.replicated(C))) for name, line in lines.items()}

    def told(self) -> tuple[str, ...]:
        """Warnings, with that of replicates that failed."""
        if self.failed <= FAILED_SHARE * max(self.replicates, 1):
            return self.warnings
        few = self.replicates - self.failed < VALID_SHARE * self.replicates
        none = f"no interval is given, which needs {VALID_SHARE:.0%} of them"
        then = none if few else "the intervals are of the others"
        return (*self.warnings, f"{self.failed} of {self.replicates} replicates have no answer; {then}")

    def as_dict(self, C: float) -> dict[str, Any]:
        """For JSON, with the split at compute C."""
        answers = {"a": self.a, "b": self.b, **self.at(C)}
        return {
            "approach": self.approach,
            **{
                name: {"value": value, "interval": interval.as_dict()}
                for name, (value, interval) in answers.items()
            },
            "C": C,
            "N_coefficient": self.N.coefficient,
            "D_coefficient": self.D.coefficient,
            "points": [vars(point) for point in self.points],
            "refused": [vars(item) for item in self.refused],
            "rows": self.rows,
            "used": self.used,
            "replicates": self.replicates,
            "failed": self.failed,
            "seed": self.seed,
            "warnings": list(self.told()),
            "bias": vars(self.bias) if self.bias else None,
        }


def expanded(level: float, freedom: float) -> tuple[float, float]:
    """Probabilities of an interval's ends where the spread is estimated with so many degrees of freedom: those of the
    normal at Student's quantile, further out than `tails` (Hesterberg 2015, expanded percentiles)."""
    from scipy.special import ndtr, stdtrit

    low = float(ndtr(stdtrit(max(freedom, 1.0), tails(level)[0])))
    return low, 1 - low


def bias(
    frame: pd.DataFrame, law: Law, cost: Cost, C: float, approach: Callable[[pd.DataFrame], Allocation]
) -> Bias:
    """What an approach gets wrong on rows [n] whose losses are the law's, without noise, against the law's frontier.

    Raises InputError where the approach has no answer there, or the law's frontier is no power of C.
    """
    truth = Frontier(law, cost)
    losses = law(**{name: np.asarray(frame[name], dtype=np.float64) for name in ("N", "D")})
    found = approach(frame.assign(L=losses))
    amid = middle(frame)
    return Bias(
        a=found.N.slope - float(truth.N_exponent),
        b=found.D.slope - float(truth.D_exponent),
        C=C,
        N=float(found.N.at(C) / truth.N_opt(C)) - 1,
        D=float(found.D.at(C) / truth.D_opt(C)) - 1,
        N_amid=float(found.N.at(amid) / truth.N_opt(amid)) - 1,
        law=type(law).__name__,
    )


def middle(frame: pd.DataFrame) -> float:
    """Geometric mean of the rows' compute."""
    return float(np.exp(np.log(np.asarray(frame["C"], dtype=np.float64)).mean()))


def line(x: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    """Intercept and slope of weighted least squares of y on x, over the last axis; shapes [..., K] broadcast.

    Rows of weight 0 are not looked at; NaN where under two different x have a weight.
    """
    x, y, w = np.broadcast_arrays(x, np.where(weights > 0, y, 0.0), weights)
    total = w.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = (w * x).sum(axis=-1) / total, (w * y).sum(axis=-1) / total
        away = x - mean_x[..., None]
        spread = (w * away**2).sum(axis=-1)
        slope = (w * away * (y - mean_y[..., None])).sum(axis=-1) / np.where(
            spread > 1e-12 * total, spread, np.nan
        )
    return mean_y - slope * mean_x, slope


def fitted_line(C: Array, values: Array, weights: Array, replicated: Array, share: Array) -> Line:
    """The line of log values [K] on log C [K], and of each replicate's log values [R, K], whose weights are `weights`
    times `share` [R, K], 0 where a replicate has no optimum."""
    x = np.log(C)
    intercept, slope = line(x, np.log(values), weights)
    if not np.isfinite(slope):
        raise InputError(
            f"{len(np.unique(C))} compute budget gives no line in log C; add budgets at other computes"
        )
    intercepts, slopes = line(x, replicated, weights * share)
    return Line(float(intercept), float(slope), np.asarray(intercepts), np.asarray(slopes))
