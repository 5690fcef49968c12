"""Do two recipes differ in their exponents, or only in their amplitudes? Nested laws of both, tested on all runs.

    same law  <  other amplitudes  <  other exponents or other floor  <  nothing shared

"Other amplitudes" is a pure multiplier of compute: with one floor and one set of exponents L_candidate(C) is
L_base(g C) with the same g at every C. A narrower law is tested against a wider one by how much the objective falls,
n log(V_0 / V_1), and how much it falls on runs in which the narrower law holds: those are made from its fitted losses
by the wild bootstrap, in which the residuals of a trunk, freed of how far the fit bent towards them, are kept together
and multiplied by one random number (Cameron, Gelbach and Miller 2008, with the six numbers of Webb 2023; see
`intervals.wild`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.frontier import Frontier
from analysis.intervals.noise import SINGULAR
from analysis.intervals.uncertainty import grouping, resample
from analysis.intervals.wild import WEBB, unbent
from analysis.laws import LAWS, Law
from analysis.recipes.pooled import CANDIDATE, SIDES, of_side, pooled
from analysis.recipes.recipe import Recipe
from analysis.solver import expansion
from analysis.solver.objective import Likelihood, LogHuber, Objective, SquaredLog
from analysis.solver.problem import Problem
from analysis.solver.search import Grid
from analysis.solver.solving import Batch, scan, solve_batch

Array = NDArray[np.float64]

SAME, AMPLITUDES, FREE = "same law", "other amplitudes", "nothing shared"
EXPONENTS, FLOOR = "other amplitudes and exponents, one floor", "other amplitudes and floor, same exponents"
TESTED = ("hoffmann", "tied", "power")
"""Laws whose hypotheses are tested as they are; others in N and D are tested as hoffmann, others in C as power."""
STEPS = 60
"""Of the optimiser in a refit."""
UNEQUAL = 10.0
"""By what factor the noise of the two sides may differ in the weights of their runs."""


@dataclass(frozen=True)
class Test:
    """A hypothesis against a wider one: by how much the objective falls, and how often it would fall so far (or
    further) were the hypothesis true."""

    null: str
    alternative: str
    statistic: float
    p: float


@dataclass(frozen=True)
class Pool:
    """All runs of both sides, and what they are fitted with."""

    base: Recipe
    candidate: Recipe
    _scans: dict[frozenset[str], tuple[Problem, Grid]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def law(self) -> type[Law]:
        """The law whose hypotheses are tested."""
        name = self.base.fit.law
        if name not in TESTED:
            name = "power" if self.base.track.cost is None else "hoffmann"
        return LAWS[name]

    @property
    def law_name(self) -> str:
        """Its name."""
        return next(name for name, law in LAWS.items() if law is self.law)

    @cached_property
    def hypotheses(self) -> dict[str, frozenset[str]]:
        """What each hypothesis takes both sides to share, by name."""
        exponents = frozenset(self.law.exponents)
        return {
            SAME: frozenset(self.law.parameters()),
            AMPLITUDES: exponents | {"E"},
            EXPONENTS: frozenset({"E"}),
            FLOOR: exponents,
            FREE: frozenset(),
        }

    @cached_property
    def groups(self) -> NDArray[np.intp]:
        """Cluster [n] of each run, those of the candidate after the base's."""
        own = [grouping(side.frame, side.boot.clusters)[0] for side in self.sides]
        return np.concatenate([own[0], own[1] + own[0].max() + 1])

    @property
    def sides(self) -> tuple[Recipe, Recipe]:
        """Base and candidate."""
        return self.base, self.candidate

    @cached_property
    def is_candidate(self) -> Array:
        """0 or 1 for each run, [n]."""
        return np.repeat([0.0, 1.0], [len(side.frame) for side in self.sides])

    @cached_property
    def weights(self) -> Array:
        """Of each run [n]: its own, over the variance of its side's noise."""
        noise = np.array([side.fit.noise for side in self.sides])
        noise = np.maximum(noise, noise.max() / UNEQUAL)
        noise = noise / np.sqrt(noise.prod()) if noise.all() else np.ones(2)
        return np.concatenate(
            [side.fit.weights(side.frame) / scale**2 for side, scale in zip(self.sides, noise, strict=True)]
        )

    def problem(self, shared: frozenset[str]) -> Problem:
        """The problem of fitting the pooled law with these parameters shared."""
        columns = {name: self._column("C" if name == "x" else name) for name in self.law.columns}
        columns[CANDIDATE] = self.is_candidate
        return Problem(pooled(self.law, shared), columns, self._column("L"), self._objective)

    @cached_property
    def _objective(self) -> Objective:
        own = [side.fit.objective for side in self.sides]
        if isinstance(own[0], Likelihood):
            return SquaredLog()
        if isinstance(own[0], LogHuber) and isinstance(own[1], LogHuber):
            return LogHuber(float(np.sqrt(own[0].delta * own[1].delta)))
        return own[0]

    def _column(self, name: str) -> Array:
        return np.concatenate([np.asarray(side.frame[name], dtype=np.float64) for side in self.sides])

    def solve(self, shared: frozenset[str], weights: Array, targets: Array | None = None) -> Batch:
        """The best fit of each replicate, weights [R, n] and targets [R, n]."""
        problem, grid = self._scanned(shared)
        return solve_batch(problem, weights, grid=grid, max_steps=STEPS, targets=targets)

    def _scanned(self, shared: frozenset[str]) -> tuple[Problem, Grid]:
        """The problem and its scan, which is made once."""
        if shared not in self._scans:
            problem = self.problem(shared)
            self._scans[shared] = problem, scan(problem)
        return self._scans[shared]

    def objective(self, shared: frozenset[str], targets: Array | None = None) -> Array:
        """The least objective of each replicate, [R]; without targets of the runs themselves, [1]."""
        count = 1 if targets is None else len(targets)
        weights = np.broadcast_to(self.weights, (count, len(self.weights)))
        if shared:
            return self.solve(shared, weights, targets).objective
        return sum((self._alone(side, weights, targets).objective for side in (0.0, 1.0)), np.zeros(count))

    def parameters(self, shared: frozenset[str], weights: Array) -> dict[str, Array]:
        """Parameters of the pooled law by name, [R] each, of the best fit of each replicate."""
        if shared:
            return dict(zip(self.problem(shared).names, self.solve(shared, weights).parameters, strict=True))
        alone = [self._alone(side, weights).parameters for side in (0.0, 1.0)]
        own = (*self.law.amplitudes, *self.law.exponents)
        return {
            f"{name}_{label}": row
            for label, found in zip(SIDES, alone, strict=True)
            for name, row in zip(own, found, strict=True)
        }

    def _alone(self, side: float, weights: Array, targets: Array | None = None) -> Batch:
        rows = self.is_candidate == side
        whole = self.problem(self.hypotheses[SAME])
        columns = {name: values[rows] for name, values in whole.columns.items() if name != CANDIDATE}
        own = Problem(self.law, columns, whole.target[rows], whole.objective)
        drawn = None if targets is None else targets[:, rows]
        return solve_batch(own, weights[:, rows], grid=scan(own), max_steps=STEPS, targets=drawn)


def compare(pool: Pool, null: str, alternative: str, replicates: int, seed: int) -> Test:
    """The test of one hypothesis against a wider one."""
    shared, wider = pool.hypotheses[null], pool.hypotheses[alternative]
    problem = pool.problem(shared)
    best = pool.solve(shared, pool.weights[None])
    fitted = problem.predict(best.parameters)[0]
    basis = _basis(problem, best.parameters, pool.weights)
    residual = unbent(problem.residual(best.parameters)[0], basis, pool.groups)
    rng = np.random.default_rng(seed)
    signs = rng.choice(np.concatenate([WEBB, -WEBB]), size=(replicates, int(pool.groups.max()) + 1))
    error = signs[:, pool.groups] * residual
    targets = fitted + error if problem.objective.raw else fitted * np.exp(error)
    own = _fall(best.objective, pool.objective(wider), problem)
    drawn = _fall(pool.objective(shared, targets), pool.objective(wider, targets), problem)
    p = (1 + int((drawn >= own[0]).sum())) / (1 + replicates)
    return Test(null, alternative, float(own[0]), p)


def _basis(problem: Problem, parameters: Array, weights: Array) -> Array:
    """Orthonormal basis [n, p] of the directions in which the parameters [P, 1] move the residuals of weighted rows."""
    jacobian = expansion.linearise(problem, parameters).jacobian[0] * np.sqrt(weights / weights.mean())
    lengths = np.linalg.norm(jacobian, axis=1)
    used = jacobian[lengths > 0] / lengths[lengths > 0, None]
    left, values, _ = np.linalg.svd(used.T, full_matrices=False)
    return np.asarray(left[:, values > SINGULAR * values[0]])


def _fall(narrow: Array, wide: Array, problem: Problem) -> Array:
    exact = 1e-22 * problem.size * problem.unit  # where a law is exact, rounding is no fall
    return np.maximum(problem.size * np.log((narrow + exact) / (wide + exact)), 0.0)


def exponents(
    pool: Pool, shared: frozenset[str], replicates: int, seed: int
) -> dict[str, tuple[Array, Array]]:
    """The frontier exponents L_exponent, and N_exponent of a law in N and D, of base and candidate under a pooled law:
    name -> ([2], [R, 2]), the fit's and those of refits to resampled runs, each side's clusters for themselves."""
    rng = np.random.default_rng(seed)
    cut = int((pool.is_candidate == 0).sum())
    first = int(pool.groups[:cut].max()) + 1
    drawn = [resample(own, replicates, rng) for own in (pool.groups[:cut], pool.groups[cut:] - first)]
    weights = np.concatenate([pool.weights[None], np.concatenate(drawn, axis=1) * pool.weights])
    values = pool.parameters(shared, weights)
    told = {}
    for name, of in _of(pool).items():
        both = np.stack(
            [of(side, _law(pool, values, label)) for side, label in zip(pool.sides, SIDES, strict=True)]
        )
        told[name] = both[:, 0], both[:, 1:].T
    return told


def _law(pool: Pool, values: dict[str, Array], label: str) -> Law:
    return pool.law(**of_side(values, pool.law.parameters(), label))


def _of(pool: Pool) -> dict[str, Callable[[Recipe, Law], Array]]:
    """How the exponents are read off a law."""
    if pool.base.track.cost is None:
        return {"L_exponent": lambda side, law: np.asarray(law.as_dict()["alpha"])}
    return {
        "L_exponent": lambda side, law: Frontier(law, side.track.cost).L_exponent,
        "N_exponent": lambda side, law: Frontier(law, side.track.cost).N_exponent,
    }
