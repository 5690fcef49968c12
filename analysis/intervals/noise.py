"""How much losses differ between runs of one setting: from replicates, or from what a law leaves of groups of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

ENOUGH, SPAN = 20, 0.5
"""The noise is asked whether it changes with scale where replicates have so many degrees of freedom and span this share
of the logarithm of scale: a slope seen at one end is no slope at the other."""
STEEPEST = 2.0
CHANGES = 6.63
"""The 99 % quantile of chi-squared with 1 degree of freedom: what the likelihood ratio must exceed for a slope."""
SINGULAR = 1e-9
BISECTIONS = 50


@dataclass(frozen=True)
class Noise:
    """Normal noise of log losses (of losses, where the objective is raw): of every run, and shared by those of a trunk.

    Of row i it is shape_i (trunk u_g + branch e_i) with u and e standard normal and shape_i = (x_i / x)^slope; x_i is
    the row's compute and x the geometric mean.

    What is known of the two: branch^2 is a sum of squares over `branch_freedom`, and each of `squares` is one draw of
    (branch^2 + loads trunk^2) chi-squared of 1 degree.
    """

    branch: float
    branch_freedom: int
    trunk: float = 0.0
    loads: tuple[float, ...] = ()
    """Runs of a trunk that each contrast between trunks counts; empty where no trunks were told apart."""
    squares: tuple[float, ...] = ()
    """Squares of these contrasts."""
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

    @property
    def trunk_freedom(self) -> float:
        """Degrees of freedom with which the noise between trunks is known: (sum v)^2 / sum v^2 over the variances v of
        the contrasts (Satterthwaite 1946); 0 where no trunks were told apart."""
        variances = self.branch**2 + np.array(self.loads) * self.trunk**2
        return float(variances.sum() ** 2 / (variances**2).sum()) if variances.any() else 0.0

    def drawn_spreads(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """Standard deviations [count] of trunk and branch, as uncertain as they are.

        branch^2 is its sum of squares over a draw of chi-squared; trunk^2 then solves
        sum_k squares_k / (branch^2 + loads_k trunk^2) = another draw, and is 0 where that has no solution (generalised
        pivots, Weerahandi 1995; the equation is the Q profile of Viechtbauer 2007, Statistics in Medicine 26:37).
        """
        branch = self.branch**2 * self.branch_freedom / rng.chisquare(self.branch_freedom, count)
        if not self.loads:
            return np.zeros(count), np.sqrt(branch)
        drawn = rng.chisquare(len(self.loads), count)
        trunk = _between(np.array(self.loads), np.array(self.squares), branch, drawn)
        return np.sqrt(trunk), np.sqrt(branch)

    def draw(self, rng: np.random.Generator, count: int, trunks: Codes, shape: Array) -> Array:
        """Noise [count, n] of rows in trunks [n], its spreads drawn anew for each."""
        trunk, branch = self.drawn_spreads(rng, count)
        of_trunks = rng.standard_normal((count, int(trunks.max()) + 1))[:, trunks]
        of_rows = rng.standard_normal((count, len(trunks)))
        return np.asarray(shape * (trunk[:, None] * of_trunks + branch[:, None] * of_rows))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = {name: getattr(self, name) for name in ("branch", "branch_freedom", "trunk", "trunk_freedom")}
        return found | {"slope": self.slope, "groups": self.groups}


@dataclass(frozen=True)
class Sizes:
    """How noisy rows are whose noise is a power of scale, and how noisy a new one is."""

    column: str
    """Of scale, see `scale_of`."""
    rows: Array
    """Standard deviation of each row [n], up to a factor."""
    scale: Array
    """[n]."""

    def at(self, points: pd.DataFrame | Mapping[str, Any]) -> Array:
        """The size at points [m], by the same power; beyond the rows it may grow and does not fall, and where the scale
        of points is not known it is the largest of the rows."""
        if self.column not in points:
            return np.asarray(self.rows.max())
        logs, ends = (
            np.log(np.asarray(points[self.column], dtype=np.float64)),
            np.argsort(self.scale)[[0, -1]],
        )
        x, y = np.log(self.scale[ends]), np.log(self.rows[ends])
        slope = (y[1] - y[0]) / (x[1] - x[0]) if x[1] > x[0] else 0.0
        return np.asarray(
            np.exp(y[0] + slope * np.stack([logs, np.clip(logs, *x)]) - slope * x[0]).max(axis=0)
        )


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

    Deviations from the groups' means, pooled. Where there are enough of them (20 degrees of freedom, over half the
    range of compute) and a likelihood ratio says at 1 % that their size changes with compute, it does so as a power.
    With trunks [n] (numbers of trunks) the noise that a trunk shares is told apart from that of single runs, where two
    trunks have runs of the same settings. Rows of one group that have the same loss to every digit are one row written
    twice.

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
    logs = np.log(scale)
    spans = np.ptp(logs[kept]) >= SPAN * np.ptp(logs)
    slope = _slope(aim, groups, logs[kept], alike) if spans else 0.0
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
    """Variances within and between trunks [n] of what an orthonormal basis Q [n, p] leaves of aim [n].

    With Z the trunks and M = I - Q Q', the eigenvectors v_k of Z' M Z with eigenvalues l_k > 0 give contrasts
    v_k' Z' M aim / sqrt(l_k), independent and of variance branch^2 + l_k trunk^2, and what they leave of M aim has the
    mean square branch^2 (Henderson's third method, 1953). trunk^2 is what makes the sum of squares of the contrasts,
    each over its variance, equal to their number (Paule and Mandel 1982). Where there are no contrasts, or nothing is
    left by them, the noise is of single rows alone.
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
            loads = values[real]
            squares = (vectors.T @ np.bincount(trunks, left))[real] ** 2 / loads
            within = max(total - float(squares.sum()), 0.0) / (freedom - rank)
            trunk = _between(loads, squares, np.array([within]), np.array([float(rank)]))[0]
            return Noise(
                float(np.sqrt(within)), freedom - rank, float(np.sqrt(trunk)), tuple(loads), tuple(squares)
            )
    return Noise(float(np.sqrt(total / max(freedom, 1))), max(freedom, 1))


def _between(loads: Array, squares: Array, branch: Array, totals: Array) -> Array:
    """The variance t >= 0 [R] with sum_k squares_k / (branch + loads_k t) = total, by bisection; 0 where the sum is
    below the total at 0."""
    lo, hi = np.zeros_like(branch), (squares / loads).sum() / totals
    for _ in range(BISECTIONS):
        middle = (lo + hi) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            above = (squares / (branch[:, None] + loads * middle[:, None])).sum(axis=1) > totals
        lo, hi = np.where(above, middle, lo), np.where(above, hi, middle)
    return hi * (lo > 0)


def scale_of(frame: pd.DataFrame, columns: Sequence[str]) -> Array:
    """What noise is a function of, [n]: compute, or the law's first column where the table has none."""
    return np.asarray(frame[_scale_column(frame, columns)], dtype=np.float64)


def sizes(frame: pd.DataFrame, columns: Sequence[str], weights: Array) -> Sizes:
    """Those of rows whose weights [n] are 1 / variance by `row_weights`."""
    return Sizes(_scale_column(frame, columns), 1 / np.sqrt(weights), scale_of(frame, columns))


def _scale_column(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    return "C" if "C" in frame.columns and frame["C"].notna().all() else columns[0]


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
