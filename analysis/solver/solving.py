"""The best fit of a problem, or of many replicates of it at once: searched globally, polished, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.solver import expansion, polish, search
from analysis.solver.problem import Problem
from analysis.solver.workers import in_blocks

Array = NDArray[np.float64]

STATUSES = ("converged", "max_steps", "at_bound", "ill_conditioned")
ILL_CONDITIONED = 100.0
"""Condition number above which a status says so (severe in Belsley, Kuh and Welsch 1980); see `condition_number`."""
RESTARTS, REPLICATE_STARTS = 16, 3
"""Starts of a fit and of each replicate; twice as many of a law of more than `FEW_SHAPES` shape parameters."""
FEW_SHAPES = 4
SAME_OBJECTIVE = 1e-6
"""Two minima are equally good when their objectives differ by less than this share."""
SAME_EXPONENT = 1e-2
"""Two minima are one when no exponent differs by more than this share."""
WORTH_A_THREAD = 2**14
"""Replicates times rows: with less, a thread's own cost shows."""
EDGE = 1e-9
"""Share of its range within which an exponent rests at an end of it."""


@dataclass(frozen=True)
class Restarts:
    """How the starts of a global fit ended: how many were polished, how many reached the best objective, and the
    parameters of other minima that are as good (there should be none)."""

    tried: int
    reached: int
    rivals: tuple[dict[str, float], ...] = ()

    @property
    def agree(self) -> bool:
        """Whether one answer was found."""
        return not self.rivals


@dataclass(frozen=True)
class Batch:
    """Many fits of one problem: parameters [P, R] in the fitter's order, objective [R], and a status each."""

    parameters: Array
    objective: Array
    status: NDArray[np.str_]


def solve(problem: Problem, weights: Array) -> tuple[Array, float, bool, Restarts]:
    """Best parameters [P] in the fitter's order, their objective, whether they converged, and how the restarts ended.

    The starts are the local minima of the scan and points spread over the grid. Of very many rows a sample is fitted
    first, and what is best and different there is polished on all of them: tried and reached are then those of the
    sample, rivals those on all rows.
    """
    sample = problem.sample
    done = ended = _from_all_starts(sample, weights[problem.sampled])
    best = source = int(np.argmin(done.objective))
    if sample is not problem:
        kept = _different(sample, done)
        every = np.broadcast_to(weights, (len(kept), len(weights)))
        ended = polish_in_stages(problem, done.parameters[:, kept], every)
        best = int(np.argmin(ended.objective))
        source = kept[best]
    reached, _ = _as_good(sample, done, source)
    near, apart = _as_good(problem, ended, best)
    rivals = tuple(named(problem, ended.parameters[:, s]) for s in np.flatnonzero(near & apart))
    restarts = Restarts(len(done.objective), int(reached.sum()), rivals)
    return ended.parameters[:, best], float(ended.objective[best]), bool(ended.converged[best]), restarts


def _as_good(
    problem: Problem, done: polish.Polished, best: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which fits [S] are as good as that of number `best` or better, and which differ from it in an exponent."""
    exact = polish.NOISE_FREE * problem.size * problem.unit
    near = done.objective <= done.objective[best] * (1 + SAME_OBJECTIVE) + exact
    place = _places(problem, done.parameters)
    return near, np.abs(place - place[:, [best]]).max(axis=0) > SAME_EXPONENT


def polish_in_stages(
    problem: Problem,
    parameters: Array,
    weights: Array,
    held: Sequence[str] = (),
    max_steps: int = polish.MAX_STEPS,
    targets: Array | None = None,
) -> polish.Polished:
    """As `polish.polish`, through the stages of the objective."""
    for stage in problem.objective.stages:
        done = polish.polish(
            replace(problem, objective=stage),
            parameters,
            weights,
            held=held,
            max_steps=max_steps,
            targets=targets,
        )
        parameters = done.parameters
    return done


def _doubled(problem: Problem, starts: int) -> int:
    """Twice as many of a law of many shape parameters."""
    return starts * (2 if len(problem.exponents) > FEW_SHAPES else 1)


def _from_all_starts(problem: Problem, weights: Array) -> polish.Polished:
    first = replace(problem, objective=problem.objective.stages[0])
    grid = search.scan(first)
    half = _doubled(problem, RESTARTS) // 2
    found, _ = search.starts(first, grid, weights[None], half)
    spread = search.spread(first, grid, weights, half)
    points = np.concatenate([found, spread], axis=1)
    return polish_in_stages(problem, points, np.broadcast_to(weights, (points.shape[1], len(weights))))


def _different(problem: Problem, done: polish.Polished, count: int = 3) -> list[int]:
    """The best few of the fits that differ from each other in an exponent."""
    place = _places(problem, done.parameters)
    kept: list[int] = []
    for s in np.argsort(done.objective, kind="stable"):
        if all(np.abs(place[:, s] - place[:, k]).max() > SAME_EXPONENT for k in kept):
            kept.append(int(s))
    return kept[:count]


def solve_batch(
    problem: Problem,
    weights: Array,
    fixed: Mapping[str, Array] | None = None,
    *,
    grid: search.Grid | None = None,
    starts: int | None = None,
    max_steps: int = polish.MAX_STEPS,
    targets: Array | None = None,
) -> Batch:
    """The best fit of every replicate, weights [R, n], each searched globally; `fixed` holds parameters at
    values [R], a `grid` scanned before (with `scan`) is not scanned again, and targets [R, n] stand for the problem's.
    The few that have not converged after `max_steps` are the slowest of all, and are as good as they are by then.

    Blocks of replicates are worked on by as many threads as there are cores; the answer does not depend on how many.
    """
    if targets is not None and not (
        np.isfinite(targets).all() and (problem.objective.raw or (targets > 0).all())
    ):
        raise InputError("a replicate's target is not finite or not above 0; logarithms of it are fitted")
    scanned, fixed = grid or scan(problem), fixed or {}
    count = _doubled(problem, REPLICATE_STARTS) if starts is None else starts

    def searched(block: slice) -> Batch:
        held = {name: value[block] for name, value in fixed.items()}
        own = None if targets is None else targets[block]
        return _best_of_each(problem, scanned, weights[block], held, count, max_steps, own)

    parts = in_blocks(searched, len(weights), _block(len(weights), problem.size))
    return Batch(
        np.concatenate([part.parameters for part in parts], axis=1),
        np.concatenate([part.objective for part in parts]),
        np.concatenate([part.status for part in parts]),
    )


def _block(replicates: int, rows: int) -> int:
    """Replicates that a thread takes at once: those that the polish takes together, or, of few, a quarter where that is
    worth a thread."""
    elements = replicates * rows
    blocks = max(math.ceil(elements / polish.ELEMENTS), min(4, elements // WORTH_A_THREAD), 1)
    return math.ceil(replicates / blocks)


def _best_of_each(
    problem: Problem,
    grid: search.Grid,
    weights: Array,
    fixed: Mapping[str, Array],
    starts: int,
    max_steps: int,
    targets: Array | None,
) -> Batch:
    """The work of one thread of `solve_batch`."""
    points, owner = search.starts(problem, grid, weights, starts, fixed, targets)
    done = polish_in_stages(
        problem,
        points,
        weights[owner],
        held=tuple(fixed),
        max_steps=max_steps,
        targets=None if targets is None else targets[owner],
    )
    found = best_of(problem, done, owner, held=tuple(fixed))
    if len(found.objective) != len(weights):
        raise AssertionError(f"{len(weights) - len(found.objective)} replicates have no start")
    return found


def best_of(
    problem: Problem, done: polish.Polished, owner: NDArray[np.intp], held: tuple[str, ...] = ()
) -> Batch:
    """The best polished start of every replicate; owner [S] says whose each start is."""
    order = np.lexsort((done.objective, owner))
    first = order[np.unique(owner[order], return_index=True)[1]]
    parameters = done.parameters[:, first]
    status = statuses(problem, parameters, done.converged[first], np.zeros(len(first)), held=held)
    return Batch(parameters, done.objective[first], status)


def scan(problem: Problem) -> search.Grid:
    """The scan of a problem for `solve_batch`, under the first stage of its objective."""
    return search.scan(replace(problem, objective=problem.objective.stages[0]))


def named(problem: Problem, parameters: Array) -> dict[str, float]:
    """Parameters [P] in the fitter's order, by name in the law's order."""
    values = dict(zip(problem.names, map(float, parameters), strict=True))
    return {name: values[name] for name in problem.law.parameters()}


def vector(problem: Problem, params: Mapping[str, float]) -> Array:
    """Parameters by name, in the fitter's order [P]."""
    return np.array([params[name] for name in problem.names], dtype=np.float64)


def condition_number(problem: Problem, parameters: Array, weights: Array) -> float:
    """Condition number of d log Lhat / d parameters [rows, P], each column scaled to length 1.

    Amplitudes are those of the centred basis (see `expansion`), so that the number does not grow with the distance of
    the data from N = D = 1, nor with rows in which a term is next to nothing. It is infinite where a parameter has no
    effect (a term of amplitude 0).
    Above 30 parameters trade against each other (Belsley, Kuh and Welsch 1980).
    """
    jacobian = expansion.linearise(problem, parameters[:, None]).jacobian[0] * np.sqrt(weights)
    lengths = np.linalg.norm(jacobian, axis=1, keepdims=True)
    if not (lengths > 0).all():
        return float("inf")
    values = np.linalg.svd(jacobian / lengths, compute_uv=False)
    return float(values[0] / values[-1]) if values[-1] > 0 else float("inf")


def _places(problem: Problem, parameters: Array) -> Array:
    """Exponents [M, S] on the scale of their grids, a difference being a share of the exponent (of the range of one
    that may be 0); one that only terms of amplitude 0 use is the same everywhere."""
    places = []
    for m, exponent in enumerate(problem.exponents.values()):
        width = 1.0 if exponent.linear else np.log(exponent.hi / exponent.lo)
        place = exponent.place(parameters[problem.terms + m]) * width
        using = [k for k, other in problem.couplings if other == m]
        places.append(np.where((parameters[using] == 0).all(axis=0), 0.0, place))
    return np.stack(places)


def statuses(
    problem: Problem,
    parameters: Array,
    converged: NDArray[np.bool_],
    condition: Array,
    held: tuple[str, ...] = (),
) -> NDArray[np.str_]:
    """One of `STATUSES` for each fit, parameters [P, R]; `held` parameters may rest where they are."""
    free = np.array([name not in held for name in problem.names])
    resting = parameters <= problem.lower[:, None]
    for m, exponent in enumerate(problem.exponents.values(), problem.terms):
        place = exponent.place(parameters[m])
        # the law at the lower end of a nested one is another good law
        resting[m] = (place >= 1 - EDGE) | ((place <= EDGE) & (not exponent.nested))
    bound = resting[free].any(axis=0)
    choices = ["max_steps", "at_bound", "ill_conditioned"]
    return np.select([~converged, bound, condition > ILL_CONDITIONED], choices, "converged")
