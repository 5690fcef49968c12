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
from analysis.choices.choices import OBJECTIVES, SCALES, SPARE, LeftOut, Specification, scale_words
from analysis.choices.exclusions import (
    SIX_N_D,
    TABLE_C,
    TABLE_N,
    computes,
    exclusions,
    require_comparable,
    upper,
)
from analysis.choices.exclusions import sizes as sizes_of
from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.fitting import fit as fit_law
from analysis.intervals.uncertainty import grouping
from analysis.laws import LAWS
from analysis.options import IN_N_AND_D
from analysis.rows import Excluded

if TYPE_CHECKING:
    import pandas as pd

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]


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


def _no_default(usual: Specification, left_out: Sequence[LeftOut]) -> str:
    reason = next((one.reason for one in left_out if one.choice.startswith(usual.law)), "it cannot be fitted")
    return f"the first specification, {usual.law} on all rows, is not to be had ({reason}); add runs or name other laws"
