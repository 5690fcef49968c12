"""Which figures the page of trends has: title, caption, what is drawn."""

from __future__ import annotations

import functools

from analysis.pages.axes import BLUE, GREEN, MUTED, ORANGE
from analysis.pages.figures import Figure
from analysis.trends import claim_words, dates, trend_plots, words
from analysis.trends.calendar import Calendar
from analysis.trends.calendar_words import words as calendar_words
from analysis.trends.models import QUANTITIES
from analysis.trends.study import Quantity, Study
from analysis.trends.trend import Trend
from analysis.trends.trend_plots import Bar


def figures(found: Study, horizon: float, calendar: Calendar | None = None) -> list[Figure]:
    """A figure a quantity, the doubling times together, and the loss by year where a fit was joined."""
    made = [_quantity(one, horizon, found.asked.sampling.level) for one in found.quantities]
    made.append(_doublings(found))
    if calendar is not None:
        made.append(_calendar(calendar))
    return made


def _quantity(one: Quantity, horizon: float, level: float) -> Figure:
    name = QUANTITIES[one.name]
    found = one.breaks.found
    caption = (
        f"{words.headline(one)} Each dot is a model, orange those that were records at their date. The line is least "
        f"squares of the logarithm on the date, the inner band its {level:.0%} interval, the outer band that of a new "
        f"model; on grey, after the last model, both are extrapolated."
    )
    if found is not None:
        caption += f" Green is the line with what the test found: {words.break_line(one)}"
    draw = functools.partial(trend_plots.plot_quantity, one=one, horizon=horizon)
    title = f"{name[0].upper()}{name[1:]} by date of publication"
    return Figure(f"{one.name}_by_date", title, caption, (draw,))


def _doublings(found: Study) -> Figure:
    bars = [bar for one in found.quantities for bar in _bars(one)]
    claimed = {
        QUANTITIES[one.claim.quantity].capitalize(): one.claim.months for one in reversed(found.judged)
    }
    caption = (
        f"Months in which each quantity doubles, by version of the trend, with {found.asked.sampling.level:.0%} "
        "intervals. Green are the segments between breaks that the test found, grey further windows. An arrow means "
        "that the interval ends beyond the axis or nowhere: hardly any growth is compatible with the models."
    )
    if claimed:
        caption += " " + " ".join(claim_words.claim_line(one) for one in found.judged)
    draw = functools.partial(trend_plots.plot_doublings, bars=bars, claimed=claimed)
    return Figure("doubling_times", "Doubling times by version of the trend", caption, (draw,))


def _bars(one: Quantity) -> list[Bar]:
    group = QUANTITIES[one.name].capitalize()
    made = [_bar(group, trend, _colour(one, trend)) for trend in (*one.versions, *one.windows)]
    found = one.breaks.found
    for part in found.segments if found else ():
        when = f"{dates.month(part.begin)} to {dates.month(part.end)}"
        made.append(Bar(group, when, *part.doubling, GREEN))
    return made


def _bar(group: str, trend: Trend, colour: str) -> Bar:
    shown = trend.window.words() if colour == MUTED else f"{trend.version}, {trend.method}"
    return Bar(group, shown, *trend.doubling, colour)


def _colour(one: Quantity, trend: Trend) -> str:
    if trend in one.windows:
        return MUTED
    return BLUE if trend.version == one.headline.version else ORANGE


def _calendar(found: Calendar) -> Figure:
    caption = (
        f"Expected is {calendar_words(found)}. The band is the {found.level:.0%} interval of trend and law together; "
        "the numbers on the line say how many times the largest run's compute that is."
    )
    draw = functools.partial(trend_plots.plot_calendar, found=found)
    return Figure("loss_by_year", "Expected loss by year", caption, (draw,))
