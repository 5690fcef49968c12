"""Whether the runs identify the floor, judged by all admissible laws together and not by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.floor.admissible import untested
from analysis.floor.combination import Combination
from analysis.floor.identify import FALL, VERDICTS, Verdict, apart, term_falls, too_wide, unsound

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Judgement:
    """One of `identify.VERDICTS`, why, and the floor by all admissible laws: E, and the ends of its interval."""

    verdict: str
    reason: str
    E: float
    lo: float
    """0 where a floor of 0 is possible."""
    hi: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


def judge(frame: pd.DataFrame, combined: Combination, own: Verdict | None = None) -> Judgement:
    """What selected rows say of the floor E by every admissible law and range of runs.

    A law that stands alone has no others to widen its interval: with its `own` verdict the interval is that of both
    together, and the verdict the weaker of the two.

    `identified`, all of: at least one law could be held to runs larger than those it was fitted to; the first law's
    fit is sound (its optimiser converged, no exponent at an end of its range) and its terms fall by 2 times or more
    over the runs; the combined interval excludes 0 and is no wider than the loss that the best run has above E, or
    2 % of E.
    `bounded_above_only`: not identified, but the first law's fit is sound, its terms fall that much, and the interval
    ends below the best run. `not_identified`: neither. These are the rules of `identify.verdict`, asked of a wider
    interval.
    """
    E, lo, hi = combined.floor()
    if own is None or not combined.of_one_law:
        return Judgement(*_verdict(frame, combined, E, lo, hi), E, lo, hi)
    lo, hi = min(lo, own.lo), max(hi, own.hi)
    name, reason = _verdict(frame, combined, E, lo, hi)
    if VERDICTS.index(own.verdict) > VERDICTS.index(name):
        name, reason = own.verdict, f"By the profile and bootstrap of this law: {own.reason}"
    return Judgement(name, reason, E, lo, hi)


def _verdict(frame: pd.DataFrame, combined: Combination, E: float, lo: float, hi: float) -> tuple[str, str]:
    first, best = combined.first, combined.best
    problem = first.fit.problem(first.fit.select(frame).frame)
    if unreliable := unsound(first.fit, problem):
        return "not_identified", unreliable
    if not combined.tested:
        return "not_identified", untested(frame, first)
    falls = term_falls(problem, first.fit)
    if unseen := [name for name, fall in falls.items() if fall < FALL]:
        fall = f"{falls[unseen[0]]:.2f}-fold over them, where {FALL:g}-fold is needed"
        return "not_identified", f"The runs span too little: the term with {unseen[0]} falls only {fall}."
    doubt, by = _doubt(E, lo, hi, best), combined.words
    if not doubt:
        reason = f"By {by} the floor lies between {lo:.4g} and {hi:.4g}, and the best run is at {best:.4g}."
        return "identified", reason
    if hi < best:
        bound, at = apart(hi, best)
        reason = f"By {by} the floor lies below {bound} (the best run is at {at}), but {doubt}."
        return "bounded_above_only", reason
    return (
        "not_identified",
        f"By {by} the floor may lie as high as the best run ({best:.4g}), and {doubt}.",
    )


def _doubt(E: float, lo: float, hi: float, best: float) -> str:
    """What stands against `identified`, in words that follow "but"; empty where nothing."""
    if lo <= 0:
        return "no floor at all (E = 0) is admissible too"
    return too_wide(E, lo, hi, best, "its middle")
