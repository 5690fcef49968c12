"""Whether the best learning rate stays put as models grow: sweeps in series along the size, and the trend of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.rates.parabola import Optimum, optimum
from analysis.rows import asked_for
from scaling.tuning import INTERIOR, RECIPE, SIZE, Sweep, sweeps

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

AXES = ("width", "depth", "N")
"""What may stand for the size of a model: the first of these in which the sweeps differ."""
DERIVED = {"N", "N_total", "corpus_sha256", "sweep_id"}
"""Columns that follow from others, and name no series."""
BY_VALUE = {
    *("corpus", "tokenizer", "architecture", "objective", "parametrization", "optimizer", "decay_shape")
}
"""Columns whose values say by themselves what they are."""
STEADY = 2.0
"""The best rate stays put when, over the sizes tried, its interval keeps it within this factor."""
STAYS, MOVES, UNCLEAR = "stays put", "moves", "unclear"


@dataclass(frozen=True)
class Trend:
    """The best rate as a power of the size, lr_opt = at_one size^power, over sizes from `span[0]` to `span[1]`."""

    power: float
    lo: float
    hi: float
    level: float
    at_one: float
    span: tuple[float, float]

    @property
    def verdict(self) -> str:
        """`stays put` where the interval keeps the rate within a factor of 2 over the sizes; else `moves` where the
        interval is without 0, else `unclear`."""
        reach = math.log(self.span[1] / self.span[0])
        if max(abs(self.lo), abs(self.hi)) * reach <= math.log(STEADY):
            return STAYS
        return MOVES if self.lo > 0 or self.hi < 0 else UNCLEAR

    def rate(self, size: Any) -> Any:
        """lr_opt at a size."""
        return self.at_one * size**self.power


@dataclass(frozen=True, eq=False)
class Series:
    """The sweeps of one recipe and budget, smallest size first, with the parabola's minimum of each and the trend."""

    name: str
    """What the series is of, where there are several; else empty."""
    axis: str
    """The column that stands for the size."""
    sweeps: tuple[Sweep, ...]
    optima: tuple[Optimum | None, ...]
    trend: Trend | None

    @property
    def sizes(self) -> Array:
        """Sizes of the sweeps [S]."""
        return np.array([one.setting[self.axis] for one in self.sweeps], dtype=np.float64)

    @property
    def most_rates(self) -> int:
        """Rates of the sweep that has most of them."""
        return max(len(one.rates) for one in self.sweeps)


def series(table: pd.DataFrame, where: str | None = None, level: float = 0.9) -> list[Series]:
    """The sweeps of a table's rows (those where `where` is true) in series along the size; none without column lr.

    Sweeps of one series differ in size alone, except where a column has one value a size (a budget D = 20 N). Sweeps
    whose size the table does not tell are left out. Raises TableError for a rate that is no number above 0.
    """
    tried = sweeps(asked_for(table, where))
    axis = _axis(tried)
    found = [one for one in tried if axis in one.setting]
    names = _naming(found, axis)
    groups: dict[str, list[Sweep]] = {}
    for one in found:
        groups.setdefault(", ".join(name(one) for name in names), []).append(one)
    return [_series(name, axis, group, level) for name, group in groups.items()]


def swept(found: Sequence[Series], rates: int = 2) -> list[Series]:
    """The series in which a size was trained at so many rates or more."""
    return [one for one in found if one.most_rates >= rates]


def _axis(found: Sequence[Sweep]) -> str:
    def values(axis: str) -> set[Any]:
        return {one.setting.get(axis) for one in found}

    complete = [axis for axis in AXES if None not in values(axis)]
    return next((axis for axis in complete if len(values(axis)) > 1), complete[-1] if complete else "N")


def _naming(found: Sequence[Sweep], axis: str) -> list[Callable[[Sweep], str]]:
    """What tells series apart: a function to words for each column that has several values at one size, without those
    that follow from the others; and the architecture, whose sizes are not each other's."""
    columns = [column for column in (*RECIPE, *SIZE, "D") if column != axis and column not in DERIVED]
    kinds = {one.setting.get("architecture") for one in found}
    apart = {"architecture"} if len(kinds) > 1 else set()
    named = [column for column in columns if column in apart or _several_at_a_size(found, axis, column)]
    for column in reversed(named[:]):
        rest = [name for name in named if name != column]
        if rest and len(_kinds(found, rest)) == len(_kinds(found, named)):
            named = rest
    return [_wording(found, axis, column) for column in named]


def _kinds(found: Sequence[Sweep], columns: Sequence[str]) -> set[tuple[Any, ...]]:
    return {tuple(one.setting.get(column) for column in columns) for one in found}


def _several_at_a_size(found: Sequence[Sweep], axis: str, column: str) -> bool:
    values: dict[Any, set[Any]] = {}
    for one in found:
        values.setdefault(one.setting.get(axis), set()).add(one.setting.get(column))
    return any(len(some) > 1 for some in values.values())


def _wording(found: Sequence[Sweep], axis: str, column: str) -> Callable[[Sweep], str]:
    if column == "D":
        ratios = {_ratio(one) for one in found}
        if None not in ratios and len(ratios) < len({one.setting.get("D") for one in found}):
            return lambda one: f"D = {_ratio(one)} N"
        return lambda one: f"D = {notation.count(one.setting.get('D', math.nan))}"
    if column in BY_VALUE:
        return lambda one: str(one.setting.get(column, f"no {column}"))
    return lambda one: f"{column.replace('_', ' ')} {_value(one.setting.get(column))}"


def _ratio(one: Sweep) -> str | None:
    """Tokens a parameter, in two figures."""
    if not {"N", "D"} <= one.setting.keys():
        return None
    return notation.plain(one.setting["D"] / one.setting["N"], 2)


def _value(value: Any) -> str:
    return "not told" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _series(name: str, axis: str, group: Sequence[Sweep], level: float) -> Series:
    ordered = tuple(sorted(group, key=lambda one: (one.setting[axis], one.setting.get("D", 0.0))))
    optima = tuple(optimum(one, level) for one in ordered)
    return Series(name, axis, ordered, optima, _trend(axis, ordered, optima, level))


def _trend(axis: str, group: Sequence[Sweep], optima: Sequence[Optimum | None], level: float) -> Trend | None:
    """Weighted least squares of ln lr_opt on ln size over the sizes whose best rate is interior; None for under two.

    A point weighs by the parabola's standard error, or by the spacing of the rates tried where there is none. The
    interval is the wider of what these errors and what the points' scatter about the line make of it.
    """
    from scipy.special import ndtri, stdtrit

    points = [
        (float(sweep.setting[axis]), *_point(sweep, best))
        for sweep, best in zip(group, optima, strict=True)
        if sweep.range == INTERIOR
    ]
    sizes, rates, errors = np.array(points, dtype=np.float64).reshape(-1, 3).T
    if len(np.unique(sizes)) < 2:
        return None
    x, y, weight = np.log(sizes), np.log(rates), errors**-2.0
    centre, middle = np.average(x, weights=weight), np.average(y, weights=weight)
    spread = float((weight * (x - centre) ** 2).sum())
    power = float((weight * (x - centre) * (y - middle)).sum()) / spread
    half = float(ndtri((1 + level) / 2)) / math.sqrt(spread)
    freedom = len(points) - 2
    if freedom:
        misfit = float((weight * (y - middle - power * (x - centre)) ** 2).sum()) / freedom
        half = max(half, float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(misfit / spread))
    at_one = math.exp(middle - power * centre)
    return Trend(power, power - half, power + half, level, at_one, (float(sizes.min()), float(sizes.max())))


def _point(sweep: Sweep, best: Optimum | None) -> tuple[float, float]:
    """The best rate and the standard error of its logarithm: of the parabola, or of a rate anywhere between the middles
    of the gaps to its neighbours."""
    place, rates = sweep.place, sweep.rates
    spacing = math.log(rates[place + 1] / rates[place - 1]) / 2 / math.sqrt(12)
    if best is None:
        return sweep.best, spacing
    return best.rate, best.error if best.error > 0 else spacing
