"""Approach 3: a law fitted to all rows, and the split of compute at which it is least."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.classical.allocation import Allocation, Line, middle
from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.frontier import Cost, Frontier, two_powers
from analysis.intervals.uncertainty import bootstrap
from analysis.laws import Law
from analysis.rows import law_named

if TYPE_CHECKING:
    import pandas as pd


def parametric(
    table: pd.DataFrame,
    fit: Fit,
    cost: Cost,
    *,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
) -> Allocation:
    """The frontier of a fitted law as an allocation, with the intervals of its bootstrap, each replicate refitted.

    Hoffmann et al. 2022 (arXiv 2203.15556, section 3.3). Where a replicate has no term in N or in D its best split is
    at 0 or infinity, and it counts as without an answer. Raises InputError for a law whose frontier is no power of C.
    """
    require_powers(fit.law)
    boot = bootstrap(table, fit, replicates=replicates, clusters=clusters, seed=seed, level=level)
    chosen = fit.select(table)
    amid = middle(chosen.frame)
    intercept, slope = _line(Frontier(fit.curve, cost), amid)
    intercepts, slopes = _line(Frontier(boot.law, cost), amid)
    if not np.isfinite(intercept):
        raise InputError(
            f"the fitted {fit.law} has no term in N or in D, so compute has no best split; fit tied"
        )
    N = Line(float(intercept), float(slope), intercepts, slopes)
    return Allocation(
        approach=f"parametric, {fit.law}",
        N=N,
        D=N.paid(cost),
        points=(),
        refused=(),
        rows=fit.rows,
        method=boot.method,
        level=level,
        probabilities=boot.tails(level),
        seed=seed,
        used=f"{fit.rows} rows",
        warnings=_warnings(fit, boot.note),
        places=np.arange(fit.rows),
    )


def require_powers(name: str) -> None:
    """Raise InputError unless the frontier of the law of that name is a power of C."""
    law = law_named(name)
    if set(law.columns) != {"N", "D"} or not _closed(law):
        raise InputError(
            f"the best split of compute is no power of C under {name!r}; compare with hoffmann, tied or coupled"
        )


def _closed(law: type[Law]) -> bool:
    return two_powers(law(**dict.fromkeys(law.parameters(), 1.0))) is not None


def _line(frontier: Frontier, C: float) -> tuple[np.ndarray, np.ndarray]:
    """Intercept and slope of log N_opt on log C; both NaN where N_opt is 0 or infinite."""
    slope = frontier.N_exponent
    with np.errstate(divide="ignore"):
        intercept = np.log(frontier.N_opt(C)) - slope * np.log(C)
    good = np.isfinite(intercept)
    return np.where(good, intercept, np.nan), np.where(good, slope, np.nan)


def _warnings(fit: Fit, note: str) -> tuple[str, ...]:
    said = []
    if fit.status != "converged":
        said.append(f"the fit's status is {fit.status}")
    if not fit.restarts.agree:
        said.append("other parameters fit as well (see `fit`)")
    return (*said, *([note] if note else []))
