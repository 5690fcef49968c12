"""Which figures the page of trends has: title, caption, what is drawn."""

from __future__ import annotations

import functools

from analysis.pages.axes import BLUE, GREEN, MUTED, ORANGE
from analysis.pages.figures import Figure
from analysis.trends import dates, trend_plots, words
from analysis.trends.calendar import Calendar
from analysis.trends.calendar import words as calendar_words
from analysis.trends.claims import Claim
from analysis.trends.growth_plot import Bar, plot_growth
from analysis.trends.models import QUANTITIES
from analysis.trends.study import Quantity, Study
from analysis.trends.trend import Trend


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
        caption += (
            " Green is the line with the breaks that the test found; on grey its last segment goes on, dashed, with "
            f"its {level:.0%} interval: where the straight line does not describe these years, this one may."
        )
    draw = functools.partial(trend_plots.plot_quantity, one=one, horizon=horizon)
    title = f"{name[0].upper()}{name[1:]} by date of publication"
    return Figure(f"{one.name}_by_date", title, caption, (draw,))


def _doublings(found: Study) -> Figure:
    bars = [bar for one in found.quantities for bar in _bars(one)]
    claimed = {
        QUANTITIES[one.claim.quantity].capitalize(): _factors(one.claim) for one in reversed(found.judged)
    }
    caption = (
        f"Growth of each quantity in a year, by version of the trend, with {found.asked.sampling.level:.0%} intervals; "
        "the upper scale tells the doubling time that this is. Left of 1 it falls. Green are the segments between "
        "breaks that the test found, grey further windows. An arrow means that the interval ends beyond the axis."
    )
    if claimed:
        caption += " " + " ".join(words.claim_line(one) for one in found.judged)
    draw = functools.partial(plot_growth, bars=bars, claimed=claimed)
    return Figure("doubling_times", "Growth and doubling times by version of the trend", caption, (draw,))


def _factors(claim: Claim) -> tuple[float, float]:
    slow, fast = claim.slopes
    return 10.0**slow, 10.0**fast


def _bars(one: Quantity) -> list[Bar]:
    group = QUANTITIES[one.name].capitalize()
    made = [_bar(group, trend, _colour(one, trend)) for trend in (*one.versions, *one.windows)]
    found = one.breaks.found
    for part in found.segments if found else ():
        when = f"{dates.month(part.begin)} to {dates.month(part.end)}"
        made.append(Bar(group, when, *part.growth, GREEN))
    return made


def _bar(group: str, trend: Trend, colour: str) -> Bar:
    shown = trend.window.words() if colour == MUTED else f"{trend.version}, {trend.method}"
    return Bar(group, shown, *trend.growth, colour)


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
