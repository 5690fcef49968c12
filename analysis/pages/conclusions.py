"""Tables of what was found: how far to trust it, the floor, the fitted law, and what lies beyond the data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis import notation
from analysis.laws import LAWS
from analysis.notation import MISSING
from analysis.pages.answer import STATUSES, VERDICTS
from analysis.pages.answer import value as claimed
from analysis.pages.page import Cell, Column, Html, element, facts, joined, number, table

if TYPE_CHECKING:
    from analysis.pages.findings import Findings

GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "kappa": "κ"}
FLOOR = "loss that neither parameters, tokens nor compute remove, by this law alone"


def trust(cuts: Sequence[Mapping[str, Any]]) -> Html:
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
    return joined([element("p", note), table("Predictions of larger runs", columns, rows)])


def floor(found: Findings) -> Html:
    """The verdict on E and its evidence."""
    verdict, fit = found.verdict, found.fit
    scan, percentile = verdict["profile"], verdict["bootstrap"]
    trades = {k: v for k, v in verdict["trades"].items() if v is not None and math.isfinite(v)}
    strongest = max(trades, key=lambda name: abs(trades[name]), default=None)
    how = [
        f"{_ends(ends)} ({notation.percent(ends['level'])}, {ends['method']})" for ends in (scan, percentile)
    ]
    pairs: list[tuple[str, object]] = [
        ("Verdict", element("strong", VERDICTS[verdict["verdict"]])),
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
    return joined([facts("Verdict on the floor and its evidence", pairs), _candidates(verdict["admissible"])])


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


def _candidates(admissible: Mapping[str, Any]) -> Html:
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
        return joined([element("p", note), table("This law alone", columns, rows)])
    return joined([element("p", note), table("All admissible laws", columns, rows)])


def _candidate(found: Mapping[str, Any]) -> list[Cell | str]:
    errors = [f"{notation.percent(error)} beyond 1/{cut}" for cut, error in found["errors"].items()]
    return [
        found["law"],
        "all" if found["part"] == 1 else f"upper {notation.percent(found['part'])} of compute",
        number(found["rows"], str(found["rows"])),
        number(found["E"], notation.estimate(found["E"], found["lo"], found["hi"])),
        notation.interval(found["lo"], found["hi"]),
        ", ".join(errors) or "not tried: too few runs",
        number(found["weight"], notation.percent(found["weight"])),
    ]


def law(found: Findings) -> Html:
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
    return joined([table("Parameters", columns, rows), facts("How the law was fitted", pairs)])


def outlook(found: Findings) -> Html:
    """Losses at more compute and, where there is a floor, the compute needed to come near it."""
    limit, x = found.limit, found.forecast.track.x
    split = bool(found.forecast.track.cost)
    columns = [
        Column("Beyond the largest run"),
        Column(_unit(x)),
        Column("Loss expected"),
        Column("Interval"),
    ]
    columns += [Column("N at its best"), Column("D at its best")] if split else []
    rows = []
    for claim in limit["losses"]:
        row: list[Cell | str] = [
            number(claim["extrapolation"], notation.times(claim["extrapolation"])),
            number(claim[x], notation.power(claim[x]) if x == "C" else notation.count(claim[x])),
            number(claim["L"], claimed(claim)),
            notation.interval(claim["lo"], claim["hi"]),
        ]
        row += [_optional(claim.get(name), notation.count) for name in ("N_opt", "D_opt")] if split else []
        rows.append(row)
    parts: list[Html] = [table("Loss expected beyond the data", columns, rows)]
    if limit["distances"]:
        parts.append(_distances(limit, x))
    else:
        parts.append(
            element("p", f"{limit['distances_missing'][0].upper()}{limit['distances_missing'][1:]}.")
        )
    note = f"Intervals: {found.forecast.method}, {notation.percent(found.forecast.level)}."
    return joined([*parts, element("p", note)])


def equation(name: str) -> Html:
    """The law's equation, with Greek letters and raised exponents."""
    parts = re.split(r"\^(\([^()]*\)|\w+)", LAWS[name].equation)
    plain, raised = parts[::2], [*parts[1::2], ""]
    shown = [
        joined([_greek(text), element("sup", _greek(power)) if power else ""], "")
        for text, power in zip(plain, raised, strict=True)
    ]
    return joined(["L = ", *shown], "")


def _greek(text: str) -> str:
    return re.sub("[a-z]+", lambda word: GREEK.get(word[0], word[0]), text)


def _cut(cut: Mapping[str, Any]) -> list[Cell | str]:
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


def _skipped(cut: Mapping[str, Any]) -> list[Cell | str]:
    return [
        f"{notation.times(cut['factor'])} the compute", str(cut["fitted"]), str(cut["held_out"]),
        *[MISSING] * 5, f"not tried: {cut['skipped']}",
    ]  # fmt: skip


def _parameter(found: Findings, name: str) -> list[Cell | str]:
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
    interval = notation.interval(ends["lo"], ends["hi"]) if ends else MISSING
    return [
        GREEK.get(name, name),
        shown,
        interval,
        notation.percent(ends["level"]) if ends else MISSING,
        role,
    ]


def _distances(limit: Mapping[str, Any], x: str) -> Html:
    columns = [
        Column("Within this share of the floor"),
        Column(_unit(x)),
        Column("Interval"),
        Column("Beyond the largest run"),
    ]
    form = notation.power if x == "C" else notation.count
    rows: list[list[Cell | str]] = []
    for distance in limit["distances"]:
        ends = [form(distance[end]) if distance[end] is not None else "never" for end in ("lo", "hi")]
        reach = distance["extrapolation"]
        rows.append(
            [
                number(distance["share"], notation.percent(distance["share"])),
                _optional(distance[x], form),
                f"{ends[0]} to {ends[1]}",
                _optional(reach, notation.times),
            ]
        )
    return table("What it takes to come near the floor", columns, rows)


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


def _optional(value: float | None, form: Any) -> Cell:
    return Cell("never" if value is None else form(value), None if value is None else float(value))


def _unit(x: str) -> str:
    return {"C": "C (FLOPs)", "N": "N (parameters)", "D": "D (tokens)"}.get(x, x)
