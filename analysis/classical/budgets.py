"""Rows of one compute: budgets, as IsoFLOP studies have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import rows
from analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

TOLERANCE = 0.1
"""Largest over smallest compute of a budget, less 1. Ten per cent of compute are half a per cent of a loss whose part
above the floor falls as C^-0.05, and less than that of one near its floor."""
LEAST_SIZES = 5
"""Different sizes that a budget needs, for a curve of three parameters to be checked by what is left over."""


@dataclass(frozen=True)
class Budget:
    """Runs of about one compute C (the geometric mean of theirs), ordered by N; all [n]."""

    C: float
    N: Array
    D: Array
    L: Array
    place: NDArray[np.intp]
    """Row of the frame that each is."""

    @property
    def x(self) -> Array:
        """log N less its mean, so that powers of it are not nearly collinear."""
        logs = np.log(self.N)
        return np.asarray(logs - logs.mean())

    @property
    def sizes(self) -> int:
        """Different sizes."""
        return len(np.unique(self.N))

    def few(self, least: int = LEAST_SIZES) -> str:
        """Why there are too few sizes; empty where there are enough."""
        return "" if self.sizes >= least else f"fewer than {least} different sizes N"


def by_compute(frame: pd.DataFrame, tolerance: float = TOLERANCE) -> list[Budget]:
    """Rows in groups whose computes lie within a factor of 1 + tolerance, ascending.

    From the smallest C on, a group takes all rows up to 1 + tolerance times its first; where computes lie so dense that
    groups touch, their borders are arbitrary. Raises InputError for a tolerance not above 0.
    """
    if not tolerance > 0:
        raise InputError(f"the tolerance of budgets is {tolerance}; it must be above 0, e.g. {TOLERANCE}")
    C = np.asarray(frame["C"], dtype=np.float64)
    order = np.argsort(C, kind="stable")
    first, group = 0.0, -1
    groups = np.empty(len(C), dtype=np.intp)
    for index in order:
        if group < 0 or C[index] > first * (1 + tolerance) * (1 + 1e-12):
            first, group = C[index], group + 1
        groups[index] = group
    return _budgets(frame, groups)


def by_column(frame: pd.DataFrame, column: str) -> list[Budget]:
    """Rows in groups of one value of a column, ascending in compute. Raises InputError where there is no such column
    or it is empty in a row."""
    if column not in frame.columns:
        raise InputError(f"budgets are to be read from column {column!r}, which the table lacks")
    missing = frame.index[frame[column].isna()]
    if len(missing):
        raise InputError(
            f"{column} is empty in {rows.label(frame, missing[0])} ({len(missing)} such rows); name every row's budget"
        )
    return _budgets(frame, np.asarray(frame[column].factorize()[0], dtype=np.intp))


def _budgets(frame: pd.DataFrame, groups: NDArray[np.intp]) -> list[Budget]:
    N, D, C, L = (np.asarray(frame[name], dtype=np.float64) for name in ("N", "D", "C", "L"))
    made = []
    for group in range(int(groups.max(initial=-1)) + 1):
        place = np.flatnonzero(groups == group)
        place = place[np.argsort(N[place], kind="stable")]
        C_mean = float(np.exp(np.log(C[place]).mean()))
        made.append(Budget(C_mean, N[place], D[place], L[place], place))
    return sorted(made, key=lambda budget: budget.C)
