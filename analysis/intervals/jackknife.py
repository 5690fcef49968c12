"""What each scale of a study contributes: the law refitted without one size, or one budget, at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import Fit, solve_batch
from analysis.intervals.interval import Jackknifed, Uncertainty, check_level
from analysis.intervals.uncertainty import scaled_residuals
from analysis.laws import LAWS

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

SAME = 0.05
"""Values that differ by no more than this share from the next are one scale."""
MOST, BINS = 24, 12
"""A column of more scales than MOST, as the compute of runs of any size, is cut into BINS even in the logarithm."""


@dataclass(frozen=True)
class Influence:
    """One scale, lo to hi, with its rows, and how far each parameter lies above where it is without these rows."""

    lo: float
    hi: float
    rows: int
    moves: dict[str, float]


def jackknife(table: pd.DataFrame, fit: Fit, *, by: str = "N", level: float = 0.9) -> Uncertainty:
    """The law refitted globally without each scale: values of the column `by`, "N" for sizes or "C" for budgets.

    Its draws are the fit and then the refits, smallest scale left out first, with standard errors and intervals of the
    jackknife (see `Jackknifed`). They take the scales for a sample of independent ones; the smallest and largest of a
    design are not, and move a law most. The remark names the scale that moves E (a law without a floor: its first
    parameter) most. Raises InputError for fewer than four scales.
    """
    check_level(level)
    frame = fit.select(table).frame
    problem, weights = fit.problem(frame), fit.weights(frame)
    codes = scales(frame, by)
    count = int(codes.max()) + 1
    if count < 4:
        raise InputError(
            f"{by} has {count} scales in these rows, and a law without one of them needs three more; add sizes or "
            "budgets, or use a bootstrap"
        )
    kept = np.concatenate([np.ones((1, len(frame))), codes != np.arange(count)[:, None]])
    batch = solve_batch(problem, kept * weights)
    law = LAWS[fit.law](**dict(zip(problem.names, batch.parameters, strict=True)))
    found = Uncertainty(
        drawn=law,
        columns=fit.columns,
        method=f"jackknife:{by}",
        replicates=count,
        statuses=dict(Counter(batch.status[1:].tolist())),
        seed=0,
        level=level,
        units=count,
        residuals=scaled_residuals(problem, fit),
        ends=Jackknifed(),
    )
    parameter = fit.curve.floor or problem.names[0]
    return _told(found, influence(table, fit, found), parameter)


def influence(table: pd.DataFrame, fit: Fit, found: Uncertainty) -> tuple[Influence, ...]:
    """What each scale of a jackknife of this fit and table does, smallest scale first."""
    frame, by = fit.select(table).frame, found.clusters
    values, codes = np.asarray(frame[by], dtype=np.float64), scales(frame, by)
    draws = found.law.as_dict()
    return tuple(
        Influence(
            lo=float(values[codes == code].min()),
            hi=float(values[codes == code].max()),
            rows=int((codes == code).sum()),
            moves={name: float(drawn[0] - drawn[1 + code]) for name, drawn in draws.items()},
        )
        for code in range(int(codes.max()) + 1)
    )


def scales(frame: pd.DataFrame, by: str) -> NDArray[np.intp]:
    """Number of each row's scale [n], ascending: equal values but for 5 %, or bins of a column of very many."""
    if by not in frame.columns:
        raise InputError(
            f"the table has no column {by!r} to leave scales out of; name one, e.g. N for sizes or C for budgets"
        )
    values = np.asarray(frame[by], dtype=np.float64)
    if not (np.isfinite(values) & (values > 0)).all():
        raise InputError(
            f"column {by} holds a value that is not above 0, which is no scale; name another column"
        )
    logs = np.log(values)
    order = np.argsort(logs, kind="stable")
    steps = np.diff(logs[order], prepend=logs[order][0]) > np.log1p(SAME)
    codes = np.empty(len(logs), dtype=np.intp)
    codes[order] = np.cumsum(steps)
    if codes.max() >= MOST:
        edges = np.linspace(logs.min(), logs.max(), BINS + 1)[1:-1]
        codes = np.unique(np.searchsorted(edges, logs), return_inverse=True)[1].astype(np.intp)
    return codes


def _told(found: Uncertainty, moved: tuple[Influence, ...], parameter: str) -> Uncertainty:
    from dataclasses import replace

    most = max(moved, key=lambda one: abs(one.moves[parameter]))
    where = f"{most.lo:.4g}" if most.lo == most.hi else f"{most.lo:.4g} to {most.hi:.4g}"
    remark = (
        f"The runs of {found.clusters} {where} ({most.rows} of them) move {parameter} most: without them it is "
        f"{found.law.as_dict()[parameter][0] - most.moves[parameter]:.4g}."
    )
    return replace(found, remark=remark, details={"influence": [vars(one) for one in moved]})
