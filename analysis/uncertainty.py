"""How far the parameters would move with other runs: the bootstrap, every replicate fitted as globally as the fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import InputError
from analysis.fitting import STATUSES, Fit, scan, solve_batch, vector
from analysis.laws import LAWS, Law
from analysis.polish import MAX_STEPS

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

FEW_CLUSTERS = 8
CHUNK = 512


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


@dataclass(frozen=True)
class Bootstrap:
    """Refits to resampled rows: one law with a leading axis over the replicates.

    Replicates that did not converge stay in, as the best that was found, and are counted in `statuses`: they are those
    of the flattest valleys, and without them the intervals would be too narrow.
    """

    law: Law
    """Fields [R]."""
    columns: dict[str, str]
    method: str
    """"pairs", or "cluster:trunk_id": what was resampled."""
    replicates: int
    statuses: dict[str, int]
    seed: int
    level: float
    units: int
    """Rows or clusters that were resampled."""
    residuals: Array
    """Log residuals [n] of the fit, scaled up by sqrt(n / (n - P)) for the parameters that they paid for."""

    @property
    def few_clusters(self) -> bool:
        """Whether there were too few clusters (under 8) for percentiles to cover as they claim."""
        return self.method != "pairs" and self.units < FEW_CLUSTERS

    @property
    def note(self) -> str:
        """What a reader must know before believing the intervals; empty where nothing."""
        if not self.few_clusters:
            return ""
        return (
            f"Only {self.units} independent clusters ({self.method.split(':')[1]}) were resampled: with fewer than "
            f"{FEW_CLUSTERS} the intervals are likely too narrow."
        )

    def tails(self, level: float) -> tuple[float, float]:
        """Probabilities at which percentiles are taken for an interval of this level: a little further out than
        `tails`, as resampling n rows spreads like n and not like n - P (expanded percentiles, Hesterberg 2015).

        They are those of the normal at sqrt(n / d) times Student's quantile of d degrees of freedom, d = n - P for
        rows; for G clusters, n is G and d is G - 1.
        """
        from scipy.special import ndtr, stdtrit

        paid = len(self.law.parameters()) if self.method == "pairs" else 1
        freedom = max(self.units - paid, 1)
        low = float(ndtr(np.sqrt(self.units / freedom) * stdtrit(freedom, tails(level)[0])))
        return low, 1 - low

    def standard_errors(self) -> dict[str, float]:
        """Standard deviation over replicates of each parameter."""
        return {name: float(np.std(values, ddof=1)) for name, values in self.law.as_dict().items()}

    def intervals(self, level: float | None = None) -> dict[str, Interval]:
        """Percentile interval of each parameter."""
        level = self.level if level is None else level
        return {name: self.interval(values, level) for name, values in self.law.as_dict().items()}

    def interval(self, values: Array, level: float | None = None) -> Interval:
        """Percentile interval of any function of the replicates' parameters, values [R]."""
        level = self.level if level is None else level
        lo, hi = np.quantile(values, self.tails(level))
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
        }


@dataclass(frozen=True)
class Prediction:
    """Loss expected at each point [n], with the interval of the law and that of a new run, which adds its noise."""

    value: Array
    law_lo: Array
    law_hi: Array
    lo: Array
    hi: Array
    level: float


def bootstrap(
    table: pd.DataFrame,
    fit: Fit,
    *,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
    max_steps: int = MAX_STEPS,
    progress: Callable[[int, int], None] | None = None,
) -> Bootstrap:
    """Resample the fit's rows with replacement `replicates` times and search every refit globally.

    clusters "auto" resamples whole trunks where the table has a trunk_id with repeated values (branches of one trunk
    share its noise), else rows ("pairs"); the name of a column resamples the groups of that column. progress is called
    with (done, replicates).
    """
    _check(replicates, level)
    frame = fit.select(table).frame
    problem = fit.problem(frame)
    groups, method = grouping(frame, clusters)
    if groups.max() == 0:
        column = method.split(":")[1]
        raise InputError(
            f"all rows share one {column}, so there is nothing to resample; use --clusters pairs"
        )
    weights = resample(groups, replicates, np.random.default_rng(seed)) * fit.weights(frame)
    grid = scan(problem)
    parameters, statuses = [], []
    for first in range(0, replicates, CHUNK):
        batch = solve_batch(problem, weights[first : first + CHUNK], grid=grid, max_steps=max_steps)
        parameters.append(batch.parameters)
        statuses.append(batch.status)
        if progress:
            progress(min(first + CHUNK, replicates), replicates)
    counts = Counter(np.concatenate(statuses).tolist())
    found = np.concatenate(parameters, axis=1)
    best = vector(problem, fit.params)
    spread = np.sqrt(len(frame) / max(len(frame) - len(best), 1))
    return Bootstrap(
        law=LAWS[fit.law](**dict(zip(problem.names, found, strict=True))),
        columns=fit.columns,
        method=method,
        replicates=replicates,
        statuses={name: counts.get(name, 0) for name in STATUSES if counts.get(name, 0)},
        seed=seed,
        level=level,
        units=int(groups.max()) + 1,
        residuals=problem.residual(best[:, None])[0] * spread,
    )


def predict(
    boot: Bootstrap,
    fit: Fit,
    points: pd.DataFrame | Mapping[str, ArrayLike],
    *,
    level: float | None = None,
    noise: bool = True,
) -> Prediction:
    """Loss at points (a mapping or table with the table's column names), with intervals.

    The law's interval is the percentiles of the replicates; a new run's multiplies every replicate by the exponential
    of a residual drawn from the fit's. With noise=False both are the law's.
    """
    level = boot.level if level is None else level
    _check(boot.replicates, level)
    columns = {name: np.atleast_1d(column) for name, column in fit.arguments(points).items()}
    curves = boot.law(**columns)
    probabilities = boot.tails(level)
    law_lo, law_hi = np.quantile(curves, probabilities, axis=0)
    lo, hi = law_lo, law_hi
    if noise:
        drawn = np.random.default_rng(boot.seed + 1).choice(boot.residuals, size=curves.shape)
        lo, hi = np.quantile(curves * np.exp(drawn), probabilities, axis=0)
    return Prediction(fit.curve(**columns), law_lo, law_hi, lo, hi, level)


def grouping(frame: pd.DataFrame, clusters: str = "auto") -> tuple[NDArray[np.intp], str]:
    """Number of the group [n] of each row, and the method's name: "pairs", or "cluster:" and the column."""
    if clusters == "auto":
        repeated = "trunk_id" in frame.columns and frame["trunk_id"].dropna().duplicated().any()
        clusters = "trunk_id" if repeated else ""
    if clusters in ("", "pairs"):
        return np.arange(len(frame)), "pairs"
    if clusters not in frame.columns:
        raise InputError(
            f"clusters is {clusters!r}, which is no column of the table; name one, or 'auto' or 'pairs'"
        )
    labels = frame[clusters].astype("string")
    alone = "\0row " + frame.index.astype("string").to_series(
        index=frame.index
    )  # a row of no cluster is its own
    codes, _ = labels.fillna(alone).factorize()
    return codes.astype(np.intp), f"cluster:{clusters}"


def resample(groups: NDArray[np.intp], replicates: int, rng: np.random.Generator) -> Array:
    """How often each row is drawn, [replicates, n], when whole groups are drawn with replacement."""
    count = int(groups.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=replicates)
    return drawn[:, groups].astype(np.float64)


def tails(level: float) -> tuple[float, float]:
    """Probabilities below which the two ends of an interval of this level lie."""
    return (1 - level) / 2, (1 + level) / 2


def _check(replicates: int, level: float) -> None:
    if replicates < 2:
        raise InputError(
            f"replicates is {replicates}; a bootstrap needs at least 2, and 1000 for a steady interval"
        )
    if not 0 < level < 1:
        raise InputError(f"level is {level}; it is a probability between 0 and 1, e.g. 0.9")
