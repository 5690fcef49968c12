"""What the runs allow beyond themselves: the loss at any scale and the scale that a loss asks for, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import rows
from analysis.fitting import Fit, solve_batch
from analysis.floor.combination import Combination
from analysis.frontier import Cost, Frontier, Paired, cost
from analysis.intervals.uncertainty import Bootstrap, tails
from analysis.laws import LAWS, Law, Power
from analysis.walls.stocked import each

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

REACHES = 181
"""Multiples of the largest run, six a decade, between which a distance is interpolated where it has no closed form."""
FINE = 9
"""Multiples by which that is refined, twice."""
FLOORS = 24
"""Floors in the profile's range at which everything else is refitted for the interval."""


@dataclass(frozen=True)
class Track:
    """The line along which a law is followed: compute C at its best split, or the one column of a law in one column."""

    x: str
    cost: Cost | None = None

    def loss(self, law: Law, x: Array) -> Array:
        """Loss at x [k]; a law with a leading axis [R] gives [R, k]."""
        if self.cost is not None:
            with np.errstate(
                invalid="ignore", over="ignore"
            ):  # no best split where A or B is 0, but a loss there is
                return Frontier(law, self.cost).L_opt(x)
        return law(x=x)

    def each(self, law: Law, x: Array) -> Array:
        """Loss [R, T] of draws [R] of a law, each at x [R, T] of its own."""
        own = type(law)(**{name: np.atleast_1d(value) for name, value in law.as_dict().items()})
        if self.cost is not None:
            with np.errstate(invalid="ignore", over="ignore"):
                return Paired(own, self.cost).L_opt(x)
        return each(own, x=x)


@dataclass(frozen=True)
class Forecast:
    """Laws that the runs allow: the fit, its bootstrap replicates, the best fit at floors over E's profile range, and
    the other admissible laws.

    With `combined`, values and intervals are those of all admissible laws together. Without, they are the one law's:
    percentiles of a bootstrap are too narrow where the floor is not identified, since all replicates may rest at one
    end (E = 0), so an interval is the wider of these and of what the profile's fits span.
    """

    track: Track
    best: Law
    replicates: Law
    floors: Law
    level: float
    tails: tuple[float, float]
    """Probabilities of the percentiles that end the bootstrap's intervals."""
    largest: float
    """Largest x of any fitted run."""
    combined: Combination | None = None
    """All admissible laws; None where the one law stands alone."""
    begin: float | None = None
    """x from which on every part of the runs that was fitted has runs; None where that is not known."""

    _above: dict[int, tuple[Law, Array]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Losses above the floor at the coarse multiples, by law: they are the same for every loss that is sought."""

    @property
    def method(self) -> str:
        """How an interval was made."""
        if self.combined is not None:
            return "quantiles of all admissible laws together"
        return "bootstrap percentiles, widened to the fits at every floor that the profile allows"

    @property
    def whose(self) -> str:
        """Whose values and intervals they are."""
        together = self.combined is not None and not self.combined.of_one_law
        return "all admissible laws together" if together else "the fitted law"

    @property
    def laws(self) -> tuple[Law, ...]:
        """Draws of every admissible law, each a law with a leading axis; of the one law where that stands alone."""
        if self.combined is None:
            return (self.replicates,)
        return tuple(candidate.boot.law for candidate in self.combined.candidates)

    def weighed(
        self, given: Sequence[Array], noise: bool = True, of: float | None = None
    ) -> tuple[Array, Array]:
        """Values [n, ...] of a quantity under all draws of `laws`, from those [R, ...] of each, and weights [n] that
        sum to 1. With noise they are moved by the errors with which laws foretold larger runs (see
        `Combination.blurred`); one law that stands alone has no such test, and its replicates count the same."""
        if self.combined is not None:
            return self.combined.blurred(given, noise, of)
        return given[0], np.full(len(given[0]), 1 / len(given[0]))

    def loss(self, x: Array) -> tuple[Array, Array, Array]:
        """Loss at x [k] with the ends of its interval."""
        if self.combined is not None:
            probabilities = [0.5, *tails(self.level)]
            value, lo, hi = self.combined.quantiles(lambda c: self.track.loss(c.boot.law, x), probabilities)
            return value, lo, hi
        lo, hi = np.quantile(self.track.loss(self.replicates, x), self.tails, axis=0)
        value, spanned = self.track.loss(self.best, x), self.track.loss(self.floors, x)
        return value, np.minimum(lo, spanned.min(axis=0)), np.maximum(hi, spanned.max(axis=0))

    def reach(self, share: float) -> tuple[float, float, float]:
        """The x at which the loss is within `share` of the floor, with its interval; infinite where that is never."""
        return self.quantity(lambda law: self._reach(law, share))

    def quantity(
        self, values: Callable[[Law], Array], noise: bool = False, of: float | None = None
    ) -> tuple[float, float, float]:
        """A number of a law, from `values` [R] of its draws, with the ends of its interval; they may be infinite."""
        if self.combined is not None:
            probabilities = [0.5, *tails(self.level)]
            found = self.combined.quantiles(lambda c: values(c.boot.law), probabilities, noise=noise, of=of)
            return float(found[0]), float(found[1]), float(found[2])
        value = float(np.atleast_1d(values(self.best))[0])
        lo, hi = np.quantile(values(self.replicates), self.tails, method="nearest")
        spanned = values(self.floors)
        return value, float(min(lo, spanned.min())), float(max(hi, spanned.max()))

    def _reach(self, law: Law, share: float) -> Array:
        """x [R] at which the loss lies `share` of E above E."""
        return self.reached(law, lambda E, _left: share * E)

    def left(self, law: Law) -> Array:
        """Reducible loss [R] at the largest run, L - E in nats per token."""
        E = np.atleast_1d(np.asarray(law.as_dict()["E"], dtype=np.float64))
        return self.track.loss(law, np.array([self.largest])).reshape(len(E)) - E

    def reached(self, law: Law, target: Callable[[Array, Array], Array]) -> Array:
        """x [R] at which the loss lies so many nats above the floor: a function of E [R] and of what is `left` [R]."""
        E = np.atleast_1d(np.asarray(law.as_dict()["E"], dtype=np.float64))
        aims = target(E, self.left(law))
        straight = _is_power(law) if self.track.cost is None else Frontier(law, self.track.cost).closed
        points = self.largest * (np.array([1.0, 10.0]) if straight else np.geomspace(1e-6, 1e24, REACHES))
        if id(law) not in self._above:
            self._above[id(law)] = law, self.track.loss(law, points).reshape(len(E), -1) - E[:, None]
        above = self._above[id(law)][1]
        if straight:
            return _straight_reach(points, above, aims)
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(above, 0.0))[:, ::-1]
            wanted = np.log(aims)
        backwards = np.broadcast_to(np.log(points)[::-1], logs.shape)
        return self._refined(law, E, wanted, _crossed(wanted, logs, backwards))

    def _refined(self, law: Law, E: Array, wanted: Array, found: Array) -> Array:
        """x [R] from its logarithm by a coarse grid: twice more on a fine one around it."""
        step = np.log(10) / 6
        inside = np.isfinite(found)
        for _ in range(2):
            near = np.where(inside, found, 0.0)[:, None] + step * np.linspace(1, -1, FINE)
            with np.errstate(divide="ignore"):
                logs = np.log(np.maximum(self.track.each(law, np.exp(near)) - E[:, None], 0.0))
            better = _crossed(wanted, logs, near)
            found, step = np.where(inside & np.isfinite(better), better, found), 2 * step / (FINE - 1)
        return np.asarray(np.exp(found))


def _crossed(wanted: Array, logs: Array, places: Array) -> Array:
    """Where ascending lines `logs` [R, k] at `places` [R, k] reach what is wanted [R]; infinite beyond their ends."""
    return np.array([
        np.interp(t, line, x, right=-np.inf, left=np.inf) for t, line, x in zip(wanted, logs, places, strict=True)
    ])  # fmt: skip


def _is_power(law: Law) -> bool:
    """Whether a law of one column falls as a power of it at every x."""
    return isinstance(law, Power)


def _straight_reach(points: Array, above: Array, aims: Array) -> Array:
    """x [R] from the loss above E at two points [R, 2], where it is a power of x: for the law `Power`, and for L_opt
    that has a closed form."""
    near, far = above.T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponent = np.log10(near / far)
        x = points[0] * (near / aims) ** (1 / exponent)
    return np.where((near > 0) & (aims > 0) & (exponent > 0), x, np.where(near > 0, np.inf, 0.0))


def forecast(table: pd.DataFrame, fit: Fit, boot: Bootstrap, combined: Combination | None = None) -> Forecast:
    """What the runs allow beyond themselves, from a fit with its evidence, its bootstrap, and it combined with the
    other admissible laws; without these, by the one law alone."""
    chosen = fit.select(table)
    x = next(iter(fit.columns.values()))
    track = Track("C", cost(chosen)) if {"N", "D"} <= set(fit.columns) else Track(x)
    scale = np.asarray(chosen.frame[track.x], dtype=np.float64)
    largest, part = (
        float(scale.max()),
        min((c.part for c in combined.candidates), default=1.0) if combined else 1.0,
    )
    return Forecast(
        track,
        fit.curve,
        boot.law,
        _floors(chosen, fit),
        boot.level,
        boot.tails(boot.level),
        largest,
        combined,
        largest * float(scale.min() / largest) ** part,
    )


def _floors(chosen: rows.Rows, fit: Fit) -> Law:
    """The best fit at floors over the profile's range, those within its threshold, and the fit itself."""
    problem, weights = fit.problem(chosen.frame), fit.weights(chosen.frame)
    profile = fit.profile
    begin = profile["values"][0] if _absent(profile["lo"]) else profile["lo"]
    end = profile["values"][-1] if _absent(profile["hi"]) else profile["hi"]
    values = np.linspace(begin, end, FLOORS)
    batch = solve_batch(problem, np.broadcast_to(weights, (FLOORS, len(weights))), {"E": values})
    allowed = (
        batch.objective <= profile["best"] + profile["threshold"] * 1.05
    )  # the range's ends were interpolated
    found = dict(zip(problem.names, batch.parameters[:, allowed], strict=True))
    return LAWS[fit.law](**{name: np.append(found[name], fit.params[name]) for name in fit.params})


def _absent(number: float | None) -> bool:
    return number is None or math.isnan(number)
