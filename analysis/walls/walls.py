"""The walls of a scenario, as limit.json has them: compute, data, recipe, and the calendar on which they are met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.frontier import Paired
from analysis.laws import Law
from analysis.walls import dated
from analysis.walls.crossing import crossing
from analysis.walls.dated import finite, interval, share
from analysis.walls.sample import Sample, sample, taken_from
from analysis.walls.stocked import Stocked, each
from analysis.walls.timeline import MORE, draws, follow, replicates

if TYPE_CHECKING:
    from analysis.forecast import Forecast
    from analysis.walls.scenario import Scenario

Array = NDArray[np.float64]

DATES = 41
"""Dates at which the calendar is told."""
RECIPES = (2.0, 10.0, 100.0)
"""Multiples of compute at which a better recipe is weighed."""
FARTHEST = 30.0
"""Decades beyond the largest run within which a compute is sought; one that lies further counts as never."""
BELOW = 1e3
"""How far below the largest run the smallest is taken to lie where nothing is said of it."""


@dataclass(frozen=True)
class Walls:
    """What is asked of a scenario: the laws, its draws, and as how much compute the growth ends with."""

    made: Forecast
    scenario: Scenario
    drawn: Sample
    no_data: str
    """Why nothing can be said of a data wall; empty where it can."""
    smallest: float
    """Compute of the smallest run, FLOPs: below it the laws are not asked when something began."""

    @property
    def last(self) -> Array:
        """Compute [M] of the compute wall: the budget, or what growth comes to at its end or at the horizon."""
        if self.scenario.growth is None:
            return self.drawn.budget if self.scenario.budget else self.drawn.compute
        at = np.minimum(self.drawn.ends, self.scenario.horizon)
        return self.drawn.compute_at(at[:, None])[:, 0]

    def over(self, values: Callable[[Law, Sample], Array], noise: bool = False) -> dict[str, Any]:
        """A quantity [R] of a law's replicates and as many draws of the scenario, over all laws: in the middle, and
        the ends of its interval; null is never."""
        given = [values(law, taken_from(self.drawn, np.arange(replicates(law)))) for law in self.made.laws]
        found, weights = self.made.weighed(given, noise)
        return interval(found, weights, self.made.level)

    def over_or_never(self, values: Callable[[Law, Sample], Array]) -> dict[str, Any]:
        """As `over`, of a quantity that may be infinite, and the share of the draws in which it is."""
        given = [values(law, taken_from(self.drawn, np.arange(replicates(law)))) for law in self.made.laws]
        found, weights = self.made.weighed(given, noise=False)
        return interval(found, weights, self.made.level) | {"never": share(weights, np.isinf(found))}

    def stocked(self, law: Law, mine: Sample) -> Stocked:
        """A law in N and D under the stock, with the recipe of the start."""
        if self.made.track.cost is None:
            raise AssertionError("a law in one column has no split")
        return Stocked(law, self.made.track.cost, mine.stock, mine.repetition)

    def loss(self, law: Law, C: Array, mine: Sample, recipe: float = 1.0) -> Array:
        """Loss [R] at compute C [R] under the stock, where recipes are worth so many times the compute."""
        if self.made.track.cost is None:
            return each(law, x=recipe * C[:, None])[:, 0]
        within = self.stocked(law, mine).times(recipe**mine.recipe_on_data)
        return within.split(recipe * C[:, None])[1][:, 0]


def walls(
    made: Forecast, scenario: Scenario, *, no_data: str = "", seed: int = 0, smallest: float | None = None
) -> dict[str, Any]:
    """The `walls` of limit.json: numbers as {value, lo, hi}, dates as years with a fraction, null for never.

    `no_data` says why the data wall cannot be told; without it, it is told where the law has N and D and the scenario a
    stock. A compute of `data` that is that of the `smallest` run stands for it or less. Raises InputError where the fit
    does not follow compute.
    """
    if made.track.x == "C" and not no_data:
        no_data = _no_data(made, scenario)
    if no_data:
        scenario = scenario.without_stock()
    drawn = sample(scenario, draws(made), seed)
    asked = Walls(made, scenario, drawn, no_data, smallest or made.largest / BELOW)
    times = np.linspace(scenario.start, scenario.horizon, DATES)
    line = follow(made, asked.drawn, times, asked.drawn.compute_at(times))
    grows = scenario.growth is not None
    return {
        "scenario": scenario.as_dict(),
        "compute": _compute(asked),
        "data": None if no_data else _data(asked),
        "data_missing": no_data,
        "recipe": _recipe(asked),
        "dates": dated.dates(made, scenario, asked.drawn, line) if grows else {},
        "first": dated.first(made, scenario, asked.drawn, line) if grows and not no_data else None,
        "dates_missing": ""
        if grows
        else "compute does not grow in this scenario, so nothing comes at a date",
        "calendar": dated.calendar(line, made.level) if grows else [],
        "smallest_run": asked.smallest,
        "largest_run": made.largest,
        "level": made.level,
        "draws": len(line.weights),
        "scenario_draws": len(asked.drawn.compute),
        "seed": seed,
    }


def _no_data(made: Forecast, scenario: Scenario) -> str:
    if made.track.cost is None:
        return (
            "the data wall cannot be told from a law of compute alone: it does not say how much of the loss is owed to "
            "the tokens; fit a law in N and D, e.g. --law hoffmann"
        )
    if scenario.stock is None:
        return "the scenario names no stock of tokens, so no data wall is told; give one with --stock"
    return ""


def _compute(asked: Walls) -> dict[str, Any]:
    """Compute at which growth ends and the loss there with endless text, where the law knows of text, and the recipe of
    the start."""
    made = asked.made
    at = asked.last

    def loss(law: Law, _mine: Sample) -> Array:
        C = at[: replicates(law)][:, None]
        if made.track.cost is None:
            return each(law, x=C)[:, 0]
        return Paired(law, made.track.cost).L_opt(C)[:, 0]

    C = interval(at, np.full(len(at), 1 / len(at)), made.level)
    return {
        "C": C,
        "loss": asked.over(loss, noise=True),
        "extrapolation": _ratio(C["value"], made.largest),
        "by": _end(asked),
        "text": "endless" if made.track.cost is not None else "as in these runs",
    }


def _end(asked: Walls) -> str:
    """What the compute wall is."""
    scenario, ends = asked.scenario, asked.drawn.ends
    if scenario.growth is None:
        return "the budget" if scenario.budget else "the compute of the start, which does not grow"
    if np.all(ends > scenario.horizon):
        return "the horizon, before which growth does not end"
    return "the end of growth" if np.all(ends <= scenario.horizon) else "the end of growth or the horizon"


def _data(asked: Walls) -> dict[str, Any]:
    """What the stock is worth at most, the loss of endless compute on it, and the compute at which it runs short."""
    C = asked.made.largest

    def passed(law: Law, mine: Sample) -> Array:
        now, stock = asked.stocked(law, mine), mine.stock[:, None]
        return crossing(_of_runs(asked, law), lambda at: now.asked_for(at) > stock)

    def exhausted(law: Law, mine: Sample) -> Array:
        now, aim = asked.stocked(law, mine), (mine.stock * (1 + mine.repetition))[:, None]
        return crossing(_of_runs(asked, law), lambda at: now.split(at)[0] >= aim)

    at = {
        "stock_passed": asked.over_or_never(passed),
        "repetition_exhausted": asked.over_or_never(exhausted),
    }
    reach = {name: _ratio(found["value"], C) for name, found in at.items()}
    return {
        "loss": asked.over(lambda law, mine: asked.stocked(law, mine).wall, noise=True),
        "worth": asked.over(lambda law, mine: (mine.stock * (1 + mine.repetition))[: replicates(law)]),
        "at": at,
        "extrapolation": reach,
    }


def _recipe(asked: Walls) -> dict[str, Any]:
    """What better recipes gain, in nats, at the compute of the start and of the compute wall; and what ten times the
    stock is worth there, as a multiple of compute (null: no compute makes up for it)."""
    gains = []
    for factor in RECIPES:
        told: dict[str, Any] = {"factor": factor}
        for name, C in (("start", asked.drawn.compute), ("wall", asked.last)):
            told[name] = asked.over(partial(_gain, asked, C, factor))
        gains.append(told)
    worth = None if asked.no_data else asked.over_or_never(lambda law, mine: _stock_worth(asked, law, mine))
    return {"gains": gains, "stock_worth": worth, "stock_factor": MORE}


def _gain(asked: Walls, C: Array, factor: float, law: Law, mine: Sample) -> Array:
    C = C[: replicates(law)]
    return asked.loss(law, C, mine) - asked.loss(law, C, mine, factor)


def _stock_worth(asked: Walls, law: Law, mine: Sample) -> Array:
    """Multiple of the compute wall's compute [R] that lowers the loss as ten times the stock does."""
    C = asked.last[: replicates(law)]
    now = asked.stocked(law, mine)
    aim = now.times(MORE).split(C[:, None])[1]
    if not np.any(now.split(C[:, None])[1] > aim):
        return np.ones(len(C))
    return crossing((C, C, C * 10**FARTHEST), lambda at: now.split(at)[1] <= aim) / C


def _of_runs(asked: Walls, law: Law) -> tuple[Array, Array, Array]:
    """Computes [R] between which something is sought for a law, and the largest run's amid them."""
    size, largest = replicates(law), asked.made.largest
    first = min(asked.smallest, largest)
    return np.full(size, first), np.full(size, largest), np.full(size, largest * 10**FARTHEST)


def _ratio(value: float | None, largest: float) -> float | None:
    return None if value is None else finite(value / largest)
