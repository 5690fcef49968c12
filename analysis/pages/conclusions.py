"""What was concluded beyond the fit: how larger runs were predicted, and what lies beyond the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis import notation
from analysis.notation import MISSING
from analysis.pages.answer import NO_MIDDLE
from analysis.pages.answer import cost as costs
from analysis.pages.answer import value as claimed
from analysis.pages.document import Paragraph, Part, Table
from analysis.pages.page import Cell, Column, number, span

BEST_OF_ONE = (
    "N and D at their best are those of the fitted law alone, with the percentiles of its bootstrap."
)

if TYPE_CHECKING:
    from analysis.pages.findings import Findings


def trust(cuts: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Rolling origin: what each fit of smaller runs said of the larger ones."""
    columns = [
        Column("Predicted up to", "label"), Column("Runs fitted"), Column("Runs predicted"), Column("Mean error"),
        Column("Worst error"), Column("Bias"), Column("Inside their interval"), Column("Inside the widened one"),
        Column("Mean error against the best naive forecast", "words"),
    ]  # fmt: skip
    rows = [_cut(cut) if not cut["skipped"] else _skipped(cut) for cut in cuts]
    note = (
        "Each row fits the law to the runs up to a share of the largest compute and predicts those beyond. Errors are "
        "relative; a bias above 0 means that the predictions were too pessimistic. Naive forecasts: the best loss seen "
        "so far, and straight lines in logarithmic axes. Intervals are those that the bootstrap claims; widened, they "
        "allow for an error of the law that grows with the logarithm of compute, as fast as the fits of still smaller "
        "runs missed the rest of the runs fitted."
    )
    return [Paragraph(note), Table("Predictions of larger runs", columns, rows)]


def outlook(found: Findings) -> list[Part]:
    """Losses at more compute."""
    limit, x = found.limit, found.forecast.track.x
    split = bool(found.forecast.track.cost)
    columns = [
        Column("Beyond the largest run"),
        Column(_unit(x)),
        Column("Loss expected"),
        Column("Interval"),
    ]
    columns += [Column("N at its best", "words"), Column("D at its best", "words")] if split else []
    rows = []
    for claim in limit["losses"]:
        row: list[object] = [
            number(claim["extrapolation"], notation.times(claim["extrapolation"])),
            number(claim[x], notation.power(claim[x]) if x == "C" else notation.count(claim[x])),
            number(claim["L"], claimed(claim)),
            span(claim["lo"], claim["hi"]),
        ]
        row += [_best(claim, name) for name in ("N_opt", "D_opt")] if split else []
        rows.append(row)
    parts: list[Part] = [Table("Loss expected beyond the data", columns, rows)]
    note = f"Intervals: {found.forecast.method}, {notation.percent(found.forecast.level)}."
    without = [Paragraph(NO_MIDDLE)] if any(claim["L"] is None for claim in limit["losses"]) else []
    said = [note, *([BEST_OF_ONE] if split else []), *costs(limit)]
    return [*exponents(found), *parts, *without, Paragraph(" ".join(said))]


def exponents(found: Findings) -> list[Part]:
    """How the best split and its loss go with compute, by the fitted law, or why that is not told; nothing for a law
    whose frontier is no power of compute."""
    told = found.fit.frontier
    if not told:
        return []
    if "withheld" in told:
        return [Paragraph(f"{told['withheld'][0].upper()}{told['withheld'][1:]}.")]
    N, D, L = (_power(told, f"{name}_exponent") for name in ("N", "D", "L"))
    level = notation.percent(told["intervals"]["N_exponent"]["level"])
    text = (
        f"By the law {found.fit.law} alone, at the best split of compute C the parameters N grow as C to the power "
        f"{N}, the tokens D as C to the power {D}, and what is reducible of the loss falls as C to the power {L}, each "
        f"with its {level} interval."
    )
    return [Paragraph(text)]


def _power(told: Mapping[str, Any], name: str) -> str:
    lo, hi = (told["intervals"][name][end] for end in ("lo", "hi"))
    return f"{notation.estimate(told[name], lo, hi)} ({notation.interval(lo, hi)})"


def _cut(cut: Mapping[str, Any]) -> list[object]:
    skills = {
        name: skill
        for name, skill in (cut["skill"] or {}).items()
        if skill is not None and math.isfinite(skill)
    }
    rival = min(skills, key=lambda name: skills[name], default=None)
    compared = f"{notation.times(1 - skills[rival])} that of “{rival}”" if rival else MISSING
    return [
        f"{notation.times(cut['factor'])} the compute",
        number(cut["fitted"], str(cut["fitted"])),
        number(cut["held_out"], str(cut["held_out"])),
        number(cut["mean_error"], notation.percent(cut["mean_error"])),
        number(cut["max_error"], notation.percent(cut["max_error"])),
        number(cut["bias"], notation.change(cut["bias"])),
        number(cut["coverage"], _of(cut["coverage"], cut)),
        number(cut.get("calibrated"), _of(cut.get("calibrated"), cut)),
        compared,
    ]


def _of(share: float | None, cut: Mapping[str, Any]) -> str:
    """How many of the held-out runs are a share of them."""
    if share is None or not math.isfinite(share):
        return MISSING
    return f"{round(share * cut['held_out'])} of {cut['held_out']}"


def _skipped(cut: Mapping[str, Any]) -> list[object]:
    return [
        f"{notation.times(cut['factor'])} the compute", str(cut["fitted"]), str(cut["held_out"]),
        *[MISSING] * 5, f"not tried: {cut['skipped']}",
    ]  # fmt: skip


def _best(claim: Mapping[str, Any], name: str) -> Cell:
    """N_opt or D_opt of a claim with the ends of its interval as far as there are any."""
    value, *ends = (claim.get(f"{name}{end}") for end in ("", "_lo", "_hi"))
    if value is None:
        return Cell(MISSING)
    span = " to ".join("no end" if end is None else notation.count(end) for end in ends)
    return Cell(f"{notation.count(value)} ({span})", float(value))


def _unit(x: str) -> str:
    return {"C": "C (FLOPs)", "N": "N (parameters)", "D": "D (tokens)"}.get(x, x)
