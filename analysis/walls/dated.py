"""When walls are met, and what is so at each date, as limit.json has it: from the draws of a timeline."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.floor.combination import weighted_quantiles
from analysis.intervals.uncertainty import tails
from analysis.walls.sample import Sample
from analysis.walls.timeline import RESOURCES, Timeline, replicates

if TYPE_CHECKING:
    from analysis.forecast import Forecast
    from analysis.walls.scenario import Scenario

Array = NDArray[np.float64]

BANDS = (0.5, 0.8)
"""Levels of the bands of loss by date, beside the fit's own."""


def interval(values: Array, weights: Array, level: float) -> dict[str, Any]:
    """The middle of weighted values [n] and the ends of their interval; null where that is infinite."""
    value, lo, hi = map(finite, weighted_quantiles(values, weights, [0.5, *tails(level)]))
    return {"value": value, "lo": lo, "hi": hi}


def finite(number: float) -> float | None:
    """A number for JSON: null where it is infinite, which is never."""
    return float(number) if math.isfinite(number) else None


def dates(made: Forecast, scenario: Scenario, drawn: Sample, line: Timeline) -> dict[str, Any]:
    """Each wall's date: in the middle (null: not before the horizon), its interval, and the shares of the draws in
    which it comes not before the horizon, or was there at the start."""
    level = made.level
    events = {"growth_ends": _growth_ends(made, scenario, drawn)} | line.events
    return {
        name: interval(date, line.weights, level)
        | {
            "never": share(line.weights, np.isinf(date)),
            "already": share(line.weights, date <= scenario.start),
        }
        for name, date in events.items()
    }


def _growth_ends(made: Forecast, scenario: Scenario, drawn: Sample) -> Array:
    """Date [n] at which growth ends, infinite where not until the horizon."""
    ends = np.concatenate([drawn.ends[: replicates(law)] for law in made.laws])
    return np.where(ends > scenario.horizon, np.inf, ends)


def first(made: Forecast, scenario: Scenario, drawn: Sample, line: Timeline) -> dict[str, Any]:
    """Which comes first, the end of growth (`compute`) or ten times the text being worth more than ten times the
    compute (`data`), by shares of the draws, and the date of the first of them."""
    compute, data = _growth_ends(made, scenario, drawn), line.events["data_worth_most"]
    earlier = np.minimum(compute, data)
    return {
        "compute": share(line.weights, (compute <= data) & np.isfinite(earlier)),
        "data": share(line.weights, data < compute),
        "neither": share(line.weights, np.isinf(earlier)),
        "date": interval(earlier, line.weights, made.level),
    }


def calendar(line: Timeline, level: float) -> list[dict[str, Any]]:
    """What is so at each date: compute, loss with its bands, the gain by ten times more of each resource, and in what
    share of the draws which is worth most."""
    shares = line.binding
    told = []
    for rank, date in enumerate(line.dates):
        gains = {
            name: interval(line.gains[name][:, rank], line.weights, level)
            for name in RESOURCES
            if name in line.gains
        }
        told.append(
            {
                "date": float(date),
                "C": interval(line.compute[:, rank], line.weights, level),
                "loss": interval(line.loss[:, rank], line.weights, level),
                "bands": _bands(line, rank, [*BANDS, level]),
                "gains": gains,
                "binding": {name: min(float(share[rank]), 1.0) for name, share in shares.items()},
            }
        )
    return told


def _bands(line: Timeline, rank: int, levels: Iterable[float]) -> list[dict[str, float | None]]:
    found = []
    for level in sorted(set(levels)):
        ends = line.quantiles(line.loss[:, rank], tails(level))
        found.append({"level": level, "lo": finite(ends[0]), "hi": finite(ends[1])})
    return found


def share(weights: Array, chosen: NDArray[np.bool_]) -> float:
    """Share of the draws [n] that are chosen, by their weights."""
    return min(float(weights @ chosen), 1.0)
