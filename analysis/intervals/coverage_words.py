"""Coverage in words: a table for the terminal, and the report's section, from the `coverage` entry of fit.json."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from analysis import notation
from analysis.columns import aligned
from analysis.notation import MISSING
from analysis.pages.document import Paragraph, Part, Table
from analysis.pages.page import Cell, Column, number

WIDTH = 80
NOT_MEASURED = "coverage not measured"

Entry = Mapping[str, Any]


def told(coverage: Entry) -> str:
    """What share of simulated truths each interval caught, and the calibrated intervals, in 80 columns."""
    if not coverage:
        return textwrap.fill(f"{NOT_MEASURED}: intervals are as claimed; --coverage 100 measures it", WIDTH)
    level = f"{coverage['level']:.0%}"
    rows = [
        (name, _ends(one["plain"]), _caught(one), _ends(one["interval"]), _at(one))
        for name, one in _rows(coverage)
    ]
    head = ("", f"plain {level}", "caught", "calibrated", "at level")
    held = _held_out(coverage)
    lines = [
        f"coverage on this design: {_simulated(coverage)}",
        aligned(head, rows),
        f"caught: truths inside the plain interval, and the 95% interval of that share. {held} The intervals printed "
        "elsewhere here are the calibrated ones.",
    ]
    return "\n".join(
        line if "\n" in line else textwrap.fill(line, WIDTH, subsequent_indent="  ") for line in lines
    )


def section(coverage: Entry) -> list[Part]:
    """The report's table of coverage."""
    if not coverage:
        return [Paragraph(f"{NOT_MEASURED.capitalize()}: intervals are as the bootstrap claims.")]
    level = notation.percent(coverage["level"])
    columns = [
        Column("Quantity", "label"), Column(f"Truths inside their {level} interval"), Column("Plain interval"),
        Column("Calibrated interval"), Column("Calibrated at"),
    ]  # fmt: skip
    rows: list[list[object]] = [
        [
            name.replace("_", " "),
            number(one["caught"] / one["of"], _caught(one)),
            _cell(one["plain"]),
            _cell(one["interval"]),
            _at(one) or MISSING,
        ]
        for name, one in _rows(coverage)
    ]
    note = (
        f"Coverage is measured on {_simulated(coverage)}: half of them follow the fitted law, half a replicate of its "
        "bootstrap. Each was fitted and bootstrapped like the runs themselves. Beside the share caught stands its 95 % "
        f"interval. A calibrated interval is the one that catches {level} of these truths; the page shows that one. "
        f"{_held_out(coverage)} This assumes the law and noise like that of its residuals; that the law itself may be "
        "wrong is in the range by all admissible laws."
    )
    return [Paragraph(note), Table("Coverage of each interval", columns, rows)]


def brief(coverage: Entry) -> str:
    """In a line: what share of the truths intervals caught, before and after they were calibrated."""
    if not coverage:
        return "not measured: intervals are as the bootstrap claims"
    shares = [one["caught"] / one["of"] for one in coverage["quantities"].values()]
    lo, hi = notation.percent(min(shares)), notation.percent(max(shares))
    claimed = f"intervals claiming {notation.percent(coverage['level'])} caught {lo if lo == hi else f'{lo} to {hi}'}"
    return f"measured on {coverage['truths']} simulated tables: {claimed} of the truths; those shown are calibrated"


def _rows(coverage: Entry) -> list[tuple[str, Entry]]:
    """What was counted, by name, the floor by its profile last."""
    profile = coverage.get("profile")
    return [*coverage["quantities"].items(), *([("E, profile", profile)] if profile else [])]


def _simulated(coverage: Entry) -> str:
    of = coverage["method"].partition(":")[2]
    noise = f"noise {coverage['own']:.2g} a run"
    if of:
        noise += f" and {coverage['shared']:.2g} a {of.removesuffix('_id')}"
    return f"{coverage['truths']} simulated tables, {coverage['refits']} refits each, {noise}"


def _held_out(coverage: Entry) -> str:
    shares = [one["held_out"] / one["of"] for one in coverage["quantities"].values() if one["interval"]]
    if not shares:
        return "No interval could be calibrated."
    lo, hi = f"{min(shares):.0%}", f"{max(shares):.0%}"
    span = lo if lo == hi else f"{lo} to {hi}"
    return f"Calibrated on half of the tables, intervals caught {span} of the truths of the other half."


def _caught(one: Entry) -> str:
    return f"{one['caught'] / one['of']:.0%} ({100 * one['lo']:.0f}-{100 * one['hi']:.0f})"


def _ends(interval: Entry | None) -> str:
    if not interval:
        return "not reached"
    lo, hi = (None if end is None or end != end else f"{end:.4g}" for end in (interval["lo"], interval["hi"]))
    return f"{lo or 'unbounded'} to {hi or 'unbounded'}"


def _interval(interval: Entry | None) -> str:
    if not interval:
        return "no interval reached the level"
    lo, hi = interval["lo"], interval["hi"]
    return (
        notation.interval(lo, hi)
        if lo is not None and hi is not None and lo == lo and hi == hi
        else _ends(interval)
    )


def _cell(interval: Entry | None) -> Cell:
    """An interval as a cell that sorts by its lower end."""
    lo = interval["lo"] if interval else None
    return Cell(_interval(interval), lo if lo == lo else None)


def _at(one: Entry) -> str:
    if not one["interval"]:
        return ""
    level = one["calibrated_level"]
    if level is None or level != level:
        return f"x{one['stretch']:.2f}"
    return f"{level:.3f}" if one["stretch"] == 1 else f"{level:.3f} x{one['stretch']:.2f}"
