"""The fitted law: its equation, how it was fitted, and its parameters with intervals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from analysis import notation
from analysis.laws import LAWS
from analysis.notation import MISSING
from analysis.pages.answer import VERDICTS
from analysis.pages.document import Paragraph, Part, Table
from analysis.pages.page import Column, number, span
from analysis.pages.phrase import Phrase, phrase, raised

if TYPE_CHECKING:
    from analysis.pages.findings import Findings

GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "kappa": "κ"}
FLOOR = "loss that neither parameters, tokens nor compute remove, by this law alone"


def law(found: Findings) -> list[Part]:
    """The law and its parameters with intervals."""
    columns = [
        Column("Parameter", "label"),
        Column("Value"),
        Column("Interval"),
        Column("Level"),
        Column("What it is", "words"),
    ]
    rows = [_parameter(found, name) for name in found.fit.params]
    return [Paragraph(equation(found.fit.law)), Table("Parameters", columns, rows)]


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
