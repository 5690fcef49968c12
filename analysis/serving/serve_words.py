"""What the verb `serve` prints: the answer first, then how far it reaches and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from analysis import notation
from analysis.columns import aligned

Entry = Mapping[str, float | None]
"""A value and the ends of its interval; null is endless."""
ROUNDING = 1e-9
"""Relative error of a formula that only rounding leaves."""


def text(content: Mapping[str, Any]) -> str:
    """The answer in words, from the content of serve.json."""
    parts = [_answer(content), _table(content), _reach(content), *_laws(content), _method(content)]
    return "\n\n".join(part for part in parts if part)


def _answer(content: Mapping[str, Any]) -> str:
    cheap, train, saving = content["cheapest"], content["training_optimal"], content["saving"]
    quality = f"a loss of {_loss(content)}"
    tokens = notation.count(content["tokens_served"])
    if not content["tokens_served"]:
        return (
            f"With nothing to serve, {quality} costs least with N = {_count(train['N'])} parameters trained on "
            f"D = {_count(train['D'])} tokens, the training-optimal model: {_over_laws(content)}.\n{_verdict(content)}"
        )
    return (
        f"To reach {quality} and serve {tokens} tokens costs least with N = {_count(cheap['N'])} parameters trained "
        f"on D = {_count(cheap['D'])} tokens: {_over_laws(content)}.\n{_verdict(content)}\n"
        f"The training-optimal model for the same loss has N = {_count(train['N'])} and D = {_count(train['D'])}.\n"
        f"Training and serving together, the first saves {_share(saving)} of the FLOPs."
    )


def _over_laws(content: Mapping[str, Any]) -> str:
    """Whose intervals these are, and how far those of the other laws reach."""
    over = content["over_laws"]
    own = f"intervals of {content['law']} alone"
    if len(over["laws"]) == 1:
        return f"{own}, and no other law was asked or could be fitted"
    N, D = (_span(over[name], notation.count) for name in ("N", "D"))
    laws = f"{', '.join(over['laws'][:-1])} and {over['laws'][-1]}"
    return f"{own}; with those of {laws} together N is {N} and D is {D}"


def _verdict(content: Mapping[str, Any]) -> str:
    """Whether the runs identify the floor, on which all of this rests."""
    found = content["verdict"]
    return f"Verdict on the floor: {VERDICT_WORDS[found['verdict']]}. {found['reason']}"


VERDICT_WORDS = {
    "identified": "identified",
    "bounded_above_only": "bounded above only, so that what is said far beyond the runs rests on the law",
    "not_identified": "not identified, so that what is said beyond the runs rests on the law and not on them",
}


def _table(content: Mapping[str, Any]) -> str:
    models = (("cheapest to train and serve", "cheapest"), ("training-optimal", "training_optimal"))
    rows = [
        [words, *(_with(content[key][name], notation.power) for name in ("training", "total"))]
        for words, key in models
    ]
    return aligned(["FLOPs", "training", "training and serving"], rows)


def _reach(content: Mapping[str, Any]) -> str:
    beyond, reach = content["beyond_reach"], content["extrapolation"]
    told = []
    if beyond:
        told.append(
            f"In {notation.percent(beyond)} of the bootstrap's draws this loss lies below the floor, and no model "
            "reaches it: they count as endless, and as nothing saved."
        )
    if content["without_split"] > 0:
        told.append(
            f"In {notation.percent(content['without_split'])} of the draws a term of the law is absent and there is no "
            "best split; the intervals leave them out."
        )
    told.append(f"The cheapest model's training is {notation.times(reach['C'])} the largest run's compute.")
    if reach["tokens_per_parameter"] > 1:
        told.append(
            f"It has {notation.times(reach['tokens_per_parameter'])} the tokens per parameter of any run: laws "
            "fitted at fewer have been seen to promise too much there (Sardana et al. 2024)."
        )
    if content["far_cost"]["caution"]:
        told.append(content["far_cost"]["caution"])
    if reach["N_over_smallest"] < 1:
        told.append(f"It is smaller than any run: {notation.times(reach['N_over_smallest'])} the smallest N.")
    return "\n".join(told)


def _laws(content: Mapping[str, Any]) -> list[str]:
    if not content["by_law"]:
        return []
    rows = [
        [
            other["law"],
            _count(other["cheapest"]["N"]),
            _count(other["cheapest"]["D"]),
            _share(other["saving"]),
        ]
        for other in content["by_law"]
    ]
    return ["by other laws\n" + aligned(["law", "N", "D", "saves"], rows)]


def _method(content: Mapping[str, Any]) -> str:
    price = content["price"]
    paid = "" if price == 1 else f", at {price:g} times the price of a FLOP of training"
    note = f"\n{content['note']}" if content["note"] else ""
    if not content["floor_found"]:
        note += (
            "\nThe runs identify no floor (E rests at 0): what is said beyond them holds if there is none."
        )
    return (
        f"law {content['law']}; intervals of {content['level']:.0%} by {content['method']}; a run costs "
        f"{content['kappa']:.3g} N^{content['rho']:.3g} D FLOPs ({_off(content['largest_error_of_C'])}), "
        f"a token served a third of a token trained on{paid} (Sardana et al. 2024){note}"
    )


def _loss(content: Mapping[str, Any]) -> str:
    entry, C = content["target"]["loss"], content["target"]["C"]
    if C is None:
        return f"{entry['value']:g}"
    return f"{_with(entry, lambda v: f'{v:.3f}')}, that of the best model of {notation.power(C)} FLOPs,"


def _count(entry: Entry) -> str:
    return _with(entry, notation.count)


def _share(entry: Entry) -> str:
    return _with(entry, notation.percent)


def _with(entry: Entry, form: Callable[[float], str]) -> str:
    value, lo, hi = (_or_never(entry[end], form) for end in ("value", "lo", "hi"))
    return f"{value} ({lo} to {hi})"


def _span(entry: Entry, form: Callable[[float], str]) -> str:
    return f"{_or_never(entry['lo'], form)} to {_or_never(entry['hi'], form)}"


def _off(error: float) -> str:
    """How well the cost's formula holds over the runs; what rounding leaves is none."""
    return "in every run" if error < ROUNDING else f"at most {notation.percent(error)} off over the runs"


def _or_never(value: float | None, form: Callable[[float], str]) -> str:
    return "never" if value is None else form(value)
