"""What is said of the kind of difference between two recipes: the verdict, its rule, and what speaks otherwise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis import notation
from analysis.recipes.hypotheses import AMPLITUDES, EXPONENTS, FLOOR, SAME

NULLS = {
    SAME: "one law for both",
    AMPLITUDES: "only the amplitudes differ",
    EXPONENTS: "amplitudes and exponents differ, the floor does not",
    FLOOR: "amplitudes and floors differ, the exponents do not",
}
"""What each tested hypothesis says."""


def verdict(found: Mapping[str, Any], level: float) -> str:
    """What kind of difference it is and by which rule, what it makes of the gain, and where the interval of the
    exponents' difference speaks otherwise than the tests."""
    kind, exponent, differences = found["kind"], _exponent(found), found["exponent_differences"]
    steady = exponent["a_decade"]
    told = (
        f"exponent of compute {exponent['base']:.3f} in the base, difference {exponent['value']:+.4f}, "
        f"{exponent['lo']:+.4f} to {exponent['hi']:+.4f}"
    )
    pace = f"between {_factor(steady['lo'])} and {_factor(steady['hi'])} a decade of compute"
    words = KIND_WORDS[kind] if differences["one_floor"] else APART_WORDS[kind]
    known = [words.format(pace=pace, within=found["steady_within"], decades=found["decades"])]
    known[0] += f" ({told})."
    which = (
        "tests below reject a hypothesis"
        if differences["one_floor"]
        else "test below rejects equal exponents"
    )
    ps = "" if differences["one_floor"] else f" (here p = {found['tests'][0]['p']:.3f})"
    known.append(
        f"The verdict follows this rule: the {which} where p is less than {found['rejected_below']:.3g}{ps}; "
        f"the interval of {level:.0%} stands beside it."
    )
    known += [*_amplitudes_at_least(found), *_near(found), *_otherwise(found, exponent, level)]
    return " ".join(known).replace("-", "−")


def _exponent(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The difference of the exponents that the verdict speaks of."""
    differences = found["exponent_differences"]
    own = "floors" in found["kind"] or not differences["one_floor"]
    chosen: Mapping[str, Any] = differences["own_floors" if own else "one_floor"]["L_exponent"]
    return chosen


KIND_WORDS = {
    "no difference": (
        "No test finds a difference between the recipes in these runs, and the gain is steady to {pace}"
    ),
    "amplitudes": "Only the amplitudes differ, as far as these runs tell: the gain is steady to {pace}",
    "exponents": "The exponents differ: the gain changes with scale, by {pace}",
    "floors": "The floors differ: the gain grows or falls without end as the lower floor is approached",
    "exponents and floors": "The exponents and the floors differ: the gain changes with scale",
    "exponents or floors": (
        "The exponents or the floors differ, and these runs cannot tell which: the gain changes with scale"
    ),
    "cannot tell": (
        "These runs cannot tell whether the exponents differ: no test finds it, and a gain that changes by {pace} is "
        "not excluded, which is more than {within:g}\N{MULTIPLICATION SIGN} over the {decades:.2g} decades of compute "
        "that the runs share"
    ),
}

APART_WORDS = {
    "exponents": "The exponents differ",
    "same exponents": "The exponents are alike: were the losses one quantity, a gain would be steady to {pace}",
    "cannot tell": (
        "These runs cannot tell whether the exponents differ: the test does not find it, and were the losses one "
        "quantity, a gain that changes by {pace} would not be excluded, which is more than "
        "{within:g}\N{MULTIPLICATION SIGN} over the {decades:.2g} decades of compute that the runs share"
    ),
}
"""Of recipes whose losses are not one quantity."""


def _factor(value: float) -> str:
    shown = f"{value:.2f}" if 0.01 <= value < 100 else notation.plain(value, 2)
    return f"\N{MULTIPLICATION SIGN}{shown}"


def _amplitudes_at_least(found: Mapping[str, Any]) -> list[str]:
    """Says that the recipes do differ where only the kind of the difference cannot be told."""
    p = next((test["p"] for test in found["tests"] if test["null"] == SAME), 1.0)
    if found["kind"] != "cannot tell" or p >= found["rejected_below"]:
        return []
    return [f"That the recipes differ does show (one law for both: p = {p:.3f})."]


def _near(found: Mapping[str, Any]) -> list[str]:
    """Says where another seed could turn a test: its p lies within two of its standard errors of the rule."""
    size, draws = found["rejected_below"], found["replicates"]
    error = 2 * math.sqrt(size * (1 - size) / draws)
    near = [test for test in found["tests"] if abs(test["p"] - size) < error]
    if not near:
        return []
    which = " and ".join(f"{test['p']:.3f}" for test in near)
    return [
        f"With {draws} draws p is known to about {error:.2g}, so {which} may fall on either side with another seed."
    ]


def _otherwise(found: Mapping[str, Any], exponent: Mapping[str, Any], level: float) -> list[str]:
    """Where the interval and the test of the same exponents do not agree."""
    of = AMPLITUDES if exponent is found["exponent_differences"]["one_floor"].get("L_exponent") else FLOOR
    p = next(test["p"] for test in found["tests"] if test["null"] == of)
    apart = exponent["lo"] > 0 or exponent["hi"] < 0
    if apart == (p < found["rejected_below"]):
        return []
    if apart:
        return [
            f"The interval alone is without 0, and the test does not reject equal exponents (p = {p:.3f}): the runs "
            "are at the edge of telling."
        ]
    return [
        f"The test rejects equal exponents (p = {p:.3f}), and the interval of {level:.0%} reaches 0: the runs are at "
        "the edge of telling."
    ]
