"""Options that ask for more of what lies beyond the data: probabilities of losses, and a scenario with its walls."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import InputError
from analysis.walls import calendar_date

if TYPE_CHECKING:
    from analysis.walls.scenario import Scenario


SMALLEST = 1.0
"""FLOPs that stand for the largest run before the table is read: no run takes fewer."""


@dataclass(frozen=True)
class Asked:
    """What is asked beyond the losses. A number of a scenario is one value or two: the ends of its 90 % interval."""

    below: tuple[float, ...] = ()
    """losses, in nats per token: say how likely the expected loss is below each, at the computes of --at"""
    scenario: Path | None = None
    """JSON file that says what is assumed of the years to come; the options below go before what it says"""
    stock: tuple[float, ...] = ()
    """unique tokens there are to train on"""
    repetition: tuple[float, ...] = ()
    """repeats of a token after which one more is worth 1/e of a fresh one; by default 12 to 37 as a 90 % interval
    (median 21): refits of the runs of Muennighoff et al. 2023, who found 15.39, differ as much; one number holds it
    for certain, and 0 is text that is not repeated"""
    compute: tuple[float, ...] = ()
    """FLOPs of the largest training run at the start; by default that of the largest run fitted"""
    growth: tuple[float, ...] = ()
    """multiple by which compute grows a year"""
    until: tuple[str, ...] = ()
    """date at which growth ends, e.g. 2032 or 2032-06-30; two are the ends of a uniform distribution"""
    budget: tuple[float, ...] = ()
    """FLOPs at which growth ends"""
    recipe: tuple[float, ...] = ()
    """multiple of compute that better recipes are worth a year, e.g. 2.8 (a doubling in 8 months, Ho et al. 2024); by
    default 1, recipes of today"""
    recipe_on_data: tuple[float, ...] = ()
    """share of that progress, in its logarithm, by which tokens go further too; by default 0: it saves compute alone"""
    start: str = ""
    """date of the compute that it starts from; by default today"""
    horizon: str = ""
    """date at which looking ends; by default 20 years after the start"""

    def __post_init__(self) -> None:
        check_losses(self.below)

    def check(self, law: str, x: str) -> None:
        """Raise InputError for a scenario that cannot be, or that cannot be put to a law: before anything is fitted."""
        from analysis.rows import law_named

        if self.made(largest=SMALLEST) and len(law_named(law).columns) == 1 and x != "C":
            raise InputError(
                f"the law {law} is in {x} and does not follow compute, so no scenario can be put to it; use a law in N "
                "and D, or --x C"
            )

    def made(self, largest: float, today: datetime.date | None = None) -> Scenario | None:
        """The scenario that is asked for, None where none is; `largest` is the compute of the largest run, FLOPs.

        Raises InputError for a file or a value that is none.
        """
        from analysis.walls.scenario import read, scenario

        given = read(self.scenario) if self.scenario else {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name not in ("below", "scenario") and value:
                given[item.name] = value
        if not given:
            return None
        now = calendar_date.year_of(today or datetime.date.today())
        return scenario(given, compute=largest, today=now)

    def words(self) -> str:
        """The options that are given, as a command line says them."""
        import shlex

        parts = []
        for item in fields(self):
            value = getattr(self, item.name)
            if value:
                shown = value if isinstance(value, tuple) else (value,)
                name = item.name.replace("_", "-")
                parts.append(" ".join([f"--{name}", *(shlex.quote(_plain(one)) for one in shown)]))
        return " ".join(parts)


def check_losses(below: Sequence[float]) -> None:
    """Raise InputError for a number that is no loss."""
    for value in below:
        if not (math.isfinite(value) and value > 0):
            raise InputError(
                f"the probability of a loss below {value} is asked for; give losses above 0, in nats per token, e.g. "
                "--below 2 1.8"
            )


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
