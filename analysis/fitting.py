"""A law fitted to a table: the parameters, how they were found, and how far to believe the optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis import expansion, noise, plausibility, polish, search
from analysis import rows as selection
from analysis.errors import InputError
from analysis.laws import LAWS, Law
from analysis.objective import Likelihood, LogHuber, Objective
from analysis.problem import Problem
from analysis.rows import Excluded, Rows
from analysis.workers import in_blocks

if TYPE_CHECKING:
    import pandas as pd

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
EDGE = 1e-9
"""Share of its range within which an exponent rests at an end of it."""

HUBER = 1.345
START_DELTA, LEAST_DELTA, SAME_DELTA, NOISE_ROUNDS = 1e-3, 1e-5, 0.02, 8
"""Where the search for the noise starts, the least that delta may be (of rows that a law fits exactly), and by what
share two rounds differ when it has ended."""


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
class Fit:
    """A fitted law. Reading and writing it is in `analysis.record`; intervals and evidence are added with `replace`."""

    law: str
    columns: dict[str, str]
    """Column of the law -> column of the table."""
    target: str
    """Column of the table that the law is of, L for most."""
    params: dict[str, float]
    objective: Objective
    value: float
    """The objective at `params`, summed over rows."""
    linear_share: float
    """Share of rows whose residual is beyond delta."""
    delta_from_noise: bool
    """Whether delta is that of `noise_delta`, and was not given."""
    noise: float
    """Robust standard deviation of the residuals (see `robust_scale`)."""
    status: str
    rows: int
    excluded: tuple[Excluded, ...]
    where: str | None
    weighted_by: str | None
    """Column of weights; None where every row counts the same."""
    conventions: dict[str, str]
    condition_number: float
    restarts: Restarts
    data_span: dict[str, tuple[float, float]]
    """Smallest and largest of each column fitted, of the target and of C."""
    intervals: dict[str, dict[str, Any]] = field(default_factory=dict)
    bootstrap: dict[str, Any] = field(default_factory=dict)
    coverage: dict[str, Any] = field(default_factory=dict)
    """How often the intervals of each quantity caught simulated truths (`analysis.coverage`); empty where not asked."""
    profile: dict[str, Any] = field(default_factory=dict)
    identification: dict[str, Any] = field(default_factory=dict)
    frontier: dict[str, Any] = field(default_factory=dict)
    holdout: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    """What looks wrong in the rows (`analysis.plausibility`)."""
    tuning: dict[str, Any] = field(default_factory=dict)
    """What the rows say of the learning rate (`analysis.transfer.as_dict`)."""
    table: str = ""
    renamed: dict[str, str] = field(default_factory=dict)
    """Our names of columns -> the table's, where they differ."""
    table_sha256: str = ""
    version: str = ""

    @property
    def objective_asked(self) -> tuple[str, float | None]:
        """Name of the objective, and its delta where one was given."""
        given = math.isfinite(self.objective.delta) and not self.delta_from_noise
        return self.objective.name, self.objective.delta if given else None

    @property
    def curve(self) -> Law:
        """The law with these parameters: curve(N=..., D=...) is the loss."""
        return LAWS[self.law](**self.params)

    def select(self, table: pd.DataFrame) -> Rows:
        """The rows of the table that this fit used."""
        signed = selection.signed_columns(LAWS[self.law], self.columns)
        return selection.select(table, self.columns, len(self.params), self.where, self.target, signed)

    def arguments(self, table: pd.DataFrame | Mapping[str, ArrayLike]) -> dict[str, Array]:
        """The law's columns taken from a table or mapping with the table's names, as float64."""
        return {name: np.asarray(table[theirs], dtype=np.float64) for name, theirs in self.columns.items()}

    def weights(self, frame: pd.DataFrame) -> Array:
        """What each selected row's loss is multiplied by, [n]."""
        return _row_weights(frame, self.weighted_by, self.objective, self.columns, self.target)

    def problem(self, frame: pd.DataFrame) -> Problem:
        """The problem of fitting this law to selected rows."""
        return Problem(LAWS[self.law], self.arguments(frame), _numbers(frame, self.target), self.objective)

    def aims(self, frame: pd.DataFrame) -> Array:
        """What the law is of, for selected rows, [n]."""
        return _numbers(frame, self.target)


@dataclass(frozen=True)
class Batch:
    """Many fits of one problem: parameters [P, R] in the fitter's order, objective [R], and a status each."""

    parameters: Array
    objective: Array
    status: NDArray[np.str_]


def fit(
    table: pd.DataFrame,
    law: str = "hoffmann",
    *,
    objective: Objective | None = None,
    weights: str | None = None,
    where: str | None = None,
    x: str = "C",
    y: str = "L",
) -> Fit:
    """The law of least objective over the table's rows, found by a search of all exponents and polished.

    Without an objective it is `LogHuber` with the delta of `noise_delta`. weights names a column that multiplies each
    row's loss (none: 1; under `Likelihood` 1 / variance of the noise between seeds); x names the column of a law in
    any one column, y that of a law of any column.
    Deterministic. Raises InputError for rows that cannot be fitted (see `rows.select`).
    """
    kind = selection.law_named(law)
    columns = selection.law_columns(kind, x)
    target = selection.law_target(kind, y)
    signed = selection.signed_columns(kind, columns)
    chosen = selection.select(table, columns, len(kind.parameters()), where, target, signed)
    arguments = {name: _numbers(chosen.frame, theirs) for name, theirs in columns.items()}
    aims = _numbers(chosen.frame, target)
    weight = _row_weights(chosen.frame, weights, objective, columns, target)
    from_noise = objective is None
    if objective is None:
        objective = LogHuber(noise_delta(kind, arguments, aims, weight))
    problem = Problem(kind, arguments, aims, objective)
    parameters, value, converged, restarts = solve(problem, weight)
    condition = condition_number(problem, parameters, weight)
    residual = problem.residual(parameters[:, None])[0]
    best = named(problem, parameters)
    doubts = plausibility.of_rows(chosen.frame, columns, target)
    doubts += plausibility.below_floor(chosen.frame, kind(**best), target)
    span = [*dict.fromkeys((*columns.values(), target, *({"C"} & set(chosen.frame.columns))))]
    return Fit(
        law=law,
        columns=columns,
        target=target,
        params=best,
        objective=problem.objective,
        value=value,
        linear_share=problem.objective.linear_share(residual),
        delta_from_noise=from_noise,
        noise=robust_scale(residual, len(parameters), weight),
        status=str(_statuses(problem, parameters[:, None], np.array([converged]), np.array([condition]))[0]),
        rows=len(chosen.frame),
        excluded=chosen.excluded,
        where=where,
        weighted_by=weights,
        conventions=chosen.conventions,
        condition_number=condition,
        restarts=restarts,
        data_span={c: (float(chosen.frame[c].min()), float(chosen.frame[c].max())) for c in span},
        warnings=tuple(doubts),
    )


def noise_delta(law: type[Law], arguments: Mapping[str, Array], aims: Array, weights: Array) -> float:
    """The delta of a log-Huber fit that the rows' own noise sets: 1.345 robust standard deviations of the residuals,
    at which an estimate loses 5 % to least squares where the noise is normal (Huber 1964; Holland and Welsch 1977).

    The noise is that about the law, of seeds and of what the law misses alike; it and the fit are found in turn.
    """
    whole = Problem(law, dict(arguments), aims, LogHuber(START_DELTA))
    problem, weight = whole.sample, weights[whole.sampled]
    return settled_delta(problem, solve(problem, weight)[0], weight)


def settled_delta(problem: Problem, found: Array, weight: Array) -> float:
    """`noise_delta` of a problem from its best parameters `found` [P] under `LogHuber(START_DELTA)`."""
    parameters, delta = found[:, None], START_DELTA
    for _ in range(NOISE_ROUNDS):
        scale = HUBER * robust_scale(problem.residual(parameters)[0], len(parameters), weight)
        scale = max(scale, LEAST_DELTA)
        if abs(scale / delta - 1) < SAME_DELTA:
            break
        delta = scale
        problem = replace(problem, objective=LogHuber(delta))
        parameters = polish.polish(problem, parameters, weight[None]).parameters
    return delta


def robust_scale(residual: Array, parameters: int, weights: Array | None = None) -> float:
    """Standard deviation of normal noise by the median of the absolute residuals that the parameters did not pay for:
    1.4826 times that of the largest n - P of them (as R's rlm and Hill and Holland 1977 take it). A weight counts as so
    many rows."""
    order = np.argsort(np.abs(residual))[min(parameters, len(residual) - 1) :]
    if weights is None:
        return float(np.median(np.abs(residual)[order])) * 1.4826
    passed = np.cumsum(weights[order])
    # the mean of the two in the middle where the weight below and above a row is the same
    middle = [np.searchsorted(passed, passed[-1] / 2, side=side) for side in ("left", "right")]
    return float(np.abs(residual)[order][np.minimum(middle, len(order) - 1)].mean()) * 1.4826


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
    """Replicates that a thread takes at once: what a core's cache holds, or, of few, a part that is worth a thread."""
    elements = replicates * rows
    blocks = max(math.ceil(elements / polish.ELEMENTS), min(4, 4 * elements // polish.ELEMENTS), 1)
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
    status = _statuses(problem, parameters, done.converged[first], np.zeros(len(first)), held=held)
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

    Amplitudes are those of the basis divided by its geometric mean over rows, so that the number does not grow with
    the distance of the data from N = D = 1. It is infinite where a parameter has no effect (a term of amplitude 0).
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


def _statuses(
    problem: Problem,
    parameters: Array,
    converged: NDArray[np.bool_],
    condition: Array,
    held: tuple[str, ...] = (),
) -> NDArray[np.str_]:
    free = np.array([name not in held for name in problem.names])
    resting = parameters <= problem.lower[:, None]
    for m, exponent in enumerate(problem.exponents.values(), problem.terms):
        place = exponent.place(parameters[m])
        # the law at the lower end of a nested one is another good law
        resting[m] = (place >= 1 - EDGE) | ((place <= EDGE) & (not exponent.nested))
    bound = resting[free].any(axis=0)
    choices = ["max_steps", "at_bound", "ill_conditioned"]
    return np.select([~converged, bound, condition > ILL_CONDITIONED], choices, "converged")


def _numbers(frame: pd.DataFrame, column: str) -> Array:
    return np.asarray(frame[column], dtype=np.float64)


def _row_weights(
    frame: pd.DataFrame,
    column: str | None,
    objective: Objective | None,
    columns: Mapping[str, str],
    target: str,
) -> Array:
    if isinstance(objective, Likelihood):
        if column is not None:
            raise InputError(
                f"the likelihood takes its weights from replicates, and column {column} was given too; leave it out, "
                "or use squared_log"
            )
        return noise.row_weights(frame, np.log(_numbers(frame, target)), list(columns.values()))
    return _weights(frame, column)


def _weights(frame: pd.DataFrame, column: str | None) -> Array:
    if column is None:
        return np.ones(len(frame))
    selection.require_numbers(frame, column)
    values = _numbers(frame, column)
    if not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
        raise InputError(
            f"weights in column {column} go from {values.min()} to {values.max()}; they must be 0 or more"
        )
    return values
