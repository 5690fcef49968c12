"""What a trend says, in sentences: its rate with the interval, its breaks, its records, where it leads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.trends import dates
from analysis.trends.breaks import Break
from analysis.trends.models import QUANTITIES, UNITS
from analysis.trends.study import Quantity
from analysis.trends.trend import ACTIVE, ALL, RECORDS, Trend

IDLE = 0.75
"""Years without a record that are told."""
SLOW = 48.0
"""Months from which on a doubling time is told in years, ..."""
LONG = 240.0
"""... as is one whose interval ends beyond so many."""


def months(value: float, lo: float, hi: float) -> str:
    """'6.1 months [5.0, 7.6]'; years where it is slow; 'no growth' where it does not double."""
    if not math.isfinite(value):
        return f"no growth [at the fastest {span(lo)}]" if math.isfinite(lo) else "no growth"
    if value >= SLOW or LONG <= hi < math.inf:
        return f"{value / 12:.1f} years [{lo / 12:.1f}, {_end(hi / 12)}]"
    return f"{value:.1f} months [{lo:.1f}, {_end(hi)}]"


def _end(hi: float) -> str:
    return f"{hi:.1f}" if math.isfinite(hi) else "no end"


def span(value: float) -> str:
    """A length of time from months: '6.1 months', '4.2 years'."""
    if not math.isfinite(value):
        return "never"
    return f"{value:.1f} months" if value < SLOW else f"{notation.plain(value / 12, 2)} years"


def factor(value: float, lo: float, hi: float) -> str:
    """'8.7x a year [6.4, 12]'."""
    return f"{notation.plain(value, 2)}x a year [{notation.plain(lo, 2)}, {notation.plain(hi, 2)}]"


def percent(level: float) -> str:
    """'90 %'."""
    return notation.percent(level)


Array = NDArray[np.float64]
Three = tuple[float, float, float]
"""A value and the ends of its interval."""


def rate(doubling: Three, growth: Three) -> str:
    """'6.1 months [5.0, 7.6]'; where it does not grow, 'falls 2.6x a year [2.3, 2.8]' or 'no sure growth, 0.9x ...'."""
    if growth[0] > 1:
        return months(*doubling)
    if growth[2] < 1:
        return f"falls {factor(*_falling(growth))}"
    return f"no sure growth, {factor(*growth)}"


def pace(name: str, doubling: Three, growth: Three) -> str:
    """The verb of a quantity with its rate: 'double in 6.1 months [5.0, 7.6]', 'falls by 2.6x a year [2.3, 2.8]'."""
    one = name == "compute"
    if growth[0] > 1:
        return f"{'doubles' if one else 'double'} in {months(*doubling)}"
    if growth[2] < 1:
        return f"{'falls' if one else 'fall'} by {factor(*_falling(growth))}"
    return f"{'neither grows nor falls' if one else 'neither grow nor fall'} for sure ({factor(*growth)})"


def _falling(growth: Three) -> Three:
    value, lo, hi = growth
    return 1 / value, 1 / hi, 1 / lo


def capital(text: str) -> str:
    """With a capital letter first."""
    return f"{text[:1].upper()}{text[1:]}"


def headline(one: Quantity) -> str:
    """The rate of a quantity by one line through all its models, in a sentence."""
    trend = one.headline
    grows = f", {factor(*trend.growth)}" if trend.growth[0] > 1 else ""
    return (
        f"{capital(QUANTITIES[one.name])} {pace(one.name, trend.doubling, trend.growth)}{grows}, from "
        f"{years(trend)} ({len(trend.series)} models of {counted(trend.series.units)})."
    )


def years(trend: Trend) -> str:
    """'2017-06 to 2025-11'."""
    return f"{dates.month(trend.series.years.min())} to {dates.month(trend.last)}"


def summary(one: Quantity) -> str:
    """A quantity in one sentence for the top of a page: its one rate, or its rates where one does not describe it."""
    trend, found = one.headline, one.breaks.found
    name = QUANTITIES[one.name]
    if found is None:
        return f"{capital(name)} {pace(one.name, trend.doubling, trend.growth)}, from {years(trend)}."
    subject = f"{capital(name)} {'has' if one.name == 'compute' else 'have'} no one rate from {years(trend)}"
    return f"{subject}: {'it' if one.name == 'compute' else 'they'} {_slopes(one.name, found)}."


def counted(organizations: int) -> str:
    """'1 organisation', '12 organisations'."""
    return f"{organizations} organisation{'s' if organizations != 1 else ''}"


def record_line(one: Quantity) -> str:
    """What the records say, or why they say nothing; empty where both."""
    record = one.record
    if record is None:
        why = next((m.reason for m in one.missing if m.version not in (ALL, ACTIVE)), "")
        return f"Its records alone give no trend: {why}." if why else ""
    which = "Record models" if record.version == RECORDS else f"Models of the {record.version}"
    text = f"{which} alone ({len(record.series)}) {pace('', record.doubling, record.growth)}"
    idle = one.headline.last - record.last
    if idle > IDLE:
        text += (
            f"; none in this table was set in the {idle:.1f} years from {dates.month(record.last)} on, which their "
            "line ignores"
        )
    return f"{text}.{_doubts(record)}"


def _doubts(record: Trend) -> str:
    """Why the records' rate is rough, a sentence each."""
    told = ""
    if record.one_sided or _at_an_end(record.growth):
        told += " That is rough and one-sided: the value lies near an end of what its replicates give."
    if record.rests_on_one and record.range_without_one:
        lo, hi = record.range_without_one
        told += (
            f" It rests on single models: without one of them it is anything from {span(lo)} to {span(hi)}."
        )
    return told


def _at_an_end(growth: Three) -> bool:
    """Whether a value lies within a tenth of its interval, in logarithms, of an end."""
    value, lo, hi = map(math.log, growth)
    return hi > lo and not 0.1 <= (value - lo) / (hi - lo) <= 0.9


def break_line(one: Quantity) -> str:
    """What the search for breaks found, and what it found that rests on too little."""
    found, doubtful, best = one.breaks.found, one.breaks.doubtful, one.breaks.first
    if best is None:
        return f"No break was sought: {one.breaks.reason}."
    if doubtful is not None:
        fragile = (
            f"A break {_places(doubtful)} (p = {doubtful.p:.2g}, the search included) is fragile and not counted: "
            f"{doubtful.fragile_reason}."
        )
        return f"{_found(one, found)} {fragile}" if found else fragile
    if found is None:
        return (
            f"No break in the trend: the best place for one, {dates.month(best.dates[0])}, is no better than chance "
            f"finds (p = {best.p:.2g}, the search included)."
        )
    return _found(one, found)


def _found(one: Quantity, found: Break) -> str:
    it = "It" if one.name == "compute" else "They"
    text = (
        f"One rate does not describe these years: the trend breaks {_places(found)} ({_chances(one, found)}). {it} "
        f"{_slopes(one.name, found)}."
    )
    if found.at_edge:
        text += (
            f" That is where a segment holds the fewest models allowed, {found.side}: it may lie farther out."
        )
    return text


def _chances(one: Quantity, found: Break) -> str:
    """The p of what was found; of two breaks that of each step, and of both against none."""
    first, both = one.breaks.first, one.breaks.two_against_none
    if len(found.dates) == 1 or first is None:
        return f"p = {found.p:.2g}, the search included"
    told = f"the first p = {first.p:.2g}, the second given the first p = {found.p:.2g}"
    return f"{told}, both against none p = {both:.2g}, the search included" if both is not None else told


def _places(found: Break) -> str:
    told = [
        f"in {dates.month(at)} [{dates.month(lo)}, {dates.month(hi)}]"
        for at, (lo, hi) in zip(found.dates, found.intervals, strict=True)
    ]
    return " and ".join(told)


def _slopes(name: str, found: Break) -> str:
    """'double in 4.6 months [3.8, 5.5] until 2021-10, then fall by 1.2x a year [0.9, 1.5]'."""
    told = [pace(name, part.doubling, part.growth) for part in found.segments]
    when = [f" until {dates.month(at)}" for at in found.dates]
    return ", then ".join(f"{said}{until}" for said, until in zip(told, [*when, ""], strict=True))


def label(trend: Trend, window: bool = True) -> str:
    """'all models, OLS, since 2018-01-01'."""
    shown_as = f"{trend.version}, {trend.method}"
    shown = window and trend.window.words() != "all dates"
    return f"{shown_as}, {trend.window.words()}" if shown else shown_as


def foretold(one: Quantity, horizon: float) -> str:
    """Line and new model at the horizon, with how far that is from the last model; the last segment's first, where one
    line does not describe the years."""
    trend, found, at = one.headline, one.breaks.found, np.array([horizon])
    when = f"On {dates.date(horizon)}, {horizon - trend.last:.1f} years after the last model (extrapolated)"
    straight = _at(one.name, (trend.at(at), trend.new_model(at)))
    if found is None:
        return f"{when}, the trend is at {straight}."
    last = _at(one.name, (found.tail.at(at), found.tail.new_model(at)))
    return (
        f"{when}, the line since {dates.month(found.dates[-1])} is at {last}. The line through all years, which does "
        f"not describe them, would be at {straight}."
    )


def _at(name: str, parts: tuple[Sequence[Array], Sequence[Array]]) -> str:
    """'540B [212B, 1.3T] parameters, a new model in [30B, 8T]' of logarithms at one date."""
    form = notation.power if name == "compute" else notation.count
    value, lo, hi, below, above = (form(10.0 ** float(part[0]), 2) for part in (*parts[0], *parts[1]))
    return f"{value} [{lo}, {hi}] {UNITS[name]}, a new model in [{below}, {above}]"
