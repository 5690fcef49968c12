"""The tables of the page of trends."""

from __future__ import annotations

import numpy as np

from analysis import notation
from analysis.pages.document import Table
from analysis.pages.page import Cell, Column, number, span
from analysis.trends import claim_words, dates, words
from analysis.trends.calendar import Calendar
from analysis.trends.models import QUANTITIES
from analysis.trends.study import Quantity, Study
from analysis.trends.trend import Trend

Row = list[Cell | object]
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First letters by which a spreadsheet takes the text of a cell for a formula."""


def versions(one: Quantity, level: float) -> Table:
    """A row a version and window of a quantity's trend."""
    interval = f"{notation.percent(level)} interval"
    columns = [
        Column("Version", "label"), Column("Window", "label"), Column("Models"), Column("Organisations"),
        Column("Doubling, months"), Column(interval), Column("Growth a year"), Column(interval),
        Column("Spread about the line"),
    ]  # fmt: skip
    rows = [_version(trend) for trend in (*one.versions, *one.windows)]
    return Table(f"{QUANTITIES[one.name].capitalize()} by version", columns, rows)


def _version(trend: Trend) -> Row:
    value, lo, hi = trend.doubling
    factor, low, high = trend.growth
    end = f"{hi:.1f}" if np.isfinite(hi) else "no end"
    return [
        f"{trend.version}, {trend.method}",
        trend.window.words(),
        number(len(trend.series), str(len(trend.series))),
        number(trend.series.units, str(trend.series.units)),
        number(value, f"{value:.1f}"),
        Cell(f"{lo:.1f} to {end}", lo) if np.isfinite(lo) else "no growth",
        number(factor, f"{notation.estimate(factor, low, high)}×"),
        span(low, high),
        number(10**trend.spread, f"{notation.plain(10**trend.spread, 2)}×"),
    ]


def segments(found: Study) -> Table:
    """A row a stretch between breaks that the test found."""
    columns = [
        Column("Quantity", "label"),
        Column("Segment", "label"),
        Column("Models"),
        Column("Rate", "label"),
        Column("Growth a year"),
        Column("Interval"),
    ]
    rows: list[Row] = [
        [
            QUANTITIES[one.name].capitalize(),
            f"{dates.month(part.begin)} to {dates.month(part.end)}",
            number(part.models, str(part.models)),
            Cell(words.rate(part.doubling, part.growth), part.slope),
            number(part.growth[0], f"{notation.estimate(*part.growth)}×"),
            span(*part.growth[1:]),
        ]
        for one in found.quantities
        if one.breaks.found
        for part in one.breaks.found.segments
    ]
    return Table("Segments", columns, rows)


def claims(found: Study) -> Table:
    """A row a claim and version."""
    columns = [
        Column("Claim", "words"), Column("Version", "label"), Column("Verdict", "label"), Column("Probability"),
        Column("Rate", "label"),
    ]  # fmt: skip
    rows: list[Row] = []
    for one in found.judged:
        rows += [
            [
                one.claim.text, words.label(a.trend), a.verdict,
                number(a.probability, claim_words.chance(a.probability)), words.rate(a.trend.doubling, a.trend.growth),
            ]
            for a in one.answers
        ]  # fmt: skip
        rows += [
            [
                one.claim.text, f"segment {dates.month(s.segment.begin)} to {dates.month(s.segment.end)}", s.verdict,
                number(s.probability, claim_words.chance(s.probability)),
                words.rate(s.segment.doubling, s.segment.growth),
            ]
            for s in one.stretches
        ]  # fmt: skip
    return Table("Claims by version", columns, rows)


def by_year(found: Calendar) -> Table:
    """A row a date: compute, loss, how far that is beyond the runs, and what ten times more is worth most of."""
    interval = f"{notation.percent(found.level)} interval"
    columns = [
        Column("Date", "label"), Column("Compute, FLOPs"), Column(interval), Column("Loss, nats per token"),
        Column(interval), Column("Times the largest run"),
        *(Column(f"P({name} worth most)") for name in found.binding),
    ]  # fmt: skip
    rows: list[Row] = [
        [
            Cell(dates.date(year).isoformat() + (" (after the last model)" if found.beyond[i] else ""), year),
            number(found.compute[0, i], notation.power(found.compute[0, i], 2)),
            f"{notation.power(found.compute[1, i], 2)} to {notation.power(found.compute[2, i], 2)}",
            number(found.loss[0, i], f"{found.loss[0, i]:.3f}"),
            f"{found.loss[1, i]:.3f} to {found.loss[2, i]:.3f}",
            number(found.reach[i], f"{notation.power(found.reach[i], 2)}×"),
            *(number(weight[i], f"{weight[i]:.2f}") for weight in found.binding.values()),
        ]
        for i, year in enumerate(found.years.tolist())
    ]
    return Table("Loss by year", columns, rows)


def models(found: Study) -> Table:
    """A row a model of any trend, by date."""
    columns = [Column("Model", "label"), Column("Organisation", "label"), Column("Date", "label")]
    columns += [Column(QUANTITIES[one.name].capitalize()) for one in found.quantities]
    body: list[Row] = []
    for (year, model, made_by), values in sorted(_by_model(found).items()):
        cells = [
            number(values.get(one.name), _shown(one.name, values.get(one.name))) for one in found.quantities
        ]
        body.append(
            [Cell(model, model), Cell(made_by, made_by), Cell(dates.date(year).isoformat(), year), *cells]
        )
    return Table("Models", columns, body, tall=True)


def as_csv(found: Study) -> str:
    """The models of any trend, unrounded; unknown is empty, and no text is a formula to a spreadsheet."""
    import pandas as pd

    rows = [
        {"model": _inert(model), "organization": _inert(made_by), "date": dates.date(year).isoformat()}
        | values
        for (year, model, made_by), values in sorted(_by_model(found).items())
    ]
    return pd.DataFrame(rows).to_csv(index=False)


def _inert(text: str) -> str:
    """Text that a spreadsheet would run as a formula, after an apostrophe, which makes it text there."""
    return f"'{text}" if text[:1] in FORMULA else text


def _by_model(found: Study) -> dict[tuple[float, str, str], dict[str, float]]:
    """(date, model, its makers) -> its quantities, of every model of a headline trend."""
    rows: dict[tuple[float, str, str], dict[str, float]] = {}
    for one in found.quantities:
        series = one.headline.series
        for place, (year, log) in enumerate(zip(series.years.tolist(), series.logs.tolist(), strict=True)):
            key = year, series.models[place], series.made_by(place)
            rows.setdefault(key, {})[one.name] = float(10.0**log)
    return rows


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return notation.MISSING
    return notation.power(value, 3) if name == "compute" else notation.count(value)
