"""The page of trends: the answer, the figures, the tables, how it was made; one file that loads nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis import notation
from analysis.pages import page
from analysis.pages.page import Cell, Column, Html, element, joined, number
from analysis.pages.report import save_figure
from analysis.trends import dates, words
from analysis.trends.calendar import Calendar
from analysis.trends.claims import RULE
from analysis.trends.models import QUANTITIES
from analysis.trends.study import Quantity, Study
from analysis.trends.trend import Trend
from analysis.trends.trend_figures import figures

QUESTION = "How fast do language models grow?"


def write(
    found: Study, horizon: float, calendar: Calendar | None, folder: Path, source: str, command: str
) -> Path:
    """Write index.html and figures/ into the folder; returns the page's path."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    drawn = []
    for rank, figure in enumerate(figures(found, horizon, calendar), start=1):
        wide, narrow = save_figure(figure, folder / "figures")
        drawn.append(page.figure(figure.name, f"{rank}. {figure.title}", figure.caption, wide, narrow))
    target = folder / "index.html"
    content = page.render(QUESTION, _body(found, horizon, calendar, joined(drawn), source, command)).encode()
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(target)
    return target


def _body(
    found: Study, horizon: float, calendar: Calendar | None, drawn: Html, source: str, command: str
) -> Html:
    sections = [
        ("figures", "Figures", drawn),
        (
            "versions",
            "Doubling times by version",
            joined([_versions(one, found) for one in found.quantities]),
        ),
        ("breaks", "Breaks in the trend", _breaks(found)),
        *([("claims", "Claims", _claims(found))] if found.judged else []),
        *([("calendar", "Loss by year", _calendar(calendar))] if calendar else []),
        ("models", "Models", _models(found)),
        ("methods", "How it was made", _methods(found, horizon, source, command)),
    ]
    links = joined((element("a", head.lower(), href=f"#{name}") for name, head, _ in sections), " · ")
    bodies = [element("section", element("h2", head, id=name), content) for name, head, content in sections]
    head = [element("p", f"Trends of {source}", class_="study"), element("h1", QUESTION)]
    return joined([*head, _answer(found), element("nav", links, aria_label="Contents"), *bodies])


def _answer(found: Study) -> Html:
    """Verdicts on claims, then a sentence a quantity, then what the other versions say."""
    leads = [words.claim_line(one) for one in found.judged] or [words.headline(found.quantities[0])]
    box = [element("p", leads[0], class_="lead"), *(element("p", line) for line in leads[1:])]
    for one in found.quantities if found.judged else found.quantities[1:]:
        box.append(element("p", words.headline(one)))
    for one in found.quantities:
        said = " ".join(line for line in (words.record_line(one), words.break_line(one)) if line)
        box.append(element("p", f"{QUANTITIES[one.name].capitalize()}: {said}"))
    box += [element("p", line, class_="note") for line in words.notes(found)]
    tiles = [
        element("div", element("dt", f"{QUANTITIES[one.name].capitalize()} double in"),
                element("dd", words.months(*one.headline.doubling)))
        for one in found.quantities
    ]  # fmt: skip
    kind = (
        "identified"
        if all(np.isfinite(one.headline.doubling[2]) for one in found.quantities)
        else "not_identified"
    )
    return joined([element("div", *box, class_=f"answer {kind}"), element("dl", *tiles, class_="tiles")])


def _versions(one: Quantity, found: Study) -> Html:
    level = f"{found.asked.sampling.level:.0%} interval"
    columns = [
        Column("Version", "label"), Column("Window", "label"), Column("Models"), Column("Organisations"),
        Column("Doubling, months"), Column(level), Column("Growth a year"), Column(level),
        Column("Spread about the line"),
    ]  # fmt: skip
    rows = [_row(trend) for trend in (*one.versions, *one.windows)]
    name = QUANTITIES[one.name].capitalize()
    missing = [
        element("p", f"{m.version}, {m.method}: none; {m.reason}.", class_="note") for m in one.missing
    ]
    return joined([
        element("h3", name), page.table(f"{name} by version", columns, rows, sortable=True), *missing
    ])  # fmt: skip


def _row(trend: Trend) -> list[Cell | str]:
    value, lo, hi = trend.doubling
    factor, low, high = trend.growth
    end = f"{hi:.1f}" if np.isfinite(hi) else "no end"
    return [
        f"{trend.version}, {trend.method}",
        trend.window.words(),
        number(len(trend.series), str(len(trend.series))),
        number(trend.series.units, str(trend.series.units)),
        number(value, f"{value:.1f}"),
        f"{lo:.1f} to {end}" if np.isfinite(lo) else "no growth",
        number(factor, f"{notation.plain(factor)}×"),
        f"{notation.plain(low)} to {notation.plain(high)}",
        number(10**trend.spread, f"{notation.plain(10**trend.spread, 2)}×"),
    ]


def _breaks(found: Study) -> Html:
    note = (
        "The line may bend at a date that is searched for. The F of the best date is held against the largest F of the "
        "same search in series without a break, made from the residuals with a sign drawn for each organisation; a "
        "second break is sought where the first is significant at 5 %. A level that jumps and then grows at the old "
        "rate is not what this looks for."
    )
    said = [
        element("p", f"{QUANTITIES[one.name].capitalize()}: {words.break_line(one)}")
        for one in found.quantities
    ]
    columns = [
        Column("Quantity", "label"),
        Column("Segment", "label"),
        Column("Models"),
        Column("Doubling", "label"),
    ]
    rows: list[list[Cell | str]] = [
        [
            QUANTITIES[one.name].capitalize(),
            f"{dates.month(part.begin)} to {dates.month(part.end)}",
            number(part.models, str(part.models)),
            words.months(*part.doubling),
        ]
        for one in found.quantities
        if one.breaks.found
        for part in one.breaks.found.segments
    ]
    return joined([
        *said, *([page.table("Segments", columns, rows)] if rows else []), element("p", note, class_="note")
    ])  # fmt: skip


def _claims(found: Study) -> Html:
    columns = [
        Column("Claim", "words"), Column("Version", "label"), Column("Verdict", "label"), Column("Probability"),
        Column("Doubling", "label"),
    ]  # fmt: skip
    rows: list[list[Cell | str]] = [
        [
            one.claim.text, f"{a.trend.version}, {a.trend.method}", a.verdict,
            number(a.probability, words.chance(a)), words.months(*a.trend.doubling),
        ]
        for one in found.judged
        for a in one.answers
    ]  # fmt: skip
    rule = f"Rule: {RULE}. The headline is all models by OLS."
    return joined([page.table("Claims by version", columns, rows), element("p", rule, class_="note")])


def _calendar(found: Calendar) -> Html:
    from analysis.trends.calendar import words as calendar_words

    columns = [
        Column("Date", "label"), Column("Compute, FLOPs"), Column(f"{found.level:.0%} interval"),
        Column("Loss, nats per token"), Column(f"{found.level:.0%} interval"), Column("Times the largest run"),
    ]  # fmt: skip
    rows: list[list[Cell | str]] = [
        [
            dates.date(year).isoformat() + (" (after the last model)" if found.beyond[i] else ""),
            number(found.compute[0, i], notation.power(found.compute[0, i], 2)),
            f"{notation.power(found.compute[1, i], 2)} to {notation.power(found.compute[2, i], 2)}",
            number(found.loss[0, i], f"{found.loss[0, i]:.3f}"),
            f"{found.loss[1, i]:.3f} to {found.loss[2, i]:.3f}",
            number(found.reach[i], f"{notation.power(found.reach[i], 2)}×"),
        ]
        for i, year in enumerate(found.years.tolist())
    ]
    said = f"Told is {calendar_words(found)}."
    return joined([element("p", said), page.table("Loss by year", columns, rows)])


def _models(found: Study) -> Html:
    """A row a model of any trend, by date."""
    columns = [Column("Model", "label"), Column("Organisation", "label"), Column("Date", "label")]
    columns += [Column(QUANTITIES[one.name].capitalize()) for one in found.quantities]
    rows: dict[tuple[float, str, str], dict[str, float]] = {}
    for one in found.quantities:
        series = one.headline.series
        for year, model, made_by, log in zip(
            series.years.tolist(), series.models, series.organizations, series.logs.tolist(), strict=True
        ):
            rows.setdefault((year, model, made_by), {})[one.name] = 10.0**log
    body: list[list[Cell | str]] = []
    for (year, model, made_by), values in sorted(rows.items()):
        cells = [
            number(values.get(one.name), _shown(one.name, values.get(one.name))) for one in found.quantities
        ]
        body.append(
            [Cell(model, model), Cell(made_by, made_by), Cell(dates.date(year).isoformat(), year), *cells]
        )
    return page.table("Models", columns, body, sortable=True, classes=("runs",))


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return notation.MISSING
    return notation.power(value, 3) if name == "compute" else notation.count(value)


def _methods(found: Study, horizon: float, source: str, command: str) -> Html:
    sampling = found.asked.sampling
    facts = [
        ("Table", f"{source}, {found.table.rows} rows"),
        ("Window", found.asked.window.words()),
        (
            "Line",
            "base-10 logarithm on the date, by least squares (OLS) and by Huber's M-estimate (k = 1.345)",
        ),
        (
            "Intervals",
            f"{sampling.level:.0%}; organisations (the one named first) resampled {sampling.replicates} times, seed "
            f"{sampling.seed}; percentiles expanded by Student's t with the effective number of clusters less one "
            "degrees of freedom, since few large organisations make most models",
        ),
        ("Records", words.CAVEAT),
        ("Foretold to", dates.date(horizon).isoformat()),
        ("Command", element("code", command)),
    ]
    foretold = [element("p", words.foretold(one, horizon)) for one in found.quantities]
    return joined([page.facts("How it was made", facts), *foretold])
