"""What a calendar of losses says: the fit's verdict first, what is assumed, the losses with their reach, the walls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis import notation
from analysis.trends import dates
from analysis.trends.calendar import Calendar, Wall

if TYPE_CHECKING:
    from analysis.walls.scenario import Range, Scenario

FAR = 1e6
"""Times the largest run's compute from which on a loss is said to be no forecast."""
VERDICTS = {
    "identified": "The runs of {table} identify a floor of the loss",
    "bounded_above_only": "The runs of {table} bound a floor of the loss from above and do not find it",
    "not_identified": "The runs of {table} do not tell whether the loss has a floor (not identified)",
}
EVENTS = {
    "stock_passed": "the best split of compute asks for more tokens than the stock holds",
    "repetition_exhausted": "the stock is repeated until one more pass is worth little",
    "data_worth_most": "ten times more text is worth more than ten times more compute",
}


def lead(found: Calendar) -> list[str]:
    """The verdict on the floor, the loss at a near date and at the horizon, how far both are from any run, the wall."""
    losses = _losses(found)
    if found.reach[-1] > FAR:
        losses += f" From {_first_far(found)} on that is more than a million times the largest run, and no forecast."
    return [f"{_verdict(found)}.", losses, *([first_wall(found)] if found.scenario else [])]


def _verdict(found: Calendar) -> str:
    known = VERDICTS.get(found.law.verdict)
    text = known or "The verdict of {table} on a floor of the loss is {verdict}"
    folder = found.law.path.resolve().parent.name
    return text.format(table=f"{folder}/{found.law.table}", verdict=found.law.verdict)


def _losses(found: Calendar) -> str:
    last = len(found.years) - 1
    near = int(np.flatnonzero(found.beyond)[0]) if found.beyond.any() else last
    places = dict.fromkeys((near, last))
    told = " and ".join(
        f"{_loss(found, i)} on {dates.date(found.years[i])} ({notation.power(float(found.reach[i]), 2)} times the "
        "largest run)" for i in places
    )  # fmt: skip
    return (
        f"If their law {found.law.name} went on holding, the compute of the trend of {found.trend.version} "
        f"({found.trend.method}) would give a loss in nats per token of {told}; intervals are "
        f"{notation.percent(found.level)}."
    )


def _loss(found: Calendar, place: int) -> str:
    value, lo, hi = (f"{float(part[place]):.3f}" for part in found.loss)
    return f"{value} [{lo}, {hi}]"


def _first_far(found: Calendar) -> str:
    return dates.date(found.years[int((found.reach > FAR).argmax())]).isoformat()


def assumed(scenario: Scenario) -> str:
    """The scenario as a sentence."""
    if scenario.stock is None:
        parts = ["fresh text without end"]
    else:
        parts = [
            f"a stock of {_span(scenario.stock, 'unique tokens')}, which may be repeated: after "
            f"{_span(scenario.repetition, 'repeats')} one more is worth 1/e of fresh text"
        ]
    if scenario.recipe == (1.0,):
        parts.append("recipes that stay as they are")
    else:
        parts.append(
            f"recipes that are worth {_span(scenario.recipe, 'times')} the compute with every year from "
            f"{dates.date(scenario.start)} on"
        )
        if scenario.recipe_on_data != (0.0,):
            share = " to ".join(map(notation.plain, scenario.recipe_on_data))
            parts.append(f"a share of {share} of that progress makes text go further too")
    return f"Assumed: {'; '.join(parts)}; compute is the trend's."


def _span(value: Range, unit: str) -> str:
    """'3T tokens', or '1T to 3T tokens (90 %)' of a range."""
    ends = [notation.count(one, 2) if one >= 1000 else notation.plain(one) for one in value]
    return f"{ends[0]} {unit}" if len(ends) == 1 else f"{ends[0]} to {ends[-1]} {unit} (90 %)"


def first_wall(found: Calendar) -> str:
    """The wall that comes first, or that none is met."""
    met = [one for one in found.walls if np.isfinite(one.value)]
    if not met:
        last = dates.date(found.years[-1]).isoformat()
        return f"By {last} no wall of the scenario is more likely met than not."
    first = min(met, key=lambda one: one.value)
    told = wall_words(found)[found.walls.index(first)]
    return f"The first wall{_stocked(found)}: {told}."


def words(found: Calendar) -> str:
    """What the loss is of: whose law, whose compute, what text, how far beyond the runs and the models."""
    largest = found.law.forecast.largest
    last = dates.date(found.years[-1]).isoformat()
    text = _stocked(found) or " as if fresh text never ended"
    return (
        f"the loss that the law {found.law.name} of {found.law.table} gives for the compute of the straight line "
        f"through {found.trend.version} ({found.trend.method}), spent by that study's recipe on that study's text,"
        f"{text}. Its largest run took {notation.power(largest, 2)} FLOPs, so {last} is an extrapolation of "
        f"{notation.power(float(found.reach[-1]), 2)} times; the trend's last model is of "
        f"{dates.date(found.trend.last)}"
    )


def _stocked(found: Calendar) -> str:
    """' under a stock of 3T unique tokens'; empty where no stock is assumed."""
    if found.scenario is None or found.scenario.stock is None:
        return ""
    return f" under a stock of {_span(found.scenario.stock, 'unique tokens')}"


def wall_words(found: Calendar) -> list[str]:
    """When each wall of the scenario is met, a sentence each without its full stop."""
    last = dates.date(found.years[-1]).isoformat()
    return [f"{EVENTS.get(one.name, one.name)}: {_met(one, last)}" for one in found.walls]


def _met(wall: Wall, last: str) -> str:
    """The date in the middle with its interval; where that is later than was looked at, how likely it is before."""
    chance = f"{wall.probability:.2f}" if wall.probability >= 0.01 else "below 0.01"
    if np.isfinite(wall.value):
        end = dates.month(wall.hi) if np.isfinite(wall.hi) else f"after {last}"
        return (
            f"{dates.month(wall.value)} [{dates.month(wall.lo)}, {end}], by {last} with probability {chance}"
        )
    early = f", and not before {dates.month(wall.lo)} (the interval's end)" if np.isfinite(wall.lo) else ""
    return f"by {last} with probability {chance} only{early}"
