"""The page of trends: the answer, the figures, the tables, how it was made; index.html and report.md of one text."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import notation
from analysis.pages import to_html, to_markdown
from analysis.pages.document import (
    Answer,
    Document,
    Download,
    Downloads,
    Drawing,
    Facts,
    Heading,
    Listing,
    Note,
    Paragraph,
    Part,
    Section,
    Tiles,
)
from analysis.pages.drawing import save_figure, write_whole
from analysis.trends import calendar_words, cautions, claim_words, dates, trend_tables, words
from analysis.trends.calendar import Calendar
from analysis.trends.claims import RULE, SUPPORTED, UNDECIDED
from analysis.trends.models import QUANTITIES
from analysis.trends.trend_figures import figures

if TYPE_CHECKING:
    from analysis.trends.study import Quantity, Study

QUESTION = "How fast do language models grow?"
TONES = {SUPPORTED: "identified", UNDECIDED: "bounded_above_only"}
"""Colour of the answer's box by the verdict on the first claim."""


def write(
    found: Study,
    horizon: float,
    calendar: Calendar | None,
    record: bytes,
    folder: Path,
    source: str,
    command: str,
    note: str = "",
) -> Path:
    """Write index.html, report.md, models.csv and figures/ into the folder; returns the path of the page.

    `record` is trends.json, which lies above the folder; `note` is what stands before any number.
    """
    models = trend_tables.as_csv(found).encode()
    write_whole(folder / "models.csv", models)
    files = [
        _download("models.csv", "the models of the trends", "text/csv", models, "models.csv"),
        _download("trends.json", "every number of this page", "application/json", record, "../trends.json"),
    ]
    drawn: list[Part] = []
    for rank, figure in enumerate(figures(found, horizon, calendar), start=1):
        wide, narrow = save_figure(figure, folder / "figures")
        drawn.append(Drawing(figure.name, f"{rank}. {figure.title}", figure.caption, wide, narrow))
    methods = _methods(found, horizon, source, command, files)
    made = _document(found, calendar, drawn, methods, source, note)
    write_whole(folder / "report.md", to_markdown.document(made).encode())
    write_whole(folder / "index.html", to_html.document(made).encode())
    return folder / "index.html"


def _download(name: str, what: str, kind: str, content: bytes, beside: str) -> Download:
    return Download(name, what, kind, hashlib.sha256(content).hexdigest(), len(content), beside, content)


def _document(
    found: Study, calendar: Calendar | None, drawn: list[Part], methods: list[Part], source: str, note: str
) -> Document:
    told: list[Part] = [Note(line) for line in cautions.cautions(found)]
    sections = [
        Section("figures", "figures", "Figures", drawn),
        *([Section("cautions", "cautions", "Cautions", told)] if told else []),
        Section("versions", "versions", "Doubling times by version", _versions(found)),
        Section("breaks", "breaks", "Breaks in the trend", _breaks(found)),
        *([Section("claims", "claims", "Claims", _claims(found))] if found.judged else []),
        *([Section("calendar", "loss by year", "Loss by year", _calendar(calendar))] if calendar else []),
        Section("models", "models", "Models", [trend_tables.models(found)]),
        Section("methods", "methods", "How it was made", methods),
    ]
    return Document(QUESTION, f"Trends of {source}", QUESTION, _lead(found, calendar, note), sections)


def _lead(found: Study, calendar: Calendar | None, note: str) -> list[Part]:
    """The note on the rows, the loss by year where a fit was joined, verdicts on claims, a sentence a quantity."""
    lines = calendar_words.lead(calendar) if calendar else []
    lines += [*map(claim_words.claim_short, found.judged), *map(words.summary, found.quantities)]
    first, *others = lines
    box: list[Part] = [Note(note)] if note else []
    box += [Paragraph(first, "lead"), *map(Paragraph, others)]
    return [Answer(_tone(found, calendar), box), Tiles([_tile(one) for one in found.quantities])]


def _tone(found: Study, calendar: Calendar | None) -> str:
    """That of the fit's verdict, or of the first claim's; no better than amber where one rate does not describe it."""
    if calendar is not None:
        return calendar.law.verdict
    if not found.judged:
        broken = any(one.breaks.found for one in found.quantities)
        return "bounded_above_only" if broken else "identified"
    tone = TONES.get(found.judged[0].headline.verdict, "not_identified")
    return "bounded_above_only" if tone == "identified" and found.judged[0].stretches else tone


def _tile(one: Quantity) -> tuple[str, str]:
    """The rate of the last segment where the trend breaks, beside that of all years."""
    name, whole = QUANTITIES[one.name].capitalize(), words.rate(one.headline.doubling, one.headline.growth)
    if one.breaks.found is None:
        return f"{name}, doubling time", whole
    last = one.breaks.found.segments[-1]
    return f"{name} since {dates.month(last.begin)} (all years: {whole})", words.rate(
        last.doubling, last.growth
    )


def _versions(found: Study) -> list[Part]:
    parts: list[Part] = []
    for one in found.quantities:
        parts += [
            Heading(QUANTITIES[one.name].capitalize()),
            trend_tables.versions(one, found.asked.sampling.level),
        ]
        parts += [Paragraph(line) for line in (words.headline(one), words.record_line(one)) if line]
        parts += [Note(f"{m.version}, {m.method}: none; {m.reason}.") for m in one.missing]
    return [*parts, Note(cautions.CAVEAT)]


def _breaks(found: Study) -> list[Part]:
    note = (
        "The line may bend at a date that is searched for. The F of the best date is held against the largest F of the "
        "same search in series without a break, made from the residuals with a sign drawn for each organisation; a "
        "second break is sought where the first is significant at 5 %. A level that jumps and then grows at the old "
        "rate is not what this looks for. In simulations the 90 % interval of a date held it in 82 to 85 % of the "
        "tables (python -m benchmarks.trend_coverage), so read it as a little too narrow."
    )
    said = [
        Paragraph(f"{words.capital(QUANTITIES[one.name])}: {words.break_line(one)}")
        for one in found.quantities
    ]
    broken = any(one.breaks.found for one in found.quantities)
    return [*said, *([trend_tables.segments(found)] if broken else []), Note(note)]


def _claims(found: Study) -> list[Part]:
    rule = f"Rule: {RULE}. The headline is always all models by OLS, whatever the numbers."
    return [
        *(Paragraph(f"{claim_words.claim_line(one)} {claim_words.claim_rest(one)}") for one in found.judged),
        trend_tables.claims(found),
        Note(rule),
    ]


def _calendar(found: Calendar) -> list[Part]:
    given = [calendar_words.assumed(found.scenario)] if found.scenario else []
    said = [*given, f"Told is {calendar_words.words(found)}."]
    walls = [f"{line[0].upper()}{line[1:]}." for line in calendar_words.wall_words(found)]
    return [*map(Paragraph, said), *map(Paragraph, walls), trend_tables.by_year(found)]


def _methods(found: Study, horizon: float, source: str, command: str, files: list[Download]) -> list[Part]:
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
            f"{notation.percent(sampling.level)}; organisations (the one named first) resampled {sampling.replicates} "
            f"times, seed {sampling.seed}; percentiles expanded by Student's t, its degrees of freedom the effective "
            "number of clusters less one, since few large organisations make most of the models",
        ),
        ("Foretold to", dates.date(horizon).isoformat()),
    ]
    foretold = [Paragraph(words.foretold(one, horizon)) for one in found.quantities]
    return [
        Facts("How it was made", facts), *foretold, Paragraph("Made again by:"), Listing([command]), Downloads(files)
    ]  # fmt: skip
