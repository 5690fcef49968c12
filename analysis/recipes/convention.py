"""Whether both recipes count compute alike: what their runs cost at the same parameters and tokens, as C over 6 N D.

A gain is a ratio of computes, so that 6 N D on one side and an exact count on the other is read as a better recipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.frontier import Cost, cost_of
from analysis.recipes.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

SAME = 0.05
"""Relative difference of the two costs that is not spoken of."""
EXACT = 1e-3
"""Relative difference from 6 N D within which a table's compute is 6 N D."""


def conventions(base: Recipe, candidate: Recipe) -> tuple[str, str]:
    """Why the computes are not of one kind, and what to know of them where they may be; each may be empty.

    Computes are not of one kind where one side counts 6 N D in every run and the other does not, by more than `SAME`.
    Other differences at the sizes that both trained may be what the recipes cost, and are told.
    """
    frames = [side.frame for side in (base, candidate)]
    if not all({"N", "D", "C"} <= set(frame.columns) for frame in frames):
        return "", ""
    simple = [_simple(frame) for frame in frames]
    if simple[0] != simple[1]:
        other = frames[simple.index(False)]
        if float(np.abs(_over_6ND(other) - 1).max()) > SAME:
            return _mixed(simple, other, frames), ""
    return "", _apart(frames)


def _over_6ND(frame: pd.DataFrame) -> Array:
    N, D, C = (np.asarray(frame[name], dtype=np.float64) for name in ("N", "D", "C"))
    return C / (6 * N * D)


def _mixed(simple: list[bool], other: pd.DataFrame, frames: list[pd.DataFrame]) -> str:
    ratio = _over_6ND(other)
    names = ("base", "candidate") if simple[0] else ("candidate", "base")
    counted = all("C_6ND" in frame and frame["C_6ND"].notna().all() for frame in frames)
    remedy = "--columns C=C_6ND" if counted else "give both tables one kind of C"
    return (
        f"the computes are counted otherwise: the {names[0]}'s is 6 N D, the {names[1]}'s "
        f"{notation.plain(float(ratio.min()))} to {notation.plain(float(ratio.max()))} times 6 N D; {remedy}"
    )


def _apart(frames: list[pd.DataFrame]) -> str:
    least, largest = max(frame["N"].min() for frame in frames), min(frame["N"].max() for frame in frames)
    if least > largest:
        return (
            ""
            if all(_simple(frame) for frame in frames)
            else (
                "no size lies within both recipes' runs, so whether they count compute alike cannot be seen"
            )
        )
    costs = [cost_of(frame) for frame in frames]
    ends = sorted({float(least), float(largest)})
    over = [[_at(cost, N) for cost in costs] for N in ends]
    worst = max(over, key=lambda pair: abs(np.log(pair[0] / pair[1])))
    if abs(np.log(worst[0] / worst[1])) <= np.log1p(SAME):
        return ""
    return (
        f"at the same N and D a run of the base costs {notation.times(worst[0] / worst[1])} one of the candidate "
        f"(C over 6 N D is {notation.plain(worst[0])} against {notation.plain(worst[1])} at N = "
        f"{notation.count(ends[over.index(worst)])}): other models, or computes that are counted otherwise, which a "
        "gain would take for a difference of the recipes"
    )


def _simple(frame: pd.DataFrame) -> bool:
    return bool(np.abs(_over_6ND(frame) - 1).max() <= EXACT)


def _at(cost: Cost, N: float) -> float:
    return cost.kappa * N ** (cost.rho - 1) / 6
