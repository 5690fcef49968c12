"""From a study or a table to report/index.html and report.md: the answer, the figures, the tables, the methods."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import limit
from analysis.choices import specification_report
from analysis.errors import InputError
from analysis.intervals import coverage_words
from analysis.options import Options
from analysis.pages import (
    conclusions,
    downloads,
    figures,
    inventory,
    lead,
    methods,
    parameters,
    to_html,
    to_markdown,
    verdict,
)
from analysis.pages.curves import read_curves
from analysis.pages.document import Document, Drawing, Paragraph, Part, Section
from analysis.pages.drawing import save_figure as save_figure
from analysis.pages.drawing import write_whole
from analysis.pages.findings import Findings, conclude, find, too_few
from analysis.rates import rate_report, rate_words, transfer
from analysis.rates.transfer import Series
from analysis.source import Source, of_stored_fit, open_source
from analysis.verbs import renames
from analysis.walls import outlook_report, wall_figures
from analysis.walls.asked import Asked

if TYPE_CHECKING:
    import pandas as pd

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What is asked for: a source, how it is fitted, the folder for the files, computes to tell the loss at."""

    source: Source
    options: Options
    home: Path
    at: tuple[float, ...]
    refit: bool
    say: Say
    asked: Asked = Asked()
    """What else is asked of what lies beyond the data."""


def write_report(
    path: Path, options: Options, *, out: Path | None = None, at: Sequence[float] = (), refit: bool = False,
    asked: Asked | None = None, say: Say = print,
) -> Path:  # fmt: skip
    """Write fit.json, limit.json and report/ for a study folder or a table, into `out` or where they belong.

    The report is index.html, and report.md with the same content; returns the path of the page. A table with fewer
    rows than the law has parameters gets a page without a fit that says so. Raises InputError for a table that was
    edited after its fit (unless `refit`), and for what cannot be read, fitted or written.
    """
    job = _job(path, options, out, at, refit, say, asked or Asked())
    target = job.home / "report" / "index.html"
    try:
        (target.parent / "figures").mkdir(parents=True, exist_ok=True)
        _write_pages(target.parent, _document(job))
    except OSError as error:
        reason = f"cannot write the report in {job.home} ({error.strerror})"
        raise InputError(f"{reason}; make room there or choose another folder with --out") from None
    return target


def write_limit(
    path: Path, options: Options, *, out: Path | None = None, at: Sequence[float] = (), refit: bool = False,
    asked: Asked | None = None, say: Say = print,
) -> tuple[Findings, Path]:  # fmt: skip
    """Write fit.json and limit.json; what was found, and where limit.json is. Raises InputError as `write_report`."""
    job = _job(path, options, out, at, refit, say, asked or Asked())
    reason = too_few(job.source, options)
    if reason:
        raise InputError(f"{reason}; add runs, or use a law with fewer parameters")
    try:
        job.home.mkdir(parents=True, exist_ok=True)
        return _found(job), job.home / "limit.json"
    except OSError as error:
        reason = f"cannot write in {job.home} ({error.strerror})"
        raise InputError(f"{reason}; choose another folder with --out") from None


def _job(
    path: Path, options: Options, out: Path | None, at: Sequence[float], refit: bool, say: Say, asked: Asked
) -> Job:
    if path.suffix == ".json":
        path, out, options = of_stored_fit(path, out, options)
    asked.check(options.law, options.x)
    source = open_source(path, renames(options.columns))
    return Job(source, options, out or source.home, tuple(at), refit, say, asked)


def _found(job: Job) -> Findings:
    stored = job.home / "fit.json"
    fit, boot, combined = find(job.source, job.options, stored, refit=job.refit, say=job.say)
    digest = hashlib.sha256(stored.read_bytes()).hexdigest()
    found = conclude(
        job.source, fit, boot, combined, at=job.at, asked=job.asked, fit_sha256=digest, say=job.say
    )
    limit.write(found.limit, job.home / "limit.json")
    return found


def _write_pages(folder: Path, made: Document) -> None:
    """The page and the Markdown of one document."""
    write_whole(folder / "index.html", to_html.document(made).encode())
    write_whole(folder / "report.md", to_markdown.document(made).encode())


def _document(job: Job) -> Document:
    source = job.source
    reason = too_few(source, job.options)
    found = None if reason else _found(job)
    rates = transfer.series(source.table, job.options.where, job.options.level)
    if transfer.swept(rates):
        write_whole(job.home / "report" / "rates.csv", rate_report.as_csv(rates).encode())
    above = f"Scaling study {source.name}" if source.folder else f"Scaling laws of {source.table_path.name}"
    asked = source.question or "How does loss fall with parameters, tokens and compute, and has it a floor?"
    return Document(
        title=f"{source.name}: {source.question}" if source.question else source.name,
        above=above,
        heading=asked,
        lead=lead.found_answer(source, found, rates) if found else lead.no_answer(source, reason, rates),
        sections=[
            Section("figures", "figures", "Figures", _figures(job, found, rates)),
            *_sections(job, found, rates),
        ],
    )


def _of_one_corpus(table: pd.DataFrame, found: Findings | None) -> pd.DataFrame:
    """The rows of the corpus that was fitted."""
    if found is None or "corpus" not in table:
        return table
    return table[table["corpus"].isin(found.fitted["corpus"].unique())]


def _figures(job: Job, found: Findings | None, rates: Sequence[Series]) -> list[Part]:
    source = job.source
    curves = read_curves(source.folder, _of_one_corpus(source.table, found)) if source.folder else []
    planned = figures.of_findings(found, curves) if found else figures.of_table(source.table, curves)
    planned += wall_figures.figures(found.limit, found.fitted) if found else []
    planned += rate_report.figures(rates)
    drawn: list[Part] = []
    for place, figure in enumerate(planned, start=1):
        job.say(f"drawing figure {place} of {len(planned)}: {figure.title}")
        wide, narrow = save_figure(figure, job.home / "report" / "figures")
        drawn.append(Drawing(figure.name, f"{place}. {figure.title}", figure.caption, wide, narrow))
    return drawn or [Paragraph("Nothing was measured that could be drawn.")]


def _sections(job: Job, found: Findings | None, rates: Sequence[Series]) -> list[Section]:
    source, report = job.source, job.home / "report"
    made = methods.section(source, found, _commands(job), downloads.files(source, job.home))
    tried = rate_report.section(rates, rate_words.warnings(rates)) if rates else []
    choices = specification_report.content(
        job.home / "specification.json", source.table_sha256, report / "figures"
    )
    return [
        *(_conclusions(found) if found else []),
        *([Section("choices", "the analyst's choices", "The analyst's choices", choices)] if choices else []),
        *([Section("rates", "learning rates", "Learning rates", tried)] if rates else []),
        Section("runs", "runs", "Runs", inventory.runs(source, found)),
        Section("cost", "cost", "Cost", [inventory.cost(source)]),
        Section("methods", "methods and data", "Methods and data", made),
    ]


def _conclusions(found: Findings) -> list[Section]:
    met = outlook_report.walls(found.limit)
    trust, caught = conclusions.trust(found.fit.holdout), coverage_words.section(found.fit.coverage)
    return [
        Section("trust", "how far to trust it", "How far to trust it: larger runs, predicted", trust),
        Section("floor", "the floor", "The floor: verdict and evidence", verdict.floor(found)),
        Section("coverage", "coverage", "How often intervals catch the truth", caught),
        Section("law", "the fit", "The fit and its intervals", parameters.law(found)),
        Section(
            "outlook",
            "beyond the data",
            "Beyond the data",
            [*conclusions.outlook(found), *outlook_report.claims(found.limit)],
        ),
        *([Section("walls", "walls", "Which wall comes first", met)] if met else []),
    ]


def _commands(job: Job) -> list[str]:
    asked = " ".join(["--at", *(f"{value:g}" for value in job.at)]) if job.at else ""
    name, words = (
        job.source.shown_path,
        " ".join(part for part in (job.options.words(), asked, job.asked.words()) if part),
    )
    report = f"python -m analysis report {name} {words}".rstrip()
    return [f"python -m scaling run {name}", report] if job.source.folder else [report]
