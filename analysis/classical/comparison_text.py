"""A comparison of the three approaches as text for a terminal of 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections import Counter

import numpy as np

from analysis import notation
from analysis.classical.allocation import Allocation, Bias, Refused, middle
from analysis.classical.comparison import NUMBERS, PARABOLAS, PARAMETRIC, Comparison
from analysis.columns import aligned
from analysis.intervals.uncertainty import Interval

WIDTH = 80
MOST_COMPUTES = 6
"""Refused budgets that are named one by one for a reason; --json names all."""


def text(made: Comparison) -> str:
    """Exponents, the split at C, the biases, what was used and refused, warnings, and which approach to rely on."""
    parts = [_heading(made), _exponents(made), _split(made), _biases(made), _used(made), _reliance(made)]
    return "\n\n".join(part for part in parts if part)


def _heading(made: Comparison) -> str:
    cost = made.cost
    reasons = Counter(row.reason for row in made.rows.excluded)
    lines = [
        f"{len(made.frame)} rows, {len(made.rows.excluded)} excluded"
        + "".join(f"; {count} {reason}" for reason, count in reasons.items()),
        f"C from {made.frame['C'].min():.3g} to "
        f"{made.frame['C'].max():.3g} FLOPs in {len(made.budgets)} budgets",
        "; ".join(f"{name} is {meaning}" for name, meaning in made.rows.conventions.items()),
        f"C = {cost.kappa:.4g} N^{cost.rho:.4g} D within {notation.percent(cost.largest_error)} of every row",
    ]
    return "\n".join(_wrapped(line) for line in lines)


def _exponents(made: Comparison) -> str:
    rows = []
    for name, found in made.found.items():
        a, b = found.a, found.b
        rows.append((_title(name, found), f"{a[0]:.4f}", _ends(a[1]), f"{b[0]:.4f}", _ends(b[1])))
    level = _level(made)
    table = aligned(("N_opt ~ C^a, D_opt ~ C^b", "a", level, "b", level), rows)
    missing = [_wrapped(f"  {NUMBERS[name]} {name}: none. {why}") for name, why in made.without.items()]
    return "\n".join([table, *missing])


def _split(made: Comparison) -> str:
    rows = []
    for name, found in made.found.items():
        cells = [_title(name, found)]
        for value, interval in found.at(made.C).values():
            known = math.isfinite(interval.lo)
            ends = (
                f"{notation.count(interval.lo)}–{notation.count(interval.hi)}" if known else notation.MISSING
            )
            cells += [notation.count(value), ends]
        rows.append(cells)
    level = _level(made)
    head = (f"at C = {made.C:.3g}", "N_opt", level, "D_opt", level)
    ahead = f"  C is {notation.times(made.ahead)} that of the largest run"
    return "\n".join([aligned(head, rows), ahead])


def _biases(made: Comparison) -> str:
    rows = []
    for name, found in made.found.items():
        if known := found.bias:
            shares = (notation.change(known.N), notation.change(known.D))
            rows.append((_title(name, found), _signed(known.a, 4), _signed(known.b, 4), *shares))
    if not rows:
        return ""
    words = (
        f"Bias: what each gets wrong of losses of the fitted {made.fit.law} at its rows' own N, D and C, without noise "
        "(the truth there is the law's frontier)"
    )
    head = (f"at C = {made.C:.3g}", "of a", "of b", "of N_opt", "of D_opt")
    return "\n".join([_wrapped(words), aligned(head, rows)])


def _used(made: Comparison) -> str:
    lines = []
    for name, found in made.found.items():
        lines.append(f"{_title(name, found)}: {found.used}; {found.replicates} replicates ({found.method})")
        lines += [f"  not used: {words}" for words in _by_reason(found.refused)]
        lines += [f"  WARNING: {words}" for words in found.told()]
    return "\n".join(_wrapped(line) for line in lines)


def _by_reason(refused: tuple[Refused, ...]) -> list[str]:
    """Refused budgets in one line a reason."""
    reasons: dict[str, list[float]] = {}
    for item in refused:
        reasons.setdefault(item.reason, []).append(item.C)
    lines = []
    for reason, computes in reasons.items():
        named = ", ".join(f"{C:.3g}" for C in computes[:MOST_COMPUTES])
        more = len(computes) - MOST_COMPUTES
        lines.append(f"C = {named}{f' and {more} more' if more > 0 else ''}: {reason}")
    return lines


def _reliance(made: Comparison) -> str:
    """What the reader is to make of it."""
    words = (
        "Approaches 1 and 2 check approach 3 and never replace it: it uses all rows, and has no bias where its law "
        "holds."
    )
    parabolas = made.found.get(PARABOLAS)
    unknown = any(
        math.isnan(made.found[name].a[1].lo) for name in (PARABOLAS, PARAMETRIC) if name in made.found
    )
    if parabolas is None or parabolas.bias is None or unknown:
        return _wrapped(words)
    return _wrapped(f"{words} {_check(made, parabolas, parabolas.bias)}")


def _check(made: Comparison, parabolas: Allocation, known: Bias) -> str:
    """How far the parabolas, less their bias, are from the law amid the runs, and in the exponent."""
    law, C = made.found[PARAMETRIC], middle(made.frame)
    logs = [np.log(item.N.replicated(C)) for item in (parabolas, law)]
    amid = float(np.log(parabolas.N.at(C) / law.N.at(C)) - np.log1p(known.N_amid))
    slope = parabolas.a[0] - law.a[0] - known.a
    together = _within(amid, [parabolas.interval(logs[0]), law.interval(logs[1])])
    alike = _within(slope, [parabolas.a[1], law.a[1]])
    told = (
        f"The parabolas less their bias have N_opt {notation.plain(math.exp(amid))} times the law's at C = {C:.2g}, "
        f"amid the runs, and an exponent a that differs by {_signed(slope, 3)}: "
    )
    if together and alike:
        return told + "no more than both intervals allow."
    return told + "MORE than both intervals allow, a sign that the law does not hold over all these rows."


def _within(apart: float, intervals: list[Interval]) -> bool:
    """Whether a difference is within the root of the summed squares of half the intervals' widths."""
    return abs(apart) <= math.sqrt(sum(((item.hi - item.lo) / 2) ** 2 for item in intervals))


def _signed(value: float, places: int) -> str:
    """A difference with its sign; one that rounds to 0 has none to tell and is +0."""
    return f"{round(value, places) + 0.0:+.{places}f}"


def _title(name: str, found: Allocation) -> str:
    return f"{NUMBERS[name]} {found.approach}"


def _level(made: Comparison) -> str:
    return f"{100 * made.found[PARAMETRIC].level:g} % interval"


def _ends(interval: Interval) -> str:
    if not math.isfinite(interval.lo):
        return notation.MISSING
    return f"{interval.lo:.3f}–{interval.hi:.3f}"


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_long_words=False)
