"""From a study or a table to report/index.html: the answer, the figures, the tables, on one page that loads nothing."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import answer, figures, limit, notation, page, sections
from analysis.axes import STYLE
from analysis.curves import read_curves
from analysis.errors import InputError
from analysis.figures import Figure
from analysis.findings import Findings, conclude, find, too_few
from analysis.options import Options
from analysis.page import Html, element, joined
from analysis.source import Source, open_source
from analysis.verbs import renames

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

WIDE, NARROW = "wide", "narrow"
SIZES = {(WIDE, 1): (8.4, 4.8), (WIDE, 2): (9.2, 4.6), (NARROW, 1): (4.2, 4.2), (NARROW, 2): (4.2, 7.8)}
"""Inches of a figure, by shape and number of panels: text of 9 to 10 points is read at both widths."""
PNG_DPI = 160


def write_report(
    path: Path,
    options: Options,
    *,
    out: Path | None = None,
    at: Sequence[float] = (),
    refit: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Write fit.json, limit.json and report/ for a study folder or a table, into `out` or where they belong.

    Returns the path of the page. A table with fewer rows than the law has parameters gets a page without a fit that
    says so. Raises InputError for a table that was edited after its fit (unless `refit`), and for what cannot be read,
    fitted or written.
    """
    source = open_source(path, renames(options.columns))
    home = out or source.home
    try:
        (home / "report" / "figures").mkdir(parents=True, exist_ok=True)
        text = _text(source, options, home, at, refit, say)
        target = home / "report" / "index.html"
        _write(target, text.encode())
    except OSError as error:
        reason = f"cannot write the report in {home} ({error.strerror})"
        raise InputError(f"{reason}; make room there or choose another folder with --out") from None
    return target


def write_limit(
    path: Path, options: Options, *, out: Path | None = None, at: Sequence[float] = (), refit: bool = False,
    say: Callable[[str], None] = print,
) -> tuple[Findings, Path]:  # fmt: skip
    """Write fit.json and limit.json; what was found, and the path of limit.json. Raises InputError as `write_report`."""
    source = open_source(path, renames(options.columns))
    home = out or source.home
    reason = too_few(source, options)
    if reason:
        raise InputError(f"{reason}; add runs, or use a law with fewer parameters")
    try:
        home.mkdir(parents=True, exist_ok=True)
        found = _found(source, options, home, at, refit, say)
    except OSError as error:
        raise InputError(f"cannot write in {home} ({error.strerror}); choose another folder with --out") from None
    return found, home / "limit.json"


def save_figure(figure: Figure, folder: Path) -> tuple[str, str]:
    """Draw a figure, save it as PNG and SVG in the folder, and return its SVG in the wide and the narrow shape."""
    svgs = []
    for shape in (WIDE, NARROW):
        canvas = _draw(figure, shape)
        svg = io.BytesIO()
        canvas.savefig(svg, format="svg", metadata={"Date": None})
        svgs.append(svg.getvalue().decode())
        if shape == WIDE:
            _write(folder / f"{figure.name}.svg", svg.getvalue())
            png = io.BytesIO()
            canvas.savefig(png, format="png", dpi=PNG_DPI)
            _write(folder / f"{figure.name}.png", png.getvalue())
    return svgs[0], svgs[1]


def _found(
    source: Source, options: Options, home: Path, at: Sequence[float], refit: bool, say: Callable[[str], None]
) -> Findings:
    fit, boot = find(source, options, home / "fit.json", refit=refit, say=say)
    digest = hashlib.sha256((home / "fit.json").read_bytes()).hexdigest()
    found = conclude(source, fit, boot, at=tuple(at), fit_sha256=digest, say=say)
    limit.write(found.limit, home / "limit.json")
    return found


def _text(
    source: Source, options: Options, home: Path, at: Sequence[float], refit: bool, say: Callable[[str], None]
) -> str:
    reason = too_few(source, options)
    curves = read_curves(source.folder, source.table) if source.folder else []
    found = None if reason else _found(source, options, home, at, refit, say)
    planned = figures.of_findings(found, curves) if found else figures.of_table(source.table, curves)
    drawn = []
    for number, figure in enumerate(planned, start=1):
        say(f"drawing figure {number} of {len(planned)}: {figure.title}")
        wide, narrow = save_figure(figure, home / "report" / "figures")
        drawn.append(page.figure(figure.name, f"{number}. {figure.title}", figure.caption, wide, narrow))
    head = _answer(source, found) if found else _no_answer(source, reason)
    body = joined([_title(source), head, _contents(found), *_figures(drawn), *_tables(source, found, options, at)])
    return page.render(f"{source.name}: {source.question}" if source.question else source.name, body)


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


def _title(source: Source) -> Html:
    kind = "Scaling study" if source.folder else "Scaling laws of the table"
    question = source.question or "How does loss fall with parameters, tokens and compute, and has it a floor?"
    return joined([element("p", f"{kind} {source.name}", class_="study"), element("h1", question)])


def _answer(source: Source, found: Findings) -> Html:
    verdict = found.verdict
    first = element("p", answer.lead(verdict), class_="lead")
    why = element("p", verdict["reason"], " ", _shield(verdict["verdict"]))
    told = element("p", answer.runs(source, found.fitted), " ", answer.outlook(found))
    tested = element("p", answer.trust(found.fit.holdout))
    notes = [element("p", words, class_="note") for words in answer.cautions(found)]
    box = element("div", first, why, told, tested, *notes, class_=f"answer {verdict['verdict']}")
    return joined([box, _tiles(found)])


def _shield(verdict: str) -> str:
    if verdict == "not_identified":
        return "So no number is given for a limit."
    if verdict == "bounded_above_only":
        return "So no single number is given for the limit."
    return "It is a limit of this recipe on this text, for models of this family."


def _no_answer(source: Source, reason: str) -> Html:
    planned = f" The study asks for {source.planned} runs." if source.planned else ""
    return element(
        "div",
        element("p", "There is no answer yet: the law could not be fitted.", class_="lead"),
        element("p", f"{reason[0].upper()}{reason[1:]}.{planned} What was measured is below; with more runs this page answers."),
        class_="answer no_fit",
    )  # fmt: skip


def _tiles(found: Findings) -> Html:
    claim = found.limit["losses"][0]
    tested = next((cut for cut in found.fit.holdout if not cut["skipped"]), None)
    best = notation.fixed(float(found.fitted["L"].min()), 3)
    tiles = [
        ("Floor of the loss", answer.VERDICTS[found.verdict["verdict"]]),
        ("Runs analysed", str(found.fit.rows)),
        ("Best loss measured", f"{best} nats per token"),
        (f"Loss at {notation.times(claim['extrapolation'])} the largest run", notation.interval(claim["lo"], claim["hi"])),
    ]
    if tested:
        words = f"Mean error when predicting runs up to {notation.times(tested['factor'])} larger"
        tiles.append((words, notation.percent(tested["mean_error"])))
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in tiles]
    return element("dl", *pairs, class_="tiles")


CONTENTS = {
    "figures": "figures", "trust": "how far to trust it", "floor": "the floor", "law": "the fit",
    "outlook": "beyond the data", "runs": "runs", "cost": "cost", "conventions": "conventions", "provenance": "provenance",
}  # fmt: skip


def _contents(found: Findings | None) -> Html:
    names = CONTENTS if found else {k: v for k, v in CONTENTS.items() if k in ("figures", "runs", "cost", "conventions", "provenance")}
    links = [element("a", words, href=f"#{name}") for name, words in names.items()]
    return element("nav", joined(links, " · "), aria_label="Contents")


def _figures(drawn: Sequence[Html]) -> list[Html]:
    return [sections.section("figures", "Figures", *drawn)]


def _tables(source: Source, found: Findings | None, options: Options, at: Sequence[float]) -> list[Html]:
    section, parts = sections.section, []
    if found is not None:
        parts = [
            section("trust", "How far to trust it: larger runs predicted from smaller ones", sections.trust(found.fit.holdout)),
            section("floor", "The floor: verdict and evidence", sections.floor(found)),
            section("law", "The fit and its intervals", sections.law(found)),
            section("outlook", "Beyond the data", sections.outlook(found)),
        ]  # fmt: skip
    excluded = {row.row: row.reason for row in found.fit.excluded} if found else {}
    fitted, expected = (found.fitted, found.expected) if found else (None, None)
    return [
        *parts,
        section("runs", "Runs", sections.runs(source, fitted, excluded, expected)),
        section("cost", "Cost", sections.cost(source)),
        section("conventions", "Conventions", sections.conventions(source, found)),
        section("provenance", "Provenance", sections.provenance(source, found, _commands(source, options, at))),
    ]


def _commands(source: Source, options: Options, at: Sequence[float]) -> list[str]:
    asked = " ".join(["--at", *(f"{value:g}" for value in at)]) if at else ""
    words = " ".join(part for part in (options.words(), asked) if part)
    report = f"python -m analysis report {source.shown_path} {words}".rstrip()
    return [f"python -m scaling run {source.shown_path}", report] if source.folder else [report]


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
