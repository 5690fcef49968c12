"""Whether the runs identify a law's floor E, and what it trades against where they do not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.fitting import EDGE, Fit, vector
from analysis.intervals.profile import Profile
from analysis.intervals.uncertainty import Bootstrap, Interval
from analysis.solver.problem import Problem

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

VERDICTS = ("identified", "bounded_above_only", "not_identified")
FALL = 2.0
"""A term is seen when it falls by this factor over the runs: less, and any slowly varying function fits as well."""
PRECISE = 0.02
"""A floor known within this share of itself is known, however near to it the runs came."""
FLAT = 1e-9
"""Relative fall of a term below which it is constant but for rounding."""
AT_END = 2e-4
"""Share of its range within which an exponent is at an end of it."""
CONFOUNDED = 0.99
"""Two exponents whose effects correlate above this over the rows cannot be told apart."""


@dataclass(frozen=True)
class Confounded:
    """Two exponents whose terms vary together over the rows, with the correlation of their log basis functions."""

    first: str
    second: str
    correlation: float


@dataclass(frozen=True)
class Verdict:
    """What the runs say about the floor: one of `VERDICTS`, why, and the evidence."""

    verdict: str
    reason: str
    E: float
    lo: float
    """Lower end of both intervals together; 0 where the runs do not exclude a floor of 0."""
    hi: float
    """Upper end of both; infinite where the runs do not bound it."""
    profile: Interval
    bootstrap: Interval
    condition_number: float
    trades: dict[str, float]
    """Rank correlation of E with every other parameter over the replicates."""
    falls: dict[str, float]
    """Largest over smallest value of every other term over the rows, by its amplitude."""
    confounded: tuple[Confounded, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """The `identification` entry of fit.json."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "E": self.E,
            "lo": self.lo,
            "hi": self.hi,
            "profile": self.profile.as_dict(),
            "bootstrap": self.bootstrap.as_dict(),
            "condition_number": self.condition_number,
            "trades": self.trades,
            "falls": self.falls,
            "confounded": [vars(pair) for pair in self.confounded],
        }


def verdict(table: pd.DataFrame, fit: Fit, boot: Bootstrap, profile: Profile) -> Verdict:
    """Whether the runs identify E, from its profile and bootstrap taken together (the wider end of each counts).

    `identified`, all of:
      the optimiser converged, no exponent rests at its bound, and at most a tail's share of the replicates failed;
      0 is outside both intervals and both end;
      the intervals together are no wider than the loss that the best run still has above E (so that what is left to
      gain is known to within its own size) or than 2 % of E;
      every other term falls by at least 2 times over the runs;
      where whole clusters were resampled, there are more of them than parameters.
    `bounded_above_only`: not identified, but the optimiser converged, both intervals end below the best run's fitted
      loss, every other term falls by at least 2 times (over less, an end of an interval is read off the law's shape and
      not off the runs, however precise they are), and at most a tail's share of the replicates has an exponent at the
      upper end of its range (else that range makes the bound): more compute would still lower the loss, how far is not
      known.
    `not_identified`: neither; the runs do not even show that the best of them is above the floor, or the fit itself
      cannot be relied on.
    """
    frame = fit.select(table).frame
    problem = fit.problem(frame)
    percentile = boot.interval(np.asarray(boot.law.as_dict()["E"]), profile.level)
    lo = min(0.0 if np.isnan(profile.lo) else profile.lo, percentile.lo)
    hi = max(np.inf if np.isnan(profile.hi) else profile.hi, percentile.hi)
    best = float(fit.curve(**fit.arguments(frame)).min())
    falls = term_falls(problem, fit)
    unreliable = unsound(fit, problem) or _unsteady(boot)
    doubts = _doubts(fit, boot, lo, hi, best, falls)
    if unreliable:
        name, reason = "not_identified", unreliable
    elif not doubts:
        name = "identified"
        told = f"the fitted loss of the best run is {best:.4g}; a floor of 0 is excluded."
        reason = f"The floor lies between {lo:.4g} and {hi:.4g}, and {told}"
    elif unseen := [name for name, fall in falls.items() if fall < FALL]:
        name = "not_identified"
        fall = f"{falls[unseen[0]]:.2f}-fold over them, where {FALL:g}-fold is needed"
        reason = f"The runs span too little: the term with {unseen[0]} falls only {fall}."
    elif hi < best and _steep_share(problem, boot) <= (1 - boot.level) / 2:
        name = "bounded_above_only"
        bound, at = apart(hi, best)
        reason = f"The floor lies below {bound} (the fitted loss of the best run is {at}), but {doubts[0]}."
    else:
        name = "not_identified"
        reason = f"The floor may lie as high as the best run (fitted loss {best:.4g}), and {doubts[0]}."
    ends = Interval(profile.lo, profile.hi, profile.level, profile.method)
    pairs, trades = confounded(problem, fit), rank_correlations(boot)
    for pair in pairs:
        reason += (
            f" {pair.first} and {pair.second} cannot be told apart: their terms vary together in every run."
        )
    E = fit.params["E"]
    return Verdict(name, reason, E, lo, hi, ends, percentile, fit.condition_number, trades, falls, pairs)


def too_wide(E: float, lo: float, hi: float, best: float, middle: str) -> str:
    """Why an interval of the floor is too wide for `identified`, in words that follow "but"; empty where it is not.
    `middle` is what E is called."""
    if hi - lo <= max(best - E, PRECISE * E):
        return ""
    if math.isinf(hi):
        return f"it may lie anywhere above {notation.plain(lo)}"
    width = f"it may lie anywhere from {notation.interval(lo, hi)}: a range of {notation.plain(hi - lo, 2)}"
    if best - E < PRECISE * E:
        return f"{width}, more than {PRECISE:.0%} of it"
    return f"{width}, more than the {notation.plain(best - E, 2)} from {middle} to the best run"


def apart(first: float, second: float) -> tuple[str, str]:
    """Two numbers in three figures, or in as many more as keep them apart."""
    for digits in range(3, 10):
        shown = f"{first:.{digits}g}", f"{second:.{digits}g}"
        if shown[0] != shown[1]:
            break
    return shown


def term_falls(problem: Problem, fit: Fit) -> dict[str, float]:
    """Largest over smallest value over the rows of every term that varies, by its amplitude."""
    theta = vector(problem, fit.params)[problem.terms :, None]
    log_basis = problem.log_basis(theta)[:, 0]
    varying = sorted({k for k, _ in problem.couplings})
    return {problem.law.amplitudes[k]: float(np.exp(np.ptp(log_basis[k]))) for k in varying}


def confounded(problem: Problem, fit: Fit) -> tuple[Confounded, ...]:
    """Pairs of exponents whose terms are powers of what is, over these rows, one variable: with D = 20 N in every run
    alpha and beta only ever enter together, and their values can be exchanged. Of two terms that each have several
    exponents the last are named."""
    theta = vector(problem, fit.params)[problem.terms :, None]
    log_basis = problem.log_basis(theta)[:, 0]
    names = list(problem.exponents)
    varies = [bool(np.isfinite(term).all() and np.ptp(term) > 0) for term in log_basis]
    found = {}
    for (k, m), (j, other) in combinations(problem.couplings, 2):
        if m == other or k == j or not (varies[k] and varies[j]):
            continue
        correlation = float(np.corrcoef(log_basis[k], log_basis[j])[0, 1])
        if abs(correlation) > CONFOUNDED:
            found[k, j] = Confounded(names[m], names[other], correlation)
    return tuple(found.values())


def rank_correlations(boot: Bootstrap, parameter: str = "E") -> dict[str, float]:
    """Spearman's correlation over replicates of a parameter with every other; NaN where one of them is constant."""
    ranks = {name: _ranks(np.asarray(values)) for name, values in boot.law.as_dict().items()}
    this = ranks.pop(parameter)
    return {
        name: float(np.corrcoef(this, other)[0, 1]) if np.ptp(this) and np.ptp(other) else float("nan")
        for name, other in ranks.items()
    }


def _ranks(values: Array) -> Array:
    """Ranks with ties averaged, so that replicates at a bound do not correlate by their order."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _steep_share(problem: Problem, boot: Bootstrap) -> float:
    """Share of replicates with an exponent at the upper end of its range."""
    values = boot.law.as_dict()
    steep = [e.place(values[name]) >= 1 - EDGE for name, e in problem.exponents.items()]
    return float(np.mean(np.any(steep, axis=0)))


def unsound(fit: Fit, problem: Problem) -> str:
    """Why the fit cannot be relied on: its optimiser did not converge, or an exponent is at an end of its range; empty
    where it can."""
    if fit.status == "max_steps":
        return "The optimiser did not converge, so the floor is where it stopped."
    for name, exponent in problem.exponents.items():
        place = float(exponent.place(fit.params[name]))
        if place > 1 - AT_END or (place < AT_END and not exponent.nested):
            if why := _arbitrary(fit, problem, name):
                return f"The exponent {name} is not determined by these runs: {why}."
            return f"The exponent {name} ended at {fit.params[name]:.4g}, an end of its range: this law does not fit."
    return ""


def _arbitrary(fit: Fit, problem: Problem, exponent: str) -> str:
    """Why a design leaves an exponent open, wherever it ended; empty where it does not."""
    for pair in confounded(problem, fit):
        if exponent in (pair.first, pair.second):
            return f"{pair.first} and {pair.second} cannot be told apart, since their terms vary together in every run"
    falls = term_falls(problem, fit)
    m = list(problem.exponents).index(exponent)
    terms = [problem.law.amplitudes[k] for k, other in problem.couplings if other == m]
    if terms and all(falls[name] < 1 + FLAT for name in terms):
        return f"the term with {terms[0]} is the same in every run"
    if terms and all(fit.params.get(name, 1.0) == 0 for name in terms):
        return f"the term with {terms[0]} is 0, or too small to see"
    return ""


def undetermined(fit: Fit, problem: Problem) -> str:
    """Why the runs do not determine how the loss splits between its terms, and so no frontier; empty where they do."""
    for name in problem.exponents:
        if why := _arbitrary(fit, problem, name):
            return why
    if doubt := unsound(fit, problem):
        return doubt[0].lower() + doubt[1:].removesuffix(".")
    if fit.restarts.rivals:
        rival = fit.restarts.rivals[0]
        other = ", ".join(f"{name} {rival[name]:.3g}" for name in problem.exponents if name in rival)
        return f"another fit is as good ({other})"
    return ""


def _unsteady(boot: Bootstrap) -> str:
    """Why the replicates cannot be relied on; empty where they can."""
    failed = boot.statuses.get("max_steps", 0) / boot.replicates
    if failed > (1 - boot.level) / 2:
        return (
            f"{failed:.0%} of the bootstrap refits did not converge: the law is not determined by these runs."
        )
    return ""


def _doubts(
    fit: Fit, boot: Bootstrap, lo: float, hi: float, best: float, falls: dict[str, float]
) -> list[str]:
    """What stands against `identified`, in words that follow "but"."""
    E, doubts = fit.params["E"], []
    if lo <= 0:
        doubts.append("no floor at all (E = 0) fits as well")
    if wide := too_wide(E, lo, hi, best, "it"):
        doubts.append(wide)
    if min(falls.values()) < FALL:
        doubts.append("the runs span too little")
    if boot.method != "pairs" and boot.units <= len(fit.params):
        doubts.append(
            f"{boot.units} clusters are too few to judge the spread of {len(fit.params)} parameters"
        )
    return doubts
