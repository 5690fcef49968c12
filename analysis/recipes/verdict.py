"""What two recipes differ in: nothing that shows, amplitudes alone, exponents, floors, or it cannot be told.

The verdict follows the tests: a hypothesis is rejected where p < 1 - level. An interval beside it is other evidence of
the same runs; where the two speak differently that is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.recipes import hypotheses
from analysis.recipes.equivalent import ends
from analysis.recipes.hypotheses import AMPLITUDES, EXPONENTS, FLOOR, FREE, SAME, Pool, Test

Array = NDArray[np.float64]

STEADY = 1.5
"""Exponents are called the same where the gain is known to change by less than this factor over the runs' computes."""
FARTHEST = 300.0
"""Power of ten at which a change a decade is cut off: beyond it means nothing, and overflows."""
ROUNDING = 1e-9
"""By which 1 - level may miss the number it is written as."""
KINDS = (
    "no difference", "amplitudes", "exponents", "floors", "exponents and floors", "exponents or floors",
    "same exponents", "cannot tell",
)  # fmt: skip


@dataclass(frozen=True)
class Steadiness:
    """By which factor the gain changes a decade of compute: it goes as C^(c_candidate / c_base - 1), c the exponents of
    compute."""

    value: float
    lo: float
    hi: float

    def over(self, decades: float) -> float:
        """The largest factor, up or down, that the interval leaves open over so many decades."""
        most = decades * max(abs(math.log10(self.lo)), abs(math.log10(self.hi)))
        return float(10 ** min(most, FARTHEST))


@dataclass(frozen=True)
class Difference:
    """Candidate minus base of an exponent of the frontier, with its interval, and the base's."""

    value: float
    lo: float
    hi: float
    base: float
    a_decade: Steadiness | None = None
    """What it makes of the gain, of the exponent of the loss."""

    @property
    def beside_0(self) -> bool:
        """Whether the interval is without 0."""
        return self.lo > 0 or self.hi < 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {"a_decade": None if self.a_decade is None else vars(self.a_decade)}


@dataclass(frozen=True)
class Verdict:
    """One of `KINDS`, by the tests and the differences of exponents under one floor (where the losses have one unit)
    and under a floor of each side's own."""

    kind: str
    tests: tuple[Test, ...]
    one_floor: dict[str, Difference]
    own_floors: dict[str, Difference]
    level: float
    law: str
    replicates: int
    decades: float
    """Of compute over which the gain must be steady for exponents to be called the same."""

    @property
    def told(self) -> Difference:
        """The difference of the exponents of L_opt that the verdict speaks of."""
        of = self.own_floors if "floors" in self.kind or not self.one_floor else self.one_floor
        return of["L_exponent"]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "law_tested": self.law,
            "tests": [vars(test) for test in self.tests],
            "replicates": self.replicates,
            "rejected_below": round(1 - self.level, 9),
            "exponent_differences": {
                "one_floor": {name: one.as_dict() for name, one in self.one_floor.items()},
                "own_floors": {name: one.as_dict() for name, one in self.own_floors.items()},
            },
            "steady_within": STEADY,
            "decades": self.decades,
        }


def verdict(
    pool: Pool, comparable: bool, replicates: int, seed: int, say: Callable[[str], None] = lambda text: None
) -> Verdict:
    """Test the hypotheses on the runs of both sides. Where the losses are not comparable only the exponents are: floors
    and amplitudes are each side's own."""
    nested = [(FLOOR, FREE)]
    if comparable:
        nested = [(SAME, AMPLITUDES), (AMPLITUDES, FREE), (EXPONENTS, FREE), (FLOOR, FREE)]
    tests = []
    for number, (null, alternative) in enumerate(nested):
        say(f"testing '{null}' against '{alternative}'")
        tests.append(hypotheses.compare(pool, null, alternative, replicates, seed + number))
    say("exponents of both recipes, refitted to resampled runs")
    one_floor = _differences(pool, pool.hypotheses[EXPONENTS], replicates, seed) if comparable else {}
    own_floors = _differences(pool, pool.hypotheses[FREE], replicates, seed)
    level = pool.base.boot.level
    told = one_floor or own_floors
    decades = decades_of(pool)
    kind = _kind({test.null: test.p for test in tests}, told["L_exponent"], decades, 1 - level)
    return Verdict(kind, tuple(tests), one_floor, own_floors, level, pool.law_name, replicates, decades)


def require_draws(tests: int, level: float) -> None:
    """Raise InputError where so few draws could never reject anything: their least p is 1 / (draws + 1)."""
    size = 1 - level
    if 1 / (tests + 1) >= size * (1 - ROUNDING):
        needed = math.floor(1 / size * (1 + ROUNDING))
        raise InputError(
            f"tests is {tests}, whose least p is {1 / (tests + 1):.3g}, and at level {level:g} a hypothesis is "
            f"rejected below {size:.3g}; use at least {needed}, and 199 or more for a steady p"
        )


def decades_of(pool: Pool) -> float:
    """Decades of compute at which both sides have runs, and at least one."""
    (first, last), (least, largest) = (side.span for side in pool.sides)
    common = min(last, largest) / max(first, least)
    return max(math.log10(common), 1.0)


def _kind(p: dict[str, float], difference: Difference, decades: float, size: float) -> str:
    size *= 1 - ROUNDING
    if difference.a_decade is None:
        raise ValueError("the difference of the loss's exponents says what becomes of the gain")
    alike = difference.a_decade.over(decades) <= STEADY
    if SAME not in p:
        return "exponents" if p[FLOOR] < size else "same exponents" if alike else "cannot tell"
    if p[AMPLITUDES] < size:
        floors, exponents = p[EXPONENTS] < size, p[FLOOR] < size
        if floors == exponents:
            return "exponents and floors" if floors else "exponents or floors"
        return "floors" if floors else "exponents"
    if not alike:
        return "cannot tell"
    return "amplitudes" if p[SAME] < size else "no difference"


def _differences(pool: Pool, shared: frozenset[str], replicates: int, seed: int) -> dict[str, Difference]:
    found = {}
    for name, (best, draws) in hypotheses.exponents(pool, shared, replicates, seed).items():
        lo, hi = ends((draws[:, 1] - draws[:, 0])[:, None], pool.base, pool.candidate)
        steady = _steadiness(pool, best, draws) if name == "L_exponent" else None
        found[name] = Difference(float(best[1] - best[0]), float(lo[0]), float(hi[0]), float(best[0]), steady)
    return found


def _steadiness(pool: Pool, best: Array, draws: Array) -> Steadiness:
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = draws[:, 1] / draws[:, 0] - 1
        value = best[1] / best[0] - 1
    lo, hi = ends(powers[:, None], pool.base, pool.candidate)
    told = (float(10 ** np.clip(power, -FARTHEST, FARTHEST)) for power in (value, lo[0], hi[0]))
    return Steadiness(*told)
