"""The limit by every admissible law and range of runs together: what sampling, law and scale each leave open.

One law's bootstrap knows of the noise between runs alone. That the law itself is only nearly right shows in three other
places: laws that fit as well end elsewhere, each of them misses runs larger than those it was fitted to, and what it
says drifts as the small runs are left out. Here every candidate, a law fitted to all runs or to the upper part of their
compute, contributes its bootstrap, blurred by the error with which it foretold larger runs and by its law's drift, and
counts by the inverse of that error squared (Bates and Granger 1969, Operational Research Quarterly 20:451).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import Fit, named, noise_delta, solve_batch
from analysis.fitting import fit as fit_law
from analysis.floor.combination import Candidate, Combination, rms
from analysis.intervals.uncertainty import bootstrap, tails
from analysis.laws import LAWS
from analysis.options import IN_N_AND_D
from analysis.origin import within
from analysis.rows import law_columns
from analysis.solver.objective import LogHuber

if TYPE_CHECKING:
    import pandas as pd

    from analysis.solver.objective import Objective

Array = NDArray[np.float64]

PARTS = (1.0, 0.5)
"""Ranges of runs: the upper part of the compute, in its logarithm, that they span."""
CUTS = (3.0, 10.0)
"""Origins of the held-out test: the runs beyond 1/cut of the largest compute are foretold by those up to it."""
REPLICATES = 200
STEPS = 60
"""Of the optimiser in a refit: the few replicates that need more are on flat ground, where more would change little."""
EXACT = 1e-8
"""Errors below this are rounding: laws that foretell exactly count the same."""
SPARE = 2
"""Runs that a candidate needs beyond its parameters."""


def combine(
    frame: pd.DataFrame,
    *,
    law: str = "hoffmann",
    laws: Sequence[str] = IN_N_AND_D,
    x: str = "C",
    objective: Objective | None = None,
    weights: str | None = None,
    clusters: str = "auto",
    replicates: int = REPLICATES,
    seed: int = 0,
    level: float = 0.9,
    say: Callable[[str], None] = lambda text: None,
) -> Combination:
    """Fit every candidate to selected rows, hold it to larger ones, and weigh it.

    A law in N and D is joined by `laws`, others in N and D. Where there are too few runs for any to spare, the law
    stands alone and untested. Raises InputError where it cannot be fitted at all.
    """
    names = admitted(law, laws)
    options = {"objective": objective, "weights": weights, "x": x}
    scale = np.asarray(frame[_scale(frame, law_columns(LAWS[law], x))], dtype=np.float64)
    found: list[Candidate] = []
    for part in PARTS:
        kept = frame[np.log(scale.max() / scale) <= part * np.log(scale.max() / scale.min()) * (1 + 1e-9)]
        say(f"fitting {len(names)} admissible laws to {_range(part)}")
        for name in names:
            if _enough(kept, law_columns(LAWS[name], x), name):
                with contextlib.suppress(InputError):  # all of these runs are of one cluster
                    found.append(_candidate(kept, name, part, options, clusters, replicates, seed, level))
    if not found:
        found.append(_candidate(frame, law, 1.0, options, clusters, replicates, seed, level))
    weighed = _weighed(found)
    best = float(np.asarray(frame["L"], dtype=np.float64).min())
    return Combination(weighed, level, seed, best, best * _noise_below(len(frame), weighed, level), names)


def untested(frame: pd.DataFrame, first: Candidate) -> str:
    """Why a candidate could not be held to the larger of selected rows: what lies below each cut, and what it needs."""
    columns, scale = first.fit.columns, _scale(frame, first.fit.columns)
    size = np.asarray(frame[scale], dtype=np.float64)
    told = []
    for cut in CUTS:
        seen = frame[size <= size.max() / cut]
        values = ", ".join(f"{seen[column].nunique()} of {column}" for column in columns.values())
        told.append(f"below 1/{cut:g} of it are {len(seen)} (distinct values: {values})")
    needed = len(first.fit.params) + SPARE
    return (
        f"The floor could not be tested on larger runs: {first.law} needs {needed} runs ({len(first.fit.params)} "
        f"parameters and {SPARE} more), at three values of each column, below a part of the largest {scale}; "
        f"{', and '.join(told)}."
    )


def admitted(law: str, laws: Sequence[str]) -> tuple[str, ...]:
    """The law that is asked for, and beside one in N and D the others."""
    return tuple(dict.fromkeys((law, *laws) if LAWS[law].columns == ("N", "D") else (law,)))


def _candidate(
    kept: pd.DataFrame, law: str, part: float, options: Mapping[str, Any], clusters: str, replicates: int,
    seed: int, level: float,
) -> Candidate:  # fmt: skip
    fit = fit_law(kept, law, **options)
    boot = bootstrap(
        kept, fit, replicates=replicates, clusters=clusters, seed=seed, level=level, max_steps=STEPS
    )
    return Candidate(law, part, fit, boot, _held_out(kept, fit))


def _held_out(kept: pd.DataFrame, fit: Fit) -> dict[float, Array]:
    """What the fit's law misses of the runs beyond each cut, a delta from the noise being that of the runs below it; a
    cut that leaves too few of these is left out."""
    scale = np.asarray(kept[_scale(kept, fit.columns)], dtype=np.float64)
    missed = {}
    for cut in CUTS:
        small = within(scale, float(scale.max()) / cut)
        seen, unseen = kept[small], kept[~small]
        if not _enough(seen, fit.columns, fit.law):
            continue
        problem, weights = fit.problem(seen), fit.weights(seen)
        if fit.delta_from_noise:
            delta = noise_delta(LAWS[fit.law], problem.columns, problem.aim, weights)
            problem = replace(problem, objective=LogHuber(delta))
        found = solve_batch(problem, weights[None], max_steps=STEPS).parameters[:, 0]
        curve = LAWS[fit.law](**named(problem, found))
        missed[cut] = np.log(np.asarray(unseen["L"], dtype=np.float64) / curve(**fit.arguments(unseen)))
    return missed


def _weighed(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates with errors and weights. At a cut that a candidate could not try it is taken to have missed as
    much as the worst of those that could; where none could try any, all count the same."""
    cuts = {cut: max((c.missed[cut] for c in found if cut in c.missed), key=rms) for cut in _cuts(found)}
    if not cuts:
        return tuple(replace(c, error=c.residual, weight=1 / len(found)) for c in found)
    errors = [rms(np.concatenate([c.missed.get(cut, worst) for cut, worst in cuts.items()])) for c in found]
    shares = 1 / (np.square(errors) + EXACT**2)
    weights = shares / shares.sum()
    return tuple(replace(c, error=e, weight=float(w)) for c, e, w in zip(found, errors, weights, strict=True))


def _cuts(found: Sequence[Candidate]) -> tuple[float, ...]:
    return tuple(cut for cut in CUTS if any(cut in c.missed for c in found))


def _noise_below(runs: int, found: Sequence[Candidate], level: float) -> float:
    """By what factor the least loss of n runs may lie below its curve: sqrt(2 ln n) standard deviations, the most that
    the least of n is expected to, and the level's tail."""
    from scipy.special import ndtri

    noise = sum(candidate.weight * candidate.residual for candidate in found)
    return math.exp(noise * (math.sqrt(2 * math.log(runs)) + float(ndtri(tails(level)[1]))))


def _range(part: float) -> str:
    return "all runs" if part == 1 else f"the upper {part:.0%} of their compute"


def _scale(runs: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """The column by which runs are small or large: C for a law in N and D, else the law's own."""
    return "C" if len(columns) > 1 and "C" in runs else next(iter(columns.values()))


def _enough(runs: pd.DataFrame, columns: Mapping[str, str], law: str) -> bool:
    """Whether there are runs to spare for a law's parameters, at three values of each of its columns or more."""
    needed = len(LAWS[law].parameters()) + SPARE
    return len(runs) >= needed and all(runs[column].nunique() >= 3 for column in columns.values())
