"""Every defensible way to fit one table, listed before any of them is fitted: a specification is one set of choices.

What an analyst chooses among - law, objective, rows, what N and C mean - is seldom reported beside what the noise of
the runs leaves open, and can matter more (Simonsohn, Simmons and Nelson 2020, Nature Human Behaviour 4:1208). Rows
whose learning rate was not decayed are in no specification: a loss on the way is not the loss of a finished run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import rows as selection
from analysis.errors import InputError
from analysis.exclusions import (
    ALL_ROWS,
    SIX_N_D,
    TABLE_C,
    TABLE_N,
    computes,
    exclusions,
    require_comparable,
    upper,
)
from analysis.exclusions import sizes as sizes_of
from analysis.fitting import Fit
from analysis.fitting import fit as fit_law
from analysis.laws import LAWS
from analysis.objective import Objective, objective_named
from analysis.options import IN_N_AND_D
from analysis.rows import Excluded
from analysis.uncertainty import grouping

if TYPE_CHECKING:
    import pandas as pd

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]

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


@dataclass(frozen=True)
class Plan:
    """The specifications of a table: those to be fitted, and those that are not, with reasons; they add up to the
    product of what is `offered`."""

    frame: pd.DataFrame
    """The rows from which specifications choose, those that `fit` selects."""
    excluded: tuple[Excluded, ...]
    offered: dict[str, tuple[Any, ...]]
    """Every level of every factor, whether or not the table has it."""
    made: tuple[Specification, ...]
    left_out: tuple[LeftOut, ...]
    default: Specification
    fit: Fit
    """The default's."""
    sizes: dict[str, Array]
    computes: dict[tuple[str, str], Array]
    """C of every row under a convention of N and one of C."""
    kept: dict[tuple[str, str, str, float], Mask]
    """Rows of each exclusion, scale, N and C, in the order (N, C, exclusion, scale)."""
    clusters: str

    def mask(self, one: Specification) -> Mask:
        """Which rows of `frame` a specification fits."""
        return self.kept[one.N, one.C, one.exclusion, one.scale]

    def rows(self, one: Specification) -> pd.DataFrame:
        """The rows that a specification fits, with N and C by its conventions."""
        frame = self.frame.assign(N=self.sizes[one.N], C=self.computes[one.N, one.C])
        return frame[self.mask(one)]


def specifications(
    table: pd.DataFrame,
    *,
    laws: Sequence[str] = IN_N_AND_D,
    objectives: Sequence[str] = OBJECTIVES,
    scales: Sequence[float] = SCALES,
    where: str | None = None,
    clusters: str = "auto",
) -> Plan:
    """Every combination of the laws, objectives and scales with the exclusions and conventions that the table allows.

    The first of each is the default. A combination that cannot be fitted, or that has the same rows as another, is left
    out with its reason. Raises InputError for rows that cannot be fitted or compared, and for choices that there are
    not.
    """
    if not (laws and objectives and scales):
        raise InputError("no law, no objective or no scale is asked for; name at least one of each")
    default = Specification(laws[0], objectives[0], scale=scales[0])
    for law, objective, scale in product(laws, objectives, scales):
        replace(default, law=law, objective=objective, scale=scale)
    fewest = len(LAWS[default.law].parameters())
    chosen = selection.select(table, {"N": "N", "D": "D"}, fewest, where)
    frame = chosen.frame
    require_comparable(frame)
    listing = _Listing(frame, "C" in table.columns, default, clusters)
    offered = {
        "law": tuple(laws), "objective": tuple(objectives), "exclusion": listing.exclusions,
        "scale": tuple(scales), "N": tuple(listing.sizes), "C": (TABLE_C, SIX_N_D),
    }  # fmt: skip
    made, left_out, kept = listing.sort_out(offered)
    usual = replace(default, C=listing.usual_C)
    if usual not in made:
        raise InputError(_no_default(usual, left_out))
    return Plan(
        frame, chosen.excluded, offered, made, left_out, usual, listing.fits[TABLE_N],
        {name: N for name, N in listing.sizes.items() if not isinstance(N, str)}, listing.known_C, kept, clusters,
    )  # fmt: skip


class _Listing:
    """What the table allows under each convention of N."""

    def __init__(self, frame: pd.DataFrame, counted: bool, default: Specification, clusters: str) -> None:
        self.frame, self.clusters = frame, clusters
        self.usual_C = TABLE_C if counted else SIX_N_D
        self.sizes = sizes_of(frame)
        self.fits, self.C, self.left = {}, {}, {}
        for name, N in self.sizes.items():
            if isinstance(N, str):
                continue
            given = None if default.from_noise else default.minimised(1.0)
            self.fits[name] = fit_law(frame.assign(N=N), default.law, objective=given)
            self.C[name] = computes(frame, N, counted)
            self.left[name] = exclusions(frame, N, self.fits[name])
        self.exclusions = tuple(self.left[TABLE_N])

    @property
    def known_C(self) -> dict[tuple[str, str], Array]:
        return {
            (N, name): C for N, found in self.C.items() for name, C in found.items() if not isinstance(C, str)
        }

    def sort_out(
        self, offered: dict[str, tuple[Any, ...]]
    ) -> tuple[tuple[Specification, ...], tuple[LeftOut, ...], dict[tuple[str, str, str, float], Mask]]:
        """Specifications to be made, those that are not, and the rows of each choice of rows."""
        made: list[Specification] = []
        missing: dict[tuple[str, str], int] = {}
        kept: dict[tuple[str, str, str, float], Mask] = {}
        each = len(offered["objective"])
        for N, C, exclusion, scale in product(*(offered[f] for f in ("N", "C", "exclusion", "scale"))):
            found = self._rows(N, C, exclusion, scale, kept)
            if isinstance(found, tuple):
                missing[found] = missing.get(found, 0) + each * len(offered["law"])
                continue
            kept[N, C, exclusion, scale] = found
            for law in offered["law"]:
                if reason := self._too_few(law, N, found):
                    key = (f"{law}: {exclusion}, {scale_words(scale)}", reason)
                    missing[key] = missing.get(key, 0) + each
                else:
                    made += [
                        Specification(law, name, exclusion, scale, N, C) for name in offered["objective"]
                    ]
        return tuple(made), tuple(LeftOut(*key, count) for key, count in missing.items()), kept

    def _rows(
        self, N: str, C: str, exclusion: str, scale: float, kept: dict[tuple[str, str, str, float], Mask]
    ) -> Mask | tuple[str, str]:
        """The rows, or the choice that cannot be made and why."""
        size = self.sizes[N]
        if isinstance(size, str):
            return f"N is {N}", size
        compute = self.C[N][C]
        if isinstance(compute, str):
            return f"C is {C}" + ("" if N == TABLE_N else f", N is {N}"), compute
        left = self.left[N][exclusion]
        if isinstance(left, str):
            return exclusion, left
        mask = upper(compute, scale) & ~left
        for (other_N, other_C, other, share), rows in kept.items():
            if (other_N, other_C) == (N, C) and np.array_equal(rows, mask):
                return f"{exclusion}, {scale_words(scale)}", f"the same rows as {other}, {scale_words(share)}"
        return mask

    def _too_few(self, law: str, N: str, mask: Mask) -> str:
        """Why a law cannot be fitted to these rows with any to spare; empty where it can."""
        frame, needed = self.frame[mask], len(LAWS[law].parameters()) + SPARE
        if len(frame) < needed:
            return f"{len(frame)} rows are left, and {needed} are needed"
        for name, values in (("N", self.sizes[N][mask]), ("D", frame["D"])):
            if len(np.unique(np.asarray(values, dtype=np.float64))) < 3:
                return f"fewer than 3 different {name} are left"
        groups, method = grouping(frame, self.clusters)
        return f"all rows share one {method.split(':')[1]}" if groups.max() == 0 else ""


def _number(delta: str, objective: str) -> float:
    try:
        return float(delta)
    except ValueError:
        raise InputError(
            f"objective {objective!r} has no number for its delta; write e.g. 'log_huber 0.001'"
        ) from None


def scale_words(scale: float) -> str:
    """A share of log C in words."""
    if scale == 1:
        return "all scales"
    return {0.75: "upper 3/4 of log C", 0.5: "upper 1/2 of log C"}.get(scale, f"upper {scale:g} of log C")


def _no_default(usual: Specification, left_out: Sequence[LeftOut]) -> str:
    reason = next((one.reason for one in left_out if one.choice.startswith(usual.law)), "it cannot be fitted")
    return f"the first specification, {usual.law} on all rows, is not to be had ({reason}); add runs or name other laws"
