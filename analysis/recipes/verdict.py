"""What two recipes differ in: nothing that shows, amplitudes alone, exponents, floors, or it cannot be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.recipes import hypotheses
from analysis.recipes.equivalent import ends
from analysis.recipes.hypotheses import AMPLITUDES, EXPONENTS, FLOOR, FREE, SAME, Pool, Test

Array = NDArray[np.float64]

ALIKE = 0.25
"""Exponents are called the same where their difference is known to be less than this share of the base's."""
KINDS = (
    "no difference", "amplitudes", "exponents", "floors", "exponents and floors", "exponents or floors",
    "same exponents", "cannot tell",
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """Candidate minus base of an exponent of the frontier, with its interval, and the base's."""

    value: float
    lo: float
    hi: float
    base: float

    @property
    def alike(self) -> bool:
        """Whether a difference that would matter is excluded."""
        return max(abs(self.lo), abs(self.hi)) <= ALIKE * abs(self.base)


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
            "exponent_differences": {
                "one_floor": {name: vars(one) for name, one in self.one_floor.items()},
                "own_floors": {name: vars(one) for name, one in self.own_floors.items()},
            },
            "alike_below": ALIKE,
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
    kind = _kind({test.null: test.p for test in tests}, told["L_exponent"], 1 - level)
    return Verdict(kind, tuple(tests), one_floor, own_floors, level, pool.law_name, replicates)


def _kind(p: dict[str, float], difference: Difference, size: float) -> str:
    if SAME not in p:
        return "exponents" if p[FLOOR] < size else "same exponents" if difference.alike else "cannot tell"
    if p[AMPLITUDES] < size:
        floors, exponents = p[EXPONENTS] < size, p[FLOOR] < size
        if floors == exponents:
            return "exponents and floors" if floors else "exponents or floors"
        return "floors" if floors else "exponents"
    if not difference.alike:
        return "cannot tell"
    return "amplitudes" if p[SAME] < size else "no difference"


def _differences(pool: Pool, shared: frozenset[str], replicates: int, seed: int) -> dict[str, Difference]:
    found = {}
    for name, (best, draws) in hypotheses.exponents(pool, shared, replicates, seed).items():
        lo, hi = ends((draws[:, 1] - draws[:, 0])[:, None], pool.base, pool.candidate)
        found[name] = Difference(float(best[1] - best[0]), float(lo[0]), float(hi[0]), float(best[0]))
    return found
