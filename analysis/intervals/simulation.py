"""Tables as a fitted law would make them again: the same runs, other noise.

What is kept of the runs is everything but their noise: every row's columns, its weight and its cluster, seed replicates
included. The noise is that of the fit's residuals: a part that all rows of a cluster share (the branches of a trunk)
and a part of each row's own, rows with large residuals being the noisier ones as far as these tell. Whatever the law
misses counts as noise. Noise is as often above the law as below it; where it is not, measure coverage on tables
simulated in another way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.intervals.resampling import LEVERAGE
from analysis.solver import expansion
from analysis.solver.objective import Likelihood
from analysis.solver.problem import Problem

Array = NDArray[np.float64]

TAILS = (2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0, np.inf)
"""Degrees of freedom of Student's t that are tried on residuals."""
ROUNDS = 100
"""Of the EM algorithm."""


@dataclass(frozen=True)
class Noise:
    """Noise of rows in clusters: what is drawn, with replacement, for every cluster, and how noisy each row is.

    `shared` and `own` are standard deviations, in the unit of the objective's residuals (logarithms, or the target
    itself under a raw objective).
    """

    of_clusters: Array
    """Residuals' cluster means, scaled to variance 1."""
    rows: Rows
    groups: NDArray[np.intp]
    """Number of the cluster [n] of each row."""
    own: float
    """Of a row's own part, in the mean."""
    between: Between | None = None
    """What the residuals say of the clusters' part; None where every row is a cluster."""
    shape: Array | float = 1.0
    """Size of each row's noise where the objective says that it differs, of mean square 1."""

    @property
    def shared(self) -> float:
        """Of what the rows of a cluster share."""
        return self.between.shared() if self.between else 0.0

    def draw(self, rng: np.random.Generator) -> Array:
        """Noise of every row, [n]; of clusters as large as another draw of the residuals might have shown it."""
        rows = self.own * self.rows.draw(rng)
        if self.between is None:
            return np.asarray(rows * self.shape)
        scale = self.between.shared(self.between.freedom / rng.chisquare(self.between.freedom))
        clusters = scale * rng.choice(self.of_clusters, size=int(self.groups.max()) + 1)
        return np.asarray((rows + clusters[self.groups]) * self.shape)


@dataclass(frozen=True)
class Rows:
    """Normal noise of rows whose variances differ, of mean square 1 over rows: that of a row is `sizes` over a draw of
    chi-squared of `tail` + 1 degrees.

    Where variances are spread over rows like 1 / chi-squared, residuals follow Student's t of `tail` degrees, and this
    is what a row's own residual r then says of its variance, (tail s^2 + r^2) / chi-squared. Of residuals that look
    normal `tail` is infinite and all rows are alike. With the heavy-tailed residuals of the Chinchilla points handed
    round among rows, intervals of E were half as wide as those of the points, whose large residuals are at telling
    rows.
    """

    tail: float
    sizes: Array
    """Of each row, [n]."""

    def draw(self, rng: np.random.Generator) -> Array:
        """Noise of every row, [n]."""
        normal = rng.standard_normal(len(self.sizes))
        if np.isinf(self.tail):
            return np.asarray(normal * np.sqrt(self.sizes))
        return np.asarray(normal * np.sqrt(self.sizes / rng.chisquare(self.tail + 1, len(self.sizes))))


def rows_like(residual: Array) -> Rows:
    """The noise of rows with these residuals [n], their `tail` being that of greatest likelihood among `TAILS`, if it
    is greater than that of the normal by more than a parameter's worth (Akaike)."""
    scales = {tail: _student_scale(residual, tail) for tail in TAILS}
    gains = {
        tail: _log_likelihood(residual, tail, scale) - (tail != np.inf) for tail, scale in scales.items()
    }
    tail = max(gains, key=lambda name: gains[name])
    if np.isinf(tail):
        return Rows(tail, np.ones(len(residual)))
    sizes = tail * scales[tail] + residual**2
    return Rows(tail, sizes * (tail - 1) / sizes.mean())


@dataclass(frozen=True)
class Between:
    """The sum of squares of the residuals' cluster sums, own * `of_own` + shared * `of_shared` in expectation, and its
    degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2:110)."""

    squares: float
    of_own: float
    of_shared: float
    own: float
    """Variance of a row's own part."""
    freedom: float

    def shared(self, times: float = 1.0) -> float:
        """Standard deviation of the clusters' part, were the sum of squares so many times what it is."""
        return float(np.sqrt(max((times * self.squares - self.own * self.of_own) / self.of_shared, 0.0)))


def noise(problem: Problem, parameters: Array, weights: Array, groups: NDArray[np.intp]) -> Noise:
    """The noise about a fit with these parameters [P]; weights [n]: rows of weight 0 have no say.
    Under `Likelihood` a row's noise is as 1 / sqrt(weight).

    The two variances are those at which the sum of squares of the residuals, and that of their cluster sums, are what
    is expected of residuals r = M e of noise e, with M the projection that takes out the P directions in which the
    parameters follow the noise (moment estimates of variance components, after Henderson 1953, Biometrics 9:226): noise
    of these sizes leaves residuals as large as the fit's, which also hold what the law misses. Without clusters the
    variance is r'r / (n - P). Few clusters say little of what they share: draws vary it, as the inverse of a
    chi-squared number of the degrees of freedom that it was seen with.
    """
    seen = weights > 0
    at = expansion.linearise(problem, parameters[:, None])
    shape = _shape(problem, weights, seen)
    residual, groups_seen = (at.residual[0] / shape)[seen], _renumbered(groups[seen])
    followed = _directions((at.jacobian[0] / shape)[:, seen])
    total, freedom = float(residual @ residual), len(residual) - followed.shape[1]
    sizes = np.bincount(groups_seen).astype(np.float64)
    if freedom <= 0 or total == 0:
        return Noise(np.zeros(1), Rows(np.inf, np.zeros(len(groups))), groups, 0.0)
    leverage = np.minimum((followed**2).sum(axis=1), LEVERAGE)
    if len(sizes) == len(residual):
        rows = _everywhere(rows_like(residual / np.sqrt(1 - leverage)), seen)
        return Noise(np.zeros(1), rows, groups, float(np.sqrt(total / freedom)), None, shape)
    sums = np.asarray(np.bincount(groups_seen, weights=residual), dtype=np.float64)
    between = _between(total, sums, freedom, sizes, _by_cluster(followed, groups_seen))
    means = sums / sizes
    rows = _everywhere(rows_like((residual - means[groups_seen]) / np.sqrt(1 - leverage)), seen)
    return Noise(_scaled(means - means.mean()), rows, groups, float(np.sqrt(between.own)), between, shape)


def _shape(problem: Problem, weights: Array, seen: NDArray[np.bool_]) -> Array:
    """Under `Likelihood`, whose weights are 1 / variance, 1 / sqrt(weight) [n]; ones under any other objective."""
    if not isinstance(problem.objective, Likelihood):
        return np.ones(len(weights))
    return _scaled(1 / np.sqrt(np.where(seen, weights, weights[seen].mean())))


def _everywhere(rows: Rows, seen: NDArray[np.bool_]) -> Rows:
    """The same for all rows, those that have no say being as noisy as the mean of the others."""
    sizes = np.full(len(seen), rows.sizes.mean())
    sizes[seen] = rows.sizes
    return Rows(rows.tail, sizes)


def _student_scale(residual: Array, tail: float) -> float:
    """s^2 of greatest likelihood where residuals are s times Student's t (by the EM algorithm)."""
    scale = float(np.mean(residual**2))
    if np.isinf(tail):
        return scale
    for _ in range(ROUNDS):
        scale = float(np.mean((tail + 1) * residual**2 / (tail + residual**2 / scale)))
    return scale


def _log_likelihood(residual: Array, tail: float, scale: float) -> float:
    from scipy.special import gammaln

    squares = residual**2 / scale
    each = -0.5 * np.log(2 * np.pi * scale)
    if np.isinf(tail):
        return float((each - squares / 2).sum())
    each += gammaln((tail + 1) / 2) - gammaln(tail / 2) - 0.5 * np.log(tail / 2)
    return float((each - (tail + 1) / 2 * np.log1p(squares / tail)).sum())


def _directions(jacobian: Array) -> Array:
    """Orthonormal directions [n, rank] in which the parameters move the prediction, from slopes [P, n]."""
    lengths = np.linalg.norm(jacobian, axis=1, keepdims=True)
    scaled = jacobian / np.where(lengths > 0, lengths, 1.0)
    _, values, rows = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(rows[values > 1e-9 * values[0]].T)


def _by_cluster(directions: Array, groups: NDArray[np.intp]) -> Array:
    """Directions summed over each cluster's rows, [G, rank]."""
    return np.stack([np.bincount(groups, weights=column) for column in directions.T], axis=1)


def _between(total: float, sums: Array, freedom: int, sizes: Array, followed: Array) -> Between:
    """The components of residuals with this sum of squares and these cluster sums [G]; `followed` as `_by_cluster`.

    With Z the clusters' indicators: E r'r = own tr M + shared tr Z'MZ, and E r'ZZ'r = own tr Z'MZ + shared tr (Z'MZ)^2.
    """
    left = np.linalg.eigvalsh(np.diag(sizes) - followed @ followed.T).clip(0.0)
    cross, square, squares = float(left.sum()), float((left**2).sum()), float(sums @ sums)
    determinant = freedom * square - cross**2  # at least 0 (Cauchy and Schwarz)
    own = (total * square - squares * cross) / determinant if determinant > 1e-9 * cross**2 else 0.0
    own = float(np.clip(own, 0.0, total / freedom))
    shared = max((squares - own * cross) / square, 0.0)
    parts = left * own + left**2 * shared
    return Between(squares, cross, square, own, float(parts.sum() ** 2 / (parts**2).sum()))


def _scaled(values: Array) -> Array:
    """The values scaled to a mean square of 1; zeros where all are."""
    size = float(np.sqrt(np.mean(values**2)))
    return values / size if size > 0 else values


def _renumbered(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.unique(groups, return_inverse=True)[1].astype(np.intp)
