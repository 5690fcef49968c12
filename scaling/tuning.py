"""Whether a learning rate was tuned: where the best rate of each size and budget lies in the range that was tried.

A sweep is all runs of a table that agree in everything but rate and seed: size, D and recipe (`SETTING`), as far as the
table has such columns. A trunk has one rate and several budgets, and longer budgets want lower rates, so that a sweep
is of one budget: the best rate of a size may differ between its budgets, and each is judged by itself.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scaling.table import TableError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

SIZE = ("N", "N_total", "depth", "width", "heads", "mlp_width", "order")
RECIPE = (
    *(
        "corpus",
        "corpus_sha256",
        "tokenizer",
        "vocab",
        "context",
        "architecture",
        "objective",
        "parametrization",
        "base_width",
    ),
    *(
        "base_depth",
        "optimizer",
        "batch_tokens",
        "weight_decay",
        "weight_decay_kind",
        "dropout",
        "init_scale",
    ),
    *("decay_shape", "decay_to", "sweep_id"),
)
SETTING = (*SIZE, "D", *RECIPE)
"""Columns in which the runs of a sweep agree; C as well where a table lacks N or D."""

FIGURES = 6
"""Significant figures in which numbers of a table are the same: D = C / 6N of two runs differs by rounding."""
NEAR = 4.0
"""The losses around the best rate are those of rates within this factor of it, and of its two neighbours."""
SIGNIFICANCE = 0.05
"""Level of the test by which a curve is not flat."""
INTERIOR, LOW, HIGH, FLAT, UNTUNED = "interior", "low edge", "high edge", "flat", "untuned"


@dataclass(frozen=True, eq=False)
class Sweep:
    """Runs that differ in rate and seed alone."""

    setting: Mapping[str, Any]
    """The columns in which they agree."""
    rate: Array
    """Peak rate of each run [n]."""
    loss: Array
    """L of each run [n], infinite where it diverged."""
    rows: NDArray[np.intp]
    """Place of each run in the table [n]."""
    borrowed: tuple[float, int] = (math.nan, 0)
    """Noise and degrees of freedom of the table's other sweeps, for a sweep in which nothing was repeated."""

    @cached_property
    def rates(self) -> Array:
        """The rates tried, ascending [R]."""
        return np.unique(self.rate)

    @cached_property
    def losses(self) -> Array:
        """Mean over the runs of each rate [R]; infinite where one of them diverged."""
        return np.array([self.loss[self.rate == rate].mean() for rate in self.rates])

    @property
    def place(self) -> int:
        """Which of `rates` is the best; of several equally good ones the one in the middle."""
        equal = np.flatnonzero(self.losses == self.losses.min())
        return int(equal[len(equal) // 2])

    @property
    def best(self) -> float:
        """The rate of least mean loss; NaN where every rate diverged."""
        return float(self.rates[self.place]) if np.isfinite(self.losses.min()) else math.nan

    @property
    def range(self) -> str:
        """Where the best rate lies in the range tried: `interior`, `low edge`, `high edge`; `untuned` with one rate
        alone; `flat` where the losses differ by no more than their noise; empty where every rate diverged."""
        if len(self.rates) == 1:
            return UNTUNED
        if math.isnan(self.best):
            return ""
        if self.flat:
            return FLAT
        return {0: LOW, len(self.rates) - 1: HIGH}.get(self.place, INTERIOR)

    @property
    def at_edge(self) -> bool:
        """Whether the range tried may have to be widened."""
        return self.range in (LOW, HIGH)

    @cached_property
    def repeated(self) -> tuple[float, int]:
        """Standard deviation of ln L between runs of one rate, pooled over the rates near the best, and its degrees of
        freedom; NaN and 0 where none was run twice."""
        groups = [np.log(self.loss[self.rate == rate]) for rate in self.rates[self.near()]]
        freedom = sum(len(group) - 1 for group in groups)
        squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
        return (math.sqrt(squares / freedom), freedom) if freedom else (math.nan, 0)

    @property
    def noise(self) -> tuple[float, int]:
        """`repeated`, or `borrowed` where nothing was."""
        return self.repeated if self.repeated[1] else self.borrowed

    @property
    def flat(self) -> bool:
        """Whether the mean losses of all rates agree within the noise: the F test of their variance. Never where one
        diverged or the noise is unknown.

        The noise is that between seeds. L_se, the noise of the held-out text, is not counted: the runs share that
        text, so that it all but cancels in their differences.
        """
        from scipy.special import fdtrc

        spread, freedom = self.noise
        if len(self.rates) < 2 or not freedom or not np.isfinite(self.losses).all():
            return False
        counts = np.array([(self.rate == rate).sum() for rate in self.rates])
        logs = np.log(self.losses)
        between = float((counts * (logs - np.average(logs, weights=counts)) ** 2).sum()) / (len(logs) - 1)
        if spread == 0:
            return between == 0
        return bool(fdtrc(len(logs) - 1, freedom, between / spread**2) > SIGNIFICANCE)

    def near(self) -> NDArray[np.intp]:
        """Which of `rates` count as near the best, without those at which a run diverged."""
        place, measured = self.place, np.isfinite(self.losses)
        factor = np.abs(np.log(self.rates / self.rates[place])) <= math.log(NEAR) * (1 + 1e-9)
        neighbour = np.abs(np.arange(len(self.rates)) - place) <= 1
        return np.flatnonzero((factor | neighbour) & measured)


def sweeps(table: pd.DataFrame) -> list[Sweep]:
    """The sweeps of a table with a column lr, smallest first; none where it has no such column.

    Runs that are not done, were not decayed or have no L and no status `diverged` are in no sweep. Raises TableError
    for a rate that is no number above 0.
    """
    frame = _tried(table)
    if frame.empty:
        return []
    columns = [column for column in frame.columns if column not in ("lr", "L", "row")]
    groups = frame.groupby(columns, dropna=False, sort=True) if columns else [((), frame)]
    found = [_sweep(key, columns, group) for key, group in groups]
    pooled = [one.repeated for one in found if one.repeated[1]]
    freedom = sum(count for _, count in pooled)
    spread = math.sqrt(sum(s**2 * count for s, count in pooled) / freedom) if freedom else math.nan
    return [replace(one, borrowed=(spread, freedom)) for one in found]


def rate_ranges(table: pd.DataFrame) -> list[str]:
    """For each row of a table the `range` of its sweep; empty where it is in none."""
    told = [""] * len(table)
    for one in sweeps(table):
        for row in one.rows:
            told[row] = one.range
    return told


def outdone(table: pd.DataFrame) -> NDArray[np.bool_]:
    """For each row of a table whether another rate of its sweep has a lower mean loss."""
    found = np.zeros(len(table), dtype=bool)
    for one in sweeps(table):
        if len(one.rates) > 1:
            found[one.rows[one.rate != one.rates[one.place]]] = True
    return found


def _sweep(key: Hashable, columns: list[str], group: pd.DataFrame) -> Sweep:
    import pandas as pd

    values = key if isinstance(key, tuple) else (key,)
    setting = {name: value for name, value in zip(columns, values, strict=True) if not pd.isna(value)}
    rate, loss = (group[name].to_numpy(dtype=np.float64) for name in ("lr", "L"))
    return Sweep(setting, rate, loss, group["row"].to_numpy(dtype=np.intp))


def _tried(table: pd.DataFrame) -> pd.DataFrame:
    """The runs that tell of a rate: its setting, lr, L (infinite where it diverged) and row; empty without lr."""
    import pandas as pd

    if not {"lr", "L"} <= set(table.columns):
        return pd.DataFrame()
    loss = pd.to_numeric(table["L"], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    status = table["status"].astype("string") if "status" in table else pd.Series("done", index=table.index)
    lost = (status == "diverged").fillna(False).to_numpy(dtype=bool) | np.isposinf(loss)
    usable = lost | ((loss > 0) & status.fillna("done").eq("done").to_numpy(dtype=bool))
    if "decayed" in table:
        usable &= ~table["decayed"].astype("string").str.lower().isin(["false", "0", "0.0"]).to_numpy(
            dtype=bool
        )
    usable &= table["lr"].notna().to_numpy(dtype=bool)
    names = [name for name in SETTING if name in table.columns]
    if "C" in table.columns and not {"N", "D"} <= set(names):
        names.append("C")
    frame = pd.DataFrame({name: _same(table[name].to_numpy()[usable]) for name in names})
    rows = np.flatnonzero(usable)
    return frame.assign(lr=_rates(table, rows), L=np.where(lost, np.inf, loss)[usable], row=rows)


def _same(values: Any) -> list[Any]:
    """Values in so many figures that equal ones are equal; missing as None."""
    import pandas as pd

    found: list[Any] = []
    for value in values:
        if pd.isna(value):
            found.append(None)
        else:
            found.append(
                float(f"{value:.{FIGURES}g}") if isinstance(value, (int, float, np.number)) else str(value)
            )
    return found


def _rates(table: pd.DataFrame, rows: NDArray[np.intp]) -> list[float]:
    import pandas as pd

    given = table["lr"].iloc[rows]
    numbers = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~(np.isfinite(numbers) & (numbers > 0)))
    if len(bad):
        value = given.iloc[bad[0]]
        shown = repr(value) if isinstance(value, str) else f"{value:g}"
        raise TableError(
            f"lr is {shown} in row {int(given.index[bad[0]]) + 1}; a learning rate is a number above 0, and lr the "
            "peak rate of a run, not that of a step of its curve: rename such a column, leave these rows out with "
            "--where 'lr > 0', or correct the value or leave it empty"
        )
    return [float(f"{number:.{FIGURES}g}") for number in numbers]
