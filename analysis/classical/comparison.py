"""The three classical approaches to the compute-optimal split, side by side on one table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import rows as selection
from analysis.classical import budgets as grouped
from analysis.classical.akima import noise_between, splines
from analysis.classical.allocation import Allocation, bias
from analysis.classical.budgets import TOLERANCE, Budget
from analysis.classical.envelope import BINS_A_DECADE, envelope
from analysis.classical.isoflop import isoflop
from analysis.classical.parametric import parametric, require_powers
from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.fitting import fit as fit_law
from analysis.frontier import Cost
from analysis.frontier import cost as cost_of
from analysis.intervals.uncertainty import grouping
from analysis.rows import Rows

if TYPE_CHECKING:
    import pandas as pd

    from analysis.solver.objective import Objective

BEYOND = 10.0
"""The compute at which the split is told, where none is asked for: so many times the largest run's."""
COLUMNS = ("N", "D", "C")

ENVELOPE, PARABOLAS, SPLINES, PARAMETRIC = "envelope", "parabolas", "splines", "parametric"
NUMBERS = {ENVELOPE: 1, PARABOLAS: 2, SPLINES: 2, PARAMETRIC: 3}
"""The approaches' names and their numbers in Hoffmann et al. 2022."""

Approach = Callable[["pd.DataFrame", int], Allocation]
"""An approach to a frame with N, D, C and L, refitted so many times."""


@dataclass(frozen=True)
class Comparison:
    """What each approach makes of one table."""

    fit: Fit
    """The law of approach 3."""
    cost: Cost
    rows: Rows
    budgets: tuple[Budget, ...]
    C: float
    """Compute at which the split is told, FLOPs."""
    found: dict[str, Allocation]
    """The approaches that have an answer, by name."""
    without: dict[str, str]
    """Why the others have none."""

    @property
    def frame(self) -> pd.DataFrame:
        """The rows that all approaches were given."""
        return self.rows.frame

    @property
    def ahead(self) -> float:
        """C over the largest run's."""
        return self.C / float(self.frame["C"].max())

    def as_dict(self) -> dict[str, Any]:
        """For JSON; missing is null."""
        fit = self.fit
        made = {
            "law": fit.law,
            "params": fit.params,
            "status": fit.status,
            "noise": fit.noise,
            "rows": fit.rows,
            "excluded": [vars(row) for row in self.rows.excluded],
            "conventions": self.rows.conventions,
            "cost": vars(self.cost),
            "C": self.C,
            "times_the_largest_run": self.ahead,
            "approaches": {
                name: {"number": NUMBERS[name], **found.as_dict(self.C)} for name, found in self.found.items()
            },
            "without_answer": self.without,
        }
        return {key: _plain(value) for key, value in made.items()}


def compare(
    table: pd.DataFrame,
    *,
    law: str = "hoffmann",
    objective: Objective | None = None,
    where: str | None = None,
    at: float | None = None,
    tolerance: float = TOLERANCE,
    budget: str | None = None,
    run: str = "auto",
    bins: int = BINS_A_DECADE,
    noise: float | None = None,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
) -> Comparison:
    """The envelope, the IsoFLOP parabolas and splines, and the fitted law's frontier of one table's rows.

    objective is that of the law's fit (see `fitting.fit`). at: compute in FLOPs at which N_opt and D_opt are told
    (none: 10 times the largest run's). tolerance or budget, a column, says which rows are of one compute; run names the
    column of runs for the envelope (see `envelope`). noise: the standard deviation of a run's loss in nats per token,
    with which splines are redrawn (none: that between neighbouring sizes, see `akima.noise_between`). An approach that
    has no answer is told of with its reason; raises InputError where the law cannot be fitted, which none of the others
    replaces.
    """
    _check(at, noise, replicates, level, seed)
    require_powers(law)
    needed = COLUMNS if {"N", "D"} <= set(table.columns) else ("N", "D")  # C is 6 N D where there is none
    chosen = selection.select(table, {name: name for name in needed}, 1, where)
    frame = chosen.frame
    fit = fit_law(table, law, where=where, objective=objective)
    price = cost_of(chosen)
    C = at if at is not None else BEYOND * float(frame["C"].max())
    clusters = _clusters(frame, run, clusters)
    shared: dict[str, Any] = {"seed": seed, "level": level}

    def groups(part: pd.DataFrame) -> list[Budget]:
        return grouped.by_column(part, budget) if budget else grouped.by_compute(part, tolerance)

    def by_envelope(part: pd.DataFrame, count: int) -> Allocation:
        return envelope(part, run=run, bins=bins, replicates=count, clusters=clusters, **shared)

    def by_parabolas(part: pd.DataFrame, count: int) -> Allocation:
        return isoflop(part, price, groups(part), replicates=count, clusters=clusters, **shared)

    def by_splines(part: pd.DataFrame, count: int) -> Allocation:
        return splines(price, groups(part), noise=spread, replicates=count or replicates, **shared)

    spread = noise if noise is not None else _noise(groups(frame), fit)
    tried: dict[str, Approach] = {ENVELOPE: by_envelope, PARABOLAS: by_parabolas, SPLINES: by_splines}
    found, without = {}, {}
    for name, approach in tried.items():
        try:
            found[name] = _with_bias(approach(frame, replicates), approach, frame, fit, price, C)
        except InputError as error:
            without[name] = str(error)
    found[PARAMETRIC] = parametric(table, fit, price, replicates=replicates, clusters=clusters, **shared)
    return Comparison(fit, price, chosen, tuple(groups(frame)), C, found, without)


def told(path: Path, renamed: dict[str, str], *, as_json: bool, out: Path | None, **options: Any) -> str:
    """What the verb `compare` prints of a table (or a study's folder): text, or JSON, after writing the figures into
    `out` where that is given. options are those of `compare`."""
    import json

    from analysis.classical.comparison_text import text
    from scaling.table import read, sha256

    source = path / "table.csv" if path.is_dir() else path
    made = _as_named(compare(read(source, renamed), **options), renamed)
    written: list[Path] = []
    if out is not None:
        from analysis.classical.classic_figures import write

        written = write(made, out)
    if as_json:
        told = {"table": str(source), "table_sha256": sha256(source), "renamed": renamed, **made.as_dict()}
        return json.dumps(told | {"figures": list(map(str, written))}, indent=2, allow_nan=False)
    lines = [f"wrote {', '.join(path.name for path in written)}\ninto {out}"] if written else []
    return "\n\n".join([text(made), *lines])


def _as_named(made: Comparison, renamed: dict[str, str]) -> Comparison:
    """The comparison whose conventions call renamed columns as the table does."""
    known = made.rows.conventions
    theirs = {ours: f"column {name} of the table" for ours, name in renamed.items() if ours in known}
    return replace(made, rows=replace(made.rows, conventions=known | theirs))


def _noise(budgets: list[Budget], fit: Fit) -> float:
    """Standard deviation of a run's loss between neighbouring sizes, or about the law where no budget has four."""
    found = noise_between(budgets)
    return found if math.isfinite(found) else fit.noise * math.sqrt(math.prod(fit.data_span[fit.target]))


def _with_bias(
    found: Allocation, approach: Approach, frame: pd.DataFrame, fit: Fit, cost: Cost, C: float
) -> Allocation:
    """The allocation with its bias on noise-free losses of the fitted law at the rows that it used."""
    try:
        known = bias(frame.iloc[np.sort(found.places)], fit.curve, cost, C, lambda part: approach(part, 0))
    except InputError as error:
        return replace(found, warnings=(*found.warnings, f"its bias is not known: {error}"))
    return replace(found, bias=known)


def _clusters(frame: pd.DataFrame, run: str, clusters: str) -> str:
    """What bootstraps resample: "auto" is trunks where they repeat, else runs where they do, else rows; rows of one
    run's curve are not independent."""
    if clusters != "auto" or grouping(frame, "auto")[1] != "pairs":
        return clusters
    column = "run_id" if run == "auto" else run
    repeats = column in frame.columns and frame[column].dropna().duplicated().any()
    return column if repeats else clusters


def _check(at: float | None, noise: float | None, replicates: int, level: float, seed: int) -> None:
    if at is not None and not (math.isfinite(at) and at > 0):
        raise InputError(f"at is {at}; it is a compute in FLOPs and must be above 0, e.g. 1e24")
    if noise is not None and not (math.isfinite(noise) and noise >= 0):
        raise InputError(
            f"noise is {noise}; it is a standard deviation in nats per token, 0 or more, e.g. 0.002"
        )
    if replicates < 2:
        raise InputError(f"replicates is {replicates}; use at least 2, and 1000 for steady intervals")
    if not 0 < level < 1:
        raise InputError(f"level is {level}; it is a probability between 0 and 1, e.g. 0.9")
    if seed < 0:
        raise InputError(f"seed is {seed}; use a whole number from 0")


def _plain(value: Any) -> Any:
    """Numbers, lists and dictionaries of Python, as JSON has them; what is not finite is None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
