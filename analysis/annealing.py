"""Whole training curves: the two areas under the learning rate that the annealing law takes, and its fit to curves.

Tissue et al. 2024 (arXiv 2408.11029): with the learning rate eta_i of step i,

    S1 = sum_i eta_i,    S2 = sum_i m_i,    m_i = lambda m_(i-1) + (eta_(i-1) - eta_i),  m_0 = 0,

so S2 is what the decay of the rate has gained so far, and lambda how slowly a drop of the rate takes effect. In both
areas a warm-up counts as if the rate had been at its peak, as in the authors' program.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import Fit, fit
from analysis.solver.objective import LogHuber, Objective

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

DECAY = 0.999
"""The authors' lambda, for runs of thousands of steps."""
DECAYS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)
"""The lambdas among which `fit_curves` chooses: memories of 10 to 10000 steps."""
FORGOTTEN = 1e-20
"""A share of a drop that is left is none."""
COLUMNS = ("run", "step", "lr", "L")


@dataclass(frozen=True)
class CurvesFit:
    """The annealing law fitted to curves, with the lambda of least objective and the objective of every lambda."""

    fit: Fit
    table: pd.DataFrame
    """The rows that were fitted, with run, step, S1, S2 and L: what `bootstrap(table, fit, clusters="run")` takes."""
    decay: float
    objectives: dict[float, float]

    @property
    def at_edge(self) -> bool:
        """Whether the best lambda is the first or last that was tried, so that another may be better."""
        return self.decay in (min(self.objectives), max(self.objectives))


def areas(curves: pd.DataFrame, decay: float = DECAY) -> pd.DataFrame:
    """The rows of curves (columns run, step, lr, L; others are kept), sorted by run and step, with S1 and S2.

    Between two rows of a run the rate is taken as linear in the step, for which the sums are exact, so a curve may be
    logged at any steps; before its first row it is that row's, and before its first greatest rate it counts as that.
    The work is linear in the rows. Raises InputError for a column missing, a rate that is not above 0, a step below 1
    or twice in a run.
    """
    _check(curves, decay)
    table = curves.sort_values(["run", "step"], kind="stable", ignore_index=True)
    run, _ = table["run"].factorize()
    step, rate = (np.asarray(table[name], dtype=np.float64) for name in ("step", "lr"))
    first = np.r_[True, run[1:] != run[:-1]]
    rate = _after_warmup(rate, first)
    gap = np.diff(step, prepend=0.0)
    gap[first] = step[first]
    if (gap <= 0).any():
        at = table.loc[int(np.flatnonzero(gap <= 0)[0])]
        raise InputError(
            f"step {at['step']} of run {at['run']} is below 1 or there twice; keep one row a step"
        )
    before = np.where(first, rate, np.roll(rate, 1))
    S1 = _running(gap * before + (rate - before) * (gap + 1) / 2, first)
    return table.assign(S1=S1, S2=_annealed((before - rate) / gap, gap, first, decay))


def fit_curves(
    curves: pd.DataFrame, *, decays: Sequence[float] = DECAYS, objective: Objective | None = None
) -> CurvesFit:
    """The law of least objective over the rows of curves, one lambda for all, chosen among `decays`.

    Rows whose column `shared` is true (a trunk's, as the history of its branch) make areas and are not fitted. The
    objective is by default that of the authors, log-Huber with a delta of 1e-3.
    """
    objective = objective or LogHuber(1e-3)
    tables, fits = {}, {}
    for decay in decays:
        table = areas(curves, decay)
        if "shared" in table.columns:
            table = table[~table["shared"].astype(bool)]
        # without the rate: rows of another rate are points of the curve, and not worse runs of a sweep
        tables[decay] = table[["run", "step", "S1", "S2", "L"]].reset_index(drop=True)
        fits[decay] = fit(tables[decay], "annealing", objective=objective)
    best = min(fits, key=lambda decay: fits[decay].value)
    return CurvesFit(fits[best], tables[best], best, {decay: found.value for decay, found in fits.items()})


def read_study(folder: str | Path, table: pd.DataFrame) -> pd.DataFrame:
    """The curves of a study's runs in `folder`, for `areas`: columns run, step, lr, L (training loss), N and shared.

    table has run_id, trunk_id and N. A run's curve is its trunk's up to the run's first own step, those rows being
    `shared`, and then its own; a trunk is a curve of its own, named after trunk_id. Raises InputError where there is
    no log.
    """
    import pandas as pd

    parts = []
    for trunk_id, rows in table.groupby("trunk_id", sort=False):
        trunk = _log(Path(folder) / f"trunk-{trunk_id}" / "metrics.jsonl")
        parts.append(trunk.assign(run=f"trunk-{trunk_id}", N=rows["N"].iloc[0], shared=False))
        for run_id, N in zip(rows["run_id"], rows["N"], strict=True):
            own = _log(Path(folder) / str(run_id) / "metrics.jsonl")
            history = trunk[trunk["step"] < own["step"].min()] if len(own) else trunk[:0]
            parts += [
                frame.assign(run=run_id, N=N, shared=shared)
                for frame, shared in ((history, True), (own, False))
            ]
    if not any(len(part) for part in parts):
        raise InputError(f"{folder} holds no metrics.jsonl of the runs in its table; name a study folder")
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _log(path: Path) -> pd.DataFrame:
    """Columns step, lr and L of a metrics.jsonl, without a half-written last line; empty where there is none."""
    import pandas as pd

    names = {"step": "step", "lr": "lr", "loss": "L"}
    records = []
    if path.is_file():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
            if not line.endswith("\n"):
                break
            try:
                record = json.loads(line)
                records.append([float(record[name]) for name in names])
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    f"{path}, line {number} is no record with {', '.join(names)}; mend or delete that line"
                ) from None
    return pd.DataFrame(records, columns=list(names.values()))


def _check(curves: pd.DataFrame, decay: float) -> None:
    if missing := [name for name in COLUMNS if name not in curves.columns]:
        raise InputError(f"curves have the columns {', '.join(COLUMNS)}; {missing[0]} is missing")
    if not 0 <= decay < 1:
        raise InputError(f"the decay is {decay}; it is a share from 0 to below 1, e.g. {DECAY}")
    rate = np.asarray(curves["lr"], dtype=np.float64)
    bad = ~(np.isfinite(rate) & (rate >= 0))
    if bad.any():
        raise InputError(f"lr is {rate[bad][0]} in a row of a curve; it must be finite and 0 or more")


def _after_warmup(rate: Array, first: NDArray[np.bool_]) -> Array:
    """Rates [n] with those before the first greatest one of their run set to it."""
    starts = np.flatnonzero(first)
    peak = np.repeat(np.maximum.reduceat(rate, starts), np.diff(np.r_[starts, len(rate)]))
    risen = _running((rate == peak).astype(np.float64), first) > 0
    return np.where(risen, rate, peak)


def _running(values: Array, first: NDArray[np.bool_]) -> Array:
    """Sums within each run up to and with each row."""
    total = np.cumsum(values)
    starts = np.flatnonzero(first)
    return total - np.repeat(total[starts] - values[starts], np.diff(np.r_[starts, len(values)]))


def _annealed(drop: Array, gap: Array, first: NDArray[np.bool_], decay: float) -> Array:
    """S2 where every row ends `gap` steps in each of which the rate fell by `drop`.

    Over k steps of one drop d, m goes to lambda^k m + d g with g = (1 - lambda^k) / (1 - lambda), and its sum grows by
    m lambda g + d (k - lambda g) / (1 - lambda). m is linear in the m before it, and such maps are composed over
    doubling distances until lambda has forgotten what lies further back.
    """
    kept = decay**gap
    share = (1 - kept) / (1 - decay)
    factor, momentum = np.where(first, 0.0, kept), drop * share
    distance = 1
    while distance < len(drop) and factor.max() > FORGOTTEN:
        momentum[distance:] += factor[distance:] * momentum[:-distance].copy()
        factor = np.r_[np.zeros(distance), factor[distance:] * factor[:-distance]]
        distance *= 2
    before = np.where(first, 0.0, np.roll(momentum, 1))
    return _running(before * decay * share + drop * (gap - decay * share) / (1 - decay), first)
