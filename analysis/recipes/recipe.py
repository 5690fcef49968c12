"""A recipe: the runs of one side of a comparison, the law fitted to them and its bootstrap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.floor.identify import undetermined
from analysis.forecast import Track
from analysis.frontier import Frontier, cost_of
from analysis.intervals.uncertainty import Bootstrap, bootstrap
from analysis.laws import LAWS, Law, Power
from analysis.options import Options
from analysis.pages.findings import fitted
from analysis.source import Source

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

SPARE = 2
"""Runs that a recipe needs beyond the parameters of its law."""


@dataclass(frozen=True)
class Recipe:
    """One side: what it is called, its fit, the rows fitted and the refits to resampled ones."""

    name: str
    source: Source
    fit: Fit
    boot: Bootstrap
    frame: pd.DataFrame

    @cached_property
    def track(self) -> Track:
        """Compute at its best split; compute itself for a law in C alone."""
        return Track("C", cost_of(self.frame)) if set(self.fit.columns) == {"N", "D"} else Track("C")

    @property
    def straight(self) -> bool:
        """Whether the loss above the floor is a power of compute."""
        if self.track.cost is None:
            return isinstance(self.fit.curve, Power)
        return Frontier(self.fit.curve, self.track.cost).closed

    @property
    def span(self) -> tuple[float, float]:
        """Least and largest compute of a run."""
        C = np.asarray(self.frame["C"], dtype=np.float64)
        return float(C.min()), float(C.max())

    @property
    def law(self) -> Law:
        """The law fitted."""
        return self.fit.curve

    @property
    def draws(self) -> Law:
        """The bootstrap's laws, [R]."""
        return self.boot.law


def recipe(source: Source, options: Options, where: str, name: str, seed: int) -> Recipe:
    """The recipe of the rows of a table where `where` is true; raises InputError where it cannot be compared: too few
    rows, a law that is not of the loss in N and D or in C, or one without a floor."""
    found = fitted(source, replace(options, where=_both(options.where, where)))
    if set(found.columns.values()) not in ({"N", "D"}, {"C"}) or found.target != "L":
        raise InputError(
            f"{found.law} here is of {found.target} in {', '.join(found.columns.values())}; two recipes are "
            "compared by the loss in N and D, e.g. --law hoffmann, or in C, --law power"
        )
    if LAWS[found.law].floor is None or -1 in LAWS[found.law].signs:
        raise InputError(
            f"{found.law} has no floor, so that compute would always make up for a worse recipe; use --law hoffmann"
        )
    needed = len(found.params) + SPARE
    if found.rows < needed:
        raise InputError(
            f"the {name} has {found.rows} runs, and {found.law} needs {needed} ({len(found.params)} parameters and "
            f"{SPARE} more); add runs, or use a law with fewer parameters, e.g. --law power"
        )
    frame = found.select(source.table).frame
    if doubt := undetermined(found, found.problem(frame)):
        raise InputError(
            f"the {name}'s best split of compute is not determined by its runs: {doubt}; add runs at other N and D, or "
            "use --law power, which takes runs as they are"
        )
    boot = bootstrap(
        source.table,
        found,
        replicates=options.replicates,
        clusters=options.clusters,
        seed=seed,
        level=options.level,
    )
    return Recipe(name, source, found, boot, frame)


def _both(*conditions: str) -> str:
    given = [condition for condition in conditions if condition]
    return given[0] if len(given) == 1 else " and ".join(f"({condition})" for condition in given)


def require_apart(base: Recipe, candidate: Recipe) -> None:
    """Raise InputError where both sides are the same runs, or share some."""
    if base.source.table_sha256 != candidate.source.table_sha256:
        ids = [set(side.frame["run_id"].dropna()) for side in (base, candidate) if "run_id" in side.frame]
        shared = len(ids[0] & ids[1]) if len(ids) == 2 else 0
    else:
        shared = len(base.frame.index.intersection(candidate.frame.index))
    if shared == len(base.frame) == len(candidate.frame):
        raise InputError(
            "base and candidate are the same runs; name two studies, or divide one by --where-base and "
            "--where-candidate"
        )
    if shared:
        raise InputError(
            f"{shared} runs are in both base and candidate; make --where-base and --where-candidate exclude each other"
        )
