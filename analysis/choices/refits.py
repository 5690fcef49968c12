"""One law on one set of rows under many objectives at once: point fits, bootstrap and held-out runs.

Objectives are minimised in a chain, least squares of logarithms first, then log-Huber's as delta falls, then least
absolute deviations; squared residuals as they stand branch off from the first. Each begins where the one before ended.
Only the first scans the exponents: a search for every replicate of every objective would cost several times as much,
and on the Chinchilla rows found a lower minimum for none of 2700 replicates and a higher one for 32
(`benchmarks/specification_speed.py --check`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.fitting import (
    ILL_CONDITIONED,
    START_DELTA,
    Batch,
    best_of,
    condition_number,
    robust_scale,
    scan,
    settled_delta,
)
from analysis.intervals.uncertainty import resample
from analysis.laws import LAWS
from analysis.solver import polish, search
from analysis.solver.objective import LeastAbsolute, LogHuber, Objective, SquaredLog, SquaredRaw
from analysis.solver.problem import Problem

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

POINT_STARTS, REPLICATE_STARTS, CUT_STARTS = 8, 3, 3
RACE, STEPS = 5, 60
"""Steps of the optimiser after which only the best start of a replicate goes on, and steps of a refit in all."""
EXACT_ENOUGH = 0.025
"""Replicates, and fits to part of the runs, end their least absolute deviations at a delta of this share of the noise:
on the Chinchilla rows that moves the ends of an interval of E by 0.05 of its standard error at most, where the next
200 replicates would move them by 0.1."""


@dataclass(frozen=True)
class Held:
    """A cut: which of the rows are fitted [n], and the columns and losses of the larger runs that are foretold."""

    seen: Mask
    columns: Mapping[str, Array]
    L: Array


@dataclass(frozen=True)
class Task:
    """What is to be fitted: a law, its columns [n], losses [n], objectives by label (None: log-Huber with the delta of
    the noise), the group of each row, cuts, and how the bootstrap is drawn."""

    law: str
    columns: Mapping[str, Array]
    L: Array
    objectives: Mapping[str, Objective | None]
    groups: NDArray[np.intp]
    cuts: Mapping[float, Held]
    replicates: int
    seed: int


@dataclass(frozen=True)
class Refit:
    """A law under one objective: its parameters [P] in the fitter's order, those of its replicates [P, R], and what it
    missed of larger runs, log(L / Lhat), by cut."""

    objective: Objective
    parameters: Array
    value: float
    status: str
    condition_number: float
    noise: float
    linear_share: float
    replicates: Array
    statuses: dict[str, int]
    missed: dict[float, Array]


@dataclass(frozen=True)
class Link:
    """An objective of the chain, the one at whose minimum it begins, and whether it is a stage of least absolute
    deviations."""

    objective: Objective
    before: Objective | None
    stage: bool = False


def refit(task: Task) -> dict[str, Refit]:
    """Every objective's fit by its label. A function of its argument alone, so that processes may share the work."""
    problem = Problem(LAWS[task.law], dict(task.columns), task.L, SquaredLog())
    grid = scan(problem)
    starts, owner = search.starts(problem, grid, np.ones((1, problem.size)), POINT_STARTS)
    starts = polish.polish(problem, starts, np.ones((len(owner), problem.size)), max_steps=STEPS).parameters
    delta = _noise_delta(problem, starts)
    asked = {label: given or LogHuber(delta) for label, given in task.objectives.items()}
    chain = _chain(list(asked.values()))
    points = _points(problem, chain, starts)
    weights = resample(task.groups, task.replicates, np.random.default_rng(task.seed))
    first = points[problem.objective].parameters
    enough = EXACT_ENOUGH * robust_scale(problem.residual(first)[0], len(problem.names))
    many = _replicates(problem, grid, chain, points, weights, enough)
    missed = {cut: _missed(problem, chain, points, held, enough) for cut, held in task.cuts.items()}
    return {
        label: _refit(
            replace(problem, objective=objective),
            points[objective],
            many[objective],
            {cut: found[objective] for cut, found in missed.items()},
        )
        for label, objective in asked.items()
    }


def _refit(problem: Problem, point: Batch, many: Batch, missed: dict[float, Array]) -> Refit:
    best = point.parameters[:, 0]
    condition = condition_number(problem, best, np.ones(problem.size))
    status = str(point.status[0])
    residual = problem.residual(point.parameters)[0]
    return Refit(
        objective=problem.objective,
        parameters=best,
        value=float(point.objective[0]),
        status="ill_conditioned" if status == "converged" and condition > ILL_CONDITIONED else status,
        condition_number=condition,
        noise=robust_scale(residual, len(best)),
        linear_share=problem.objective.linear_share(residual),
        replicates=many.parameters,
        statuses=dict(Counter(many.status.tolist())),
        missed=missed,
    )


def _chain(asked: Sequence[Objective]) -> list[Link]:
    """Objectives in the order in which they are minimised."""
    first = SquaredLog()
    hubers = sorted({o for o in asked if isinstance(o, LogHuber)}, key=lambda o: -o.delta)
    absolute = next((o for o in asked if isinstance(o, LeastAbsolute)), None)
    least = hubers[-1].delta if hubers else math.inf
    stages = [o for o in absolute.stages if o.delta < 0.99 * least] if absolute else []
    chain = [Link(first, None)]
    for objective in (*hubers, *stages):
        chain.append(Link(objective, chain[-1].objective, stage=objective in stages))
    return chain + [Link(o, first) for o in asked if isinstance(o, SquaredRaw)]


def _noise_delta(problem: Problem, starts: Array) -> float:
    """As `fitting.noise_delta`, from starts [P, S] and by way of least squares."""
    start = LogHuber(START_DELTA)
    found = _points(problem, _chain([start]), starts)[start]
    return settled_delta(replace(problem, objective=start), found.parameters[:, 0], np.ones(problem.size))


def _points(problem: Problem, chain: Sequence[Link], starts: Array) -> dict[Objective, Batch]:
    """The best fit of all rows under each objective, [P, 1]; all starts [P, S] go down the whole chain."""
    owner, weights = np.zeros(starts.shape[1], dtype=np.intp), np.ones((starts.shape[1], problem.size))
    found: dict[Objective, Batch] = {}
    at: dict[Objective | None, Array] = {None: starts}
    for link in chain:
        one = replace(problem, objective=link.objective)
        done = polish.polish(one, at[link.before], weights, max_steps=STEPS)
        at[link.objective] = done.parameters
        last = polish.polish(one, best_of(one, done, owner).parameters, weights[:1])
        found[link.objective] = best_of(one, last, owner[:1])
    return found


def _replicates(
    problem: Problem,
    grid: search.Grid,
    chain: Sequence[Link],
    points: Mapping[Objective, Batch],
    weights: Array,
    enough: float,
) -> dict[Objective, Batch]:
    """The best fit of every replicate, weights [R, n], under each objective; the first by a search of the grid, the
    others from the better of the replicate's last minimum and the minimum of all rows. Stages of least absolute
    deviations end at a delta of `enough`."""
    found: dict[Objective, Batch] = {}
    for link in chain:
        one = replace(problem, objective=link.objective)
        if link.before is None:
            starts, owner = search.starts(one, grid, weights, REPLICATE_STARTS)
            begin = best_of(one, polish.polish(one, starts, weights[owner], max_steps=RACE), owner).parameters
        elif link.stage and link.before.delta <= enough:
            found[link.objective] = found[link.before]
            continue
        else:
            begin = _lower(one, found[link.before].parameters, points[link.objective].parameters, weights)
        done = polish.polish(one, begin, weights, max_steps=STEPS)
        found[link.objective] = best_of(one, done, np.arange(len(weights)))
    return found


def _lower(problem: Problem, first: Array, second: Array, weights: Array) -> Array:
    """Of two starts [P, R] and [P, 1], that of the lower objective for every replicate."""
    with np.errstate(invalid="ignore"):
        one, other = (
            (weights * problem.objective.rho(problem.residual(start))).sum(axis=1)
            for start in (first, second)
        )
    return np.where((other < one) | ~np.isfinite(one), second, first)


def _missed(
    problem: Problem, chain: Sequence[Link], points: Mapping[Objective, Batch], held: Held, enough: float
) -> dict[Objective, Array]:
    """What a fit to the smaller runs alone misses of the larger ones, log(L / Lhat), under each objective; stages as in
    `_replicates`."""
    columns = {name: values[held.seen] for name, values in problem.columns.items()}
    seen = Problem(problem.law, columns, problem.target[held.seen], SquaredLog())
    lower, upper = seen.lower[:, None], seen.upper[:, None]
    at: dict[Objective, Array] = {}
    for link in chain:
        one = replace(seen, objective=link.objective)
        if link.before is None:
            starts, _ = search.starts(one, scan(one), np.ones((1, one.size)), CUT_STARTS)
        elif link.stage and link.before.delta <= enough:
            at[link.objective] = at[link.before]
            continue
        else:
            whole = np.clip(points[link.objective].parameters, lower, upper)
            starts = np.concatenate([at[link.before], whole], axis=1)
        done = polish.polish(one, starts, np.ones((starts.shape[1], one.size)), max_steps=STEPS)
        at[link.objective] = done.parameters[:, [int(np.argmin(done.objective))]]
    return {
        objective: np.log(
            held.L / problem.law(**dict(zip(seen.names, found[:, 0], strict=True)))(**held.columns)
        )
        for objective, found in at.items()
    }
