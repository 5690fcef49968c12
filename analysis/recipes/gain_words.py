"""What the verb `gain` prints: the gain, what kind of difference it is, where it holds, what it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis import notation
from analysis.columns import aligned
from analysis.recipes.hypotheses import AMPLITUDES, EXPONENTS, FLOOR, SAME

Entry = Mapping[str, float]

NULLS = {
    SAME: "one law for both",
    AMPLITUDES: "only the amplitudes differ",
    EXPONENTS: "amplitudes and exponents differ, the floor does not",
    FLOOR: "amplitudes and floors differ, the exponents do not",
}
"""What each tested hypothesis says."""


def text(content: Mapping[str, Any]) -> str:
    """The answer in words, from the content of gain.json."""
    parts = [_answer(content), _difference(content), _sides(content)]
    if content["comparable"]:
        parts += [_points(content["points"]), _measured(content), _laws(content)]
    parts += [_tests(content["verdict"]), _caveats(content), _method(content)]
    return "\n\n".join(part for part in parts if part)


def _answer(content: Mapping[str, Any]) -> str:
    if not content["comparable"]:
        why = "; ".join(content["against"])
        return (
            f"No compute-equivalent gain is told: {why}.\n"
            "Each recipe's own law, and whether the exponents differ, stand below."
        )
    return headline(content)


def _difference(content: Mapping[str, Any]) -> str:
    """The verdict, and where the gain's interval speaks otherwise."""
    said = verdict(content["verdict"], content["level"])
    if content["verdict"]["kind"] != "no difference":
        return said
    lo, hi = (content["headline"]["gain"][end] for end in ("lo", "hi"))
    if (lo is None or lo <= 1) and (hi is None or hi >= 1):
        return said
    return f"{said} The interval of the gain alone is without 1, which the tests do not bear out."


def headline(content: Mapping[str, Any]) -> str:
    """The gain where it is best known, in sentences."""
    point = content["headline"]
    where = (
        "the largest compute at which both recipes' runs reach"
        if content["inside"]
        else f"the candidate's largest run; no loss was reached by both, so the base is extrapolated "
        f"{_times_beyond(point['extrapolation']['base'])}"
    )
    at = f"At {notation.power(point['C'])} FLOPs ({where})"
    reached = f"loss of {_with(point['loss'], _loss)}"
    if point["endless"]:
        never = f"{at} the base never gets to the candidate's {reached}: {_floor_above(content)}."
        return " ".join(part for part in (never, _never(point), _passing(content["passing"])) if part)
    floor = _passing(content["passing"])
    worth = f"{at} the candidate is worth {_gain(point)} the base's compute"
    needs = f": the base needs {_needed(point)} FLOPs for the candidate's {reached}."
    return " ".join(part for part in (f"{worth}{needs}", _never(point), floor) if part)


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


def _sides(content: Mapping[str, Any]) -> str:
    rows = []
    for key in ("base", "candidate"):
        side = content[key]
        named = "" if side["label"] == key else f"{side['label']}, "
        name = f"{key}: {named}{side['study']}" + (f" where {side['where']}" if side["where"] else "")
        rows.append([name, str(side["runs"]), _with(side["L_exponent"], _three), _floor(side["E"])])
    return aligned(["", "runs", "exponent of compute", "floor E"], rows)


def _floor(E: Entry) -> str:
    return "none found" if E["value"] <= 0 else _with(E, _three)


def _points(points: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"{notation.power(point['C'])} FLOPs",
            _with(point["loss"], _loss),
            "endless" if point["endless"] and point["gain"]["lo"] is None else _gain(point),
            notation.percent(point["never"]) if point["never"] else "none",
            reach(point),
        ]
        for point in points
    ]
    return aligned(["compute", "candidate's loss", "gain", "draws: never", "reach"], rows)


def reach(point: Mapping[str, Any]) -> str:
    """How far beyond the runs a gain is told."""
    if point["inside"]:
        return "inside the runs"
    beyond = [
        f"{name} {_times_beyond(factor)}"
        for name, factor in point["extrapolation"].items()
        if factor is not None and factor > 1 + 1e-9
    ]
    if point["endless"]:
        beyond.append("base never")
    return ", ".join(beyond) or "below the smallest run"


def _times_beyond(factor: float | None) -> str:
    return "without end" if factor is None else f"{notation.times(factor)} its largest run"


def _gain(point: Mapping[str, Any]) -> str:
    """'2.1× (1.8× to 2.5×)', with words where an end is endless."""
    value, lo, hi = (point["gain"][end] for end in ("value", "lo", "hi"))
    if value is None:
        return "endless" if lo is None else f"endless (at least {notation.times(lo)})"
    if hi is None:
        return (
            f"{notation.times(value)} (at least {notation.times(lo)})"
            if lo is not None
            else notation.times(value)
        )
    return f"{notation.times(value)} ({notation.times(lo)} to {notation.times(hi)})"


def _passing(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    hi = "never" if found["hi"] is None else notation.power(found["hi"])
    lo = "never" if found["lo"] is None else notation.power(found["lo"])
    beyond = (
        f", {notation.times(found['extrapolation'])} its largest run" if found["extrapolation"] > 1 else ""
    )
    return (
        f"From {notation.power(found['C'])} FLOPs on ({lo} to {hi}{beyond}) the candidate is below the base's fitted "
        "floor, and no compute makes up for it."
    )


def _needed(point: Mapping[str, Any]) -> str:
    C, (lo, hi) = point["C"], (point["gain"][end] for end in ("lo", "hi"))
    ends = "" if lo is None else f"at least {notation.power(C * lo)}"
    ends = ends if hi is None or lo is None else f"{notation.power(C * lo)} to {notation.power(C * hi)}"
    return f"{notation.power(point['C_base'])} ({ends})" if ends else notation.power(point["C_base"])


def _never(point: Mapping[str, Any]) -> str:
    if not point["never"]:
        return ""
    return f"In {notation.percent(point['never'])} of the draws the base never gets there."


def _floor_above(content: Mapping[str, Any]) -> str:
    return f"its fitted floor, {_with(content['base']['E'], _three)}, lies above"


def _measured(content: Mapping[str, Any]) -> str:
    if not content["measured"]:
        return "No loss lies between runs of both recipes, so nothing can be read off without a law."
    told = [f"{notation.times(entry['ratio'])} at {_loss(entry['loss'])}" for entry in content["measured"]]
    return (
        "without a law, between the best runs of each, crude where few sizes were trained (loss in nats per token; no "
        "interval:\nresampling is known to fail for the best of few runs):\n"
        f"  {', '.join(told)}"
    )


def _laws(content: Mapping[str, Any]) -> str:
    if not content["by_law"]:
        return ""
    at = notation.power(content["headline"]["C"])
    return f"by other laws, at {at} FLOPs: " + ", ".join(
        f"{one['law']} {_gain(one)}" for one in content["by_law"]
    )


def _tests(found: Mapping[str, Any]) -> str:
    rows = [[NULLS[test["null"]], f"{test['p']:.3f}"] for test in found["tests"]]
    head = f"hypothesis (law {found['law_tested']}; wild bootstrap, {found['replicates']} draws)"
    return aligned([head, "p"], rows)


def _caveats(content: Mapping[str, Any]) -> str:
    told = list(content["caveats"])
    if content["comparable"] and content["against"]:
        told.insert(0, f"{'; '.join(content['against'])}; taken as comparable because: {content['consent']}")
    return "\n".join(f"note: {one}" for one in told)


def _method(content: Mapping[str, Any]) -> str:
    split = content["base"]["kappa"] is not None
    costs = "; ".join(
        f"{side}: a run costs {content[side]['kappa']:.3g} N^{content[side]['rho']:.3g} D FLOPs"
        for side in ("base", "candidate")
        if split
    )
    of = (
        "fitted losses of the best split of compute are compared, not those of the runs, which need not be at it"
        if split
        else "losses at the runs' own split of compute are compared, by a law in C alone"
    )
    told = f"law {content['law']}; {of}; intervals of {content['level']:.0%} by {content['method']}"
    return f"{told}\n{costs}" if costs else told


def _loss(value: float) -> str:
    return f"{value:.3f}"


def _three(value: float) -> str:
    return f"{value:.3g}" if value else "0"


def _with(entry: Entry, form: Callable[[float], str]) -> str:
    return f"{form(entry['value'])} ({form(entry['lo'])} to {form(entry['hi'])})"
