"""What a report shows of learning rates: the figures of a sweep, and the table of every size with its best rate."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis import notation
from analysis.pages.document import Note, Paragraph, Part, Table
from analysis.pages.figures import Draw, Figure
from analysis.pages.page import Cell, Column, number
from analysis.pages.phrase import strong
from analysis.rates import rate_plots
from analysis.rates.rate_words import trend_words
from analysis.rates.transfer import Series, swept

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from analysis.rates.parabola import Optimum
    from scaling.tuning import Sweep

MOST_PANELS = 6
"""Series that are drawn, two a figure."""
FEWEST_RATES = 3
"""Rates of a size from which on there is a curve to draw."""
RANGES = {
    "interior": "inside the range",
    "low edge": "the smallest tried",
    "high edge": "the largest tried",
    "flat": "flat: all rates agree within their noise",
    "untuned": "one rate alone",
    "": "every rate diverged",
}


def figures(found: Sequence[Series]) -> list[Figure]:
    """Loss against rate, two series a figure, and the best rate against size; none without a curve of 3 rates."""
    drawn = swept(found, FEWEST_RATES)
    shown = drawn[:MOST_PANELS]
    made = []
    for begin in range(0, len(shown), 2):
        pair = shown[begin : begin + 2]
        name = "loss_by_rate" if begin == 0 else f"loss_by_rate_{begin // 2 + 1}"
        limits = rate_plots.loss_limits(pair)
        panels: tuple[Draw, ...] = tuple(
            functools.partial(_loss, series=one, lowest=limits[0], highest=limits[1]) for one in pair
        )
        left = (
            f" ({len(drawn) - len(shown)} more series are in the table below)"
            if len(drawn) > len(shown)
            else ""
        )
        made.append(
            Figure(name, f"Loss against learning rate{_of(pair)}", _caption(pair) + left + ".", panels)
        )
    several = [one for one in shown if len(one.sweeps) > 1]
    if several:
        caption = f"{' '.join(trend_words(one) for one in several)} {_bars(several)}"
        panels = (lambda ax: rate_plots.plot_best_rate(ax, several),)
        made.append(Figure("best_rate", f"Best learning rate against {several[0].axis}", caption, panels))
    return made


def section(found: Sequence[Series], warnings: Sequence[str]) -> list[Part]:
    """The table of sweeps and how rates enter the fit; a sentence where every size has one rate."""
    tried = swept(found)
    if not tried:
        return [
            Paragraph(
                "Every size was trained at one learning rate: nothing here shows that it is near the best, and a size "
                "whose rate is far from its best lies above the law of tuned runs."
            )
        ]
    note = (
        "The law is fitted to the runs of the best rate of each size and budget, the one of least mean loss; runs of "
        "other rates are left out of it. A best rate at an end of the range tried is no optimum: the range has to be "
        "widened."
    )
    columns = [
        Column("Series", "label"), Column(tried[0].axis.capitalize()), Column("Rates tried", "label"), Column("Runs"),
        Column("Diverged"), Column("Best rate"), Column("It is", "words"), Column("Loss there"),
        Column(f"Minimum of the parabola{_level(tried)}", "words"),
    ]  # fmt: skip
    rows = [
        _row(one, sweep, best) for one in found for sweep, best in zip(one.sweeps, one.optima, strict=True)
    ]
    if not any(one.name for one in found):
        columns, rows = columns[1:], [row[1:] for row in rows]
    said = [Note(words, urgent=True) for words in warnings]
    trends = [Paragraph(trend_words(one)) for one in swept(tried, FEWEST_RATES) if len(one.sweeps) > 1]
    return [*said, *trends, Paragraph(note), Table("Learning rates by size", columns, rows)]


def as_csv(found: Sequence[Series]) -> str:
    """The table of sweeps as CSV, unrounded; missing is empty."""
    import pandas as pd

    rows = [
        {
            "series": one.name,
            one.axis: float(sweep.setting[one.axis]),
            "D": sweep.setting.get("D"),
            "rates": len(sweep.rates),
            "lowest": sweep.rates[0],
            "highest": sweep.rates[-1],
            "runs": len(sweep.rate),
            "diverged": int(np.isinf(sweep.loss).sum()),
            "best": sweep.best,
            "range": sweep.range,
            "L": sweep.losses.min() if np.isfinite(sweep.best) else None,
            "optimum": best.rate if best else None,
            "lo": best.lo if best else None,
            "hi": best.hi if best else None,
            "level": best.level if best else None,
        }
        for one in found
        for sweep, best in zip(one.sweeps, one.optima, strict=True)
    ]
    return pd.DataFrame(rows).to_csv(index=False)


def _loss(ax: Axes, series: Series, lowest: float, highest: float) -> None:
    rate_plots.plot_loss_by_rate(ax, series, lowest, highest)


def _of(pair: Sequence[Series]) -> str:
    names = [one.name for one in pair if one.name]
    return f": {' and '.join(names)}" if names else ""


def _bars(several: Sequence[Series]) -> str:
    """What the marks of the figure of best rates are."""
    sweeps = [sweep for one in several for sweep in one.sweeps]
    optima = [best for one in several for best in one.optima if best is not None and best.bounded]
    inside = sum(sweep.range == "interior" for sweep in sweeps)
    parts = (
        [f"Bars are {notation.percent(optima[0].level)} intervals of the parabola's minimum"]
        if optima
        else []
    )
    if len(optima) < inside:
        parts.append("open marks have bars to the neighbouring rates tried")
    if any(sweep.at_edge for sweep in sweeps):
        parts.append("an arrow is a best rate at an end of the range tried, and not in the line")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _caption(pair: Sequence[Series]) -> str:
    drawn = [sweep for one in pair for sweep in one.sweeps]
    parts = [
        f"Each dot is a run, coloured by {'parameters' if pair[0].axis == 'N' else pair[0].axis}; a diamond is the "
        "minimum of the parabola (thick) through the runs near the best rate, its bar the interval"
    ]
    if any(sweep.at_edge for sweep in drawn):
        parts.append("a ring is a best rate at an end of the range tried, so that the optimum may lie beyond")
    if any(np.isinf(sweep.loss).any() for sweep in drawn):
        parts.append("a cross at the top is a run that diverged")
    highest = rate_plots.loss_limits(pair)[1]
    if any(((sweep.loss > highest) & np.isfinite(sweep.loss)).any() for sweep in drawn):
        parts.append("a triangle at the top is a loss beyond the axis")
    return "; ".join(parts)


def _row(one: Series, sweep: Sweep, best: Optimum | None) -> list[object]:
    size = float(sweep.setting[one.axis])
    ends = f"{sweep.rates[0]:g} to {sweep.rates[-1]:g} ({len(sweep.rates)})"
    where = RANGES[sweep.range]
    place = Cell(strong(where), where) if sweep.at_edge else where
    lost = int(np.isinf(sweep.loss).sum())
    least = float(sweep.losses.min())
    return [
        one.name,
        number(size, notation.count(size) if one.axis == "N" else f"{size:g}"),
        Cell(ends if len(sweep.rates) > 1 else f"{sweep.rates[0]:g}", sweep.rates[0]),
        number(len(sweep.rate), str(len(sweep.rate))),
        number(lost, str(lost)),
        number(sweep.best, f"{sweep.best:g}"),
        place,
        number(least, notation.fixed(least, 3)),
        Cell(_minimum(best), best.rate if best else None),
    ]


def _minimum(best: Optimum | None) -> str:
    if best is None:
        return notation.MISSING
    if not best.bounded:
        return rate(best.rate)
    return f"{rate(best.rate)} ({rate(best.lo)} to {rate(best.hi)})"


def _level(found: Sequence[Series]) -> str:
    """The level of the intervals, where there are any."""
    level = next((best.level for one in found for best in one.optima if best and best.bounded), None)
    return f" ({notation.percent(level)} interval)" if level else ""


def rate(value: float) -> str:
    """A rate in two figures."""
    return notation.plain(value, 2)
