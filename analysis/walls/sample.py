"""Draws of a scenario: every range as numbers, and compute and recipes along the calendar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.walls.scenario import DATES, Range, Scenario

Array = NDArray[np.float64]

NAMES = ("stock", "repetition", "compute", "growth", "until", "budget", "recipe", "recipe_on_data")
UNIFORM = (*DATES, "recipe_on_data")
"""Fields whose two ends are those of a uniform distribution; of all others, the 90 % interval of a log-normal."""

LEAST = {"growth": 1.0, "recipe": 1.0}
"""What no draw lies below: a log-normal with both ends of its interval above it may reach lower."""


@dataclass(frozen=True)
class Sample:
    """M draws of a scenario's numbers, each [M]; what it says nothing of is endless (stock, until, budget)."""

    start: float
    stock: Array
    repetition: Array
    compute: Array
    growth: Array
    until: Array
    budget: Array
    recipe: Array
    recipe_on_data: Array

    @property
    def ends(self) -> Array:
        """Date [M] at which growth ends, by its end or by the budget; infinite where it goes on."""
        rate = np.log(self.growth)
        with np.errstate(divide="ignore", invalid="ignore"):
            spent = np.where(rate > 0, np.log(self.budget / self.compute) / rate, np.inf)
        return np.maximum(np.minimum(self.until, self.start + spent), self.start)

    def compute_at(self, dates: Array) -> Array:
        """Training compute [M, T] at dates [T] or [M, T], FLOPs: C = compute growth^(t - start) until growth ends."""
        past = np.minimum(dates, self.ends[:, None]) - self.start
        grown = np.log(self.compute)[:, None] + np.log(self.growth)[:, None] * np.maximum(past, 0.0)
        return np.asarray(np.exp(grown))

    def recipe_at(self, dates: Array) -> Array:
        """Multiple of compute [M, T] that recipes have become worth since the start."""
        return np.asarray(self.recipe[:, None] ** np.maximum(dates - self.start, 0.0))


def taken_from(drawn: Sample, rows: NDArray[np.intp]) -> Sample:
    """Draws of a sample by their numbers."""
    return Sample(drawn.start, **{name: getattr(drawn, name)[rows] for name in NAMES})


def sample(scenario: Scenario, size: int, seed: int) -> Sample:
    """`size` draws: a Latin hypercube, so that few draws fill each range evenly. The same seed gives the same draws.

    A draw below what can be (see LEAST; a budget below the compute of the start) is set to that, which leaves the ends
    of the interval where the scenario puts them, unless it puts those lower.
    """
    rng = np.random.default_rng([seed, 6])
    absent = {"growth": 1.0, "stock": np.inf, "until": np.inf, "budget": np.inf}
    drawn = {}
    for name in NAMES:
        places = (rng.permutation(size) + rng.random(size)) / size
        value: Range = getattr(scenario, name) or (absent.get(name, np.nan),)
        drawn[name] = np.maximum(_placed(value, places, name in UNIFORM), LEAST.get(name, 0.0))
    drawn["budget"] = np.maximum(drawn["budget"], drawn["compute"])
    return Sample(scenario.start, **drawn)


def _placed(value: Range, places: Array, uniform: bool) -> Array:
    """Quantiles at `places` of the distribution that a range stands for."""
    from scipy.special import ndtri

    lo, hi = float(value[0]), float(value[-1])
    if lo == hi:
        return np.full(len(places), lo)
    if uniform:
        return np.asarray(lo + (hi - lo) * places)
    middle, spread = np.log(lo * hi) / 2, np.log(hi / lo) / (2 * ndtri(0.95))
    return np.asarray(np.exp(middle + spread * ndtri(places)))
