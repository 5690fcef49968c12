"""What every method of uncertainty returns: draws of a law, or intervals, with how they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.intervals.noise import Sizes
from analysis.laws import Law

Array = NDArray[np.float64]

FEW_CLUSTERS = 8


@dataclass(frozen=True)
class Interval:
    """lo to hi with its level (0.9 means 90 %) and the method that made it."""

    lo: float
    hi: float
    level: float
    method: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"lo": self.lo, "hi": self.hi, "level": self.level, "method": self.method}


class Ends(Protocol):
    """How the values [R, ...] of a quantity over draws become an interval and a standard error [...]."""

    def __call__(self, values: Array, level: float) -> tuple[Array, Array]:
        """Lower and upper ends."""
        ...

    def standard_error(self, values: Array) -> Array:
        """Standard error."""
        ...


@dataclass(frozen=True)
class Percentiles:
    """Quantiles of the draws, a little further out than the level says: those of the normal at `stretch` times
    Student's quantile of `freedom` degrees (expanded percentiles, Hesterberg 2015).

    n rows that are resampled spread like n and not like n - P, which is the stretch, sqrt(n / (n - P)); the freedom is
    that with which the noise is known. With 1 and infinity they are plain percentiles.
    """

    stretch: float = 1.0
    freedom: float = np.inf

    def probabilities(self, level: float) -> tuple[float, float]:
        """Below which the two ends lie."""
        from scipy.special import ndtr, ndtri, stdtrit

        low = tails(level)[0]
        out = float(stdtrit(self.freedom, low)) if np.isfinite(self.freedom) else float(ndtri(low))
        low = float(ndtr(self.stretch * out))
        return low, 1 - low

    def __call__(self, values: Array, level: float) -> tuple[Array, Array]:
        """Quantiles over the first axis."""
        lo, hi = np.quantile(values, self.probabilities(level), axis=0)
        return lo, hi

    def standard_error(self, values: Array) -> Array:
        """Standard deviation over the draws."""
        return np.asarray(np.std(values, axis=0, ddof=1))


@dataclass(frozen=True)
class Jackknifed:
    """Of draws that are the fit of all runs and then, for each of G groups, the fit without it: v and v_g.

    The standard error is sqrt((G - 1) / G sum_g (v_g - mean v_g)^2) (Tukey 1958), the interval v plus and minus
    Student's quantile of G - 1 degrees of freedom times it.
    """

    def __call__(self, values: Array, level: float) -> tuple[Array, Array]:
        """Symmetric about the fit."""
        from scipy.special import stdtrit

        half = float(stdtrit(len(values) - 2, tails(level)[1])) * self.standard_error(values)
        return values[0] - half, values[0] + half

    def standard_error(self, values: Array) -> Array:
        """Of the groups' influence."""
        without = values[1:]
        return np.asarray(np.sqrt((len(without) - 1) * np.var(without, axis=0)))


@dataclass(frozen=True)
class Uncertainty:
    """What a method says of how far the parameters may be from the truth.

    `law` is its draws: refits to resampled or simulated losses, or samples of a posterior, one law with a leading axis.
    Any function of them has an interval, `interval(values)`. A profile has no draws, and the intervals of what was
    asked for in `given`.

    Replicates of a bootstrap that did not converge stay in, as the best that was found, and are counted in `statuses`:
    they are those of the flattest valleys, and without them the intervals would be too narrow.
    """

    drawn: Law | None
    """Fields [R]; None of a profile."""
    columns: dict[str, str]
    method: str
    """"pairs", "residual", ...; after a colon the column whose groups share noise: "cluster:trunk_id"."""
    replicates: int
    statuses: dict[str, int]
    seed: int
    level: float
    units: int
    """Rows or clusters that are independent of each other."""
    residuals: Array
    """Residuals [n] of the fit, scaled up by sqrt(n / (n - P)) for the parameters that they paid for."""
    ends: Ends = Percentiles()
    sizes: Sizes | None = None
    """Of the rows' noise, where the objective says that it differs (`Likelihood`)."""
    given: dict[str, Interval] = field(default_factory=dict)
    """Intervals of a method without draws, by parameter or by the name of the quantity."""
    remark: str = ""
    """What the method has to say of itself."""
    details: dict[str, Any] = field(default_factory=dict)
    """Numbers of the method's own: diagnostics of a sampler, components of noise, thresholds of profiles."""

    @property
    def clusters(self) -> str:
        """Column whose groups share noise, or are left out; "pairs" where every row stands alone."""
        return self.method.partition(":")[2] or "pairs"

    @property
    def few_clusters(self) -> bool:
        """Whether too few clusters (under 8) were resampled for percentiles to cover as they claim."""
        return self.method.startswith("cluster:") and self.units < FEW_CLUSTERS

    @property
    def note(self) -> str:
        """What a reader must know before believing the intervals; empty where nothing."""
        if not self.few_clusters:
            return self.remark
        few = (
            f"Only {self.units} independent clusters ({self.clusters}) were resampled: with fewer than "
            f"{FEW_CLUSTERS} the intervals are likely too narrow."
        )
        return f"{few} {self.remark}".strip()

    @property
    def law(self) -> Law:
        """The draws as one law, its fields [R]; raises InputError of a method that has none."""
        if self.drawn is None:
            raise InputError(
                f"the method {self.method!r} has no draws, only intervals of {', '.join(self.given)}; "
                "profile the quantity itself, or use a bootstrap or the posterior"
            )
        return self.drawn

    def tails(self, level: float) -> tuple[float, float]:
        """Probabilities at which percentiles of the draws are taken for an interval of this level."""
        if self.drawn is None or not isinstance(self.ends, Percentiles):
            raise InputError(
                f"the method {self.method!r} has no percentiles; use a bootstrap or the posterior"
            )
        return self.ends.probabilities(level)

    def standard_errors(self) -> dict[str, float]:
        """Standard error of each parameter; empty of a method without draws."""
        if self.drawn is None:
            return {}
        return {
            name: float(self.ends.standard_error(values)) for name, values in self.drawn.as_dict().items()
        }

    def intervals(self, level: float | None = None) -> dict[str, Interval]:
        """Interval of each parameter (of each quantity that was asked for, where there are no draws)."""
        level = self.level if level is None else level
        if self.drawn is not None:
            return {name: self.interval(values, level) for name, values in self.drawn.as_dict().items()}
        if level != self.level:
            raise InputError(
                f"the method {self.method!r} has intervals of level {self.level} alone; ask for {level} when it is made"
            )
        return dict(self.given)

    def interval(self, values: Array, level: float | None = None) -> Interval:
        """Interval of any function of the draws, values [R]."""
        level = self.level if level is None else level
        lo, hi = self.ends(np.asarray(values, dtype=np.float64), level)
        return Interval(float(lo), float(hi), level, self.method)

    def as_dict(self) -> dict[str, Any]:
        """The `bootstrap` entry of fit.json."""
        return {
            "method": self.method,
            "replicates": self.replicates,
            "seed": self.seed,
            "units": self.units,
            "statuses": self.statuses,
            "standard_errors": self.standard_errors(),
            "note": self.note,
            "details": self.details,
        }


def tails(level: float) -> tuple[float, float]:
    """Probabilities below which the two ends of an interval of this level lie."""
    return (1 - level) / 2, (1 + level) / 2


def check(replicates: int, level: float) -> None:
    """Raise InputError for a number of replicates or a level that cannot be."""
    if replicates < 2:
        raise InputError(
            f"replicates is {replicates}; a bootstrap needs at least 2, and 1000 for a steady interval"
        )
    check_level(level)


def check_level(level: float) -> None:
    """Raise InputError for a level that cannot be."""
    if not 0 < level < 1:
        raise InputError(f"level is {level}; it is a probability between 0 and 1, e.g. 0.9")
