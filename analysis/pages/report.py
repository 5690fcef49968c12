"""From a study or a table to report/index.html: the answer, the figures, the tables, on one page that loads nothing."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import limit
from analysis.choices import specification_report
from analysis.errors import InputError
from analysis.intervals import coverage_words
from analysis.options import Options
from analysis.pages import answer, conclusions, figures, inventory, page
from analysis.pages.axes import STYLE
from analysis.pages.curves import read_curves
from analysis.pages.figures import Figure
from analysis.pages.findings import Findings, conclude, find, too_few
from analysis.pages.page import Html, element, joined
from analysis.rates import rate_report, rate_words, transfer
from analysis.rates.transfer import Series
from analysis.rows import OUTDONE
from analysis.source import Source, of_stored_fit, open_source
from analysis.verbs import renames

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

Say = Callable[[str], None]

WIDE, NARROW = "wide", "narrow"
SIZES = {(WIDE, 1): (8.4, 4.8), (WIDE, 2): (9.2, 4.6), (NARROW, 1): (4.2, 4.2), (NARROW, 2): (4.2, 7.8)}
"""Inches of a figure, by shape and number of panels: text of 9 to 10 points is read on screens and on phones."""
PNG_DPI = 160
MOST_TRENDS = 3
"""Series whose trend is told beside the verdict; the others are in their section."""


@dataclass(frozen=True)
class Job:
    """What is asked for: a source, how it is fitted, the folder for the files, computes to tell the loss at."""

    source: Source
    options: Options
    home: Path
    at: tuple[float, ...]
    refit: bool
    say: Say


@dataclass(frozen=True)
class Section:
    """A part of the page: where links lead, its name in the list of contents, its heading, what is in it."""

    identity: str
    short: str
    heading: str
    content: Html


def write_report(
    path: Path, options: Options, *, out: Path | None = None, at: Sequence[float] = (), refit: bool = False,
    say: Say = print,
) -> Path:  # fmt: skip
    """Write fit.json, limit.json and report/ for a study folder or a table, into `out` or where they belong.

    Returns the path of the page. A table with fewer rows than the law has parameters gets a page without a fit that
    says so. Raises InputError for a table that was edited after its fit (unless `refit`), and for what cannot be read,
    fitted or written.
    """
    job = _job(path, options, out, at, refit, say)
    target = job.home / "report" / "index.html"
    try:
        (target.parent / "figures").mkdir(parents=True, exist_ok=True)
        _write(target, _page(job).encode())
    except OSError as error:
        reason = f"cannot write the report in {job.home} ({error.strerror})"
        raise InputError(f"{reason}; make room there or choose another folder with --out") from None
    return target


def write_limit(
    path: Path, options: Options, *, out: Path | None = None, at: Sequence[float] = (), refit: bool = False,
    say: Say = print,
) -> tuple[Findings, Path]:  # fmt: skip
    """Write fit.json and limit.json; what was found, and where limit.json is. Raises InputError as `write_report`."""
    job = _job(path, options, out, at, refit, say)
    reason = too_few(job.source, options)
    if reason:
        raise InputError(f"{reason}; add runs, or use a law with fewer parameters")
    try:
        job.home.mkdir(parents=True, exist_ok=True)
        return _found(job), job.home / "limit.json"
    except OSError as error:
        reason = f"cannot write in {job.home} ({error.strerror})"
        raise InputError(f"{reason}; choose another folder with --out") from None


def save_figure(figure: Figure, folder: Path) -> tuple[str, str]:
    """Draw a figure, save it as PNG and SVG in the folder, and return its SVG in the wide and the narrow shape."""
    svgs = []
    for shape in (WIDE, NARROW):
        canvas = _draw(figure, shape)
        svg = _rendered(canvas, "svg", metadata={"Date": None})
        svgs.append(svg.decode())
        if shape == WIDE:
            _write(folder / f"{figure.name}.svg", svg)
            _write(folder / f"{figure.name}.png", _rendered(canvas, "png", dpi=PNG_DPI))
    return svgs[0], svgs[1]


def _job(path: Path, options: Options, out: Path | None, at: Sequence[float], refit: bool, say: Say) -> Job:
    if path.suffix == ".json":
        path, out, options = of_stored_fit(path, out, options)
    source = open_source(path, renames(options.columns))
    return Job(source, options, out or source.home, tuple(at), refit, say)


def _found(job: Job) -> Findings:
    stored = job.home / "fit.json"
    fit, boot, combined = find(job.source, job.options, stored, refit=job.refit, say=job.say)
    digest = hashlib.sha256(stored.read_bytes()).hexdigest()
    found = conclude(job.source, fit, boot, combined, at=job.at, fit_sha256=digest, say=job.say)
    limit.write(found.limit, job.home / "limit.json")
    return found


def _page(job: Job) -> str:
    source = job.source
    reason = too_few(source, job.options)
    found = None if reason else _found(job)
    rates = transfer.series(source.table, job.options.where, job.options.level)
    if transfer.swept(rates):
        _write(job.home / "report" / "rates.csv", rate_report.as_csv(rates).encode())
    drawn = Section("figures", "figures", "Figures", _figures(job, found, rates))
    parts = [drawn, *_sections(job, found, rates)]
    head = _answer(source, found, rates) if found else _no_answer(source, reason, rates)
    links = joined((element("a", part.short, href=f"#{part.identity}") for part in parts), " · ")
    contents = element("nav", links, aria_label="Contents")
    bodies = [
        element("section", element("h2", part.heading, id=part.identity), part.content) for part in parts
    ]
    title = f"{source.name}: {source.question}" if source.question else source.name
    return page.render(title, joined([_title(source), head, contents, *bodies]))


def _of_one_corpus(table: pd.DataFrame, found: Findings | None) -> pd.DataFrame:
    """The rows of the corpus that was fitted."""
    if found is None or "corpus" not in table:
        return table
    return table[table["corpus"].isin(found.fitted["corpus"].unique())]


def _figures(job: Job, found: Findings | None, rates: Sequence[Series]) -> Html:
    source = job.source
    curves = read_curves(source.folder, _of_one_corpus(source.table, found)) if source.folder else []
    planned = figures.of_findings(found, curves) if found else figures.of_table(source.table, curves)
    planned += rate_report.figures(rates)
    drawn = []
    for number, figure in enumerate(planned, start=1):
        job.say(f"drawing figure {number} of {len(planned)}: {figure.title}")
        wide, narrow = save_figure(figure, job.home / "report" / "figures")
        drawn.append(page.figure(figure.name, f"{number}. {figure.title}", figure.caption, wide, narrow))
    return joined(drawn or [element("p", "Nothing was measured that could be drawn.")])


def _sections(job: Job, found: Findings | None, rates: Sequence[Series]) -> list[Section]:
    source = job.source
    made = inventory.provenance(source, found, _commands(job))
    tried = rate_report.section(rates, rate_words.warnings(rates)) if rates else Html("")
    choices = specification_report.content(job.home / "specification.json", source.table_sha256)
    return [
        *(_conclusions(found) if found else []),
        *([Section("choices", "the analyst's choices", "The analyst's choices", choices)] if choices else []),
        *([Section("rates", "learning rates", "Learning rates", tried)] if rates else []),
        Section("runs", "runs", "Runs", inventory.runs(source, found)),
        Section("cost", "cost", "Cost", inventory.cost(source)),
        Section("conventions", "conventions", "Conventions", inventory.conventions(source, found)),
        Section("provenance", "provenance", "Provenance", made),
    ]


def _conclusions(found: Findings) -> list[Section]:
    trust = conclusions.trust(found.fit.holdout)
    return [
        Section("trust", "how far to trust it", "How far to trust it: larger runs, predicted", trust),
        Section("floor", "the floor", "The floor: verdict and evidence", conclusions.floor(found)),
        Section(
            "coverage",
            "coverage",
            "How often intervals catch the truth",
            coverage_words.section(found.fit.coverage),
        ),
        Section("law", "the fit", "The fit and its intervals", conclusions.law(found)),
        Section("outlook", "beyond the data", "Beyond the data", conclusions.outlook(found)),
    ]


def _title(source: Source) -> Html:
    kind = "Scaling study" if source.folder else "Scaling laws of the table"
    question = (
        source.question or "How does loss fall with parameters, tokens and compute, and has it a floor?"
    )
    return joined([element("p", f"{kind} {source.name}", class_="study"), element("h1", question)])


def _answer(source: Source, found: Findings, rates: Sequence[Series]) -> Html:
    verdict = found.verdict
    outdone = sum(row.reason == OUTDONE for row in found.fit.excluded)
    about_rates = "D" in found.fitted and found.fitted["D"].nunique() < 2  # no study of how loss falls
    box = [
        *(_rates(rates, "lead") if about_rates else []),
        element("p", answer.lead(verdict), class_="lead"),
        element("p", verdict["reason"], " ", answer.AFTERWORDS[verdict["verdict"]]),
        *_flags(found.fit.tuning["warnings"]),
        element("p", answer.runs(source, found.fitted, outdone), " ", answer.outlook(found)),
        element("p", answer.trust(found.fit.holdout)),
        *([] if about_rates else _rates(rates)),
        *(element("p", words, class_="note") for words in answer.cautions(found)),
    ]
    tiles = [element("div", element("dt", name), element("dd", value)) for name, value in answer.tiles(found)]
    return joined([
        element("div", *box, class_=f"answer {verdict['verdict']}"), element("dl", *tiles, class_="tiles")
    ])  # fmt: skip


def _flags(warnings: Sequence[str]) -> list[Html]:
    return [element("p", words, class_="note flag") for words in warnings]


def _rates(rates: Sequence[Series], kind: str | None = None) -> list[Html]:
    """Whether the best rate stays put, a sentence a series, where that was asked."""
    asked = [one for one in transfer.swept(rates, rate_report.FEWEST_RATES) if len(one.sweeps) > 1]
    return [element("p", rate_words.trend_words(one), class_=kind) for one in asked[:MOST_TRENDS]]


def _no_answer(source: Source, reason: str, rates: Sequence[Series]) -> Html:
    planned = f" The study asks for {source.planned} runs." if source.planned else ""
    return element(
        "div",
        element("p", "There is no answer yet: the law could not be fitted.", class_="lead"),
        element("p", f"{reason[0].upper()}{reason[1:]}.{planned} What was measured is below."),
        *_flags(rate_words.warnings(rates)),
        *_rates(rates),
        class_="answer no_fit",
    )


def _commands(job: Job) -> list[str]:
    asked = " ".join(["--at", *(f"{value:g}" for value in job.at)]) if job.at else ""
    name, words = job.source.shown_path, " ".join(part for part in (job.options.words(), asked) if part)
    report = f"python -m analysis report {name} {words}".rstrip()
    return [f"python -m scaling run {name}", report] if job.source.folder else [report]


def _draw(figure: Figure, shape: str) -> Canvas:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    count = len(figure.panels)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=SIZES[shape, count], layout="constrained")
        FigureCanvasAgg(canvas)
        grid = canvas.subplots(*((1, count) if shape == WIDE else (count, 1)), squeeze=False)
        for ax, draw in zip(grid.ravel(), figure.panels, strict=True):
            draw(ax)
        canvas.canvas.draw()
    return canvas


def _rendered(canvas: Canvas, kind: str, **options: Any) -> bytes:
    import matplotlib

    with matplotlib.rc_context(STYLE):
        buffer = io.BytesIO()
        canvas.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
