"""How much losses differ between runs of one setting: from replicates, or from what a law leaves of groups of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from scaling.tuning import FIGURES, SETTING

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Codes = NDArray[np.intp]

ENOUGH = 10
"""Degrees of freedom from which the noise is asked whether it changes with scale."""
STEEPEST = 2.0
CHANGES = 3.84
"""The 95 % quantile of chi-squared with 1 degree of freedom: what the likelihood ratio must exceed for a slope."""
SINGULAR = 1e-9


@dataclass(frozen=True)
class Noise:
    """Normal noise of log losses (of losses, where the objective is raw): of every run, and shared by those of a trunk.

    Of row i it is shape_i (trunk u_g + branch e_i) with u and e standard normal and shape_i = (x_i / x)^slope; x_i is
    the row's compute and x the geometric mean. A variance is known as its sum of squares over chi-squared of `freedom`
    degrees.
    """

    branch: float
    branch_freedom: int
    trunk: float = 0.0
    trunk_freedom: int = 0
    """0 where no trunks were told apart."""
    per_trunk: float = 1.0
    """Runs a trunk, m in the variance trunk^2 + branch^2 / m of a trunk's mean."""
    between: float = 0.0
    """Mean square between trunks, m trunk^2 + branch^2 but for chance; trunk is 0 where it is below branch^2."""
    slope: float = 0.0
    groups: int = 0
    """Groups of replicates that it is from; 0 where it is from a law's residuals."""

    @property
    def total(self) -> float:
        """Standard deviation of one run where shape is 1."""
        return float(np.hypot(self.branch, self.trunk))

    def shape(self, scale: Array) -> Array:
        """How the noise of each row compares with that of the mean row; scale is compute [n]."""
        logs = np.log(scale)
        return np.asarray(np.exp(self.slope * (logs - logs.mean())))

    def drawn_spreads(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """Standard deviations [count] of trunk and branch as uncertain as they are: each mean square times its freedom
        over a draw of chi-squared (the generalised pivots of variance components, Weerahandi 1995, chapter 5)."""
        branch = self.branch**2 * self.branch_freedom / rng.chisquare(self.branch_freedom, count)
        if not self.trunk_freedom:
            return np.zeros(count), np.sqrt(branch)
        between = self.between * self.trunk_freedom / rng.chisquare(self.trunk_freedom, count)
        return np.sqrt(np.maximum(between - branch, 0.0) / self.per_trunk), np.sqrt(branch)

    def draw(self, rng: np.random.Generator, count: int, trunks: Codes, shape: Array) -> Array:
        """Noise [count, n] of rows in trunks [n], its spreads drawn anew for each."""
        trunk, branch = self.drawn_spreads(rng, count)
        of_trunks = rng.standard_normal((count, int(trunks.max()) + 1))[:, trunks]
        of_rows = rng.standard_normal((count, len(trunks)))
        return np.asarray(shape * (trunk[:, None] * of_trunks + branch[:, None] * of_rows))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


def replicate_groups(frame: pd.DataFrame, columns: Sequence[str]) -> Codes:
    """Number of the group [n] of each row; rows of a group agree in the law's columns and in every column of size, data
    and recipe that the table has, the learning rate with them, and may differ in seed alone."""
    setting = [*columns, *(name for name in (*SETTING, "lr") if name in frame.columns)]
    keys = frame[list(dict.fromkeys(setting))].copy()
    for name in keys.select_dtypes("number").columns:
        keys[name] = keys[name].map(lambda value: float(f"{value:.{FIGURES}g}"))
    return np.asarray(keys.groupby(list(keys.columns), dropna=False, sort=False).ngroup(), dtype=np.intp)


def of_replicates(
    frame: pd.DataFrame, aim: Array, columns: Sequence[str], trunks: Codes | None = None
) -> Noise:
    """The noise of selected rows, from those that are replicates of each other; aim [n] are log losses.

    Deviations from the groups' means, pooled. Where there are enough of them (10 degrees of freedom) and a likelihood
    ratio says that their size changes with compute, it does so as a power. With trunks [n] (numbers of trunks) the
    noise that a trunk shares is told apart from that of single runs, where two trunks have runs of the same settings.
    Rows of one group that have the same loss to every digit are one row written twice.

    Raises InputError where no two rows are replicates.
    """
    groups = replicate_groups(frame, columns)
    kept = np.sort(np.unique(np.stack([groups, aim]), axis=1, return_index=True)[1])
    kept = kept[np.bincount(groups[kept])[groups[kept]] > 1]
    if not len(kept):
        raise InputError(
            f"no two of the {len(frame)} rows are replicates (equal in {', '.join(columns)} and recipe, of other "
            "seeds), so the noise between seeds is not known; run some settings again with other seeds, or use the "
            "residual bootstrap, which takes the noise from the fit"
        )
    groups, aim = np.unique(groups[kept], return_inverse=True)[1], aim[kept]
    scale = scale_of(frame, columns)
    alike = 1.0 if trunks is None else len(kept) / len(np.unique(trunks[kept]))
    slope = _slope(aim, groups, np.log(scale)[kept], alike)
    shape = Noise(1.0, 1, slope=slope).shape(scale)[kept]
    basis = np.zeros((len(aim), int(groups.max()) + 1))
    basis[np.arange(len(aim)), groups] = 1 / shape
    basis /= np.linalg.norm(basis, axis=0)
    found = components(aim / shape, basis, None if trunks is None else trunks[kept])
    return replace(found, slope=slope, groups=basis.shape[1])


def row_weights(frame: pd.DataFrame, aim: Array, columns: Sequence[str]) -> Array:
    """1 / variance of each row [n] by the noise between seeds (see `of_replicates`)."""
    found = of_replicates(frame, aim, columns)
    if found.total == 0:
        raise InputError(
            "all replicates have the same losses, so their noise is 0 and no weights can be made of it; "
            "drop the copies, or use another objective"
        )
    return np.asarray(1 / (found.total * found.shape(scale_of(frame, columns))) ** 2)


def components(aim: Array, basis: Array, trunks: Codes | None) -> Noise:
    """Variances within and between trunks [n] of what an orthonormal basis [n, p] leaves of aim [n] (Henderson's third
    method, 1953): with Z the trunks and M = I - Q Q', the sum of squares that M Z explains of M aim has mean

        rank(M Z) branch^2 + tr(Z' M Z) trunk^2,

    and what it leaves has mean (n - p - rank(M Z)) branch^2. Where either rank is 0, the noise is of single rows alone.
    """
    left = aim - basis @ (basis.T @ aim)
    total, freedom = float(left @ left), len(aim) - basis.shape[1]
    if trunks is not None:
        trunks = np.unique(trunks, return_inverse=True)[1]
        count = int(trunks.max()) + 1
        sums = np.zeros((count, basis.shape[1]))
        np.add.at(sums, trunks, basis)
        gram = np.diag(np.bincount(trunks).astype(np.float64)) - sums @ sums.T
        values, vectors = np.linalg.eigh(gram)
        real = values > SINGULAR * max(float(values[-1]), 1.0)
        rank = int(real.sum())
        if 0 < rank < freedom:
            explained = float((((vectors.T @ np.bincount(trunks, left))[real]) ** 2 / values[real]).sum())
            within = max(total - explained, 0.0) / (freedom - rank)
            between, per_trunk = explained / rank, float(values[real].sum()) / rank
            trunk = float(np.sqrt(max(between - within, 0.0) / per_trunk))
            return Noise(float(np.sqrt(within)), freedom - rank, trunk, rank, per_trunk, between)
    return Noise(float(np.sqrt(total / max(freedom, 1))), max(freedom, 1))


def scale_of(frame: pd.DataFrame, columns: Sequence[str]) -> Array:
    """What noise is a function of, [n]: compute, or the law's first column where the table has none."""
    name = "C" if "C" in frame.columns and frame["C"].notna().all() else columns[0]
    return np.asarray(frame[name], dtype=np.float64)


def _slope(aim: Array, groups: Codes, log_scale: Array, alike: float) -> float:
    """Exponent of scale by which the noise within groups changes, of greatest likelihood; 0 where there are too few
    replicates or the likelihood ratio, over the number of rows that may be alike, does not tell it from 0."""
    from scipy.optimize import minimize_scalar

    counts = np.bincount(groups)
    middle = np.bincount(groups, log_scale) / counts
    x = middle - middle.mean()
    squares = np.bincount(groups, (aim - (np.bincount(groups, aim) / counts)[groups]) ** 2)
    freedom = counts - 1

    def twice_minus_log_likelihood(slope: float) -> float:
        return float(
            freedom.sum() * np.log((squares * np.exp(-2 * slope * x)).sum()) + 2 * slope * (freedom @ x)
        )

    if freedom.sum() / alike < ENOUGH or squares.sum() == 0 or np.ptp(x) == 0:
        return 0.0
    best = minimize_scalar(twice_minus_log_likelihood, bounds=(-STEEPEST, STEEPEST), method="bounded")
    gain = (twice_minus_log_likelihood(0.0) - best.fun) / alike
    return float(best.x) if gain > CHANGES else 0.0
