"""What an analyst chooses among, one set of choices being a specification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis import rows as selection
from analysis.choices.exclusions import ALL_ROWS, TABLE_C, TABLE_N
from analysis.errors import InputError
from analysis.laws import LAWS
from analysis.solver.objective import Objective, objective_named

NOISE = "noise"
FACTORS = ("law", "objective", "exclusion", "scale", "N", "C")
"""What is chosen, in the order of the table and of the figure."""

OBJECTIVES = (
    f"log_huber {NOISE}",
    "log_huber 0.01",
    "log_huber 0.001",
    "log_huber 0.0001",
    "least_absolute",
    "squared_log",
    "squared_raw",
)
"""Objectives with their deltas: that of the noise is the default, 0.001 is Hoffmann et al.'s."""
SCALES = (1.0, 0.75, 0.5)
"""Upper shares of the logarithm of compute that are kept."""
SPARE = 2
"""Rows that a specification needs beyond its law's parameters."""


@dataclass(frozen=True)
class Specification:
    """One set of choices; without arguments the one that `fit` makes. Raises InputError for one that there is not."""

    law: str = "hoffmann"
    objective: str = OBJECTIVES[0]
    """Name of the objective and, of log_huber, its delta or "noise"."""
    exclusion: str = ALL_ROWS
    scale: float = 1.0
    N: str = TABLE_N
    C: str = TABLE_C

    def __post_init__(self) -> None:
        if selection.law_named(self.law).columns != ("N", "D") or LAWS[self.law].target != "L":
            raise InputError(f"{self.law} is no law of L in N and D; specifications compare such laws only")
        if LAWS[self.law].floor != "E":
            raise InputError(f"{self.law} has no floor E, which is what specifications are compared by")
        if not 0 < self.scale <= 1:
            raise InputError(f"scale is {self.scale}; it is the share of log C kept, above 0 and at most 1")
        self.minimised(1.0)

    def minimised(self, noise_delta: float) -> Objective:
        """The objective, where log_huber of the noise has the delta `noise_delta`."""
        name, _, delta = self.objective.partition(" ")
        if delta and name in OBJECTIVES:
            raise InputError(f"{name} has no delta, but objective is {self.objective!r}; write {name}")
        if delta == NOISE:
            return objective_named(name, noise_delta)
        return objective_named(name, _number(delta, self.objective) if delta else None)

    @property
    def from_noise(self) -> bool:
        """Whether the delta of its objective is that of the noise."""
        return self.objective.endswith(f" {NOISE}")

    def as_dict(self) -> dict[str, Any]:
        """The choices by factor."""
        return {name: getattr(self, name) for name in FACTORS}


@dataclass(frozen=True)
class LeftOut:
    """Specifications that are not fitted: the choice that they share, why, and how many there would have been."""

    choice: str
    reason: str
    count: int


def scale_words(scale: float) -> str:
    """A share of log C in words."""
    if scale == 1:
        return "all scales"
    return {0.75: "upper 3/4 of log C", 0.5: "upper 1/2 of log C"}.get(scale, f"upper {scale:g} of log C")


def _number(delta: str, objective: str) -> float:
    try:
        return float(delta)
    except ValueError:
        raise InputError(
            f"objective {objective!r} has no number for its delta; write e.g. 'log_huber 0.001'"
        ) from None
