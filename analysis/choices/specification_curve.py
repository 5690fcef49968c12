"""What every specification of a plan says of E and of the loss at a compute, each with its bootstrap: the curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.choices.choices import SPARE, Specification
from analysis.choices.estimates import Estimate, estimate
from analysis.choices.refits import Held, Refit, Task, refit
from analysis.choices.specification import Plan
from analysis.errors import InputError
from analysis.floor.admissible import CUTS
from analysis.intervals.uncertainty import grouping
from analysis.laws import LAWS
from analysis.origin import within
from analysis.solver.objective import Objective

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Say = Callable[[str], None]
Key = tuple[str, str, bytes]

BEYOND = 10.0
"""Times the largest compute of the rows at which the loss is told where no compute is asked for."""


@dataclass(frozen=True)
class Curve:
    """A plan's specifications, fitted, in ascending order of E.

    Their intervals are percentiles of the same resamplings, so differences between specifications are not noise of the
    drawing.
    """

    plan: Plan
    table: pd.DataFrame
    """A row a specification: its choices, E and L at `at` with intervals, status, objective, rows, held-out error."""
    E: Array
    """E of every replicate, [S, R], in the order of the table."""
    L: Array
    """Loss at `at` of every replicate, [S, R]."""
    at: float
    """Compute in FLOPs, counted by each specification's own convention."""
    level: float
    replicates: int
    seed: int

    @property
    def best(self) -> float:
        """The least loss of a run."""
        return float(np.asarray(self.plan.frame["L"], dtype=np.float64).min())

    @property
    def default(self) -> dict[str, Any]:
        """The row of the default specification."""
        return dict(self.table[self.table["default"]].iloc[0])


def curve(
    plan: Plan,
    *,
    at: float | None = None,
    replicates: int = 200,
    level: float = 0.9,
    seed: int = 0,
    workers: int = 1,
    say: Say = lambda text: None,
) -> Curve:
    """Fit every specification of a plan with its bootstrap, and hold it to runs larger than those it is fitted to.

    Point fits are searched globally; the default's numbers are those of `fit`. Of a replicate the first objective is
    searched globally and the others are followed from there (see `refits`). The larger runs are the same for
    all: those beyond 1/3 and 1/10 of the largest compute, whether or not the specification would fit them. at: compute
    in FLOPs at which the loss is told, without it ten times the largest run's. With several `workers` as many processes
    share the laws and sets of rows.
    """
    _check(at, replicates, level, workers)
    largest = float(np.asarray(plan.rows(plan.default)["C"], dtype=np.float64).max())
    target = BEYOND * largest if at is None else at
    tasks = tasks_of(plan, replicates, seed)
    found: dict[Key, dict[str, Refit]] = {}
    done = 0
    for key, fits in _results(tasks, workers):
        found[key] = fits
        done += len(fits)
        say(f"fitted {done} of {sum(len(t.objectives) for t in tasks.values())} specifications of N and rows")
    made = [
        estimate(plan, one, found[_key(plan, one)][one.objective], target, level, seed) for one in plan.made
    ]
    return _sorted(plan, made, target, level, seed)


def _sorted(plan: Plan, made: Sequence[Estimate], at: float, level: float, seed: int) -> Curve:
    import pandas as pd

    table = pd.DataFrame([one.row for one in made])
    table["held_out_error"] = _held_out(table, plan)
    order = np.argsort(np.asarray(table["E"]), kind="stable")
    E, L = (np.stack([values[i] for i in order]) for values in ([m.E for m in made], [m.L for m in made]))
    return Curve(plan, table.iloc[order].reset_index(drop=True), E, L, at, level, E.shape[1], seed)


def _held_out(table: pd.DataFrame, plan: Plan) -> Array:
    """Root mean square of log(L / Lhat) of all larger runs, [S]: those of each cut that any specification could make;
    at one that it could not it is taken to have missed as much as the worst. NaN where none could make any."""
    compute = plan.computes[plan.default.N, plan.default.C]
    runs = {cut: int((~within(compute, float(compute.max()) / cut)).sum()) for cut in CUTS}
    squares, count = np.zeros(len(table)), 0
    for cut, number in runs.items():
        missed = np.asarray(table[f"missed_beyond_{cut:g}"], dtype=np.float64)
        if np.isfinite(missed).any():
            squares += number * np.nan_to_num(missed, nan=float(np.nanmax(missed))) ** 2
            count += number
    return np.sqrt(squares / count) if count else np.full(len(table), np.nan)


def _results(tasks: Mapping[Key, Task], workers: int) -> Iterator[tuple[Key, dict[str, Refit]]]:
    """Each task's key and fits as they are done."""
    if workers == 1:
        yield from ((key, refit(task)) for key, task in tasks.items())
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(refit, task): key for key, task in tasks.items()}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def _key(plan: Plan, one: Specification) -> Key:
    """What a fit depends on beside the objective."""
    return one.law, one.N, plan.mask(one).tobytes()


def tasks_of(plan: Plan, replicates: int, seed: int) -> dict[Key, Task]:
    """A task for every law on every set of rows, the costliest laws first, so that no worker ends alone."""
    tasks: dict[Key, Task] = {}
    for one in sorted(plan.made, key=lambda s: -len(LAWS[s.law].exponents)):
        key = _key(plan, one)
        if key in tasks:
            continue
        rows = plan.rows(one)
        asked = dict.fromkeys(s.objective for s in plan.made)
        tasks[key] = Task(
            law=one.law,
            columns=_columns(rows),
            L=_numbers(rows, "L"),
            objectives={label: _objective(label, one) for label in asked},
            groups=grouping(rows, plan.clusters)[0],
            cuts=_cuts(plan, one),
            replicates=replicates,
            seed=seed,
        )
    return tasks


def _objective(label: str, one: Specification) -> Objective | None:
    """The objective of a label; None where its delta is that of the noise."""
    made = Specification(one.law, label)
    return None if made.from_noise else made.minimised(math.nan)


def _cuts(plan: Plan, one: Specification) -> dict[float, Held]:
    """The cuts at which a specification can be held to larger runs."""
    compute = plan.computes[plan.default.N, plan.default.C]
    every = plan.frame.assign(N=plan.sizes[one.N])
    mask = plan.mask(one)
    needed = len(LAWS[one.law].parameters()) + SPARE
    cuts = {}
    for cut in CUTS:
        small = within(compute, float(compute.max()) / cut)
        seen = every[mask & small]
        if len(seen) >= needed and all(seen[name].nunique() >= 3 for name in ("N", "D")):
            larger = every[~small]
            cuts[cut] = Held(small[mask], _columns(larger), _numbers(larger, "L"))
    return cuts


def _columns(frame: pd.DataFrame) -> dict[str, Array]:
    return {name: _numbers(frame, name) for name in ("N", "D")}


def _numbers(frame: pd.DataFrame, column: str) -> Array:
    return np.asarray(frame[column], dtype=np.float64)


def _check(at: float | None, replicates: int, level: float, workers: int) -> None:
    if at is not None and not (math.isfinite(at) and at > 0):
        raise InputError(f"at is {at}; it is a compute in FLOPs and must be above 0, e.g. 1e21")
    if replicates < 2:
        raise InputError(f"replicates is {replicates}; a bootstrap needs at least 2, and 200 for a curve")
    if not 0 < level < 1:
        raise InputError(f"level is {level}; it is a probability between 0 and 1, e.g. 0.9")
    if workers < 1:
        raise InputError(f"workers is {workers}; use 1, or as many as there are processors")
