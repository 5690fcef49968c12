"""Drawing of trends on axes that are given: a quantity by date, loss by year."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.pages import axes
from analysis.pages.axes import BAND, BLUE, GREEN, INK, MUTED, ORANGE
from analysis.pages.hover import tell
from analysis.trends import dates
from analysis.trends.breaks import broken_line
from analysis.trends.calendar import Calendar
from analysis.trends.leaders import leaders
from analysis.trends.models import UNITS
from analysis.trends.name_places import draw_names
from analysis.trends.segments import Segment
from analysis.trends.study import Quantity
from analysis.trends.words import months

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

LABELS = {
    "parameters": "Parameters (count)",
    "tokens": "Training tokens (count)",
    "compute": "Training compute (FLOPs)",
}
WIDE = 6.0
"""Inches of axes from which on there is room for many names."""
NAMES_WIDE, NAMES_NARROW = 26, 9
LARGEST = 4
"""Models that are named first after the records: those that were so many largest at their date."""
DASHES = (0, (5, 3))


def plot_quantity(ax: Axes, one: Quantity, horizon: float) -> None:
    """A quantity by date: models, records, the trend with its bands, a break, names; after the last model on grey."""
    trend, series = one.headline, one.headline.series
    years = np.linspace(series.years.min(), horizon, 120)
    value, lo, hi = (10.0**part for part in trend.at(years))
    below, above = (10.0**part for part in trend.new_model(years))
    _date_axis(ax, float(years[0]), horizon)
    form = axes.compute if one.name == "compute" else notation.count
    values = 10.0**series.logs
    low, high = axes.padded(np.concatenate([values, above, _carried(one, horizon)]), 0.05, 0.06)
    axes.log_axis(ax, "y", low, high, form, spacious=one.name == "compute")
    ax.set_ylabel(LABELS[one.name])
    _grey(ax, trend.last, horizon)
    ax.fill_between(years, np.maximum(below, low), above, color=BLUE, alpha=0.09, linewidth=0, zorder=1)
    ax.fill_between(years, lo, hi, color=BLUE, alpha=BAND + 0.08, linewidth=0, zorder=1)
    _line(ax, years, value, trend.last, BLUE)
    leading = _leading(one)
    others = ~leading
    edge: Any = {"edgecolor": "white", "linewidth": 0.5}
    ax.scatter(series.years[others], values[others], s=20, color=BLUE, alpha=0.75, zorder=4, **edge)
    ax.scatter(series.years[leading], values[leading], s=30, color=ORANGE, zorder=5, **edge)
    tell(ax, series.years, values, [_told(one, i) for i in range(len(series))])
    _extra_lines(ax, one, horizon)
    _legend(ax, one, leading)
    _names(ax, one, leading)


def _told(one: Quantity, place: int) -> str:
    """A model's name, maker, date and value, a line each."""
    series = one.headline.series
    value = 10.0 ** float(series.logs[place])
    shown = notation.power(value, 3) if one.name == "compute" else notation.count(value)
    lines = [
        series.models[place],
        series.organizations[place],
        dates.date(float(series.years[place])).isoformat(),
    ]
    return "\n".join([*lines, f"{shown} {UNITS[one.name]}"])


def _carried(one: Quantity, horizon: float) -> Array:
    """What the broken line needs of the axis: its first value, and the ends of its last segment's interval at the
    horizon; nothing where no break was found."""
    found, series = one.breaks.found, one.headline.series
    if found is None:
        return np.empty(0)
    ends = found.tail.at(np.array([horizon]))[1:]
    return 10.0 ** np.concatenate([broken_line(series, found, series.years[:1]), *ends])


def _extra_lines(ax: Axes, one: Quantity, horizon: float) -> None:
    """The records' trend, and the line with its break where there is one, its last segment carried on, dashed."""
    record, found = one.record, one.breaks.found
    if record is not None:
        at = np.array([record.series.years.min(), record.last])
        ax.plot(at, 10.0 ** record.at(at)[0], color=ORANGE, linewidth=1.3, zorder=3)
    if found is not None:
        series = one.headline.series
        at = np.array([series.years.min(), *found.dates, series.years.max()])
        ax.plot(at, 10.0 ** broken_line(series, found, at), color=GREEN, linewidth=1.5, zorder=3)
        on = np.linspace(one.headline.last, horizon, 30)
        value, lo, hi = (10.0**part for part in found.tail.at(on))
        ax.fill_between(on, lo, hi, color=GREEN, alpha=BAND, linewidth=0, zorder=1)
        ax.plot(on, value, color=GREEN, linewidth=1.6, linestyle=DASHES, zorder=3)


def _legend(ax: Axes, one: Quantity, leading: NDArray[np.bool_]) -> None:
    """What the colours are, with the doubling times, above the axes, where no model lies."""
    trend, record, found = one.headline, one.record, one.breaks.found
    lines = [(f"all models: doubling {_short(trend.doubling)}", BLUE)]
    if record is not None:
        until = dates.month(record.last) + (" (one-sided)" if record.one_sided else "")
        lines.append((f"{record.version} to {until}: {_short(record.doubling)}", ORANGE))
    elif leading.any():
        lines.append(("record models", ORANGE))
    if found is not None:
        parts = ", ".join(map(_bare, found.segments))
        lines.append((f"{'one break' if len(found.dates) == 1 else 'two breaks'}: {parts}", GREEN))
    columns = 2 if _inches(ax) > WIDE else 1
    bands = "inner of the trend, outer of a new model" if columns > 1 else "trend, new model"
    lines.append((f"bands ({trend.level:.0%}): {bands}", MUTED))
    deep = -(-len(lines) // columns)
    for rank, (words, colour) in enumerate(lines):
        ax.annotate(
            words, (rank // deep / columns, 1.0), xycoords="axes fraction", textcoords="offset points",
            xytext=(0, 5 + 13 * (deep - 1 - rank % deep)), ha="left", va="bottom", fontsize=9, color=colour,
        )  # fmt: skip


def _bare(part: Segment) -> str:
    """'4.3 mo', or its factor a year where it falls."""
    if np.isfinite(part.doubling[0]):
        return f"{part.doubling[0]:.1f} mo"
    return f"{notation.plain(part.growth[0], 2)}× a year"


def _inches(ax: Axes) -> float:
    """Width of the axes."""
    return float(ax.get_window_extent().width / ax.get_figure(root=True).dpi)  # type: ignore[union-attr]


def _short(doubling: tuple[float, float, float]) -> str:
    return months(*doubling).replace(" months", " mo")


def _leading(one: Quantity, top: int = 1) -> NDArray[np.bool_]:
    """[n] which of the headline's models are records, whether or not these have a trend."""
    past = one.series
    lead = leaders(past.logs, np.ones((1, len(past)), dtype=bool), top)[0]
    return np.asarray(lead[past.within(one.headline.window)])


def _names(ax: Axes, one: Quantity, leading: NDArray[np.bool_]) -> None:
    """Records first, then those among the largest of their date, then those farthest from the line."""
    series = one.headline.series
    away = np.abs(one.headline.residuals)
    order = np.lexsort((-away, ~_leading(one, LARGEST), ~leading)).tolist()
    colours = [ORANGE if lead else INK for lead in leading]
    most = NAMES_WIDE if _inches(ax) > WIDE else NAMES_NARROW
    draw_names(ax, series.years, 10.0**series.logs, series.models, order, colours, most)


def plot_calendar(ax: Axes, found: Calendar) -> None:
    """Loss by year with its interval; after the last model of the trend on grey; the largest run's loss as a line."""
    value, lo, hi = found.loss
    _date_axis(ax, float(found.years[0]), float(found.years[-1]))
    axes.log_axis(ax, "y", *axes.padded(found.loss[np.isfinite(found.loss)], 0.08, 0.12), axes.loss)
    beyond = found.years[found.reach > 1]
    if len(beyond):
        _grey(ax, float(beyond[0]), float(found.years[-1]), "beyond the largest run", "left")
    _grey(ax, found.trend.last, float(found.years[-1]), "after the last model")
    ax.fill_between(found.years, lo, hi, color=BLUE, alpha=BAND, linewidth=0)
    _line(ax, found.years, value, found.trend.last, BLUE)
    ax.plot(found.years, value, linestyle="none", marker="o", markersize=4, color=BLUE)
    tell(ax, found.years, value, [_told_of_year(found, i) for i in range(len(value))])
    whole = [
        i for i in range(len(value) - 1) if found.years[i] != found.trend.last
    ]  # which is close to a year's start
    every = max(1, len(whole) // (6 if _inches(ax) > WIDE else 3))
    for year, loss, reach in ((found.years[i], value[i], found.reach[i]) for i in whole[every // 2 :: every]):
        ax.annotate(
            notation.times(float(reach)), (float(year), float(loss)), xytext=(0, 8),
            textcoords="offset points", ha="center", fontsize=8.5, color=INK,
        )  # fmt: skip
    ax.set_xlabel("Date")
    ax.set_ylabel("Loss (nats per token)")


def _told_of_year(found: Calendar, place: int) -> str:
    value, lo, hi = (f"{float(part[place]):.3f}" for part in found.loss)
    compute = notation.power(float(found.compute[0, place]), 2)
    day = dates.date(float(found.years[place])).isoformat()
    return f"{day}\n{compute} FLOPs\nloss {value} [{lo}, {hi}] nats per token"


def _date_axis(ax: Axes, begin: float, end: float) -> None:
    pad = 0.02 * (end - begin)
    ax.set_xlim(begin - pad, end + (0 if end - begin else 0.1))
    width = _inches(ax)
    step = next(s for s in (1, 2, 5, 10, 20, 50) if (end - begin) / s <= max(width / 0.55, 2) or s == 50)
    first = int(np.ceil(begin / step) * step)
    ticks = list(range(first, int(np.floor(end)) + 1, step))
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xlabel("Date of publication")
    ax.grid(True, axis="x", color=axes.GRID, linewidth=0.7)


def _grey(ax: Axes, begin: float, end: float, words: str = "extrapolated", side: str = "right") -> None:
    """Shade dates at which nothing was measured, and say why; at their left end a line lower, for what begins there."""
    if end <= begin:
        return
    ax.axvspan(begin, end, color=MUTED, alpha=0.09, linewidth=0, zorder=0)
    left = side == "left"
    ax.annotate(
        words, (begin if left else end, 1.0), xycoords=ax.get_xaxis_transform(),
        xytext=(3, -16) if left else (-3, -4), textcoords="offset points", ha=side, va="top", fontsize=8.5, color=MUTED,
    )  # fmt: skip


def _line(ax: Axes, x: Array, y: Array, last: float, colour: Any) -> None:
    """Solid to the last model, dashed after it."""
    known = x <= last
    ax.plot(x[known], y[known], color=colour, linewidth=1.8, zorder=3)
    after = x >= (x[known].max() if known.any() else last)
    ax.plot(x[after], y[after], color=colour, linewidth=1.6, linestyle=DASHES, zorder=3)
