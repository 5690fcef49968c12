"""The section of a report on the analyst's choices: the figure, which choice moves the answer, averages, what was not
fitted; made of a specification.json, where the folder has one."""

from __future__ import annotations

from pathlib import Path

from analysis import notation
from analysis.choices.specification_plots import HEADINGS, NARROW, WIDE, draw_curve, words
from analysis.choices.specification_record import Record, read
from analysis.pages import page
from analysis.pages.document import Bullets, Details, Drawing, Note, Paragraph, Part, Table
from analysis.pages.drawing import keep
from analysis.pages.page import Column

NAMES = {"E": "E (nats per token)", "L": "L (nats per token)"}


def content(path: Path, table_sha256: str, figures: Path) -> list[Part]:
    """What the page shows of the file, its figure kept in the folder `figures`; nothing where there is no file. One of
    another table is named as such, not shown."""
    if not path.is_file():
        return []
    record = read(path)
    if record.table_sha256 != table_sha256:
        stale = f"{path.name} is of another table; make it again with python -m analysis specify."
        return [Note(stale, urgent=True)]
    at = f"the loss at C = {notation.power(record.at, 2)}"
    told = [
        Paragraph(record.spreads[name].words(words_of))
        for name, words_of in (("E", "the floor E"), ("L", at))
    ]
    return [*told, _figure(record, figures), *_shares(record), *_averages(record), _left_out(record)]


def _figure(record: Record, folder: Path) -> Drawing:
    spread, shares = record.spreads["E"], record.decompositions["E"]
    wide, narrow = (draw_curve(record.table, spread, shares, NAMES["E"], shape) for shape in (WIDE, NARROW))
    caption = (
        f"Above, the floor by each of {spread.specifications} specifications with its {record.level:.0%} interval "
        f"({record.replicates} refits), in ascending order; below, the choices that each makes, a stroke under it."
    )
    name = "specification_curve"
    return Drawing(
        name, "The floor by every choice of the analyst", caption, *keep(name, wide, narrow, folder)
    )


def _shares(record: Record) -> list[Part]:
    """A row a factor: what it does to E and to the loss."""
    columns = [
        Column("Choice", "label"), Column("Variance of E"), Column("moves E by"), Column("from, to", "words"),
        Column("Variance of the loss"), Column("moves it by"),
    ]  # fmt: skip
    of_loss = {part.factor: part for part in record.decompositions["L"].parts}
    rows: list[list[object]] = []
    for part in record.decompositions["E"].parts:
        ends = sorted(part.levels.items(), key=lambda item: item[1])
        span = " to ".join(
            f"{notation.plain(value)} ({words(part.factor, level)})" for level, value in (ends[0], ends[-1])
        )
        other = of_loss[part.factor]
        rows.append([
            HEADINGS[part.factor],
            page.number(part.share, notation.percent(part.share)),
            page.number(part.move, notation.plain(part.move, 2)),
            span,
            page.number(other.share, notation.percent(other.share)),
            page.number(other.move, notation.plain(other.move, 2)),
        ])  # fmt: skip
    left = [record.decompositions[name].interactions for name in ("E", "L")]
    rest = [page.number(value, notation.percent(value)) for value in left]
    rows.append(["their interactions", rest[0], "", "", rest[1], ""])
    note = (
        "Shares of the variance over specifications by a main-effects fit, averaged over the orders in which the "
        "choices can enter it; a choice moves the answer by the difference of its levels' medians. Interactions are "
        "what a choice does only together with another."
    )
    return [Table("What each choice does", columns, rows), Note(note)]


def _averages(record: Record) -> list[Part]:
    """A row a convention of N and C."""
    level = f"{record.level:.0%} interval"
    columns = [
        Column("N is", "label"), Column("C is", "label"), Column("Specifications"),
        Column("E"), Column(level), Column("Loss"), Column(level),
    ]  # fmt: skip
    rows = [
        [
            words("N", one["N"]), words("C", one["C"]), str(one["specifications"]),
            notation.estimate(one["E"], one["E_lo"], one["E_hi"]), notation.interval(one["E_lo"], one["E_hi"]),
            notation.estimate(one["L"], one["L_lo"], one["L_hi"]), notation.interval(one["L_lo"], one["L_hi"]),
        ]
        for one in record.averages
    ]  # fmt: skip
    note = (
        "Averaged over specifications, each counting by the inverse square of its error on larger runs held out. The "
        "floor may be compared between conventions; the loss is that at C as each counts it, which is not the same run."
    )
    return [Table("Averages by held-out error", columns, rows), Note(note)]


def _left_out(record: Record) -> Part:
    if not record.left_out:
        return Note("Every combination of the choices was fitted.")
    total, fitted = sum(one["count"] for one in record.left_out), len(record.table)
    items = [f"{one['choice']}: {one['reason']} ({one['count']})" for one in record.left_out]
    return Details(f"{fitted} of {fitted + total} combinations fitted; why not the others", (Bullets(items),))
