"""Which rows an analyst might leave out, and what N and C might mean: each choice as an array, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import Fit, vector

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ALL_ROWS = "all rows"
TABLE_N, TABLE_C, SIX_N_D = "N", "C", "6 N D"
HIGHEST = (0.02, 0.05)
"""Shares of the rows, those of the highest losses. Of the 245 points of Hoffmann et al. 2022 the first is the five that
Besiroglu et al. 2024 found their fit to have left out."""
OUTLYING = 3.0
"""Robust standard deviations beyond which a residual is an outlier."""
FLAGS = ("dropped", "excluded", "outlier", "suspect", "flag")
"""How the names of columns begin that mark rows, true or false, as ones to leave out."""
EDGES = ("low edge", "high edge")
SAME = 1e-6
"""Two conventions are one where they differ by no more than this share in any row."""

MIXED = {
    "tokens_per_byte": "losses per token of different tokenizers",
    "objective": "losses of different objectives",
}
"""Columns whose values must be one, and what the rows hold where they are not."""


def require_comparable(frame: pd.DataFrame) -> None:
    """Raise InputError where the losses of selected rows are of different targets, which no specification joins."""
    for column, what in MIXED.items():
        if column in frame and frame[column].nunique() > 1:
            first = frame[column].dropna().iloc[0]
            shown = f'"{first}"' if isinstance(first, str) else f"{first:g}"
            raise InputError(
                f"the rows hold {what} ({frame[column].nunique()} values of {column}), which cannot be compared: "
                f"keep one, e.g. --where '{column} == {shown}'"
            )


def sizes(frame: pd.DataFrame) -> dict[str, Array | str]:
    """N of every selected row under each convention, [n], or why the table does not tell."""
    found: dict[str, Array | str] = {TABLE_N: _numbers(frame, TABLE_N)}
    for name, column in (("N_total", "N_total"), ("N without head", "N_head")):
        if column not in frame:
            found[name] = f"the table has no column {column}"
            continue
        values = _numbers(frame, column)
        if column == "N_head":
            values = _numbers(frame, TABLE_N) - values
        found[name] = _usable(name, values, _numbers(frame, TABLE_N))
    return found


def computes(frame: pd.DataFrame, N: Array, counted: bool) -> dict[str, Array | str]:
    """C of every selected row under each convention, [n], or why there is none; counted: whether the table has C."""
    six, own = 6.0 * N * _numbers(frame, "D"), _numbers(frame, TABLE_C)
    if not counted:
        return {TABLE_C: "the table has no column C", SIX_N_D: six}
    same = np.abs(six / own - 1).max() <= SAME
    return {TABLE_C: own, SIX_N_D: "equal to C in every row" if same else six}


def exclusions(frame: pd.DataFrame, N: Array, fit: Fit) -> dict[str, Mask | str]:
    """Rows [n] that each exclusion leaves out, or why it leaves out none.

    Runs of fewer tokens than parameters are hardly trained; outliers are beyond three robust standard deviations of
    `fit`, the default's; rates at an edge are best rates that the range tried does not bracket.
    """
    L, D = _numbers(frame, "L"), _numbers(frame, "D")
    found: dict[str, Mask | str] = {ALL_ROWS: np.zeros(len(L), dtype=bool)}
    by_loss = np.argsort(-L, kind="stable")
    for share in HIGHEST:
        highest = np.zeros(len(L), dtype=bool)
        highest[by_loss[: max(round(share * len(L)), 1)]] = True
        found[f"without top {share:.0%} of L"] = highest
    found["without D < N"] = _any(D < N, "no run has fewer tokens than parameters")
    problem = fit.problem(frame.assign(N=N))
    residual = problem.residual(vector(problem, fit.params)[:, None])[0]
    outlying = np.abs(residual) > OUTLYING * fit.noise
    found["without outliers"] = _any(outlying, f"none is beyond {OUTLYING:g} robust standard deviations")
    return found | _marked(frame)


def upper(C: Array, share: float) -> Mask:
    """Rows [n] in the upper `share` of the logarithm of compute that all rows span."""
    depth = np.log(C.max() / C)
    return np.asarray(depth <= share * depth.max() * (1 + 1e-9))


def _marked(frame: pd.DataFrame) -> dict[str, Mask | str]:
    found: dict[str, Mask | str] = {}
    if "rate_range" in frame:
        at_edge = frame["rate_range"].isin(EDGES).to_numpy(dtype=bool)
        found["without rates at an edge"] = _any(at_edge, "no best rate is at an edge")
    for column in frame.columns:
        if str(column).startswith(FLAGS) and frame[column].dropna().isin([True, False]).all():
            marked = frame[column].fillna(False).to_numpy(dtype=bool)
            found[f"without {column}"] = _any(marked, f"no row is {column}")
    return found


def _any(mask: Mask, reason: str) -> Mask | str:
    return mask if mask.any() else reason


def _usable(name: str, values: Array, N: Array) -> Array | str:
    missing = int((~np.isfinite(values)).sum())
    if missing:
        return f"{missing} rows have no {name}"
    if not (values > 0).all():
        return f"{name} is not above 0 in {int((values <= 0).sum())} rows"
    return "equal to N in every row" if np.abs(values / N - 1).max() <= SAME else values


def _numbers(frame: pd.DataFrame, column: str) -> Array:
    return np.asarray(frame[column], dtype=np.float64)
