"""What lies beyond the data in plain sentences, made from the numbers of limit.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis import notation
from analysis.walls.calendar_date import month

NEVER = "never"
FIXED = "fixed by the scenario"
ROUNDING = 1e-9
"""Share of a number by which the ends of an interval may differ and be one number."""


def left(limit: Mapping[str, Any]) -> str:
    """What of the loss at the largest run is reducible, or why that cannot be said."""
    found = limit["left"]
    nats, share, level = found["nats"], found["share"], notation.percent(found["level"])
    if nats["value"] is not None:
        return (
            f"At the largest run {loss(nats)} nats per token of the loss are reducible "
            f"({notation.interval(nats['lo'], nats['hi'])} at {level}), {notation.percent(share['value'])} of it "
            f"({notation.percent(share['lo'])} to {notation.percent(share['hi'])})."
        )
    if nats["lo"] is not None:
        return (
            f"At the largest run at least {notation.plain(nats['lo'])} nats per token of the loss are reducible, "
            f"{notation.percent(share['lo'])} of it: {_subtraction(nats['lo'], limit['E']['hi'])}. More cannot be "
            "said, since the runs bound the floor from above alone."
        )
    return f"{found['missing'][0].upper()}{found['missing'][1:]}."


def _subtraction(least: float, bound: float) -> str:
    """What the bound of the floor is taken from, in as many decimals as show what is left in two figures."""
    if least <= 0:
        return f"the lower end of its interval is no higher than the bound of the floor, {notation.plain(bound, 4)}"
    places = notation.decimals(0.0, least)
    ends = f"{notation.fixed(least + bound, places)}, less the bound of the floor, {notation.fixed(bound, places)}"
    return f"the lower end of its interval, {ends}"


def needed(limit: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What it takes to halve what is left and to come near the floor: what for, and the claim."""
    if limit["halving"] is None:
        return []
    near = [(f"within {notation.percent(one['share'])} of the floor", one) for one in limit["distances"]]
    return [("half of what is reducible", limit["halving"]), *near]


def needed_line(what: str, claim: Mapping[str, Any], x: str) -> str:
    """One of `needed` in a line."""
    form = compute if x == "C" else notation.count
    if claim[x] is None:
        ends = f", at the earliest at {x} = {form(claim['lo'])}" if claim["lo"] is not None else ""
        return f"{what}: out of reach{ends}"
    text = f"{what}: {notation.times(claim['extrapolation'])} the largest run, {x} = {span(claim, x, form)}"
    for name in ("N_opt", "D_opt"):
        if claim.get(name) is not None:
            text += f", {name} = {span(split_of(claim, name), 'value', notation.count)}"
    return text


def split_of(claim: Mapping[str, Any], name: str) -> dict[str, Any]:
    """N_opt or D_opt of a claim with the ends of its interval."""
    return {"value": claim[name], "lo": claim[f"{name}_lo"], "hi": claim[f"{name}_hi"]}


def probability(claim: Mapping[str, Any], x: str) -> str:
    """P(L < b) at an x in a line."""
    where = compute(claim[x]) if x == "C" else notation.count(claim[x])
    reach = notation.times(claim["extrapolation"])
    below = notation.plain(claim["below"], 4)
    return f"P(L < {below}) at {x} = {where}: {chance(claim['probability'])}, {reach} the largest run"


def of_resources(found: Mapping[str, Any]) -> list[str]:
    """The walls of compute, data and recipe, a sentence or two each."""
    said = [_compute(found), _data(found), *_recipe(found), _floor(found), found["caution"]]
    return [sentence for sentence in said if sentence]


def scenario(found: Mapping[str, Any]) -> str:
    """What is assumed, in a line."""
    given = found["scenario"]
    parts = [
        f"compute {_given(given['compute'], compute)} FLOPs in {month(given['start'])}",
        f"growing {_given(given['growth'], notation.plain)} times a year" if given["growth"] else "",
        f"until {_given(given['until'], month)}" if given["until"] else "",
        f"up to {_given(given['budget'], compute)} FLOPs" if given["budget"] else "",
        f"a stock of {_given(given['stock'], notation.count)} unique tokens" if given["stock"] else "",
        _repeats(given["repetition"]) if given["stock"] else "",
        _recipes(given),
        f"looking as far as {month(given['horizon'])}",
    ]
    return ", ".join(part for part in parts if part)


def _repeats(given: Any) -> str:
    if given == 0:
        return "repeated text worth nothing"
    middle = f" (median {notation.plain(math.sqrt(given[0] * given[1]))})" if isinstance(given, list) else ""
    return f"a repeat worth 1/e of fresh text after {_given(given, notation.plain)}{middle}"


def _recipes(given: Mapping[str, Any]) -> str:
    if given["recipe"] == 1:
        return "recipes of today"
    share = given["recipe_on_data"]
    tokens = (
        f"tokens go further by {_given(share, notation.percent)} of that in its logarithm"
        if share != 0
        else "all of it saves compute and none of it tokens"
    )
    return f"recipes better by {_given(given['recipe'], notation.plain)} times the compute a year ({tokens})"


def loss(found: Mapping[str, Any]) -> str:
    """A loss in the decimals of its interval."""
    return notation.estimate(found["value"], found["lo"], found["hi"])


def with_interval(found: Mapping[str, Any]) -> str:
    """A number of nats with its interval: '1.92 (1.80 to 2.01)'."""
    return f"{loss(found)} ({notation.interval(found['lo'], found['hi'])})"


def compute(number: float) -> str:
    """FLOPs, as a power of ten in two figures."""
    return notation.power(number, 2)


def span(claim: Mapping[str, Any], name: str, form: Any) -> str:
    """A value with the ends of its interval, where these are two as they are shown; null is never."""
    lo, hi = (NEVER if claim[end] is None else form(claim[end]) for end in ("lo", "hi"))
    value = NEVER if claim[name] is None else form(claim[name])
    return str(value) if lo == hi == value else f"{value} ({lo} to {hi})"


def fixed(found: Mapping[str, Any]) -> bool:
    """Whether the ends of an interval are one number."""
    lo, hi = found["lo"], found["hi"]
    return lo is not None and hi is not None and hi - lo <= ROUNDING * abs(hi)


def assumed(found: Mapping[str, Any], form: Any) -> str:
    """As `span`, of a number of the scenario, which may hold it fixed."""
    return f"{form(found['value'])} ({FIXED})" if fixed(found) else span(found, "value", form)


def when(date: float | None) -> str:
    """A date as a month, or that it does not come before the horizon."""
    return "after the horizon" if date is None else month(date)


def chance(share: float) -> str:
    """A probability in per cent, where neither 0 nor 100 % is claimed by draws."""
    if share < 0.005:
        return f"under {notation.percent(0.005)}"
    return f"over {notation.percent(0.995, 3)}" if share > 0.995 else notation.percent(share)


def _compute(found: Mapping[str, Any]) -> str:
    wall = found["compute"]
    text = (
        "with endless text and the recipe of today"
        if wall["text"] == "endless"
        else "by a law of compute alone, which takes text and recipe to go on as in these runs"
    )
    return (
        f"Compute wall: at {wall['by']}, C = {assumed(wall['C'], compute)}, "
        f"{notation.times(wall['extrapolation'])} the largest run, the loss is {_loss(wall['loss'])} {text}."
    )


def _data(found: Mapping[str, Any]) -> str:
    wall = found["data"]
    if wall is None:
        return f"Data wall: {found['data_missing']}."
    at, reach = wall["at"], wall["extrapolation"]
    from_on = {name: _of_runs(one, found["smallest_run"]) for name, one in at.items()}
    text = (
        f"Data wall: with endless compute the stock does not let the loss below {_loss(wall['loss'])}; "
        f"{_worth(found)}. The best split of compute asks for more than the stock from C = {from_on['stock_passed']} on"
    )
    if reach["stock_passed"] is not None:
        text += f", {notation.times(reach['stock_passed'])} the largest run"
    if found["scenario"]["repetition"] != 0:
        text += (
            f", and repeats it until one more repeat is worth 1/e from {from_on['repetition_exhausted']} on"
        )
    text += "."
    used, stock = found.get("tokens_used"), found["scenario"]["stock"]
    least = stock[0] if isinstance(stock, list) else stock
    if used and used > least:
        text += (
            f" A run here trained on {notation.count(used)} tokens already, more than a stock of "
            f"{notation.count(least)}."
        )
    return text


def _worth(found: Mapping[str, Any]) -> str:
    if found["scenario"]["repetition"] == 0:
        return "text that is repeated is worth nothing in this scenario"
    shown = assumed(found["data"]["worth"], notation.count)
    return f"repeated without end it is worth {shown} fresh tokens"


def _of_runs(found: Mapping[str, Any], smallest: float) -> str:
    """A compute with its interval, of which nothing is said below the smallest run."""

    def shown(number: float) -> str:
        return "the smallest run or less" if number <= smallest * (1 + 1e-9) else compute(number)

    return span(found, "value", shown)


def _floor(found: Mapping[str, Any]) -> str:
    if found["floor"] is None:
        return ""
    return (
        f"Floor, the last wall: no compute and no text lets runs of this kind below {_loss(found['floor'])}, however "
        "far."
    )


def _recipe(found: Mapping[str, Any]) -> list[str]:
    ten = next(one for one in found["recipe"]["gains"] if one["factor"] == 10)
    text = (
        f"Recipe: one worth 10 times the compute lowers the loss by {_loss(ten['start'])} at the compute of the start, "
        f"and by {_loss(ten['wall'])} at the compute wall."
    )
    worth = found["recipe"]["stock_worth"]
    if worth is None:
        return [text]
    return [text, _stock_worth(worth)]


def _stock_worth(worth: Mapping[str, Any]) -> str:
    """What ten times the text is worth in compute, which no compute may make up for."""
    value, lo, hi, never = worth["value"], worth["lo"], worth["hi"], worth["never"]
    shares = f", in {chance(never)} of the draws"
    if value is None:
        least = (
            f" (at the lower end of the interval, {notation.times(lo)} the compute does)"
            if lo is not None
            else ""
        )
        return f"Ten times the text: no compute makes up for it at the compute wall{shares}{least}."
    text = f"Ten times the text is worth {notation.times(value)} the compute at the compute wall"
    if hi is None:
        return f"{text} (at least {notation.times(lo)}; no compute makes up for it{shares})."
    if notation.times(lo) == notation.times(hi):
        return f"{text}."
    return f"{text} ({notation.times(lo)} to {notation.times(hi)})."


def _loss(found: Mapping[str, Any]) -> str:
    return f"{loss(found)} nats ({notation.interval(found['lo'], found['hi'])})"


def _given(value: Any, form: Any) -> str:
    return " to ".join(map(form, value)) if isinstance(value, list) else str(form(value))
