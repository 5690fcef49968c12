"""The verdict on the floor and its evidence: what each law says on each range of runs, and how much it counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis import notation
from analysis.pages.answer import VERDICTS
from analysis.pages.document import Facts, Paragraph, Part, Table
from analysis.pages.page import Column, number, span
from analysis.pages.parameters import GREEK
from analysis.pages.phrase import strong

if TYPE_CHECKING:
    from analysis.pages.findings import Findings


def floor(found: Findings) -> list[Part]:
    """The verdict on E and its evidence."""
    verdict, fit = found.verdict, found.fit
    scan, percentile = verdict["profile"], verdict["bootstrap"]
    trades = {k: v for k, v in verdict["trades"].items() if v is not None and math.isfinite(v)}
    strongest = max(trades, key=lambda name: abs(trades[name]), default=None)
    how = [
        f"{_ends(ends)} ({notation.percent(ends['level'])}, {ends['method']})" for ends in (scan, percentile)
    ]
    pairs: list[tuple[str, object]] = [
        ("Verdict", strong(VERDICTS[verdict["verdict"]])),
        ("Why", verdict["reason"]),
        (
            "Range that counts",
            f"{notation.interval(verdict['lo'], verdict['hi'])}: by {_judges(verdict['admissible'])}, below",
        ),
        *_truth(found),
        ("By this law alone", f"{VERDICTS[verdict['alone']['verdict']]}. {verdict['alone']['reason']}"),
        ("Range by this law's profile", how[0]),
        ("Range by this law's bootstrap", how[1]),
        ("Best loss measured", f"{notation.fixed(float(found.fitted['L'].min()), 3)} nats per token"),
        (
            "Condition number",
            f"{_condition(fit.condition_number)} (above 30 parameters trade against each other)",
        ),
    ]
    if strongest:
        said = f"{GREEK.get(strongest, strongest)} (rank correlation over the replicates {trades[strongest]:+.2f})"
        pairs.append(("E trades against", said))
    falls = ", ".join(f"{name} {notation.times(fall)}" for name, fall in verdict["falls"].items())
    pairs.append(("Fall of each term over the runs", f"{falls} (below 2× a floor cannot be read off)"))
    return [Facts("Verdict on the floor and its evidence", pairs), *_candidates(verdict["admissible"])]


def _judges(admissible: Mapping[str, Any]) -> str:
    return "this law alone" if len(admissible["admitted"]) == 1 else "all admissible laws together"


def _truth(found: Findings) -> list[tuple[str, object]]:
    """The entropy of the language, where it is known, against the range that counts."""
    if "entropy" not in found.fitted or found.fitted["entropy"].isna().any():
        return []
    entropy, verdict = float(found.fitted["entropy"].iloc[0]), found.verdict
    where = "inside" if verdict["lo"] <= entropy <= verdict["hi"] else "outside"
    return [
        (
            "Entropy of the language",
            f"{notation.fixed(entropy, 4)} nats per token, {where} the range that counts",
        )
    ]


def _candidates(admissible: Mapping[str, Any]) -> list[Part]:
    """What each law says on each range of runs, and how much it counts."""
    columns = [
        Column("Law", "label"), Column("Runs", "words"), Column("Rows"), Column("E"), Column("Interval"),
        Column("Error in foretelling larger runs", "words"), Column("Weight"),
    ]  # fmt: skip
    rows = [_candidate(found) for found in admissible["candidates"]]
    note = (
        "Each law was fitted to all runs and to the upper half of their compute, and foretold the runs beyond a third "
        "and a tenth of the largest from those up to it. It counts by the inverse of that error squared; the range "
        "above is that of all bootstrap replicates together, blurred by each law's error and its drift from all runs "
        "to the upper half."
    )
    if len(admissible["admitted"]) == 1:
        note += " This law stands alone, so that range holds those of its profile and of its bootstrap too."
        return [Paragraph(note), Table("This law alone", columns, rows)]
    return [Paragraph(note), Table("All admissible laws", columns, rows)]


def _candidate(found: Mapping[str, Any]) -> list[object]:
    errors = [f"{notation.percent(error)} beyond 1/{cut}" for cut, error in found["errors"].items()]
    return [
        found["law"],
        "all" if found["part"] == 1 else f"upper {notation.percent(found['part'])} of compute",
        number(found["rows"], str(found["rows"])),
        number(found["E"], notation.estimate(found["E"], found["lo"], found["hi"])),
        span(found["lo"], found["hi"]),
        ", ".join(errors) or "not tried: too few runs",
        number(found["weight"], notation.percent(found["weight"])),
    ]


def _ends(ends: Mapping[str, Any]) -> str:
    lo, hi = ends["lo"], ends["hi"]
    bounded = [v is not None and math.isfinite(v) for v in (lo, hi)]
    if all(bounded):
        return notation.interval(lo, hi)
    if bounded[1]:
        return f"at most {notation.plain(hi)}; no lower end"
    return f"at least {notation.plain(lo)}; no upper end" if bounded[0] else "no end on either side"


def _condition(number_: float | None) -> str:
    return (
        notation.plain(number_)
        if number_ is not None and math.isfinite(number_)
        else "infinite: a parameter has no effect"
    )
