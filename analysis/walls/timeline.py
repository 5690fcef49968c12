"""Along the calendar: the loss, what ten times more of each resource would be worth, and when a wall is met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import InputError
from analysis.floor.combination import weighted_quantiles
from analysis.laws import Law
from analysis.walls.sample import Sample, sample, taken_from
from analysis.walls.stocked import Stocked, each

if TYPE_CHECKING:
    from analysis.forecast import Forecast
    from analysis.walls.scenario import Scenario

Array = NDArray[np.float64]

MORE = 10.0
"""How much more of a resource is weighed."""
RESOURCES = ("compute", "data", "recipe")
EVENTS = ("stock_passed", "repetition_exhausted", "data_worth_most")
"""What may happen along the calendar, beside the end of growth: the best split of compute asks for more tokens than the
stock has; it repeats the stock R*_D times; ten times the stock becomes worth more than ten times the compute, and more
than nothing (see TIE and NEGLIGIBLE, as in `Timeline.binding`)."""
TIE = 0.01
"""Share by which a gain must be larger to count as larger. A recipe is measured in compute, so the two tie wherever
text is plenty; a tie counts as compute."""
NEGLIGIBLE = 1e-3
"""Share of the loss below which a gain is none: ten times more of any resource leaves the loss about where it is."""
NONE = "none"


@dataclass(frozen=True)
class Timeline:
    """n weighted draws of a law and a scenario at T dates. Dates are years with a fraction; infinite is never."""

    dates: Array
    """[T]"""
    weights: Array
    """[n], that sum to 1."""
    compute: Array
    """Training compute, FLOPs [n, T]."""
    loss: Array
    """Least loss [n, T], nats per token, with the stock and the recipe of each date."""
    gains: dict[str, Array]
    """Nats [n, T] by which ten times more of a resource would lower the loss, by RESOURCES; without data where there is
    no stock or the law has no N and D."""
    events: dict[str, Array]
    """Date [n] of each of EVENTS, the first date where it happened before, infinite where it does not until the last;
    empty where there is no stock or the law has no N and D."""

    @property
    def binding(self) -> dict[str, Array]:
        """Weight [T] of the draws in which a resource is the one of which ten times more is worth most, or in which
        none is worth anything (see TIE and NEGLIGIBLE)."""
        names = list(self.gains)
        stacked = np.stack([self.gains[name] for name in names])
        best = stacked.max(axis=0)
        most = (stacked >= best * (1 - TIE)).argmax(axis=0)
        most = np.where(best < NEGLIGIBLE * self.loss, len(names), most)
        return {name: self.weights @ (most == rank) for rank, name in enumerate([*names, NONE])}

    def quantiles(self, values: Array, probabilities: Sequence[float]) -> Array:
        """Quantiles [q, ...] over the draws of values [n, ...]."""
        return weighted_quantiles(values, self.weights, probabilities)


def when(made: Forecast, scenario: Scenario, dates: ArrayLike, compute: ArrayLike, seed: int = 0) -> Timeline:
    """Follow training compute [R, T], FLOPs, at dates [T] (ascending years with a fraction) through a fit's laws.

    Of the scenario its stock, repetition and recipe are used, and its `start`, from which recipes better; compute is as
    given. R may be any number: its rows are drawn for the laws' draws. The same seed gives the same answer. Raises
    InputError where the fit does not follow compute.
    """
    dates, given = np.asarray(dates, dtype=np.float64), np.atleast_2d(np.asarray(compute, dtype=np.float64))
    drawn = sample(scenario, draws(made), seed)
    rows = np.random.default_rng([seed, 7]).permutation(-(-draws(made) // len(given)) * len(given))
    return follow(made, drawn, dates, given[rows[: draws(made)] % len(given)])


def follow(made: Forecast, drawn: Sample, dates: Array, compute: Array) -> Timeline:
    """The timeline of a scenario's M draws, with compute [M, T] at dates [T].

    Replicate i of every admissible law meets draw i of the scenario.
    """
    if made.track.x != "C":
        raise InputError(
            f"this fit follows {made.track.x} and not compute, so no scenario of compute can be put to it; fit a law "
            "in N and D, or one with --x C"
        )
    found = [_of_law(made, law, drawn, dates, compute) for law in made.laws]
    losses, weights = made.weighed([one.loss for one in found])
    gains = {name: np.concatenate([one.gains[name] for one in found]) for name in found[0].gains}
    gains = {name: np.maximum(gain, 0.0) for name, gain in gains.items()}  # below 0 by rounding alone
    events = {name: np.concatenate([one.events[name] for one in found]) for name in found[0].events}
    return Timeline(dates, weights, np.concatenate([one.compute for one in found]), losses, gains, events)


def draws(made: Forecast) -> int:
    """Draws of the scenario that are needed: as many as the largest bootstrap has replicates."""
    return max(replicates(law) for law in made.laws)


def replicates(law: Law) -> int:
    """Length of a law's leading axis."""
    return max(np.size(value) for value in law.as_dict().values())


def first_time(dates: Array, signal: Array) -> Array:
    """Date [n] at which a signal [n, T] first is above 0, between two dates by a straight line; infinite if never."""
    above = signal > 0
    after = above.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(signal))
    low, high = signal[rows, before], signal[rows, after]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(np.isfinite(low) & np.isfinite(high) & (high > low), -low / (high - low), 1.0)
    found = dates[before] + np.clip(share, 0.0, 1.0) * (dates[after] - dates[before])
    return np.where(above.any(axis=1), np.where(above[:, 0], dates[0], found), np.inf)


def _of_law(made: Forecast, law: Law, drawn: Sample, dates: Array, compute: Array) -> Timeline:
    """The timeline of one law's replicates [R], unweighted."""
    rows = np.arange(replicates(law))
    mine, C = taken_from(drawn, rows), compute[rows]
    recipe = mine.recipe_at(dates)
    effective = C * recipe
    weights = np.full(len(rows), 1 / len(rows))
    if made.track.cost is None:
        loss, more = each(law, x=effective), each(law, x=MORE * effective)
        gains = {"compute": loss - more, "recipe": loss - more}
        return Timeline(dates, weights, C, loss, gains, {})
    further = recipe ** mine.recipe_on_data[:, None]
    now = Stocked(law, made.track.cost, mine.stock[:, None] * further, mine.repetition)
    fresh, fresh_of_more = now.fresh(effective), now.fresh(MORE * effective)
    tokens, loss = now.split(effective, fresh)
    gains = {"compute": loss - now.split(MORE * effective, fresh_of_more)[1]}
    events: dict[str, Array] = {}
    if np.isfinite(mine.stock).any():
        gains["data"] = loss - now.times(MORE).split(effective, fresh)[1]
        events = _events(dates, now, now.asked_for(effective, fresh), tokens, gains, loss)
    better = now.times(MORE ** mine.recipe_on_data[:, None])
    gains["recipe"] = (
        loss - better.split(MORE * effective, fresh_of_more)[1]
        if mine.recipe_on_data.any()
        else gains["compute"]
    )
    return Timeline(dates, weights, C, loss, gains, events)


def _events(
    dates: Array, now: Stocked, asked_for: Array, tokens: Array, gains: dict[str, Array], loss: Array
) -> dict[str, Array]:
    with np.errstate(divide="ignore", invalid="ignore"):
        signals = {
            "stock_passed": np.log(asked_for / now.stock),
            "repetition_exhausted": np.log(tokens / (now.stock * (1 + now.repetition[:, None]))),
            "data_worth_most": gains["data"] - np.maximum(gains["compute"] / (1 - TIE), NEGLIGIBLE * loss),
        }
    return {name: first_time(dates, signals[name]) for name in EVENTS}
