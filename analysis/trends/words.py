"""What the trends say, in sentences and tables of text."""

from __future__ import annotations

import math

from analysis import notation
from analysis.columns import aligned
from analysis.trends import dates
from analysis.trends.breaks import Break
from analysis.trends.calendar import Calendar, wall_words, words
from analysis.trends.claims import RULE, UNDECIDED, Judged
from analysis.trends.models import ORGANIZATION, QUANTITIES, UNITS
from analysis.trends.study import Quantity, Study
from analysis.trends.trend import FEW_ORGANIZATIONS, RECORDS, Trend

IDLE = 0.75
"""Years without a record that are told."""
SLOW = 48.0
"""Months from which on a doubling time is told in years."""

CAVEAT = (
    "The interval of a record's trend resamples organisations and finds the records anew in each replicate. Records "
    "are extremes: a replicate lacks some of their makers, so its records are other, smaller models, and the interval "
    "is rough. The headline is always the trend of all models by least squares, whatever the numbers."
)


def months(value: float, lo: float, hi: float) -> str:
    """'6.1 months [5.0, 7.6]'; years where it is slow; 'no growth' where it does not double."""
    if not math.isfinite(value):
        return f"no growth [at the fastest {span(lo)}]" if math.isfinite(lo) else "no growth"
    if value >= SLOW:
        return f"{value / 12:.1f} years [{lo / 12:.1f}, {_end(hi / 12)}]"
    return f"{value:.1f} months [{lo:.1f}, {_end(hi) if hi < SLOW or math.isinf(hi) else span(hi)}]"


def _end(hi: float) -> str:
    return f"{hi:.1f}" if math.isfinite(hi) else "no end"


def span(value: float) -> str:
    """A length of time from months: '6.1 months', '4.2 years'."""
    if not math.isfinite(value):
        return "never"
    return f"{value:.1f} months" if value < SLOW else f"{notation.plain(value / 12, 2)} years"


def factor(value: float, lo: float, hi: float) -> str:
    """'8.7x a year [6.4, 11.9]'."""
    return f"{notation.plain(value)}x a year [{notation.plain(lo)}, {notation.plain(hi)}]"


def percent(level: float) -> str:
    """'90 %'."""
    return notation.percent(level)


def headline(one: Quantity) -> str:
    """The answer of a quantity in a sentence."""
    trend = one.headline
    name = QUANTITIES[one.name]
    began, ended = dates.month(trend.series.years.min()), dates.month(trend.last)
    grows = math.isfinite(trend.doubling[0])
    if one.name == "compute":
        verb = "doubles in " if grows else "does not double, "
    else:
        verb = "double in " if grows else "do not double, "
    return (
        f"{name[0].upper()}{name[1:]} {verb}{months(*trend.doubling)}, {factor(*trend.growth)}, from {began} to "
        f"{ended} ({len(trend.series)} models of {counted(trend.series.units)})."
    )


def counted(organizations: int) -> str:
    """'1 organisation', '12 organisations'."""
    return f"{organizations} organisation{'s' if organizations != 1 else ''}"


def record_line(one: Quantity) -> str:
    """What the records say, or why they say nothing; empty where both."""
    record = one.record
    if record is None:
        why = next((m.reason for m in one.missing if m.version != one.headline.version), "")
        return f"Its records alone give no trend: {why}." if why else ""
    which = "Record models" if record.version == RECORDS else f"Models of the {record.version}"
    kind = "doubling in " if math.isfinite(record.doubling[0]) else ""
    text = f"{which} alone ({len(record.series)}): {kind}{months(*record.doubling)}"
    idle = one.headline.last - record.last
    if idle > IDLE:
        text += f"; none was set in the {idle:.1f} years from {dates.month(record.last)} on, which their line ignores"
    return f"{text}."


def break_line(one: Quantity) -> str:
    """What the search for breaks found."""
    found = one.breaks.found
    if one.breaks.first is None:
        return f"No break was sought: {one.breaks.reason}."
    if found is None:
        best = one.breaks.first
        return (
            f"No break in the trend: the best place for one, {dates.month(best.dates[0])}, is no better than chance "
            f"finds (p = {best.p:.2g}, the search included)."
        )
    text = (
        f"One rate does not describe it: the trend breaks {_places(found)} (p = {found.p:.2g}, the search included): "
        f"{_slopes(found)}."
    )
    if found.at_edge:
        text += (
            f" That is where a segment holds the fewest models allowed, {found.side}: it may lie farther out."
        )
    return text


def _places(found: Break) -> str:
    told = [
        f"in {dates.month(at)} [{dates.month(lo)}, {dates.month(hi)}]"
        for at, (lo, hi) in zip(found.dates, found.intervals, strict=True)
    ]
    return " and ".join(told)


def _slopes(found: Break) -> str:
    one = len(found.dates) == 1
    when = ["before it", "after it"] if one else ["before the first", "between them", "after the second"]
    return ", ".join(
        f"{'doubling in ' if math.isfinite(part.slope) and part.slope > 0 else ''}{months(*part.doubling)} {place}"
        for part, place in zip(found.segments, when, strict=True)
    )


def claim_line(one: Judged) -> str:
    """The verdict on a claim in a sentence."""
    main = one.headline
    return (
        f'Claim "{one.claim.text}": {main.verdict.upper()}. The probability that it holds is '
        f"{chance(main.probability)} by all models, {main.trend.method} ({months(*main.trend.doubling)})."
    )


def claim_rest(one: Judged) -> str:
    """What other versions and windows say of a claim, and the segments between breaks."""
    text = "All versions agree."
    if one.dissenting:
        others = "; ".join(f"{label(a.trend)}: {a.verdict}, {chance(a.probability)}" for a in one.dissenting)
        text = f"Not all versions agree: {others}."
    if one.stretches:
        told = ", ".join(
            f"{dates.month(s.segment.begin)} to {dates.month(s.segment.end)} {s.verdict} ({chance(s.probability)})"
            for s in one.stretches
        )
        text += f" Between the breaks that the test found, chosen after the data were seen: {told}."
    return text


def chance(probability: float) -> str:
    """A probability: '0.46', 'below 0.001'."""
    if probability < 0.001:
        return "below 0.001"
    if probability > 0.999:
        return "above 0.999"
    if probability < 0.1:
        return f"{probability:.2g}"
    return f"{probability:.3f}" if probability > 0.99 else f"{probability:.2f}"


def notes(found: Study) -> list[str]:
    """What a reader has to know before believing the intervals."""
    told = []
    if found.table.left_out:
        parts = ", ".join(f"{count} with {why}" for why, count in found.table.left_out.items())
        told.append(f"Left out of {found.table.rows} rows: {parts}.")
    for one in found.quantities:
        trend = one.headline
        if trend.clusters != "organisations":
            told.append(
                f"{one.name}: all models are of one organisation, so models were resampled as if independent, and the "
                "interval is too narrow by as much as they are alike."
            )
        elif trend.units < FEW_ORGANIZATIONS:
            told.append(
                f"{one.name}: only {counted(trend.units)}, too few for their resampling to be trusted; the interval is "
                "rough."
            )
    told += [f"{one.quantity}: no trend ({one.reason})." for one in found.absent]
    if found.table.missing:
        told.append(f"The table has no column {' or '.join(found.table.missing)}; name it by --columns.")
    if ORGANIZATION in found.table.missing:
        told.append(
            "Without organisations each model counts as independent, and the intervals are likely too narrow."
        )
    return told


def versions_table(one: Quantity, level: float) -> str:
    """A row a version and window."""
    head = [one.name, "models", "organisations", f"doubling, months [{level:.0%}]", "growth a year", "spread"]
    rows = [_row(trend) for trend in (*one.versions, *one.windows)]
    return aligned(head, rows)


def _row(trend: Trend) -> list[str]:
    return [
        label(trend),
        str(len(trend.series)),
        str(trend.series.units),
        months(*trend.doubling).replace(" months", ""),
        factor(*trend.growth).replace(" a year", ""),
        f"{notation.plain(10**trend.spread, 2)}x",
    ]


def label(trend: Trend, window: bool = True) -> str:
    """'all models, OLS, since 2018-01-01'."""
    words = f"{trend.version}, {trend.method}"
    shown = window and trend.window.words() != "all dates"
    return f"{words}, {trend.window.words()}" if shown else words


def foretold(one: Quantity, horizon: float) -> str:
    """Trend and new model at the horizon, with how far that is from the last model."""
    import numpy as np

    trend, at = one.headline, np.array([horizon])
    value, lo, hi = (10.0 ** float(part[0]) for part in trend.at(at))
    below, above = (10.0 ** float(part[0]) for part in trend.new_model(at))
    form = notation.power if one.name == "compute" else notation.count
    return (
        f"On {dates.date(horizon)}, {horizon - trend.last:.1f} years after the last model (extrapolated): the trend "
        f"is at "
        f"{form(value, 2)} [{form(lo, 2)}, {form(hi, 2)}] {UNITS[one.name]}, a new model in "
        f"[{form(below, 2)}, {form(above, 2)}]."
    )


def calendar_table(found: Calendar) -> str:
    """A row a date."""
    head = ["date", "compute (FLOPs)", f"loss (nats per token) [{found.level:.0%}]", "times the largest run"]
    rows = [
        [
            dates.date(year).isoformat() + (" *" if found.beyond[i] else ""),
            f"{found.compute[0, i]:.1e} [{found.compute[1, i]:.1e}, {found.compute[2, i]:.1e}]",
            f"{found.loss[0, i]:.3f} [{found.loss[1, i]:.3f}, {found.loss[2, i]:.3f}]",
            f"{found.reach[i]:.1e}",
        ]
        for i, year in enumerate(found.years.tolist())
    ]
    return f"{aligned(head, rows)}\n  * after the last model of the trend"


def text(found: Study, horizon: float, calendar: Calendar | None = None, note: str = "") -> str:
    """The whole answer for a terminal: the note on the rows first, claims, then each quantity, tables, notes."""
    level = found.asked.sampling.level
    parts = [note] if note else []
    parts += [f"{claim_line(one)} {claim_rest(one)}" for one in found.judged]
    if found.judged:
        parts.append(f"({RULE}; {UNDECIDED} is no evidence either way)")
    for one in found.quantities:
        lines = [headline(one), record_line(one), break_line(one), foretold(one, horizon)]
        parts.append("\n".join(line for line in lines if line) + f"\n{versions_table(one, level)}")
    if calendar is not None:
        parts.append(
            "\n".join([f"Loss by year: {words(calendar)}.", *wall_words(calendar), calendar_table(calendar)])
        )
    parts.append(
        f"Intervals are {percent(level)}; organisations are resampled {found.asked.sampling.replicates} times."
    )
    return "\n\n".join([*parts, *notes(found), CAVEAT])
