"""What the verb `gain` prints: the gain, what kind of difference it is, where it holds, what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis import notation
from analysis.columns import aligned
from analysis.recipes.verdict_words import NULLS, verdict

Entry = Mapping[str, float]


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
