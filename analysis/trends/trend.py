"""A trend: the line of a quantity's logarithm on the date, with replicates over organisations, and its forecasts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.intervals.interval import Percentiles, tails
from analysis.trends import dates
from analysis.trends.lines import Lines
from analysis.trends.models import Series, Window

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
"""Of its replicates, and of its interval: a value outside their middle share is one-sided."""
SENSITIVE = 4.0 / 3.0
"""Factor by which one model may change a doubling time before it is said."""
FASTEST = 30.0
"""Decades a year beyond which an interval is no rate: the dates are too close to tell one."""
FARTHEST = 290.0
"""Decades beyond which nothing is foretold, as no number is so large."""
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
        """Whether the value lies outside the middle 80 % of its replicates, or of its own interval."""
        slopes = self.drawn.slope
        share = float((slopes < self.slope).mean() + (slopes == self.slope).mean() / 2)
        below, above = tails(MIDDLE)
        lo, hi = self.slopes
        inside = lo + below * (hi - lo) <= self.slope <= lo + above * (hi - lo)
        return hi > lo and not (below <= share <= above and inside)

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


class Carried(Protocol):
    """A line that goes on beyond its last model."""

    def at(self, years: Array) -> tuple[Array, Array, Array]:
        """log10 at years [k], with its interval."""
        ...

    def new_model(self, years: Array) -> tuple[Array, Array]:
        """The interval of log10 of a new model at years [k]."""
        ...


def require_horizon(name: str, carried: Carried, horizon: float) -> None:
    """Raise InputError where what is carried on leaves the numbers there are before the horizon."""
    at = np.array([horizon])
    reached = max(float(abs(part[0])) for part in (*carried.at(at), *carried.new_model(at)))
    if not reached <= FARTHEST:
        raise InputError(
            f"{name} is carried on to {dates.date(horizon)}, where its band is beyond 1e{FARTHEST:.0f}; choose an "
            "earlier --horizon"
        )
