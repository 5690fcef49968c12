"""What leads a report: the answer in plain words with its verdict, and the few numbers to take away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.pages import answer
from analysis.pages.document import Answer, Note, Paragraph, Part, Tiles
from analysis.rates import rate_report, rate_words, transfer
from analysis.rates.transfer import Series
from analysis.rows import OUTDONE

if TYPE_CHECKING:
    from analysis.pages.findings import Findings
    from analysis.source import Source

MOST_TRENDS = 3
"""Series whose trend is told beside the verdict; the others are in their section."""


def found_answer(source: Source, found: Findings, rates: Sequence[Series]) -> list[Part]:
    """The verdict first, then what was run, how well it was foretold, and what to beware of."""
    verdict = found.verdict
    outdone = sum(row.reason == OUTDONE for row in found.fit.excluded)
    about_rates = "D" in found.fitted and found.fitted["D"].nunique() < 2  # no study of how loss falls
    box: list[Part] = [
        *(_trends(rates, "lead") if about_rates else []),
        Paragraph(answer.lead(verdict), "lead"),
        Paragraph(f"{verdict['reason']} {answer.AFTERWORDS[verdict['verdict']]}"),
        *_flags(found.fit.tuning["warnings"]),
        Paragraph(f"{answer.runs(source, found.fitted, outdone)} {answer.outlook(found)}"),
        Paragraph(answer.trust(found.fit.holdout)),
        *([] if about_rates else _trends(rates)),
        *(Note(words) for words in answer.cautions(found)),
    ]
    return [Answer(verdict["verdict"], box), Tiles(answer.tiles(found))]


def no_answer(source: Source, reason: str, rates: Sequence[Series]) -> list[Part]:
    """Why there is no answer yet."""
    planned = f" The study asks for {source.planned} runs." if source.planned else ""
    box: list[Part] = [
        Paragraph("There is no answer yet: the law could not be fitted.", "lead"),
        Paragraph(f"{reason[0].upper()}{reason[1:]}.{planned} What was measured is below."),
        *_flags(rate_words.warnings(rates)),
        *_trends(rates),
    ]
    return [Answer("no_fit", box)]


def _flags(warnings: Sequence[str]) -> list[Part]:
    return [Note(words, urgent=True) for words in warnings]


def _trends(rates: Sequence[Series], kind: str = "") -> list[Part]:
    """Whether the best rate stays put, a sentence a series, where that was asked."""
    asked = [one for one in transfer.swept(rates, rate_report.FEWEST_RATES) if len(one.sweeps) > 1]
    return [Paragraph(rate_words.trend_words(one), kind) for one in asked[:MOST_TRENDS]]
