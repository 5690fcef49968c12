"""A law fitted to a table: the parameters, how they were found, and how far to believe the optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis import plausibility
from analysis import rows as selection
from analysis.errors import InputError
from analysis.intervals import noise
from analysis.laws import LAWS, Law
from analysis.rows import Excluded, Rows
from analysis.solver import polish
from analysis.solver.objective import Likelihood, LogHuber, Objective
from analysis.solver.problem import Problem
from analysis.solver.solving import EDGE as EDGE
from analysis.solver.solving import ILL_CONDITIONED as ILL_CONDITIONED
from analysis.solver.solving import REPLICATE_STARTS as REPLICATE_STARTS
from analysis.solver.solving import STATUSES as STATUSES
from analysis.solver.solving import Batch as Batch
from analysis.solver.solving import Restarts as Restarts
from analysis.solver.solving import best_of as best_of
from analysis.solver.solving import condition_number as condition_number
from analysis.solver.solving import named as named
from analysis.solver.solving import scan as scan
from analysis.solver.solving import solve as solve
from analysis.solver.solving import solve_batch as solve_batch
from analysis.solver.solving import statuses as statuses
from analysis.solver.solving import vector as vector

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

HUBER = 1.345
START_DELTA, LEAST_DELTA, SAME_DELTA, NOISE_ROUNDS = 1e-3, 1e-5, 0.02, 8
"""Where the search for the noise starts, the least that delta may be (of rows that a law fits exactly), and by what
share two rounds differ when it has ended."""


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
    """How often the intervals of each quantity caught simulated truths (`intervals.coverage`); empty if not asked."""
    profile: dict[str, Any] = field(default_factory=dict)
    identification: dict[str, Any] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Intervals of the parameters by other methods, by method (`evidence.with_evidence`)."""
    frontier: dict[str, Any] = field(default_factory=dict)
    holdout: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    """What looks wrong in the rows (`analysis.plausibility`)."""
    tuning: dict[str, Any] = field(default_factory=dict)
    """What the rows say of the learning rate (`analysis.rates.transfer.as_dict`)."""
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
        return selection.select(
            table, self.columns, len(self.params), self.where, self.target, signed, self.weighted_by
        )

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
    selection.require_own_columns(kind, columns, target)
    signed = selection.signed_columns(kind, columns)
    chosen = selection.select(table, columns, len(kind.parameters()), where, target, signed, weights)
    arguments = {name: _numbers(chosen.frame, theirs) for name, theirs in columns.items()}
    aims = _numbers(chosen.frame, target)
    plausibility.require_change(aims, target)
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
        status=str(statuses(problem, parameters[:, None], np.array([converged]), np.array([condition]))[0]),
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
