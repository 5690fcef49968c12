"""What lies beyond the data in plain sentences, made from the numbers of limit.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis import notation
from analysis.walls.calendar_date import month

NEVER = "never"
RESOURCES = {
    "compute": "compute",
    "data": "data",
    "recipe": "the recipe",
    "none": "nothing, since ten times more of each lowers the loss by less than a thousandth",
}
SHORT = {"compute": "compute", "data": "text", "recipe": "recipe", "none": "nothing"}
EVENTS = {
    "growth_ends": "Growth of compute ends",
    "stock_passed": "The best split asks for more tokens than the stock has",
    "repetition_exhausted": "The stock is repeated until one more repeat is worth 1/e of fresh text",
    "data_worth_most": "Ten times the text becomes worth more than ten times the compute",
}


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


def of_dates(found: Mapping[str, Any]) -> list[str]:
    """When walls come, and of what ten times more is worth most, or why no date is told."""
    if not found["dates"]:
        return [f"No dates are told: {found['dates_missing']}."]
    lines = [date_line(EVENTS[name], date) for name, date in found["dates"].items()]
    return [*lines, *([first(found)] if found["first"] else []), worth_most(found)]


def scenario(found: Mapping[str, Any]) -> str:
    """What is assumed, in a line."""
    given = found["scenario"]
    parts = [
        f"compute {_given(given['compute'], compute)} FLOPs in {month(given['start'])}",
        f"growing {_given(given['growth'], notation.plain)} times a year" if given["growth"] else "",
        f"until {_given(given['until'], month)}" if given["until"] else "",
        f"up to {_given(given['budget'], compute)} FLOPs" if given["budget"] else "",
        f"a stock of {_given(given['stock'], notation.count)} unique tokens" if given["stock"] else "",
        f"repeats worth 1/e after {_given(given['repetition'], notation.plain)}" if given["stock"] else "",
        f"recipes better by {_given(given['recipe'], notation.plain)} times the compute a year"
        if given["recipe"] != 1
        else "recipes of today",
        f"looking as far as {month(given['horizon'])}",
    ]
    return ", ".join(part for part in parts if part)


def date_line(what: str, date: Mapping[str, Any]) -> str:
    """When a wall comes: the middle, the interval and in what share of the draws not before the horizon."""
    never, already = date["never"], date["already"]
    if already >= 0.995:
        return f"{what}: that is so at the start already."
    if never >= 0.995:
        return f"{what}: not before the horizon."
    ends = " to ".join(when(date[end]) for end in ("lo", "hi"))
    text = f"{what}: {when(date['value'])} ({ends})"
    if never > 0:
        text += f"; not before the horizon in {chance(never)} of the draws"
    if already > 0:
        text += f"; so from the start in {chance(already)}"
    return f"{text}."


def first(found: Mapping[str, Any]) -> str:
    """Which wall comes first, the end of growth or that of text, and when."""
    told, date = found["first"], found["first"]["date"]
    ends = " to ".join(when(date[end]) for end in ("lo", "hi"))
    return (
        f"First comes the end of growth in {chance(told['compute'])} of the draws, text that is worth more than "
        f"compute in {chance(told['data'])}, and neither before the horizon in {chance(told['neither'])}; the first "
        f"of them: {when(date['value'])} ({ends})."
    )


def worth_most(found: Mapping[str, Any]) -> str:
    """Of which resource ten times more is worth most, from when to when, by most of the draws."""
    spells: list[tuple[str, float, float]] = []
    for entry in found["calendar"]:
        name = max(entry["binding"], key=lambda key: entry["binding"][key])
        share = entry["binding"][name]
        if spells and spells[-1][0] == name:
            spells[-1] = (name, spells[-1][1], min(spells[-1][2], share))
        else:
            spells.append((name, entry["date"], share))
    told = [
        f"{'from ' + month(date) + ' ' if rank else ''}{RESOURCES[name]} (in {chance(share)} of the draws or more)"
        for rank, (name, date, share) in enumerate(spells)
    ]
    return f"Ten times more of which is worth most: {', '.join(told)}."


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
    """A value with the ends of its interval; null is never."""
    ends = [NEVER if claim[end] is None else form(claim[end]) for end in ("lo", "hi")]
    value = NEVER if claim[name] is None else form(claim[name])
    if claim["lo"] == claim["hi"]:
        return str(value)
    return f"{value} ({' to '.join(ends)})"


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
    return (
        f"Compute wall: at {wall['by']}, C = {span(wall['C'], 'value', compute)}, "
        f"{notation.times(wall['extrapolation'])} the largest run, the loss is {_loss(wall['loss'])} with endless text "
        "and the recipe of today."
    )


def _data(found: Mapping[str, Any]) -> str:
    wall = found["data"]
    if wall is None:
        return f"Data wall: {found['data_missing']}."
    at, reach = wall["at"], wall["extrapolation"]
    text = (
        f"Data wall: with endless compute the stock does not let the loss below {_loss(wall['loss'])}; with all "
        f"repetition it is worth {span(wall['worth'], 'value', notation.count)} fresh tokens. The best split of "
        f"compute asks for more than the stock from C = {span(at['stock_passed'], 'value', compute)} on"
    )
    if reach["stock_passed"] is not None:
        text += f", {notation.times(reach['stock_passed'])} the largest run"
    text += f", and has repeated it to the end of its worth at {span(at['repetition_exhausted'], 'value', compute)}."
    used, stock = found.get("tokens_used"), found["scenario"]["stock"]
    least = stock[0] if isinstance(stock, list) else stock
    if used and used > least:
        text += (
            f" A run here trained on {notation.count(used)} tokens already, more than a stock of "
            f"{notation.count(least)}."
        )
    return text


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
    return [
        text,
        "Ten times the text is worth this multiple of compute at the compute wall: "
        f"{span(worth, 'value', notation.times)}.",
    ]


def _loss(found: Mapping[str, Any]) -> str:
    return f"{loss(found)} nats ({notation.interval(found['lo'], found['hi'])})"


def _given(value: Any, form: Any) -> str:
    return " to ".join(map(form, value)) if isinstance(value, list) else str(form(value))
