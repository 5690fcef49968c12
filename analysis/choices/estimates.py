"""A row of the curve's table: what one specification says, in numbers with intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.choices.choices import Specification
from analysis.choices.exclusions import SIX_N_D
from analysis.choices.refits import Refit
from analysis.choices.specification import Plan
from analysis.fitting import Fit
from analysis.floor.admissible import CUTS
from analysis.floor.combination import rms
from analysis.frontier import Cost, Frontier, cost
from analysis.intervals.uncertainty import Bootstrap, expanded, grouping
from analysis.laws import LAWS
from analysis.rows import Rows

Array = NDArray[np.float64]

AT_ZERO = 1e-6
"""A floor of less, in nats per token, is at 0."""


@dataclass(frozen=True)
class Estimate:
    """A specification's numbers by name, and E and L of its replicates [R]."""

    row: dict[str, Any]
    E: Array
    L: Array


def estimate(plan: Plan, one: Specification, made: Refit, at: float, level: float, seed: int) -> Estimate:
    """What a fitted specification says, with the loss at the compute `at`; the default's numbers are those of `fit`."""
    default = one == plan.default
    if default:
        made = _of_fit(made, plan.fit)
    frame, kind = plan.rows(one), LAWS[one.law]
    order = (*kind.amplitudes, *kind.exponents)
    point, many = (
        kind(**dict(zip(order, values, strict=True))) for values in (made.parameters, made.replicates)
    )
    price = Cost() if one.C == SIX_N_D else cost(Rows(frame, (), {}))
    groups, method = grouping(frame, plan.clusters)
    boot = Bootstrap(
        drawn=many,
        columns={"N": "N", "D": "D"},
        method=method,
        replicates=made.replicates.shape[1],
        statuses=made.statuses,
        seed=seed,
        level=level,
        units=int(groups.max()) + 1,
        residuals=np.empty(0),
        ends=expanded(method, int(groups.max()) + 1, len(order)),
    )
    here, there = Frontier(point, price), Frontier(many, price)
    floors, losses = np.asarray(many.as_dict()["E"]), there.L_opt(at)
    E = float(np.asarray(point.as_dict()["E"]))
    row = one.as_dict() | {
        "default": default,
        "E": E,
        **_ends("E", boot, floors),
        "L": float(here.L_opt(at)),
        **_ends("L", boot, losses),
        **_exponent(here, there, boot),
        "status": made.status,
        "mark": _mark(made.status, E),
        "refits_converged": made.statuses.get("converged", 0) / made.replicates.shape[1],
        "delta": made.objective.delta,
        "objective_value": made.value,
        "linear_share": made.linear_share,
        "noise": made.noise,
        "condition_number": made.condition_number,
        "rows": len(frame),
        "rows_left_out": len(plan.frame) - len(frame),
        **{f"missed_beyond_{cut:g}": rms(made.missed[cut]) if cut in made.missed else np.nan for cut in CUTS},
    }
    return Estimate(row, floors, losses)


def _of_fit(made: Refit, fit: Fit) -> Refit:
    """The refit with the numbers of `fit`, from which it differs by rounding."""
    kind = LAWS[fit.law]
    return replace(
        made,
        objective=fit.objective,
        parameters=np.array([fit.params[name] for name in (*kind.amplitudes, *kind.exponents)]),
        value=fit.value,
        status=fit.status,
        noise=fit.noise,
        linear_share=fit.linear_share,
        condition_number=fit.condition_number,
    )


def _ends(name: str, boot: Bootstrap, values: Array) -> dict[str, float]:
    """Ends of the interval of a quantity; missing where a replicate has none."""
    if not np.isfinite(values).all():
        return {f"{name}_lo": np.nan, f"{name}_hi": np.nan}
    found = boot.interval(values)
    return {f"{name}_lo": found.lo, f"{name}_hi": found.hi}


def _exponent(here: Frontier, there: Frontier, boot: Bootstrap) -> dict[str, float]:
    """The exponent of N_opt ~ C^a with its interval; missing of a law without one."""
    if not here.closed:
        return dict.fromkeys(("N_exponent", "N_exponent_lo", "N_exponent_hi"), np.nan)
    return {"N_exponent": float(here.N_exponent), **_ends("N_exponent", boot, there.N_exponent)}


def _mark(status: str, E: float) -> str:
    """What a reader must know before believing a specification; empty where nothing."""
    if E <= AT_ZERO:
        return "E at 0"
    return "" if status == "converged" else status.replace("_", " ")
