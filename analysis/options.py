"""How a table is fitted: the options that all verbs which fit share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from analysis.equations import listing
from analysis.errors import InputError

if TYPE_CHECKING:
    from analysis.solver.objective import Objective

IN_N_AND_D = ("hoffmann", "tied", "coupled", "shifted", "stretched")
"""Laws in N and D that are admitted beside each other; here, where `--help` finds them without NumPy."""

FEWEST_TRUTHS = 20
"""Simulated tables from which a coverage is measured."""

OBJECTIVE_NAMES = ("log_huber", "least_absolute", "squared_log", "squared_raw", "likelihood")
"""Names of `objective.OBJECTIVES`, likewise."""

METHOD_NAMES = ("pairs", "cluster", "residual", "wild", "seed_noise", "profile", "bayes", "jackknife")
"""Those of `methods.METHODS`, likewise."""


@dataclass(frozen=True)
class Options:
    """How the table is fitted. Raises InputError for a value that cannot be."""

    law: Annotated[str, tyro.conf.arg(help=f"what is fitted, one of\n{listing()}")] = "hoffmann"
    where: str = ""
    """fit only rows for which this expression over columns is true, e.g. "N > 1e6 and not dropped" """
    columns: tuple[str, ...] = ()
    """names of our columns in the table, e.g. N=params D=tokens L=loss"""
    x: str = "C"
    """column that a law in any one column x is in"""
    y: str = "L"
    """column that a law of any column y is of"""
    objective: str = "log_huber"
    """what is minimised: log_huber, least_absolute, squared_log, squared_raw, or likelihood (squared_log with weights
    by the noise between seeds)"""
    delta: float | None = None
    """relative error at which log_huber turns from quadratic to linear; by default 1.345 times the noise"""
    weights: str = ""
    """column by which each row's loss is multiplied"""
    replicates: int = 1000
    """refits of the law's own bootstrap (the verdict takes 200 of every admissible law)"""
    clusters: str = "auto"
    """what the bootstrap resamples: "auto" (trunks where there are any, else rows), "pairs", or a column"""
    seed: int = 0
    """seed of the resampling"""
    level: float = 0.9
    """level of all intervals"""
    coverage: int | None = None
    """tables simulated to measure how often intervals catch the truth, and to calibrate them; 0 leaves it out; by
    default 300, fewer with more than 300 rows or under 1000 replicates, and 0 for a law of more than two shape
    parameters"""
    intervals: tuple[str, ...] = ()
    """other methods whose intervals are put beside the bootstrap's: pairs, cluster, residual, wild, seed_noise,
    profile, bayes (NUTS; needs the extra `bayes`) or jackknife"""
    admit: tuple[str, ...] = IN_N_AND_D
    """laws that the verdict on the floor asks beside --law, where that is one in N and D"""

    def __post_init__(self) -> None:
        if self.replicates < 2:
            raise InputError(
                f"replicates is {self.replicates}; use at least 2, and 1000 for steady intervals"
            )
        if not 0 < self.level < 1:
            raise InputError(f"level is {self.level}; it is a probability between 0 and 1, e.g. 0.9")
        if self.delta is not None and not (math.isfinite(self.delta) and self.delta > 0):
            raise InputError(f"delta is {self.delta}; it is a relative error and must be above 0, e.g. 0.001")
        if self.objective not in OBJECTIVE_NAMES:
            raise InputError(f"no objective is called {self.objective!r}; use {', '.join(OBJECTIVE_NAMES)}")
        if self.delta is not None and self.objective != "log_huber":
            raise InputError(
                f"{self.objective} has no delta; leave --delta out, or use --objective log_huber"
            )
        if self.coverage is not None and self.coverage and self.coverage < FEWEST_TRUTHS:
            raise InputError(
                f"coverage is {self.coverage}; use at least {FEWEST_TRUTHS} simulated tables, or 0 to leave it out"
            )
        for name in self.intervals:
            if name not in METHOD_NAMES:
                raise InputError(
                    f"no method of uncertainty is called {name!r}; use {', '.join(METHOD_NAMES)}"
                )
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; use a whole number from 0")

        from analysis.rows import law_named

        for name in self.admit:
            if law_named(name).columns != ("N", "D") or law_named(name).floor is None:
                raise InputError(
                    f"admit names {name!r}, which is no law in N and D with a floor; use {', '.join(IN_N_AND_D)}"
                )

    def minimised(self) -> Objective | None:
        """The objective; None stands for log_huber with the delta of the noise."""
        from analysis.solver.objective import objective_named

        if self.objective == "log_huber" and self.delta is None:
            return None
        return objective_named(self.objective, self.delta)

    def words(self) -> str:
        """The options that are not the default, as a command line says them."""
        import shlex

        parts = []
        for name, default in vars(Options()).items():
            value = getattr(self, name)
            if value != default:
                shown = tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)
                parts.append(" ".join([f"--{name}", *(shlex.quote(item) for item in shown)]))
        return " ".join(parts)
