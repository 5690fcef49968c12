"""What candidate laws say together: quantiles of their replicates, weighted, blurred by error and by drift."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.fitting import Fit
from analysis.intervals.uncertainty import Bootstrap, tails

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


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
        return {cut: rms(missed) for cut, missed in self.missed.items()}

    @property
    def residual(self) -> float:
        """Root mean square of its own log residuals."""
        return rms(self.boot.residuals)


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
    def of_one_law(self) -> bool:
        """Whether no law is admitted beside the one that was asked for."""
        return len(self.admitted) == 1

    @property
    def words(self) -> str:
        """Whose judgement it is."""
        return "this law alone" if self.of_one_law else "all admissible laws"

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
        """Quantiles [q, ...] of a quantity under the weighted candidates, each giving its replicates' values [R, ...];
        with noise they are those of the `blurred` values."""
        given = [np.asarray(values(candidate), dtype=np.float64) for candidate in self.candidates]
        return weighted_quantiles(*self.blurred(given, noise, of), probabilities)

    def blurred(
        self, given: Sequence[Array], noise: bool = True, of: float | None = None
    ) -> tuple[Array, Array]:
        """Values [n, ...] of the replicates of all candidates, from each one's [R, ...], and their weights [n].

        With noise each value is moved by the candidate's error, as a share of the value or of the loss `of`, times a
        normal number, and by the drift of its law times another. A value that is its own measure, as a loss is, is
        moved to 0 and no further.
        """
        rng = np.random.default_rng(self.seed)
        drifts = _drifts(self.candidates, given) if noise else {}
        drawn, weights = [], []
        for candidate, found in zip(self.candidates, given, strict=True):
            if noise:
                by_error, by_drift = rng.standard_normal((2, len(found), *[1] * (found.ndim - 1)))
                moved = candidate.error * by_error
                found = found * np.exp(moved) if of is None else found + of * moved
                found = found + drifts[candidate.law] * by_drift
                found = np.maximum(found, 0.0) if of is None else found
            drawn.append(found)
            weights.append(np.full(len(found), candidate.weight / len(found)))
        return np.concatenate(drawn), np.concatenate(weights)

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


def weighted_quantiles(values: Array, weights: Array, probabilities: Sequence[float]) -> Array:
    """Quantiles [q, ...] of values [n, ...] that count by weights [n]: each the least value at which the summed weight
    reaches the probability, so that values may be infinite."""
    order = np.argsort(values, axis=0, kind="stable")
    ranked = np.take_along_axis(values, order, axis=0)
    total = np.cumsum(weights[order], axis=0)
    below = [(total < p * total[-1] * (1 - 1e-12)).sum(axis=0) for p in probabilities]
    last = len(values) - 1
    return np.stack([np.take_along_axis(ranked, np.minimum(n, last)[None], axis=0)[0] for n in below])


def _drifts(candidates: Sequence[Candidate], given: Sequence[Array]) -> dict[str, Array]:
    """How far each law's median moves over the parts of the runs; that of a law that was fitted to one part alone is
    not known, and taken to be the largest of the others'. Medians that are infinite move nothing."""
    middles: dict[str, list[Array]] = {}
    for candidate, values in zip(candidates, given, strict=True):
        middles.setdefault(candidate.law, []).append(np.median(values, axis=0))
    known = {law: _spread(np.stack(found)) for law, found in middles.items() if len(found) > 1}
    largest = (
        np.max(list(known.values()), axis=0) if known else np.zeros_like(next(iter(middles.values()))[0])
    )
    return {law: known.get(law, largest) for law in middles}


def _spread(middles: Array) -> Array:
    """Largest less least over the first axis; 0 where either is infinite."""
    with np.errstate(invalid="ignore"):
        spread = np.ptp(middles, axis=0)
    return np.where(np.isfinite(spread), spread, 0.0)


def _floors(candidate: Candidate) -> Array:
    return np.asarray(candidate.boot.law.as_dict()["E"], dtype=np.float64)


def rms(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))
