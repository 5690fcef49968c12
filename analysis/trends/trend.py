"""A trend: the line of a quantity's logarithm on the date, with replicates over organisations, and its forecasts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.intervals.interval import Percentiles, tails
from analysis.intervals.uncertainty import resample
from analysis.trends.leaders import leaders
from analysis.trends.lines import METHODS, Lines
from analysis.trends.models import FEWEST, Series, Window

Array = NDArray[np.float64]

LOG2 = math.log10(2.0)
ALL = "all models"
ACTIVE = "active parameters"
RECORDS = "records"
FEW_ORGANIZATIONS = 10
"""Organisations below which an interval that resamples them is said to be rough."""
FEWEST_ORGANIZATIONS = 4
"""Organisations below which no interval holds what it promises: of nominal 90 %, 2 organisations held 0.53 and 3 held
0.84 in simulations, and no verdict is given."""
MIDDLE = 0.8
"""Of its replicates: a value outside their middle share is one-sided."""
SENSITIVE = 4.0 / 3.0
"""Factor by which one model may change a doubling time before it is said."""
SHARE_OF_USE = 0.9
"""Of the replicates, those that must have a line: a replicate may hold too few records for one."""
DRAWS = 41
"""Quantiles of the residuals that a new model's band mixes with the lines."""


@dataclass(frozen=True)
class Sampling:
    """How intervals are made."""

    replicates: int = 1000
    seed: int = 0
    level: float = 0.9


@dataclass(frozen=True)
class Trend:
    """log10 of a quantity on the date by one version (all models, records, ...) and method (OLS, Huber)."""

    quantity: str
    version: str
    method: str
    window: Window
    series: Series
    """The models that the line is through."""
    line: Lines
    """The line, [1]."""
    drawn: Lines
    """The lines of the replicates, [R]."""
    ends: Percentiles
    level: float
    units: int
    """Organisations (or models, where there is one organisation) that were resampled."""
    clusters: str
    """What was resampled."""
    effective: float
    """To how many organisations of equal weight these amount."""
    organizations: int = FEW_ORGANIZATIONS
    """Organisations of the models that were resampled."""
    range_without_one: tuple[float, float] | None = None
    """Shortest and longest doubling time, in months, when each record in turn is left out and the records are found
    anew; None where that was not looked at."""

    @property
    def slope(self) -> float:
        """Decades a year."""
        return float(self.line.slope[0])

    @property
    def slopes(self) -> tuple[float, float]:
        """The ends of the interval of the slope."""
        lo, hi = self.ends(self.drawn.slope, self.level)
        return float(lo), float(hi)

    @property
    def growth(self) -> tuple[float, float, float]:
        """Factor a year, with its interval."""
        lo, hi = self.slopes
        return 10.0**self.slope, 10.0**lo, 10.0**hi

    @property
    def doubling(self) -> tuple[float, float, float]:
        """Months in which it doubles, with the interval; infinite where it does not grow."""
        lo, hi = self.slopes
        return doubling(self.slope), doubling(hi), doubling(lo)

    @property
    def few(self) -> bool:
        """Whether there are too few organisations (under 4) for any interval to be trusted, or a verdict given."""
        return self.organizations < FEWEST_ORGANIZATIONS

    @property
    def one_sided(self) -> bool:
        """Whether the value lies outside the middle 80 % of its replicates, near an end of its own interval."""
        slopes = self.drawn.slope
        share = float((slopes < self.slope).mean() + (slopes == self.slope).mean() / 2)
        lo, hi = tails(MIDDLE)
        return not lo <= share <= hi

    @property
    def rests_on_one(self) -> bool:
        """Whether leaving one record out changes the doubling time by more than a third."""
        if self.range_without_one is None:
            return False
        lo, hi = self.range_without_one
        value = self.doubling[0]
        if math.isinf(value):
            return math.isfinite(lo)
        return lo * SENSITIVE < value or hi > value * SENSITIVE

    @property
    def residuals(self) -> Array:
        """[n] in decades, scaled up for the two parameters that they paid for."""
        n = len(self.series)
        return np.asarray((self.series.logs - self.line.at(self.series.years)[0]) * np.sqrt(n / (n - 2)))

    @property
    def spread(self) -> float:
        """Standard deviation about the line, in decades."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    @property
    def last(self) -> float:
        """Date of the last model of the line, as a year."""
        return float(self.series.years.max())

    @property
    def at_last(self) -> float:
        """log10 of the trend at its last model."""
        return float(self.line.at(np.array([self.last]))[0, 0])

    def probability(self, lo: float, hi: float) -> float:
        """That the slope lies between lo and hi, by the replicates widened as the interval's percentiles are."""
        return self._below(hi) - self._below(lo)

    def at(self, years: Array) -> tuple[Array, Array, Array]:
        """log10 of the trend at years [k], with its interval."""
        lo, hi = self.ends(self.drawn.at(years), self.level)
        return self.line.at(years)[0], lo, hi

    def new_model(self, years: Array) -> tuple[Array, Array]:
        """The interval of log10 of a new model at years [k]: the lines of the replicates and the residuals."""
        places = (np.arange(DRAWS) + 0.5) / DRAWS
        residuals = np.quantile(self.residuals, places)
        drawn = self.widened.at(years)
        mixed = (drawn[:, None, :] + residuals[None, :, None]).reshape(-1, len(years))
        lo, hi = np.quantile(mixed, tails(self.level), axis=0)
        return lo, hi

    @property
    def widened(self) -> Lines:
        """The replicates, moved away from the line by as much as the interval's percentiles lie further out."""
        plain, wide = tails(self.level)[0], self.ends.probabilities(self.level)[0]
        from scipy.special import ndtri

        factor = float(ndtri(wide) / ndtri(plain))
        level = self.line.level + factor * (self.drawn.level - self.line.level)
        slope = self.line.slope + factor * (self.drawn.slope - self.line.slope)
        return Lines(self.line.centre, level, slope)

    def _below(self, value: float) -> float:
        from scipy.special import ndtri, stdtr

        if math.isinf(value):
            return float(value > 0)
        slopes = self.drawn.slope
        share = float((slopes < value).mean() + (slopes == value).mean() / 2)
        least = 0.5 / len(slopes)  # no replicate beyond is no certainty
        out = float(ndtri(min(max(share, least), 1 - least)))
        return float(stdtr(self.ends.freedom, out / self.ends.stretch))


def doubling(slope: float) -> float:
    """Months in which what grows by so many decades a year doubles."""
    return 12.0 * LOG2 / slope if slope > 0 else math.inf


@dataclass(frozen=True)
class Missing:
    """A version that could not be estimated, and why."""

    quantity: str
    version: str
    method: str
    reason: str


def all_models(
    series: Series, window: Window, method: str, sampling: Sampling, version: str = ALL
) -> Trend | Missing:
    """The trend of all models of the window; replicates resample organisations."""
    chosen = series.among(series.within(window))
    reason = _reason(chosen)
    if reason:
        return Missing(series.quantity, version, method, reason)

    def through(weights: Array) -> Lines:
        return METHODS[method](chosen.years, chosen.logs, weights)

    return _made(chosen, version, method, window, through, chosen, sampling)


def running(series: Series, window: Window, method: str, sampling: Sampling, top: int = 1) -> Trend | Missing:
    """The trend of the models that were among the `top` largest at their date, of all that came before.

    Each replicate resamples organisations and finds the leaders among those it drew.
    """
    version = RECORDS if top == 1 else f"running top {top}"
    past = series.among(series.years <= window.end)
    if not len(past):
        return Missing(series.quantity, version, method, "no model has it")
    inside = past.within(window)
    lead = leaders(past.logs, np.ones((1, len(past)), dtype=bool), top)[0] & inside
    chosen = past.among(lead)
    reason = _reason(chosen)
    if reason:
        return Missing(series.quantity, version, method, reason)

    def through(weights: Array) -> Lines:
        leading = leaders(past.logs, weights > 0, top) & inside
        return METHODS[method](past.years, past.logs, leading.astype(np.float64))

    made = _made(chosen, version, method, window, through, past, sampling)
    if isinstance(made, Missing):
        return made
    return replace(made, range_without_one=_without_one(past, inside, lead, method, top))


def _without_one(
    past: Series, inside: NDArray[np.bool_], lead: NDArray[np.bool_], method: str, top: int
) -> tuple[float, float] | None:
    """Shortest and longest doubling when each leader in turn is left out and the leaders are found anew."""
    out = np.flatnonzero(lead)
    present = np.ones((len(out), len(past)), dtype=bool)
    present[np.arange(len(out)), out] = False
    weights = (leaders(past.logs, present, top) & inside).astype(np.float64)
    slopes = METHODS[method](past.years, past.logs, weights).slope
    found = [doubling(float(slope)) for slope in slopes if np.isfinite(slope)]
    return (min(found), max(found)) if found else None


def _made(
    chosen: Series, version: str, method: str, window: Window, through: Callable[[Array], Lines], sampled: Series,
    sampling: Sampling,
) -> Trend | Missing:  # fmt: skip
    """The trend by resampled organisations; by models where there is one, by the wider of both where they are few."""
    alone = np.arange(len(sampled))
    ways = [(sampled.groups, chosen.groups, "organisations")] if sampled.units > 1 else []
    if sampled.units < FEWEST_ORGANIZATIONS:
        why = "all are of one organisation" if sampled.units == 1 else "organisations are few"
        ways.append((alone, np.arange(len(chosen)), f"models, since {why}"))
    line = through(np.ones((1, len(sampled))))
    made: list[Trend] = []
    for groups, own, what in ways:
        drawn = through(resample(groups, sampling.replicates, np.random.default_rng(sampling.seed)))
        usable = np.isfinite(drawn.slope)
        if usable.mean() < SHARE_OF_USE:
            continue
        drawn = Lines(drawn.centre, drawn.level[usable], drawn.slope[usable])
        units, effective = int(groups.max()) + 1, effective_clusters(chosen, own)
        ends = Percentiles(math.sqrt(units / (units - 1)), max(effective - 1.0, 1.0))
        made.append(
            Trend(
                chosen.quantity, version, method, window, chosen, line, drawn, ends, sampling.level, units, what,
                effective, sampled.units,
            )
        )  # fmt: skip
    if not made:
        reason = f"fewer than {SHARE_OF_USE:.0%} of the replicates hold models of two dates"
        return Missing(chosen.quantity, version, method, reason)
    return max(made, key=lambda trend: trend.slopes[1] - trend.slopes[0])


def effective_clusters(series: Series, groups: NDArray[np.intp]) -> float:
    """Clusters of equal weight in the slope to which these amount: (sum q)^2 / sum q^2, q the sum of squared distances
    from the mean date (after Carter, Schnepel and Steigerwald 2017)."""
    q = np.bincount(groups, (series.years - series.years.mean()) ** 2)
    return float(q.sum() ** 2 / (q**2).sum())


def _reason(series: Series) -> str:
    if len(series) < FEWEST:
        count = f"{len(series)} model{'s' if len(series) != 1 else ''}"
        return f"{count}, and a trend takes {FEWEST}" if len(series) else "no model"
    if np.ptp(series.years) == 0:
        return "all models are of one date"
    return ""


def require(found: Trend | Missing) -> Trend:
    """The trend; raises InputError with the reason where there is none."""
    if isinstance(found, Missing):
        raise InputError(
            f"no trend of {found.quantity} by {found.version}: {found.reason}; widen --where, --since or --until, or "
            "add models"
        )
    return found
