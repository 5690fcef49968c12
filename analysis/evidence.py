"""The fit of a table with all its evidence: intervals, profile and verdict, frontier and held-out runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from analysis import frontier, holdout
from analysis.fitting import Fit
from analysis.floor.admissible import combine
from analysis.floor.combination import Combination
from analysis.floor.identify import undetermined, verdict
from analysis.floor.judgement import judge
from analysis.floor.separation import separations
from analysis.intervals.caught import Coverage
from analysis.intervals.coverage import coverage, default_truths
from analysis.intervals.methods import uncertainty_by
from analysis.intervals.profile import Profile, profile
from analysis.intervals.profile_coverage import profile_coverage
from analysis.intervals.uncertainty import Bootstrap, Interval, bootstrap
from analysis.laws import LAWS
from analysis.options import IN_N_AND_D
from analysis.rates import rate_words, transfer

if TYPE_CHECKING:
    import pandas as pd

NO_FLOOR = "no_floor"
"""In place of a verdict, where a law has no floor of the loss."""


def with_evidence(
    table: pd.DataFrame,
    fit: Fit,
    *,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
    laws: Sequence[str] = IN_N_AND_D,
    truths: int | None = None,
    methods: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Fit, Bootstrap, Combination | None]:
    """The fit with its intervals, their coverage, profile of E, verdict, frontier and rolling origin filled in; its
    bootstrap; and it combined with the other admissible `laws`, by which the verdict is.

    Coverage is measured on so many simulated `truths` (None: `coverage.default_truths`; 0: not at all), and the
    intervals are then the calibrated ones, as far as a quantity has one.

    A law that has no floor of the loss (see `no_floor`) gets neither profile nor combination, and the reason in place
    of a verdict. Exponents that the rows confound are told with by how much (`analysis.floor.separation`).

    The intervals of other `methods` (see `analysis.intervals.methods`) are put beside the bootstrap's.

    say is told, in a few words each, what is being done.
    """
    boot = bootstrap(
        table,
        fit,
        replicates=replicates,
        clusters=clusters,
        seed=seed,
        level=level,
        progress=lambda done, total: say(f"bootstrap: {done} of {total} refits"),
    )
    if truths is None:
        truths = default_truths(LAWS[fit.law], fit.rows, replicates)
    measured = _measured(table, fit, boot, truths, seed, say)
    found, combined = fit, None
    if reason := no_floor(fit):
        found = replace(fit, identification={"verdict": NO_FLOOR, "reason": reason})
    else:
        say("profile of E")
        curve = profile(table, fit, level=level, clusters=clusters, seed=seed)
        combined = combination(table, fit, laws=laws, clusters=clusters, seed=seed, level=level, say=say)
        judged = _identification(table, fit, boot, curve, combined)
        if measured:
            profiled = profile_coverage(table, fit, boot, curve, truths=truths, seed=seed)
            measured = replace(measured, profile=profiled)
        found = replace(fit, profile=curve.as_dict(), identification=judged)
    confounded = separations(table, fit, level=level, clusters=clusters, seed=seed)
    if confounded:
        told = {"confounded": [pair.as_dict() for pair in confounded]}
        found = replace(found, identification=found.identification | told)
    found = replace(
        found,
        intervals={name: printed(name, plain, measured) for name, plain in boot.intervals().items()},
        bootstrap=boot.as_dict(),
        coverage=measured.as_dict() if measured else {},
        others=_others(table, fit, methods, replicates, clusters, seed, level, say),
        frontier=_frontier(table, fit, boot, measured),
        holdout=tuple(
            cut.as_dict()
            for cut in holdout.rolling_origin(
                table, fit, level=level, seed=seed, clusters=clusters, progress=say
            )
        ),
        tuning=rate_words.as_dict(transfer.series(table, fit.where, level), fit.select(table).frame),
    )
    return found, boot, combined


def _measured(
    table: pd.DataFrame, fit: Fit, boot: Bootstrap, truths: int, seed: int, say: Callable[[str], None]
) -> Coverage | None:
    """Coverage of the bootstrap's intervals on so many simulated tables; None where none are asked for."""
    if not truths:
        return None

    def told(done: int, total: int) -> None:
        say(f"coverage: {done} of {total} simulated tables")

    return coverage(table, fit, boot, truths=truths, seed=seed, progress=told)


def _others(
    table: pd.DataFrame, fit: Fit, methods: Sequence[str], replicates: int, clusters: str, seed: int, level: float,
    say: Callable[[str], None],
) -> dict[str, dict[str, object]]:  # fmt: skip
    """What other methods say of the parameters, by method."""
    found = {}
    for method in methods:
        say(f"intervals by {method}")
        made = uncertainty_by(
            method, table, fit, replicates=replicates, clusters=clusters, seed=seed, level=level
        )
        ends = {name: interval.as_dict() for name, interval in made.intervals().items()}
        found[method] = made.as_dict() | {"intervals": ends}
    return found


def no_floor(fit: Fit) -> str:
    """Why no verdict is made on the floor of this law: it has none, it is of another column than the loss, or losses
    may lie below it; empty where one is."""
    if fit.target != "L":
        return (
            f"This law is of {fit.target} and not of the loss L, so nothing is said of a floor of the loss."
        )
    if LAWS[fit.law].floor is None:
        return "This law has no floor."
    if -1 in LAWS[fit.law].signs:
        return (
            "This law takes a term away, so losses may lie below its E: its floor is not bounded by the losses seen, "
            "and no verdict is made on it."
        )
    return ""


def combination(
    table: pd.DataFrame,
    fit: Fit,
    *,
    laws: Sequence[str] = IN_N_AND_D,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
    say: Callable[[str], None] = lambda text: None,
) -> Combination:
    """The fit's law combined with the other admissible laws on the fit's rows, under its objective and weights."""
    return combine(
        fit.select(table).frame,
        law=fit.law,
        laws=laws,
        x=next(iter(fit.columns.values())),
        objective=fit.objective,
        weights=fit.weighted_by,
        clusters=clusters,
        seed=seed,
        level=level,
        say=say,
    )


def printed(name: str, plain: Interval, measured: Coverage | None) -> dict[str, object]:
    """The interval of a quantity that is shown: the calibrated one, or the plain one where there is none, which its
    method then says."""
    if measured is None or name not in measured.quantities:
        return plain.as_dict()
    calibrated = measured.quantities[name].calibrated
    if calibrated is None:
        return replace(
            plain, method=f"{plain.method}, not calibrated: no interval reached the level"
        ).as_dict()
    return calibrated.as_dict()


def _identification(
    table: pd.DataFrame, fit: Fit, boot: Bootstrap, curve: Profile, combined: Combination
) -> dict[str, object]:
    """The verdict by all admissible laws, with what this law alone would say, and the evidence of both."""
    own = verdict(table, fit, boot, curve)
    alone = own.as_dict()
    said = {name: alone[name] for name in ("verdict", "reason", "E", "lo", "hi")}
    judged = judge(fit.select(table).frame, combined, own).as_dict()
    return alone | judged | {"alone": said, "admissible": combined.as_dict()}


def _frontier(table: pd.DataFrame, fit: Fit, boot: Bootstrap, measured: Coverage | None) -> dict[str, object]:
    if frontier.two_powers(fit.curve) is None:
        return {}
    chosen = fit.select(table)
    if doubt := undetermined(fit, fit.problem(chosen.frame)):
        return {"withheld": f"the split of compute is not determined by these runs: {doubt}"}
    cost = frontier.cost(chosen)
    many = frontier.Frontier(boot.law, cost)
    names = ("N_exponent", "D_exponent", "L_exponent")
    intervals = {name: printed(name, boot.interval(getattr(many, name)), measured) for name in names}
    return frontier.Frontier(fit.curve, cost).as_dict() | {"intervals": intervals}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Says what is being done, on stderr or by `say`, once it has taken two seconds and then at most every two."""

    def __init__(self, every: float = 2.0, say: Callable[[str], None] = _say) -> None:
        self.every = every
        self.say = say
        self.last = time.monotonic()

    def __call__(self, text: str) -> None:
        """Say it if it is time to."""
        now = time.monotonic()
        if now - self.last >= self.every:
            self.last = now
            self.say(text)
