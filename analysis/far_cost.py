"""What the cost formula of the runs makes of sizes beyond them, beside 6 N D."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from analysis import notation
from analysis.frontier import Cost

OFF = 1.5
"""Factor by which C must differ from 6 N D to be told of."""
ONE = 5e-4
"""Distance of rho from 1 that is none."""


def formula(cost: Cost) -> str:
    """'C = 51.3 N^0.85 D', or 'C = 6 N D'."""
    power = "" if abs(cost.rho - 1) < ONE else f"^{notation.plain(cost.rho)}"
    return f"C = {notation.plain(cost.kappa)} N{power} D"


def share(cost: Cost, N: float) -> float:
    """C by the formula over 6 N D, at so many parameters."""
    return cost.kappa * N**cost.rho / (6 * N)


def caution(cost: Cost, N: float, largest: float) -> str:
    """What the formula makes of 6 N D at N parameters; empty where N is none, no larger than the `largest` N of the
    runs, or C there is within `OFF` of 6 N D."""
    if math.isnan(N) or largest >= N:
        return ""
    off = share(cost, N)
    if 1 / OFF <= off <= OFF:
        return ""
    way = "low" if off < 1 else "high"
    return (
        f"By the cost formula of these runs, {formula(cost)}, a run of {notation.count(N)} parameters costs "
        f"{notation.plain(off, 2)} times 6 N D, where a model of that size costs about 6 N D itself: compute so far "
        f"beyond the largest model ({notation.count(largest)}) is told too {way}."
    )


def as_dict(cost: Cost, sizes: Iterable[float | None], largest: float) -> dict[str, Any]:
    """The `cost` entry of limit.json: the formula, the largest of the `sizes` N that are claimed with C there over
    6 N D (null where none is), and the caution that they ask for."""
    N = max((size for size in sizes if size is not None and math.isfinite(size)), default=math.nan)
    known = math.isfinite(N)
    return {
        "kappa": cost.kappa,
        "rho": cost.rho,
        "largest_N": largest,
        "N": N if known else None,
        "of_6ND": share(cost, N) if known else None,
        "caution": caution(cost, N, largest),
    }
