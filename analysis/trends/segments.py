"""Segments of a trend between its breaks, and the last of them carried on beyond the last model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.intervals.interval import tails
from analysis.trends.lines import Lines
from analysis.trends.trend import DRAWS, FASTEST, doubling

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """The trend between two breaks."""

    begin: float
    end: float
    models: int
    slope: float
    lo: float
    hi: float
    drawn: Array = field(repr=False, compare=False)
    """[R] slopes in the series with redrawn signs."""

    def probability(self, lo: float, hi: float) -> float:
        """Share of the redrawn slopes between lo and hi, no more certain than their number allows."""
        least = 0.5 / len(self.drawn)
        share = float(((self.drawn >= lo) & (self.drawn <= hi)).mean())
        return min(max(share, least), 1 - least)

    @property
    def growth(self) -> tuple[float, float, float]:
        """Factor a year with its interval; below 1 where it falls; at the most 1e30 or one by it."""
        value, lo, hi = (10.0 ** max(min(s, FASTEST), -FASTEST) for s in (self.slope, self.lo, self.hi))
        return value, lo, hi

    @property
    def falls(self) -> bool:
        """Whether it falls rather than grows."""
        return self.slope < 0

    @property
    def doubling(self) -> tuple[float, float, float]:
        """Months to double, with the interval; infinite where it does not grow."""
        return doubling(self.slope), doubling(self.hi), doubling(self.lo)


@dataclass(frozen=True)
class Tail:
    """The last segment as a line that goes on: what the broken line foretells."""

    line: Lines
    """[1]."""
    drawn: Lines
    """[R] the last segments in the series with redrawn signs, each with the dates that it found."""
    residuals: Array
    """[n] of all models about the broken line, in decades, scaled up for what it paid for."""
    level: float

    def at(self, years: Array) -> tuple[Array, Array, Array]:
        """log10 of the last segment's line at years [k], with its interval."""
        lo, hi = np.quantile(self.drawn.at(years), tails(self.level), axis=0)
        return self.line.at(years)[0], lo, hi

    def new_model(self, years: Array) -> tuple[Array, Array]:
        """The interval of log10 of a new model at years [k]: the drawn lines and the residuals."""
        places = (np.arange(DRAWS) + 0.5) / DRAWS
        mixed = self.drawn.at(years)[:, None, :] + np.quantile(self.residuals, places)[None, :, None]
        lo, hi = np.quantile(mixed.reshape(-1, len(years)), tails(self.level), axis=0)
        return lo, hi
