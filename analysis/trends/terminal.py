"""The whole answer about trends as text for a terminal."""

from __future__ import annotations

from analysis import notation
from analysis.columns import aligned
from analysis.trends import calendar_words, dates
from analysis.trends.calendar import Calendar
from analysis.trends.cautions import CAVEAT, cautions
from analysis.trends.claim_words import claim_line, claim_rest
from analysis.trends.claims import RULE, UNDECIDED
from analysis.trends.study import Quantity, Study
from analysis.trends.trend import Trend
from analysis.trends.words import (
    break_line,
    factor,
    foretold,
    headline,
    label,
    percent,
    rate,
    record_line,
)


def text(found: Study, horizon: float, calendar: Calendar | None = None, note: str = "") -> str:
    """The note on the rows first, the loss by year where a fit was joined, claims, each quantity, tables, notes."""
    level = found.asked.sampling.level
    parts = [note] if note else []
    if calendar is not None:
        parts.append("\n".join(calendar_words.lead(calendar)))
    parts += [f"{claim_line(one)} {claim_rest(one)}" for one in found.judged]
    if found.judged:
        parts.append(f"({RULE}; {UNDECIDED} is no evidence either way)")
    for one in found.quantities:
        lines = [headline(one), record_line(one), break_line(one), foretold(one, horizon)]
        parts.append("\n".join(line for line in lines if line) + f"\n{versions_table(one, level)}")
    if calendar is not None:
        walls = [f"{line}." for line in calendar_words.wall_words(calendar)]
        given = [calendar_words.assumed(calendar.scenario)] if calendar.scenario else []
        said = f"Loss by year: {calendar_words.words(calendar)}."
        told = [said, *given, *walls, calendar_table(calendar)]
        parts.append("\n".join(told))
    parts.append(
        f"Intervals are {percent(level)}; organisations are resampled {found.asked.sampling.replicates} times."
    )
    return "\n\n".join([*parts, *cautions(found), CAVEAT])


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
        rate(trend.doubling, trend.growth).replace(" months", ""),
        factor(*trend.growth).replace(" a year", ""),
        f"{notation.plain(10**trend.spread, 2)}x",
    ]


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
