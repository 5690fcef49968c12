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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fit import Fit, named, solve_batch
from analysis.fit import fit as fit_law
from analysis.laws import LAWS
from analysis.rows import law_columns
from analysis.uncertainty import Bootstrap, bootstrap, tails

if TYPE_CHECKING:
    import pandas as pd

    from analysis.objective import LogHuber

Array = NDArray[np.float64]

IN_N_AND_D = ("hoffmann", "tied", "coupled", "shifted", "stretched")
"""Laws that are admitted beside each other; a law in one column is admitted alone."""
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


@dataclass(frozen=True)
class Candidate:
    """A law fitted to the upper part of the runs."""

    law: str
    part: float
    """Share of the logarithm of compute that the runs fitted span, from the top; 1 is all of them."""
    fit: Fit
    boot: Bootstrap
    missed: dict[float, Array]
    """log(L / Lhat) of the held-out runs, by cut; empty where none could be made."""
    error: float = math.nan
    """By which its forecasts are blurred: root mean square of what it missed, over the runs of all cuts."""
    weight: float = math.nan
    """Share of the combination."""

    @property
    def errors(self) -> dict[float, float]:
        """Root mean square of what it missed, by cut."""
        return {cut: _rms(missed) for cut, missed in self.missed.items()}

    @property
    def residual(self) -> float:
        """Root mean square of its own log residuals."""
        return _rms(self.boot.residuals)


@dataclass(frozen=True)
class Combination:
    """Candidates that sum to one, and what they say together."""

    candidates: tuple[Candidate, ...]
    level: float
    seed: int
    best: float
    """The least loss of a run."""
    ceiling: float
    """What no limit lies above: the least loss, raised by how far noise may have put it below its curve."""
    admitted: tuple[str, ...]
    """Laws that were asked; one for which there were too few runs is no candidate."""

    @property
    def first(self) -> Candidate:
        """The law that was asked for, or the first that could be fitted, on the widest range of runs."""
        return self.candidates[0]

    @property
    def tested(self) -> bool:
        """Whether any candidate could be held to runs larger than those it was fitted to."""
        return any(candidate.missed for candidate in self.candidates)

    def quantiles(
        self,
        values: Callable[[Candidate], Array],
        probabilities: Sequence[float],
        noise: bool = True,
        of: float | None = None,
    ) -> Array:
        """Quantiles [q, ...] of a quantity under the weighted candidates, each giving its replicates' values [R, ...].

        With noise each value is moved by the candidate's error, as a share of the value or of the loss `of`, times a
        normal number, and by the drift of its law times another.
        """
        rng = np.random.default_rng(self.seed)
        given = [np.asarray(values(candidate), dtype=np.float64) for candidate in self.candidates]
        drifts = _drifts(self.candidates, given)
        drawn, weights = [], []
        for candidate, found in zip(self.candidates, given, strict=True):
            if noise:
                by_error, by_drift = rng.standard_normal((2, len(found), *[1] * (found.ndim - 1)))
                moved = candidate.error * by_error
                found = found * np.exp(moved) if of is None else found + of * moved
                found = found + drifts[candidate.law] * by_drift
            drawn.append(found)
            weights.append(np.full(len(found), candidate.weight / len(found)))
        return weighted_quantiles(np.concatenate(drawn), np.concatenate(weights), probabilities)

    def floor(self) -> tuple[float, float, float]:
        """E in the middle of the candidates, and the ends of its interval: no end is above the best loss seen."""
        found = self.quantiles(_floors, [*tails(self.level), 0.5], of=self.best)
        lo, hi, middle = np.clip(found, 0.0, self.ceiling)
        return float(middle), float(lo), float(hi)

    def predict(self, points: pd.DataFrame) -> tuple[Array, Array, Array]:
        """Losses of new runs [n] in the middle of the candidates, and the ends of each one's interval."""

        def losses(candidate: Candidate) -> Array:
            return candidate.boot.law(**candidate.fit.arguments(points))

        lo, hi, middle = self.quantiles(losses, [*tails(self.level), 0.5])
        return middle, lo, hi

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what each candidate says and counts."""
        return {
            "candidates": [
                {
                    "law": candidate.law,
                    "part": candidate.part,
                    "rows": candidate.fit.rows,
                    "E": candidate.fit.params["E"],
                    "lo": float(candidate.boot.interval(_floors(candidate)).lo),
                    "hi": float(candidate.boot.interval(_floors(candidate)).hi),
                    "errors": {f"{cut:g}": error for cut, error in candidate.errors.items()},
                    "weight": candidate.weight,
                }
                for candidate in self.candidates
            ],
            "admitted": list(self.admitted),
            "best": self.best,
            "ceiling": self.ceiling,
            "tested": self.tested,
        }


def combine(
    frame: pd.DataFrame,
    *,
    law: str = "hoffmann",
    laws: Sequence[str] = IN_N_AND_D,
    x: str = "C",
    objective: LogHuber | None = None,
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


def admitted(law: str, laws: Sequence[str]) -> tuple[str, ...]:
    """The law that is asked for, and beside one in N and D the others."""
    return tuple(dict.fromkeys((law, *laws) if LAWS[law].columns == ("N", "D") else (law,)))


def weighted_quantiles(values: Array, weights: Array, probabilities: Sequence[float]) -> Array:
    """Quantiles [q, ...] of values [n, ...] that count by weights [n]: each the least value at which the summed weight
    reaches the probability, so that values may be infinite."""
    order = np.argsort(values, axis=0, kind="stable")
    ranked = np.take_along_axis(values, order, axis=0)
    total = np.cumsum(weights[order], axis=0)
    below = [(total < p * total[-1] * (1 - 1e-12)).sum(axis=0) for p in probabilities]
    last = len(values) - 1
    return np.stack([np.take_along_axis(ranked, np.minimum(n, last)[None], axis=0)[0] for n in below])


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
    """What the fit's law misses of the runs beyond each cut; a cut that leaves too few runs below it is left out."""
    scale = np.asarray(kept[_scale(kept, fit.columns)], dtype=np.float64)
    missed = {}
    for cut in CUTS:
        seen, unseen = kept[scale <= scale.max() / cut], kept[scale > scale.max() / cut]
        if not _enough(seen, fit.columns, fit.law):
            continue
        problem = fit.problem(seen)
        found = solve_batch(problem, fit.weights(seen)[None], max_steps=STEPS).parameters[:, 0]
        curve = LAWS[fit.law](**named(problem, found))
        missed[cut] = np.log(np.asarray(unseen["L"], dtype=np.float64) / curve(**fit.arguments(unseen)))
    return missed


def _weighed(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates with errors and weights. At a cut that a candidate could not try it is taken to have missed as
    much as the worst of those that could; where none could try any, all count the same."""
    cuts = {cut: max((c.missed[cut] for c in found if cut in c.missed), key=_rms) for cut in _cuts(found)}
    if not cuts:
        return tuple(replace(c, error=c.residual, weight=1 / len(found)) for c in found)
    errors = [_rms(np.concatenate([c.missed.get(cut, worst) for cut, worst in cuts.items()])) for c in found]
    shares = 1 / (np.square(errors) + EXACT**2)
    weights = shares / shares.sum()
    return tuple(replace(c, error=e, weight=float(w)) for c, e, w in zip(found, errors, weights, strict=True))


def _cuts(found: Sequence[Candidate]) -> tuple[float, ...]:
    return tuple(cut for cut in CUTS if any(cut in c.missed for c in found))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _noise_below(runs: int, found: Sequence[Candidate], level: float) -> float:
    """By what factor the least loss of n runs may lie below its curve: sqrt(2 ln n) standard deviations, the most that
    the least of n is expected to, and the level's tail."""
    from scipy.special import ndtri

    noise = sum(candidate.weight * candidate.residual for candidate in found)
    return math.exp(noise * (math.sqrt(2 * math.log(runs)) + float(ndtri(tails(level)[1]))))


def _drifts(candidates: Sequence[Candidate], given: Sequence[Array]) -> dict[str, Array]:
    """How far each law's median moves over the parts of the runs; that of a law that was fitted to one part alone is
    not known, and taken to be the largest of the others'."""
    middles: dict[str, list[Array]] = {}
    for candidate, values in zip(candidates, given, strict=True):
        middles.setdefault(candidate.law, []).append(np.median(values, axis=0))
    known = {law: np.ptp(np.stack(found), axis=0) for law, found in middles.items() if len(found) > 1}
    largest = (
        np.max(list(known.values()), axis=0) if known else np.zeros_like(next(iter(middles.values()))[0])
    )
    return {law: known.get(law, largest) for law in middles}


def _floors(candidate: Candidate) -> Array:
    return np.asarray(candidate.boot.law.as_dict()["E"], dtype=np.float64)


def _range(part: float) -> str:
    return "all runs" if part == 1 else f"the upper {part:.0%} of their compute"


def _scale(runs: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """The column by which runs are small or large: C for a law in N and D, else the law's own."""
    return "C" if len(columns) > 1 and "C" in runs else next(iter(columns.values()))


def _enough(runs: pd.DataFrame, columns: Mapping[str, str], law: str) -> bool:
    """Whether there are runs to spare for a law's parameters, at three values of each of its columns or more."""
    needed = len(LAWS[law].parameters()) + SPARE
    return len(runs) >= needed and all(runs[column].nunique() >= 3 for column in columns.values())
