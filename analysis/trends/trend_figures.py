"""Which figures the page of trends has: title, caption, what is drawn."""

from __future__ import annotations

import functools

from analysis.pages.axes import BLUE, GREEN, MUTED, ORANGE, SKY
from analysis.pages.figures import Figure
from analysis.trends import dates, trend_plots, words
from analysis.trends.calendar import Calendar
from analysis.trends.calendar_words import words as calendar_words
from analysis.trends.claims import Claim
from analysis.trends.growth_plot import Bar, plot_growth
from analysis.trends.models import QUANTITIES
from analysis.trends.study import Quantity, Study
from analysis.trends.trend import ACTIVE, ALL, Trend


def figures(found: Study, horizon: float, calendar: Calendar | None = None) -> list[Figure]:
    """A figure a quantity, the doubling times together, and the loss by year where a fit was joined."""
    made = [_quantity(found, place, horizon) for place in range(len(found.quantities))]
    made.append(_doublings(found))
    if calendar is not None:
        made.append(_calendar(calendar))
    return made


def _quantity(found: Study, place: int, horizon: float) -> Figure:
    """A quantity by date; what marks and bands are is told in the first figure alone."""
    one = found.quantities[place]
    name = QUANTITIES[one.name]
    caption = f"{words.summary(one)} {_marks(found) if place == 0 else 'Marks, lines and bands are as in figure 1.'}"
    draw = functools.partial(trend_plots.plot_quantity, one=one, horizon=horizon)
    title = f"{name[0].upper()}{name[1:]} by date of publication"
    return Figure(f"{one.name}_by_date", title, caption, (draw,))


def _marks(found: Study) -> str:
    level = f"{found.asked.sampling.level:.0%}"
    text = (
        f"Each dot is a model, orange where it was a record. Blue is one line through all, with the {level} intervals "
        "of the line (inner band) and of a new model (outer)."
    )
    if any(one.breaks.found for one in found.quantities):
        text += " Green is the line with the breaks that the test found; its last segment goes on with an interval."
    return f"{text} On grey, after the last model, all is extrapolated."


def _doublings(found: Study) -> Figure:
    bars = [bar for one in found.quantities for bar in _bars(one)]
    claimed = {
        QUANTITIES[one.claim.quantity].capitalize(): _factors(one.claim) for one in reversed(found.judged)
    }
    colours = ["blue all models", "orange records"]
    colours += ["green segments between breaks"] if any(one.breaks.found for one in found.quantities) else []
    colours += ["grey further windows"] if any(one.windows for one in found.quantities) else []
    caption = (
        f"Growth a year by version of the trend, with {found.asked.sampling.level:.0%} intervals; the upper scale is "
        f"the doubling time. Left of 1 it falls. Colours: {', '.join(colours)}. "
        "An arrow: the interval ends beyond the axis."
    )
    if claimed:
        caption += " Shaded is what the claims say."
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
    return {ALL: BLUE, ACTIVE: SKY}.get(trend.version, ORANGE)


def _calendar(found: Calendar) -> Figure:
    caption = (
        f"Expected is {calendar_words(found)}. The band is the {found.level:.0%} interval of trend and law together; "
        "the numbers on the line say how many times the largest run's compute that is."
    )
    draw = functools.partial(trend_plots.plot_calendar, found=found)
    return Figure("loss_by_year", "Expected loss by year", caption, (draw,))
