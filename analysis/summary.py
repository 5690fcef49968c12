"""A fit as text for a terminal of 80 columns."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from analysis.columns import aligned
from analysis.fitting import Fit
from analysis.intervals import coverage_words
from analysis.laws import LAWS
from analysis.requirements import NAMED
from analysis.rows import X

WIDTH = 80
ROUNDING = 1e-9
"""Relative difference of an estimate and an end of its interval that is rounding."""
RIVALS = 2
"""Equally good fits that are printed; the others are counted."""


def summary(fit: Fit) -> str:
    """The answer first: warnings, the verdict on E, larger runs foretold, the frontier; then the parameters with their
    intervals and coverage, and how they were found."""
    measured = coverage_words.told(fit.coverage) if fit.bootstrap else ""
    parts = [
        *(_heading(fit), _warnings(fit), _floor(fit), _holdout(fit), _frontier(fit)),
        *(_parameters(fit), _others(fit), measured, _how(fit)),
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(fit: Fit) -> str:
    equation = re.sub(rf"\b{X}\b", fit.columns.get(X, X), LAWS[fit.law].equation)
    lines = [f"{fit.law}: {fit.target} = {equation}", f"{fit.rows} rows fitted, {len(fit.excluded)} excluded"]
    by_reason: dict[str, list[str]] = {}
    for row in fit.excluded:
        again = row.reason.startswith("duplicate of ")
        by_reason.setdefault("duplicate of another row" if again else row.reason, []).append(row.row)
    for reason, names in by_reason.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines.append(f"  {len(names)} excluded, {reason}: {', '.join(names[:NAMED])}{more}")
    return "\n".join(map(_wrapped, lines))


def _warnings(fit: Fit) -> str:
    confounded = fit.identification.get("confounded", ())
    lines = [*fit.warnings, *(pair["words"] for pair in confounded if "words" in pair)]
    lines += fit.tuning.get("warnings", ())
    return "\n".join(_wrapped(f"WARNING: {words}") for words in lines)


def _others(fit: Fit) -> str:
    """Intervals of the parameters by other methods, a table each."""
    parts = []
    for method, found in fit.others.items():
        errors = found["standard_errors"]
        rows = [
            (name, _span(ends), f"{errors[name]:.3g}" if name in errors else "")
            for name, ends in found["intervals"].items()
        ]
        level = next((f"{ends['level']:.0%} interval" for ends in found["intervals"].values()), "")
        parts.append("\n".join([f"by {method}", aligned(("", level, "s.e."), rows)]))
        parts += [_wrapped(found["note"])] if found["note"] else []
    return "\n".join(parts)


def _how(fit: Fit) -> str:
    """What was minimised, how the search ended, and what the columns mean."""
    lines = [
        "how it was fitted",
        f"  {_objective(fit)}",
        f"  status {fit.status}; condition number {fit.condition_number:.3g}; {fit.restarts.reached} of "
        f"{fit.restarts.tried} starts reached the best objective",
        *(f"  AN EQUALLY GOOD FIT is {_pairs(rival)}" for rival in fit.restarts.rivals[:RIVALS]),
        f"  and {more} more" if (more := len(fit.restarts.rivals) - RIVALS) > 0 else "",
        f"  {'; '.join(f'{name} is {meaning}' for name, meaning in fit.conventions.items())}",
    ]
    return "\n".join(_wrapped(line) for line in lines if line.strip())


def _objective(fit: Fit) -> str:
    """What was minimised, and how much of it pulls linearly."""
    name = f"objective {fit.value:.10f}, {fit.objective.name}"
    if not math.isfinite(fit.objective.delta) or fit.objective.name == "least_absolute":
        return f"{name}; noise {fit.noise:.2g}"
    whence = (
        f"1.345 times the noise of {fit.noise:.2g}"
        if fit.delta_from_noise
        else f"given; the noise is {fit.noise:.2g}"
    )
    return f"{name} with delta {fit.objective.delta:.3g} ({whence}): {fit.linear_share:.0%} of the rows are beyond it"


def _parameters(fit: Fit) -> str:
    errors = fit.bootstrap.get("standard_errors", {})
    rows = []
    for name, value in fit.params.items():
        interval = fit.intervals.get(name)
        ends = f"{interval['lo']:.6g} to {interval['hi']:.6g}" if interval else ""
        rows.append((name, f"{value:.7g}", ends, f"{errors[name]:.3g}" if name in errors else ""))
    level = next((f"{interval['level']:.0%} interval" for interval in fit.intervals.values()), "")
    table = aligned(("", "value", level, "s.e."), rows)
    if not fit.bootstrap:
        return table
    boot = fit.bootstrap
    statuses = ", ".join(f"{count} {status}" for status, count in boot["statuses"].items())
    refits = f"{boot['replicates']} refits ({statuses}), seed {boot['seed']}"
    how = f"bootstrap of {boot['units']} {_unit(boot['method'])}: {refits}"
    table = f"parameters\n{table}"
    notes = [*_no_limit(fit), *_doubtful(fit), *([boot["note"]] if boot["note"] else [])]
    return "\n".join([table, _wrapped(how), *map(_wrapped, notes)])


def _no_limit(fit: Fit) -> list[str]:
    verdict = fit.identification.get("verdict", "identified")
    if verdict == "identified" or "E" not in fit.params:
        return []
    return [f"E is where this law ended, and no limit: the floor is {verdict.replace('_', ' ')}"]


def _doubtful(fit: Fit) -> list[str]:
    """Of which parameters the interval does not say how well they are known."""
    outside, still = [], []
    for name, value in fit.params.items():
        lo, hi = (
            (fit.intervals[name][end] for end in ("lo", "hi")) if name in fit.intervals else (value, value)
        )
        slack = ROUNDING * abs(value)
        if not lo - slack <= value <= hi + slack:
            outside.append(name)
        elif fit.status == "at_bound" and name in fit.intervals and hi - lo <= slack:
            still.append(name)
    told = []
    if outside:
        told.append(f"{', '.join(outside)}: the value is outside its interval, so the refits ended elsewhere")
    if still:
        told.append(
            f"{', '.join(still)}: all refits ended there, so the interval does not say how well it is known"
        )
    return told


def _floor(fit: Fit) -> str:
    found = fit.identification
    if not found:
        return ""
    if "admissible" not in found:  # a law without a floor
        return _wrapped(f"floor: {found['reason']}")
    trades = ", ".join(f"{name} {value:+.2f}" for name, value in found["trades"].items() if value == value)
    alone, admissible = found["alone"], found["admissible"]
    ends = f"profile {_span(found['profile'])}, plain bootstrap {_span(found['bootstrap'])}"
    level = f"{found['profile']['level']:.0%}"
    laws = ", ".join(admissible["admitted"])
    several = len(admissible["admitted"]) > 1
    by, own = (
        (f"all admissible laws ({laws})", f"{fit.law} alone")
        if several
        else ("this law alone", "its profile and bootstrap")
    )
    lines = [
        f"floor E: {found['verdict']}. {found['reason']}",
        f"  {level} by {by}: {_ends(found)}",
        f"  {own}: {alone['verdict']}; {level}: {ends}",
    ]
    if trades:
        lines.append(f"  rank correlation of E over the refits with {trades}")
    return "\n".join(_wrapped(line) for line in lines)


def _frontier(fit: Fit) -> str:
    found = fit.frontier
    if not found:
        return ""
    if "withheld" in found:
        return _wrapped(f"no compute-optimal frontier: {found['withheld']}")
    rows = [
        (f"{name}_opt ~ C^a, a", f"{found[key]:.4g}", _ends(found["intervals"][key]))
        for name, key in (("N", "N_exponent"), ("D", "D_exponent"))
    ]
    rows.append(
        ("L_opt - E ~ C^-c, c", f"{found['L_exponent']:.4g}", _ends(found["intervals"]["L_exponent"]))
    )
    error = found["largest_error_of_C"]
    cost = f"C = {found['kappa']:.4g} N^{found['rho']:.4g} D, within {error:.2g} of the rows' own C"
    return "\n".join(["compute-optimal frontier", aligned(("", "value", "interval"), rows), _wrapped(cost)])


def _holdout(fit: Fit) -> str:
    rows, skipped = [], []
    for cut in fit.holdout:
        if cut["skipped"]:
            skipped.append(_wrapped(f"beyond C_max/{cut['factor']:g}: skipped, {cut['skipped']}"))
            continue
        numbers = [f"{100 * cut[key]:.2f}" for key in ("mean_error", "max_error", "bias")]
        known = [value for value in cut["skill"].values() if value is not None and value == value]
        skill = f"{min(known):.2f}" if known else "-"
        counts = (f"C_max/{cut['factor']:g}", str(cut["fitted"]), str(cut["held_out"]))
        rows.append((*counts, *numbers, _share(cut["coverage"]), _share(cut.get("calibrated")), skill))
    if not rows and not skipped:
        return "no larger runs were foretold from smaller ones"
    head = ("fitted up to", "rows", "held out", "mean %", "max %", "bias %", "claimed", "widened", "skill")
    level = next((f"{cut['level']:.0%} " for cut in fit.holdout if not cut["skipped"]), "")
    note = (
        f"claimed: held-out losses inside their {level}interval; widened: inside it made wider by what such "
        "intervals missed within the rows fitted; skill: against the best naive forecast, 1 is perfect"
    )
    table = [aligned(head, rows), _wrapped(note), *_horizons(fit)] if rows else []
    return "\n".join(["larger runs foretold from smaller ones", *table, *skipped])


def _horizons(fit: Fit) -> list[str]:
    """What was inside by how far beyond the cut, of all cuts together."""
    told = []
    for name in ("3", "10", "30", "more"):
        cells = [cut["horizons"][name] for cut in fit.holdout if name in (cut.get("horizons") or {})]
        if of := sum(cell["of"] for cell in cells):
            claimed = sum(cell["inside"] for cell in cells)
            widened = sum(cell["calibrated"] for cell in cells if "calibrated" in cell)
            tried = sum(cell["of"] for cell in cells if "calibrated" in cell)
            reach = f"up to {name}x" if name != "more" else "further"
            told.append(f"{reach} {claimed} of {of}" + (f" ({widened} of {tried} widened)" if tried else ""))
    return (
        [_wrapped(f"inside by compute beyond the cut: {', '.join(told)}; a run counts once a cut")]
        if told
        else []
    )


def _share(share: float | None) -> str:
    return "-" if share is None or share != share else f"{share:.0%}"


def _unit(method: str) -> str:
    return "rows" if method == "pairs" else f"clusters of {method.split(':')[1]}"


def _ends(interval: Mapping[str, Any]) -> str:
    return f"{interval['lo']:.4g} to {interval['hi']:.4g}"


def _span(interval: Mapping[str, Any]) -> str:
    lo, hi = (None if end is None or end != end else end for end in (interval["lo"], interval["hi"]))
    return f"{'unbounded' if lo is None else f'{lo:.5g}'} to {'unbounded' if hi is None else f'{hi:.5g}'}"


def _pairs(params: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in params.items())


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, initial_indent="", break_long_words=False)
