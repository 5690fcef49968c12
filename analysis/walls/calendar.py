"""Along the calendar: the loss, what ten times more of each resource would be worth, and when a wall is met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from analysis.limit import Forecast
    from analysis.walls.scenario import Scenario

Array = NDArray[np.float64]

EVENTS = ("stock_passed", "repetition_exhausted", "data_worth_most")
"""What may happen along the calendar, beside the end of growth."""
RESOURCES = ("compute", "data", "recipe")


@dataclass(frozen=True)
class Calendar:
    """n weighted draws of a law and a scenario at T dates. Dates are years with a fraction; infinite is never."""

    dates: Array
    """[T]"""
    weights: Array
    """[n], that sum to 1."""
    compute: Array
    """Training compute, FLOPs [n, T]."""
    loss: Array
    """Least loss [n, T], nats per token, under the stock and the recipe of each date."""
    gains: dict[str, Array]
    """Nats [n, T] by which ten times more of a resource would lower the loss, by RESOURCES."""
    events: dict[str, Array]
    """Date [n] at which each of EVENTS happens, infinite where not until the last date; empty where the law has no N and
    D or the scenario no stock."""


def when(made: Forecast, scenario: Scenario, dates: ArrayLike, compute: ArrayLike, seed: int = 0) -> Calendar:
    """Follow training compute [R, T], FLOPs, at dates [T] (ascending years with a fraction) through a fit's laws.

    Of the scenario its stock, repetition and recipe are used, and its `start`, from which recipes better; compute is as
    given. R may be any number: its rows are drawn for the laws' draws. The same seed gives the same answer. Raises
    InputError where the fit does not follow compute.
    """
    raise NotImplementedError
