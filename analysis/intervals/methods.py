"""The methods of uncertainty by name; each returns an `Uncertainty`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.intervals.interval import Uncertainty
from analysis.intervals.jackknife import jackknife
from analysis.intervals.posterior import posterior
from analysis.intervals.profile import profiles
from analysis.intervals.resampling import residual_bootstrap, seed_noise_bootstrap
from analysis.intervals.uncertainty import bootstrap
from analysis.intervals.wild import wild_bootstrap

if TYPE_CHECKING:
    import pandas as pd

BOOTSTRAPS: dict[str, Callable[..., Uncertainty]] = {
    "pairs": bootstrap,
    "cluster": bootstrap,
    "residual": residual_bootstrap,
    "wild": wild_bootstrap,
    "seed_noise": seed_noise_bootstrap,
}
METHODS = (*BOOTSTRAPS, "profile", "bayes", "jackknife")
"""pairs and cluster resample rows and trunks; residual, wild and seed_noise draw new losses for the same runs."""


def uncertainty_by(
    method: str,
    table: pd.DataFrame,
    fit: Fit,
    *,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
) -> Uncertainty:
    """What a method of `METHODS` says of the fit; "pairs" takes rows alone, "cluster" and all others take `clusters` as
    `bootstrap` does. A jackknife leaves out sizes (the law's first column). Raises InputError for another name."""
    if method in BOOTSTRAPS:
        return BOOTSTRAPS[method](
            table,
            fit,
            replicates=replicates,
            clusters="pairs" if method == "pairs" else clusters,
            seed=seed,
            level=level,
        )
    if method == "profile":
        return profiles(table, fit, level=level, clusters=clusters, seed=seed)
    if method == "bayes":
        return posterior(table, fit, clusters=clusters, seed=seed, level=level)
    if method == "jackknife":
        return jackknife(table, fit, by=next(iter(fit.columns.values())), level=level)
    raise InputError(f"no method of uncertainty is called {method!r}; there are: {', '.join(METHODS)}")
