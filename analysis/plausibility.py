"""What looks wrong in the rows that are fitted, and is fitted all the same: warnings, each with value and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.requirements import named

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws import Law

Array = NDArray[np.float64]

SMALL_MODEL, SHORT_RUN, GREAT_LOSS = 100.0, 1e-3, 30.0
"""N below which the unit is doubtful, tokens a parameter likewise, and nats per token: a uniform guess over 1e13 words
would have 30."""
COMPUTE_OFF = 10.0
"""Factor between C and 6 N D that no exact count explains: attention and head add as much in the smallest models."""
COLLINEAR = 0.999
"""Correlation of log N and log D above which D is a function of N."""


def of_rows(frame: pd.DataFrame, columns: Mapping[str, str], target: str) -> list[str]:
    """Warnings of selected rows: doubtful units, C that is not 6 N D, columns of few values,
    D that is a function of N, several rows of one run."""
    found = [*_units(frame, target), *_compute(frame), *_few_values(frame, [*columns.values()])]
    if {"N", "D"} <= set(columns.values()):
        found += _collinear(frame)
    return found + _curves(frame)


def require_change(values: Array, target: str) -> None:
    """Raise InputError where all values [n] of what is fitted are one."""
    if float(np.ptp(values)) == 0:
        which = "losses" if target == "L" else f"values of {target}"
        raise InputError(
            f"all {which} are equal: {target} is {float(values[0]):g} in every row, so nothing is learnt of how it "
            f"changes; name another column with --columns {target}=theirs"
        )


def below_floor(frame: pd.DataFrame, law: Law, target: str) -> list[str]:
    """A warning of rows whose target is below the floor that was fitted, by name; none of a law that takes a term
    away, which may go below its floor."""
    if law.floor is None or -1 in law.signs:
        return []
    E = float(law.as_dict()[law.floor])
    low = _values(frame, target) < E
    if not low.any():
        return []
    return [
        f"{target} is below the fitted floor of {E:.4g} in {named(frame, low)}: the law cannot give such a value; look "
        "at these rows, and fit without them to see what they do (--where)"
    ]


def _units(frame: pd.DataFrame, target: str) -> list[str]:
    found = []
    if "N" in frame and (small := _values(frame, "N") < SMALL_MODEL).any():
        found.append(
            f"N is below {SMALL_MODEL:g} in {named(frame, small)}: N counts parameters, not millions; convert the "
            "column"
        )
    if {"N", "D"} <= set(frame) and (short := _values(frame, "D") < SHORT_RUN * _values(frame, "N")).any():
        found.append(
            f"D is less than a thousandth of N in {named(frame, short)}: D counts tokens, not millions or steps; "
            "convert the column"
        )
    if target == "L" and (great := _values(frame, "L") > GREAT_LOSS).any():
        found.append(
            f"L is above {GREAT_LOSS:g} in {named(frame, great)}: L is cross-entropy in nats per token; if it is "
            "perplexity take its logarithm"
        )
    return found


def _compute(frame: pd.DataFrame) -> list[str]:
    if not {"N", "D", "C"} <= set(frame):
        return []
    ratio = _values(frame, "C") / (6 * _values(frame, "N") * _values(frame, "D"))
    with np.errstate(divide="ignore"):
        off = np.abs(np.log(ratio)) > np.log(COMPUTE_OFF)
    if not off.any():
        return []
    worst = float(ratio[np.argmax(np.abs(np.log(ratio)))])
    return [
        f"C is {worst:.3g} times 6 N D in {named(frame, off)}: C is in FLOPs of the whole training; convert the "
        "column, or leave it out and C is 6 N D"
    ]


def _few_values(frame: pd.DataFrame, columns: list[str]) -> list[str]:
    found = []
    for column in columns:
        count = int(frame[column].nunique())
        if count == 1:
            value = float(_values(frame, column)[0])
            found.append(
                f"{column} is {value:g} in every row, so nothing is learnt of its effect: its exponent is arbitrary; "
                f"fit a law without {column}, or add runs that vary it"
            )
        elif count == 2:
            found.append(
                f"{column} has two distinct values, which any exponent fits; add runs at a third, better a fourth"
            )
    return found


def _collinear(frame: pd.DataFrame) -> list[str]:
    log_N, log_D = np.log(_values(frame, "N")), np.log(_values(frame, "D"))
    if not (np.ptp(log_N) and np.ptp(log_D)) or np.corrcoef(log_N, log_D)[0, 1] < COLLINEAR:
        return []
    ratio = np.exp(log_D - log_N)
    middle = float(np.median(ratio))
    how = f"{middle:.3g} N" if np.ptp(ratio) < 0.05 * middle else "a function of N"
    return [
        f"D is {how} in every run, so the effects of N and D cannot be told apart; add runs that vary D at one N"
    ]


def _curves(frame: pd.DataFrame) -> list[str]:
    """A warning of rows that are points of one run's curve, unless trunks repeat, by which they are clustered."""
    if "trunk_id" in frame and frame["trunk_id"].dropna().duplicated().any():
        return []
    for column in ("run_id", "run", "name"):
        if column in frame and _repeats(frame, column):
            counts = frame[column].value_counts()
            several, most = int((counts > 1).sum()), int(counts.max())
            return [
                f"{several} runs have several rows (up to {most}): points of one curve share that "
                f"run's noise and are not independent; use --clusters {column}, and mind that points before the decay "
                "of the rate are no final losses"
            ]
    return []


def _repeats(frame: pd.DataFrame, column: str) -> bool:
    """Whether the column names runs that have several rows, of different D or step where it may name a size instead."""
    if not frame[column].dropna().duplicated().any():
        return False
    if column == "run_id":
        return True
    by = frame.groupby(column)
    sizes = [by[name].nunique().max() == 1 for name in ("N",) if name in frame]
    along = ("D", "step") if column == "run" else ("step",)
    moves = [by[name].nunique().max() > 1 for name in along if name in frame and name != column]
    return all(sizes) and any(moves)


def _values(frame: pd.DataFrame, column: str) -> Array:
    return np.asarray(frame[column], dtype=np.float64)
