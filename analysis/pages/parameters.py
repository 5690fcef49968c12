"""The fitted law: its equation, how it was fitted, and its parameters with intervals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from analysis import notation
from analysis.laws import LAWS
from analysis.notation import MISSING
from analysis.pages.answer import STATUSES, VERDICTS
from analysis.pages.document import Facts, Part, Table
from analysis.pages.page import Column, number, span
from analysis.pages.phrase import Phrase, phrase, raised

if TYPE_CHECKING:
    from analysis.pages.findings import Findings

GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "kappa": "κ"}
FLOOR = "loss that neither parameters, tokens nor compute remove, by this law alone"


def law(found: Findings) -> list[Part]:
    """The law, how it was fitted, and its parameters with intervals."""
    fit, boot = found.fit, found.bootstrap
    statuses = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in boot.statuses.items())
    groups = f"whole groups of one {boot.method.split(':')[-1]}, since their runs share noise: {boot.units} of them"
    clusters = "single runs" if boot.method == "pairs" else groups
    delta = notation.plain(fit.objective.delta)
    pairs: list[tuple[str, object]] = [
        ("Law", equation(fit.law)),
        ("Objective", f"{fit.value:.4g}, the Huber loss of log residuals summed over rows, δ = {delta}"),
        (
            "Beyond δ",
            f"{notation.percent(fit.linear_share)} of the rows, where that loss is linear: outliers pull less",
        ),
        ("Status", f"{fit.status.replace('_', ' ')}. {STATUSES[fit.status]}".strip()),
        ("Restarts", f"{fit.restarts.reached} of {fit.restarts.tried} starts reached the best objective"),
        (
            "Rows",
            f"{fit.rows} fitted, {len(fit.excluded)} left out"
            + (f" (kept: {fit.where})" if fit.where else ""),
        ),
        ("Intervals", f"percentiles of {boot.replicates} refits, each searched globally ({statuses})"),
        ("Resampled", clusters),
    ]
    columns = [
        Column("Parameter", "label"),
        Column("Value"),
        Column("Interval"),
        Column("Level"),
        Column("What it is", "words"),
    ]
    rows = [_parameter(found, name) for name in fit.params]
    return [Table("Parameters", columns, rows), Facts("How the law was fitted", pairs)]


def equation(name: str) -> Phrase:
    """The law's equation, with Greek letters and raised exponents."""
    parts = re.split(r"\^(\([^()]*\)|\w+)", LAWS[name].equation)
    plain, powers = parts[::2], [*parts[1::2], ""]
    shown = [
        phrase(_greek(text), raised(_greek(power)) if power else "")
        for text, power in zip(plain, powers, strict=True)
    ]
    return phrase("L = ", *shown)


def _greek(text: str) -> str:
    return re.sub("[a-z]+", lambda word: GREEK.get(word[0], word[0]), text)


def _parameter(found: Findings, name: str) -> list[object]:
    fit, kind = found.fit, LAWS[found.fit.law]
    ends = fit.intervals.get(name)
    value = fit.params[name]
    shown = notation.estimate(value, ends["lo"], ends["hi"]) if ends else notation.plain(value)
    role = "amplitude"
    if name in kind.exponents:
        role = "scale" if name[0] in kind.columns else "exponent"
    if name == "E":
        verdict = found.verdict["verdict"]
        role = FLOOR if verdict == "identified" else f"where this fit ended, not a limit: {VERDICTS[verdict]}"
    interval = span(ends["lo"], ends["hi"]) if ends else MISSING
    return [
        GREEK.get(name, name),
        number(value, shown),
        interval,
        notation.percent(ends["level"]) if ends else MISSING,
        role,
    ]
