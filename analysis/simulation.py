"""Tables as a fitted law would make them again: the same runs, other noise.

What is kept of the runs is everything but their noise: every row's columns, its weight and its cluster, seed replicates
included. The noise is that of the fit's residuals: a part that all rows of a cluster share (the branches of a trunk)
and a part of each row's own. Whatever the law misses counts as noise, and noise that grows towards small runs is spread
over all of them; where either is large, measure coverage on tables simulated in another way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis import expansion
from analysis.objective import Likelihood
from analysis.problem import Problem
from analysis.resampling import location

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Noise of rows in clusters: what is drawn, with replacement, for every cluster and for every row.

    The pools are the residuals' cluster means and what is left of the residuals, of variance 1 about 0; `shared` and
    `own` are the standard deviations they are given, in the unit of the objective's residuals (logarithms, or the
    target itself under a raw objective).
    """

    of_clusters: Array
    of_rows: Array
    groups: NDArray[np.intp]
    """Number of the cluster [n] of each row."""
    own: float
    """Of a row's own part."""
    between: Between | None
    """What the residuals say of the clusters' part; None where every row is a cluster."""
    shape: Array
    """By what the noise of each row is multiplied, [n]: 1 / sqrt(weight) under a likelihood, else 1."""

    @property
    def shared(self) -> float:
        """Of what the rows of a cluster share."""
        return self.between.shared() if self.between else 0.0

    def draw(self, rng: np.random.Generator) -> Array:
        """Noise of every row, [n]; of clusters as large as another draw of the residuals might have shown it."""
        rows = self.own * rng.choice(self.of_rows, size=len(self.groups))
        if self.between is None:
            return np.asarray(self.shape * rows)
        scale = self.between.shared(self.between.freedom / rng.chisquare(self.between.freedom))
        clusters = scale * rng.choice(self.of_clusters, size=int(self.groups.max()) + 1)
        return np.asarray(self.shape * (rows + clusters[self.groups]))


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

    The two variances are those at which the sum of squares of the residuals, and that of their cluster sums, are what
    is expected of residuals r = M e of noise e, with M the projection that takes out the P directions in which the
    parameters follow the noise (moment estimates of variance components, after Henderson 1953, Biometrics 9:226): noise
    of these sizes leaves residuals as large as the fit's, which also hold what the law misses. Without clusters the
    variance is r'r / (n - P). Few clusters say little of what they share: draws vary it, as the inverse of a
    chi-squared number of the degrees of freedom that it was seen with.
    """
    seen = weights > 0
    shape = _shape(problem, weights)[seen]
    at = expansion.linearise(problem, parameters[:, None])
    residual, groups_seen = at.residual[0][seen] / shape, _renumbered(groups[seen])
    followed = _directions(at.jacobian[0][:, seen] / shape)
    total, freedom = float(residual @ residual), len(residual) - followed.shape[1]
    sizes = np.bincount(groups_seen).astype(np.float64)
    if freedom <= 0 or total == 0:
        return Noise(np.zeros(1), np.zeros(1), groups, 0.0, None, np.ones(len(groups)))
    if len(sizes) == len(residual):
        # about the location of the objective: a robust fit leaves residuals whose mean is not 0
        pool = residual - location(problem.objective, residual)
        pool /= np.sqrt(np.mean(residual**2))
        return Noise(
            np.zeros(1), pool, groups, float(np.sqrt(total / freedom)), None, _shape(problem, weights)
        )
    sums = np.asarray(np.bincount(groups_seen, weights=residual), dtype=np.float64)
    between = _between(total, sums, freedom, sizes, _by_cluster(followed, groups_seen))
    means = sums / sizes
    own = float(np.sqrt(between.own))
    rows = _standard(residual - means[groups_seen])
    return Noise(_standard(means), rows, groups, own, between, _shape(problem, weights))


def _shape(problem: Problem, weights: Array) -> Array:
    if not isinstance(problem.objective, Likelihood):
        return np.ones(len(weights))
    return np.asarray(1 / np.sqrt(np.where(weights > 0, weights, weights[weights > 0].min())))


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


def _standard(values: Array) -> Array:
    """The values moved to mean 0 and scaled to variance 1; zeros where they do not vary."""
    centered = values - values.mean()
    deviation = float(np.sqrt(np.mean(centered**2)))
    return centered / deviation if deviation > 0 else np.zeros_like(centered)


def _renumbered(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.unique(groups, return_inverse=True)[1].astype(np.intp)
