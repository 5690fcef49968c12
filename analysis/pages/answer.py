"""The answer in plain words, made from the numbers: what was asked, what was found, how sure it is."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import far_cost, notation
from analysis.frontier import Cost
from analysis.walls import date_words, words

if TYPE_CHECKING:
    import pandas as pd

    from analysis.pages.findings import Findings
    from analysis.source import Source

LEADS = {
    "identified": "These runs identify a limit: {floor} nats per token.",
    "bounded_above_only": "These runs bound a limit from above without finding it: it lies below {hi} nats per token.",
    "not_identified": "These runs do not tell whether there is a limit: a floor of the loss is not identified.",
}
VERDICTS = {
    "identified": "identified",
    "bounded_above_only": "bounded above only",
    "not_identified": "not identified",
}
ORDINALS = {3.0: "third", 10.0: "tenth", 30.0: "thirtieth"}
AFTERWORDS = {
    "identified": "It is a limit for runs like these: of their recipe, on their text, for models of their kind.",
    "bounded_above_only": "So no single number is given for the limit.",
    "not_identified": "So no number is given for a limit.",
}
NO_MIDDLE = (
    "No single loss is given so far out: the runs do not identify a floor, and laws that fit alike part."
)
STATUSES = {
    "converged": "",
    "max_steps": "The optimiser stopped before it converged, so the parameters are not to be relied on.",
    "at_bound": "A parameter ended at the edge of what is allowed (a floor or amplitude of 0, or an extreme exponent): "
    "the runs do not determine it.",
    "ill_conditioned": "The parameters trade against each other so strongly that single ones mean little; the curve "
    "through the data is steadier than its parameters.",
}


def lead(verdict: Mapping[str, Any]) -> str:
    """The first sentence: the verdict on the floor, with a number only where the runs earned it."""
    name, lo, hi = verdict["verdict"], verdict["lo"], verdict["hi"]
    if name == "identified":
        return LEADS[name].format(
            floor=f"{notation.estimate(verdict['E'], lo, hi)} ({notation.interval(lo, hi)})"
        )
    return LEADS[name].format(hi=notation.plain(hi)) if name == "bounded_above_only" else LEADS[name]


def runs(source: Source, fitted: pd.DataFrame, outdone: int = 0) -> str:
    """What was trained, from where to where, and what it did to the loss; `outdone` runs had another rate than the
    best of their size and budget."""
    sizes, tokens = _span(fitted, "N", notation.count), _span(fitted, "D", notation.count)
    words = f"{len(fitted)} runs"
    if source.planned and source.planned != len(fitted):
        words = f"{len(fitted)} of the {source.planned} runs that the study asks for"
    text = f"{words} are analysed"
    if outdone:
        text += f", those of the best learning rate of each size and budget ({outdone} of other rates are left out)"
    if sizes:
        text += f": models of {sizes} parameters" + (f" on {tokens} training tokens" if tokens else "")
    worst, best = float(fitted["L"].max()), float(fitted["L"].min())
    places = notation.decimals(best, worst) + 1
    ends = f"{notation.fixed(worst, places)} down to {notation.fixed(best, places)}"
    text += f". Held-out loss goes from {ends} nats per token"
    if "bpb" in fitted and fitted["bpb"].notna().any():
        text += f" (at best {notation.plain(float(fitted['bpb'].min()))} bits per byte)"
    return text + "."


def outlook(found: Findings) -> str:
    """How well the law describes the runs, and the loss at ten times the compute."""
    claim = found.limit["losses"][0]
    typical = notation.percent(float(np.median(np.abs(found.residuals))))
    reach = notation.times(claim["extrapolation"])
    what = "compute" if found.forecast.track.x == "C" else found.forecast.track.x
    split = ", split at its best between parameters and tokens," if found.forecast.track.cost else ""
    level, ends = notation.percent(claim["level"]), notation.interval(claim["lo"], claim["hi"])
    middle = f"at {value(claim)} nats per token ({level} interval {ends})"
    expected = (
        middle if claim["L"] is not None else f"at {ends} nats per token ({level} interval). {NO_MIDDLE}"
    )
    return (
        f"Within the runs the fitted law is off by {typical} at the median. By {_whose(found)}, runs with "
        f"{reach} the {what} of the largest one{split} would be expected {expected.removesuffix('.')}."
    )


def _whose(found: Findings) -> str:
    """Whose forecast it is, told at its first use."""
    whose = found.forecast.whose
    if found.forecast.combined is None or found.forecast.combined.of_one_law:
        return whose
    return (
        f"{whose} (forms that such runs may follow, each weighed by how it foretold larger runs from smaller)"
    )


def trust(cuts: Sequence[Mapping[str, Any]]) -> str:
    """What became of predictions of larger runs from smaller ones, where that could be tried."""
    made = [cut for cut in cuts if not cut["skipped"]]
    if not made:
        reason = f" ({cuts[0]['skipped']})" if cuts else ""
        return f"No run could be held out to test the law's predictions{reason}, so it is untested beyond the data."
    cut = made[0]
    inside = round(cut["coverage"] * cut["held_out"])
    losses, larger = ("loss", "one") if cut["held_out"] == 1 else ("losses", "ones")
    text = (
        f"Put to the test: fitted to the {cut['fitted']} smaller runs alone, the law predicted the {losses} of "
        f"the {cut['held_out']} larger {larger}, of up to {notation.times(cut['factor'])} the compute, with a mean "
        f"error of {notation.percent(cut['mean_error'])} (at worst {notation.percent(cut['max_error'])}); {inside} of "
        f"{cut['held_out']} fell inside their {notation.percent(cut['level'])} prediction intervals."
    )
    widened = cut.get("calibrated")
    if widened is not None and math.isfinite(widened):
        text += (
            " Intervals widened by as much as such predictions missed among the smaller runs hold "
            f"{round(widened * cut['held_out'])} of {cut['held_out']}."
        )
    if cut.get("shared"):
        share = "share a trunk" if cut["shared"] > 1 else "shares a trunk"
        text += (
            f" Of the larger runs, {cut['shared']} {share} with a fitted run, which makes the test milder than new "
            "trunks would."
        )
    narrow = max(made, key=_surprise)
    if _surprise(narrow) > 2:
        inside = round(narrow["coverage"] * narrow["held_out"])
        text += (
            f" Beyond a {ORDINALS.get(narrow['factor'], 'part')} of the compute only {inside} of "
            f"{narrow['held_out']} were inside, so these intervals are too narrow: beware of those for larger runs."
        )
    better = [name for name, skill in (cut["skill"] or {}).items() if skill is not None and skill < 0]
    if better:
        text += f" Simpler forecasts, which know no floor, did better: {', '.join(better)}."
    return text


def cautions(found: Findings) -> list[str]:
    """What a reader must know before believing any interval: few clusters, doubtful optimum, inseparable exponents."""
    fit, words = found.fit, []
    if found.bootstrap.note:
        words.append(found.bootstrap.note)
    if fit.status != "converged":
        words.append(STATUSES[fit.status])
    if not fit.restarts.agree:
        words.append("The search found other parameters that fit as well: the parameters are not unique.")
    words += list(fit.warnings)
    words += [pair["words"] for pair in fit.identification.get("confounded", ()) if "words" in pair]
    if not 0.01 <= fit.linear_share <= 0.99:
        how = "least absolute deviations" if fit.linear_share > 0.5 else "least squares"
        words.append(
            f"The objective acts as {how}: {notation.percent(fit.linear_share)} of the rows lie beyond delta."
        )
    return words


def tiles(found: Findings) -> list[tuple[str, str]]:
    """The few numbers that a reader should take away: what it is, and what it is here."""
    claim, verdict = found.limit["losses"][0], found.verdict
    floor = VERDICTS[verdict["verdict"]]
    if verdict["verdict"] == "identified":
        floor = notation.interval(verdict["lo"], verdict["hi"])
    reach = notation.interval(claim["lo"], claim["hi"])
    shown = [
        ("Floor of the loss", floor),
        ("Runs analysed", str(found.fit.rows)),
        ("Best loss measured, nats per token", notation.fixed(float(found.fitted["L"].min()), 3)),
        (f"Loss at {notation.times(claim['extrapolation'])} the largest run", reach),
    ]
    tested = next((cut for cut in found.fit.holdout if not cut["skipped"]), None)
    if tested:
        words = f"Mean error of predicting runs up to {notation.times(tested['factor'])} larger"
        shown.append((words, notation.percent(tested["mean_error"])))
    return shown


def beyond(found: Findings) -> str:
    """limit.json as text for a terminal of 80 columns."""
    x, verdict = found.forecast.track.x, found.verdict
    lines = [lead(verdict), verdict["reason"], AFTERWORDS[verdict["verdict"]], ""]
    for claim in found.limit["losses"]:
        where = notation.power(claim[x]) if x == "C" else notation.count(claim[x])
        interval = f"{notation.interval(claim['lo'], claim['hi'])} at {notation.percent(claim['level'])}"
        reach = notation.times(claim["extrapolation"])
        told = f"L = {value(claim)} ({interval})" if claim["L"] is not None else f"L of {interval}"
        lines.append(f"  {x} = {where}: {told}, {reach} the largest run")
    if any(claim["L"] is None for claim in found.limit["losses"]):
        lines.append(NO_MIDDLE)
    lines += cost(found.limit)
    lines += ["", words.left(found.limit)]
    lines += [f"  {words.needed_line(what, claim, x)}" for what, claim in words.needed(found.limit)]
    if found.limit["probabilities"]:
        lines += ["", f"Probabilities {found.limit['probabilities_of']}:"]
        lines += [f"  {words.probability(claim, x)}" for claim in found.limit["probabilities"]]
    if found.limit["walls"]:
        lines += ["", f"Walls, by this scenario: {words.scenario(found.limit['walls'])}."]
        lines += [f"  {sentence}" for sentence in words.of_resources(found.limit["walls"])]
        lines += [f"  {sentence}" for sentence in date_words.of_dates(found.limit["walls"])]
    lines += ["", *found.fit.tuning["warnings"], *cautions(found)]
    return "\n".join(
        textwrap.fill(line, 80, subsequent_indent="  " if line.startswith(" ") else "") for line in lines
    )


def cost(limit: Mapping[str, Any]) -> list[str]:
    """What a run is taken to cost, and what that makes of models far larger than those measured."""
    made = limit["cost"]
    if made is None:
        return []
    formula = far_cost.formula(Cost(made["kappa"], made["rho"]))
    told = f"Cost of a run, fitted to the runs' own C: {formula}."
    return [f"{told} {made['caution']}".rstrip()]


def value(claim: Mapping[str, Any]) -> str:
    """A claimed loss in the decimals of its interval; missing where it is told by the interval alone."""
    if claim["L"] is None:
        return notation.MISSING
    return notation.estimate(claim["L"], claim["lo"], claim["hi"])


def _surprise(cut: Mapping[str, Any]) -> float:
    """By how many standard deviations fewer losses were inside their intervals than the level says."""
    level, count = cut["level"], cut["held_out"]
    return (level - cut["coverage"]) * math.sqrt(count / (level * (1 - level)))


def _span(frame: pd.DataFrame, column: str, form: Any) -> str:
    if column not in frame:
        return ""
    lo, hi = float(frame[column].min()), float(frame[column].max())
    return form(lo) if lo == hi else f"{form(lo)} to {form(hi)}"
