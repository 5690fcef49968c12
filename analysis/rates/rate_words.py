"""What is said of learning rates: the tuning gate's warnings, the trend in a sentence, the entry of fit.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis import notation
from analysis.rates.transfer import UNCLEAR, Series
from scaling.tuning import HIGH, INTERIOR, LOW, Sweep

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("architecture", "objective", "parametrization", "optimizer")
"""Columns in which runs of one law should agree."""
MOST_PLACES = 4


def warnings(found: Sequence[Series]) -> list[str]:
    """The tuning gate: a sentence for the sizes whose best rate is the smallest tried, one for those of the largest."""
    said = []
    for edge, which, other in ((HIGH, "largest", "larger"), (LOW, "smallest", "smaller")):
        places = [(one, sweep) for one in found for sweep in one.sweeps if sweep.range == edge]
        if len(places) == 1:
            said.append(
                f"At {_named(*places[0])} the best learning rate is the {which} tried ({places[0][1].best:g}): a "
                f"{other} one may do better, so this loss, and a law fitted to it, may be too high."
            )
        elif places:
            more = f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else ""
            named = [f"{_named(*place)}: {place[1].best:g}" for place in places[:MOST_PLACES]]
            said.append(
                f"At {len(places)} of {_count(found)} the best learning rate is the {which} tried ({'; '.join(named)}"
                f"{more}): {other} ones may do better, so these losses, and a law fitted to them, may be too high."
            )
    return said


def mixture(fitted: pd.DataFrame) -> list[str]:
    """Says where rows of several kinds, at the same N and D or of different architectures, are fitted as one law."""
    said = []
    for column in KINDS:
        if column not in fitted.columns or not {"N", "D"} <= set(fitted.columns):
            continue
        meet = fitted.groupby(["N", "D"])[column].nunique().max() > 1
        if meet or (column == "architecture" and fitted[column].nunique() > 1):
            kinds = sorted(map(str, fitted[column].dropna().unique()))
            said.append(
                f"Runs of {column} {' and '.join(kinds)} are fitted as one law, which they may not follow: keep one, "
                f"e.g. --where '{column} == \"{kinds[0]}\"'."
            )
    return said


def trend_words(one: Series) -> str:
    """Whether the best rate of a series stays put, in a sentence."""
    begin = f"With {one.name}, the" if one.name else "The"
    trend, axis = one.trend, one.axis
    if trend is None:
        inside = sum(sweep.range == INTERIOR for sweep in one.sweeps)
        return (
            f"{begin} best learning rate lies inside the range tried at {inside} of {len(one.sweeps)} sizes, too few "
            "to tell whether it moves."
        )
    inside = sum(sweep.range == INTERIOR for sweep in one.sweeps)
    rest = (
        ""
        if inside == len(one.sweeps)
        else f" over the {inside} of {len(one.sweeps)} sizes whose best is inside"
    )
    power = (
        f"{axis} to the power {_signed(trend.power)} ({notation.percent(trend.level)} interval {_signed(trend.lo)} to "
        f"{_signed(trend.hi)}){rest}"
    )
    first, last = (f"{trend.rate(size):.2g} at {_at(axis, size)}" for size in trend.span)
    if trend.verdict == UNCLEAR:
        return f"{begin} best learning rate may move or not: these runs give {power}, from {first} to {last}."
    return f"{begin} best learning rate {trend.verdict}: it goes as {power}, from {first} to {last}."


def as_dict(found: Sequence[Series], fitted: pd.DataFrame) -> dict[str, Any]:
    """The `tuning` entry of fit.json: warnings, and what every sweep and series says."""
    return {
        "warnings": [*warnings(found), *mixture(fitted)],
        "sweeps": [
            {
                "series": one.name,
                "size": {one.axis: float(sweep.setting[one.axis])},
                "rates": sweep.rates.tolist(),
                "losses": sweep.losses.tolist(),
                "best": sweep.best,
                "range": sweep.range,
                "optimum": None if best is None else {"lr": best.rate, "lo": best.lo, "hi": best.hi},
            }
            for one in found
            for sweep, best in zip(one.sweeps, one.optima, strict=True)
        ],
        "trends": [
            {"series": one.name, "size": one.axis, "verdict": one.trend.verdict}
            | {name: getattr(one.trend, name) for name in ("power", "lo", "hi", "level")}
            for one in found
            if one.trend is not None
        ],
    }


def _named(one: Series, sweep: Sweep) -> str:
    place = _at(one.axis, float(sweep.setting[one.axis]))
    return f"{place} ({one.name})" if one.name else place


def _count(found: Sequence[Series]) -> str:
    total = sum(len(one.sweeps) for one in found)
    return f"{total} sizes" if len(found) == 1 else f"{total} sizes and recipes"


def _at(axis: str, size: float) -> str:
    """A size in words: 'width 64', 'N = 1.2M'."""
    return f"N = {notation.count(size)}" if axis == "N" else f"{axis} {size:g}"


def _signed(number: float) -> str:
    return notation.fixed(number, 2).replace("-", "−")
