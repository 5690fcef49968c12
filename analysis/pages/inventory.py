"""The runs, each with whether it was fitted, and what they cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from analysis import notation
from analysis.pages.document import Facts, Note, Part, Table
from analysis.pages.page import Cell, Column, number
from analysis.pages.run_words import labels
from analysis.requirements import label

if TYPE_CHECKING:
    import pandas as pd

    from analysis.pages.findings import Findings
    from analysis.source import Source

MOST_ROWS = 2000
"""Of the table on the page, which is to stay small enough for a phone."""
HEADINGS = {"N": "N", "D": "D", "C": "C (FLOPs)", "L": "L (nats per token)", "bpb": "Bits per byte"}
FORMS = {"N": notation.count, "D": notation.count, "C": notation.power}


def _heading(name: str, frame: pd.DataFrame) -> str:
    """What a column is, and what stands behind its ±."""
    erring = name == "L" and "L_se" in frame.columns and frame["L_se"].notna().any()
    return "L ± its standard error (nats per token)" if erring else HEADINGS[name]


def runs(source: Source, found: Findings | None) -> list[Part]:
    """Every row of the table, those that were not fitted with their reason; of a long table its first rows."""
    frame = source.table.head(MOST_ROWS)
    reasons = _reasons(source, found)
    off = {} if found is None else dict(zip(found.fitted.index, found.residuals.tolist(), strict=True))
    shown = [name for name in HEADINGS if name in frame.columns and not frame[name].isna().all()]
    columns = [Column("Run", "label"), *(Column(_heading(name, frame)) for name in shown)]
    columns += [Column("Off the law")] if off else []
    rows = []
    for (index, row), name in zip(frame.iterrows(), labels(frame), strict=True):
        cells: list[object] = [Cell(name, name), *(_measured(row, column) for column in shown)]
        cells += [number(off.get(index), notation.change(off.get(index, math.nan)))] if off else []
        rows.append([*cells, Cell(reasons[index] or "yes", reasons[index] or "yes")])
    columns.append(Column("In the fit", "words"))
    dim = [bool(reasons[index]) for index in frame.index]
    made: list[Part] = [Table("Runs", columns, rows, dim=dim, tall=True)]
    if len(source.table) > MOST_ROWS:
        made.append(
            Note(f"These are the first {MOST_ROWS} of {len(source.table)} rows; the file below has all.")
        )
    return made


def cost(source: Source) -> Facts:
    """What the runs cost, as spent and as if each were trained from scratch."""
    frame = source.table
    pairs: list[tuple[str, object]] = []
    scratch = float(frame["C"].sum()) if "C" in frame.columns else math.nan
    if "C_spent" in frame.columns and frame["C_spent"].notna().all():
        spent = float(frame["C_spent"].sum())
        share = f" ({notation.percent(spent / scratch)} of training every run alone: runs of one size share a trunk)"
        pairs.append(
            ("Compute spent", f"{notation.power(spent)} FLOPs{share if spent < 0.999 * scratch else ''}")
        )
    if math.isfinite(scratch):
        pairs.append(("Compute, every run from scratch", f"{notation.power(scratch)} FLOPs"))
    if "device_seconds" in frame.columns and frame["device_seconds"].notna().any():
        seconds = float(frame["device_seconds"].sum())
        if {"trunk_device_seconds", "trunk_id"} <= set(frame.columns):
            seconds += float(frame.groupby("trunk_id")["trunk_device_seconds"].max().sum())
        pairs.append(("Device time", f"{notation.duration(seconds)} of training, times devices"))
    else:
        pairs.append(("Device time", "not recorded in the table"))
    return Facts("Cost", pairs)


def _measured(row: Any, name: str) -> Cell:
    """A number of a row; a loss with its standard error where that is known."""
    value = float(row[name]) if not _missing(row[name]) else math.nan
    written = FORMS[name](value) if name in FORMS else notation.fixed(value, 3)
    if name == "L" and not _missing(row.get("L_se")):
        written += f" ± {notation.fixed(float(row['L_se']), 3)}"
    return number(value, written)


def _missing(value: Any) -> bool:
    import pandas as pd

    return value is None or bool(pd.isna(value))


def _reasons(source: Source, found: Findings | None) -> dict[Any, str]:
    """Why each row of the table is not in the fit, by index; empty for those that are."""
    if found is None:
        return dict.fromkeys(source.table.index, "no: no law was fitted")
    excluded = {row.row: row.reason for row in found.fit.excluded}
    told = {}
    for index, row in source.table.iterrows():
        name = label(source.table, index)
        reason = source.diverged.get(str(row.get("run_id")), excluded.get(name, "not fitted"))
        reason = f"“{found.fit.where}” does not hold" if reason == f"not where {found.fit.where}" else reason
        told[index] = "" if index in found.fitted.index else f"no: {reason}"
    return told
