"""Predictions and what became of them, as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from analysis import notation
from analysis.columns import aligned
from analysis.registered.registration import INTERVALS
from analysis.registered.verification import Outcome, Verification, mean_errors

WIDTH = 80
NOT_WIDENED = (
    "The interval of one run by this law is not widened by what the law missed of held-out larger runs: beyond the "
    "fitted runs it is likely too narrow."
)
NAMES = {"law": "the law's curve", "run": "one run, by this law", "all_laws": "one run, by all laws"}


def predicted(content: Mapping[str, Any]) -> str:
    """A prediction file as it is printed when it is made."""
    fit, level = content["fit"], notation.percent(content["level"])
    parts = [_block(run, fit["target"], content["methods"], level) for run in content["runs"]]
    lines = [
        NOT_WIDENED,
        f"by {fit['law']}, fitted to {fit['rows']} rows of {fit['table']}",
        f"fit.json has SHA-256 {fit['fit_sha256']}",
        f"registered {content['date']}; SHA-256 {content['sha256']}",
        "The hash shows later changes, not the date: publish it (a commit, a message) before the run starts.",
    ]
    return "\n\n".join([*parts, "\n".join(map(_wrapped, lines))])


def verified(found: Sequence[Verification]) -> str:
    """What became of some prediction files, and the rate at which they held."""
    parts = [_verified(one) for one in found]
    tests = [(one, outcome) for one in found for outcome in one.tests]
    if len(tests) > 1:
        inside = sum(outcome.inside[one.judged_by] for one, outcome in tests)
        levels = {notation.percent(one.content["level"]) for one in found}
        parts.append(f"{inside} of {len(tests)} runs inside their {' or '.join(sorted(levels))} interval")
    return "\n\n".join(parts)


def _block(run: Mapping[str, Any], target: str, methods: Sequence[str], level: str) -> str:
    where = ", ".join(f"{column} {notation.count(value)}" for column, value in run["columns"].items())
    reach = ", ".join(f"{notation.times(value)} in {name}" for name, value in run["extrapolation"].items())
    rows = [(f"{level} interval of {NAMES[name]}", _span(run[name])) for name in methods]
    naive = [(f"naive: {name}", f"{value:.4f}") for name, value in run["baselines"].items()]
    head = f"{run['name']} ({where}): {target} = {run['value']:.4f}"
    beyond = f"  the largest fitted run times {reach}"
    first, *others = [*rows, *naive]
    return "\n".join([_wrapped(head), aligned(first, others), _wrapped(beyond)])


def _span(ends: Mapping[str, Any]) -> str:
    lo, hi = (("unbounded" if end is None else f"{end:.4f}") for end in (ends["lo"], ends["hi"]))
    return f"{lo} to {hi}"


def _verified(one: Verification) -> str:
    fit, level = one.content["fit"], notation.percent(one.content["level"])
    target = fit["target"]
    head = (target, "predicted", "interval", "error %", "z", "inside")
    rows = [_row(outcome, one.judged_by) for outcome in one.outcomes]
    room = WIDTH - 2 - sum(2 + max(len(row[i]) for row in (head, *rows)) for i in range(len(head)))
    names = [textwrap.shorten(_name(outcome), max(room, 8), placeholder="~") for outcome in one.outcomes]
    table = aligned(("run", *head), [(name, *row) for name, row in zip(names, rows, strict=True)])
    lines = [
        f"{one.path}: registered {one.content['date']} and unchanged since (SHA-256 {one.content['sha256'][:16]}); "
        f"{fit['law']} on {fit['rows']} rows",
        "",
        table,
        f"interval: {level} of {NAMES[one.judged_by]}; error: predicted / {target} - 1; z: distance in standard "
        "deviations of the interval",
    ]
    lines += [
        f"  * {o.row} WAS AMONG THE FITTED ROWS: this is no test, and it does not count"
        for o in one.outcomes
        if o.seen
    ]
    lines += [
        f"  {o.row}: moved by {100 * (o.moved - 1):+.2f} % to the run's own {', '.join(fit['columns'].values())}"
        for o in one.outcomes
        if abs(o.moved - 1) > 5e-5
    ]
    lines += [f"  awaited: {words}" for words in one.awaited]
    if one.tests:
        lines.append(_counts(one))
        errors = (f"{name} {100 * error:.2f}" for name, error in mean_errors(one.tests).items())
        lines.append(f"mean absolute error in %: {', '.join(errors)}")
    return "\n".join(_wrapped(line) if line and "\n" not in line else line for line in lines)


def _row(outcome: Outcome, judged_by: str) -> tuple[str, ...]:
    return (
        f"{outcome.observed:.4f}",
        f"{outcome.value:.4f}",
        _span(outcome.intervals[judged_by]),
        f"{100 * outcome.error:+.2f}",
        f"{outcome.z:+.1f}",
        ("yes" if outcome.inside[judged_by] else "NO") + ("*" if outcome.seen else ""),
    )


def _name(outcome: Outcome) -> str:
    return outcome.row if outcome.prediction == outcome.row else f"{outcome.row}: {outcome.prediction}"


def _counts(one: Verification) -> str:
    count = len(one.tests)
    hits = (
        f"{NAMES[name]} {sum(outcome.inside[name] for outcome in one.tests)} of {count}"
        for name in INTERVALS
        if name in one.content["methods"]
    )
    return f"inside the {notation.percent(one.content['level'])} interval of: {', '.join(hits)}"


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_long_words=False)
