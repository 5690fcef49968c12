"""A law fitted to a table: the parameters, how they were found, and how far to believe the optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis import polish, search
from analysis import rows as selection
from analysis.errors import InputError
from analysis.laws import LAWS, Law
from analysis.objective import LogHuber
from analysis.problem import Problem
from analysis.rows import Excluded, Rows

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

STATUSES = ("converged", "max_steps", "at_bound", "ill_conditioned")
ILL_CONDITIONED = 100.0
"""Condition number above which a status says so (severe in Belsley, Kuh and Welsch 1980); see `condition_number`."""
RESTARTS = 16
REPLICATE_STARTS = 3
SAME_OBJECTIVE = 1e-6
"""Two minima are equally good when their objectives differ by less than this share."""
SAME_EXPONENT = 1e-2
"""Two minima are one when no exponent differs by more than this share."""


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
    params: dict[str, float]
    objective: LogHuber
    value: float
    """The objective at `params`, summed over rows."""
    linear_share: float
    """Share of rows whose residual is beyond delta."""
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
    """Smallest and largest of each column fitted, of L and of C."""
    intervals: dict[str, dict[str, Any]] = field(default_factory=dict)
    bootstrap: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    identification: dict[str, Any] = field(default_factory=dict)
    frontier: dict[str, Any] = field(default_factory=dict)
    holdout: tuple[dict[str, Any], ...] = ()
    tuning: dict[str, Any] = field(default_factory=dict)
    """What the rows say of the learning rate (`analysis.transfer.as_dict`)."""
    table: str = ""
    renamed: dict[str, str] = field(default_factory=dict)
    """Our names of columns -> the table's, where they differ."""
    table_sha256: str = ""
    version: str = ""

    @property
    def curve(self) -> Law:
        """The law with these parameters: curve(N=..., D=...) is the loss."""
        return LAWS[self.law](**self.params)

    def select(self, table: pd.DataFrame) -> Rows:
        """The rows of the table that this fit used."""
        return selection.select(table, self.columns, len(self.params), self.where)

    def arguments(self, table: pd.DataFrame | Mapping[str, ArrayLike]) -> dict[str, Array]:
        """The law's columns taken from a table or mapping with the table's names, as float64."""
        return {name: np.asarray(table[theirs], dtype=np.float64) for name, theirs in self.columns.items()}

    def weights(self, frame: pd.DataFrame) -> Array:
        """What each selected row's loss is multiplied by, [n]."""
        return _weights(frame, self.weighted_by)

    def problem(self, frame: pd.DataFrame) -> Problem:
        """The problem of fitting this law to selected rows."""
        return Problem(LAWS[self.law], self.arguments(frame), _losses(frame), self.objective)


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
    objective: LogHuber | None = None,
    weights: str | None = None,
    where: str | None = None,
    x: str = "C",
) -> Fit:
    """The law of least objective over the table's rows, found by a search of all exponents and polished.

    weights names a column that multiplies each row's loss (none: 1); x names the column of a law in one column.
    Deterministic. Raises InputError for rows that cannot be fitted (see `rows.select`).
    """
    kind = selection.law_named(law)
    columns = selection.law_columns(kind, x)
    chosen = selection.select(table, columns, len(kind.parameters()), where)
    arguments = {name: np.asarray(chosen.frame[theirs], dtype=np.float64) for name, theirs in columns.items()}
    problem = Problem(kind, arguments, _losses(chosen.frame), objective or LogHuber())
    weight = _weights(chosen.frame, weights)
    parameters, value, converged, restarts = solve(problem, weight)
    condition = condition_number(problem, parameters, weight)
    span = [*dict.fromkeys((*columns.values(), "L", *({"C"} & set(chosen.frame.columns))))]
    return Fit(
        law=law,
        columns=columns,
        params=named(problem, parameters),
        objective=problem.objective,
        value=value,
        linear_share=problem.objective.linear_share(problem.residual(parameters[:, None])[0]),
        status=str(_statuses(problem, parameters[:, None], np.array([converged]), np.array([condition]))[0]),
        rows=len(chosen.frame),
        excluded=chosen.excluded,
        where=where,
        weighted_by=weights,
        conventions=chosen.conventions,
        condition_number=condition,
        restarts=restarts,
        data_span={c: (float(chosen.frame[c].min()), float(chosen.frame[c].max())) for c in span},
    )


def solve(problem: Problem, weights: Array) -> tuple[Array, float, bool, Restarts]:
    """Best parameters [P] in the fitter's order, their objective, whether they converged, and how the restarts ended.

    The starts are the local minima of the scan and points spread over the grid.
    """
    grid = search.scan(problem)
    found, _ = search.starts(problem, grid, weights[None], RESTARTS // 2)
    spread = search.spread(problem, grid, weights, RESTARTS // 2)
    points = np.concatenate([found, spread], axis=1)
    done = polish.polish(problem, points, np.broadcast_to(weights, (points.shape[1], len(weights))))
    best = int(np.argmin(done.objective))
    near = done.objective <= done.objective[best] * (1 + SAME_OBJECTIVE) + polish.NOISE_FREE * len(weights)
    theta = np.log(_meaningful(problem, done.parameters)[problem.terms :])
    apart = np.abs(theta - theta[:, [best]]).max(axis=0) > SAME_EXPONENT
    rivals = tuple(named(problem, done.parameters[:, s]) for s in np.flatnonzero(near & apart))
    restarts = Restarts(points.shape[1], int(near.sum()), rivals)
    return done.parameters[:, best], float(done.objective[best]), bool(done.converged[best]), restarts


def solve_batch(
    problem: Problem,
    weights: Array,
    fixed: Mapping[str, Array] | None = None,
    *,
    grid: search.Grid | None = None,
    starts: int = REPLICATE_STARTS,
    max_steps: int = polish.MAX_STEPS,
) -> Batch:
    """The best fit of every replicate, weights [R, n], each searched globally; `fixed` holds parameters at
    values [R], and a `grid` scanned before is not scanned again. The few that have not converged after `max_steps`
    are the slowest of all, and are as good as they are by then."""
    points, owner = search.starts(problem, grid or search.scan(problem), weights, starts, fixed)
    done = polish.polish(problem, points, weights[owner], held=tuple(fixed or ()), max_steps=max_steps)
    order = np.lexsort((done.objective, owner))
    first = order[np.unique(owner[order], return_index=True)[1]]
    if len(first) != len(weights):
        raise AssertionError(f"{len(weights) - len(first)} replicates have no start")
    parameters = done.parameters[:, first]
    status = _statuses(
        problem, parameters, done.converged[first], np.zeros(len(first)), held=tuple(fixed or ())
    )
    return Batch(parameters, done.objective[first], status)


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
    jacobian = polish.linearise(problem, parameters[:, None]).jacobian[0] * np.sqrt(weights)
    lengths = np.linalg.norm(jacobian, axis=1, keepdims=True)
    if not (lengths > 0).all():
        return float("inf")
    values = np.linalg.svd(jacobian / lengths, compute_uv=False)
    return float(values[0] / values[-1]) if values[-1] > 0 else float("inf")


def _meaningful(problem: Problem, parameters: Array) -> Array:
    """The parameters [P, S] with the exponents that only terms of amplitude 0 use set to one and the same value."""
    result = parameters.copy()
    for m in range(len(problem.law.exponents)):
        using = [k for k, exponent in problem.couplings if exponent == m]
        result[problem.terms + m, (parameters[using] == 0).all(axis=0)] = 1.0
    return result


def _statuses(
    problem: Problem,
    parameters: Array,
    converged: NDArray[np.bool_],
    condition: Array,
    held: tuple[str, ...] = (),
) -> NDArray[np.str_]:
    free = np.array([name not in held for name in problem.names])[:, None]
    lower, upper = problem.lower[:, None], problem.upper[:, None]
    nested = np.array([False] * problem.terms + [e.nested for e in problem.exponents.values()])[:, None]
    lower = np.where(nested, -np.inf, lower)  # the law at that end is another good one
    edge = 1 + 1e-9
    bound = (free & ((parameters <= lower * edge) | (parameters * edge >= upper))).any(axis=0)
    choices = ["max_steps", "at_bound", "ill_conditioned"]
    return np.select([~converged, bound, condition > ILL_CONDITIONED], choices, "converged")


def _losses(frame: pd.DataFrame) -> Array:
    return np.asarray(frame["L"], dtype=np.float64)


def _weights(frame: pd.DataFrame, column: str | None) -> Array:
    if column is None:
        return np.ones(len(frame))
    selection.require_numbers(frame, column)
    values = np.asarray(frame[column], dtype=np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
        raise InputError(
            f"weights in column {column} go from {values.min()} to {values.max()}; they must be 0 or more"
        )
    return values
