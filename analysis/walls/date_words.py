"""When walls are met, and of what ten times more is worth most at which date, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.walls import words
from analysis.walls.calendar_date import month

RESOURCES = {
    "compute": "compute",
    "data": "text",
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


def dates(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The dates that are told: that of the worth of repeats is none where text is not repeated."""
    repeated = found["scenario"]["repetition"] != 0
    return {name: date for name, date in found["dates"].items() if repeated or name != "repetition_exhausted"}


def of_dates(found: Mapping[str, Any]) -> list[str]:
    """When walls come, and of what ten times more is worth most, or why no date is told."""
    if not found["dates"]:
        return [f"No dates are told: {found['dates_missing']}."]
    start = found["scenario"]["start"]
    lines = [date_line(EVENTS[name], date, start) for name, date in dates(found).items()]
    return [*lines, *([first(found)] if found["first"] else []), worth_most(found)]


def date_line(what: str, date: Mapping[str, Any], start: float) -> str:
    """When a wall comes: the middle, the interval and in what share of the draws not before the horizon."""
    never, already = date["never"], date["already"]
    if already >= 0.995:
        return f"{what}: that is so at the start already."
    if never >= 0.995:
        return f"{what}: not before the horizon."
    text = f"{what}: {words.when(date['value'])} ({date_ends(date, start)})"
    if never > 0:
        text += f"; not before the horizon in {words.chance(never)} of the draws"
    if already > 0:
        text += f"; so from the start in {words.chance(already)}"
    return f"{text}."


def first(found: Mapping[str, Any]) -> str:
    """Which wall comes first, the end of growth or that of text, and when."""
    told, date = found["first"], found["first"]["date"]
    shares = {name: words.chance(told[name]) for name in ("compute", "data", "neither")}
    return (
        f"First comes the end of growth in {shares['compute']} of the draws, text that is worth more than compute in "
        f"{shares['data']}, and neither before the horizon in {shares['neither']}; the first of them: "
        f"{words.when(date['value'])} ({date_ends(date, found['scenario']['start'])})."
    )


def date_ends(date: Mapping[str, Any], start: float) -> str:
    """The interval of a date in words; a scenario that starts at `start` may leave none."""
    lo, hi = date["lo"], date["hi"]
    if lo is None:
        return "all of the interval"
    if hi is not None and words.fixed(date):
        return "the start" if words.fixed({"lo": start, "hi": hi}) else words.FIXED
    if words.when(lo) == words.when(hi):
        return "all of the interval in that month"
    return f"{words.when(lo)} to {words.when(hi)}"


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
        f"{'from ' + month(date) + ' ' if rank else ''}{RESOURCES[name]} (in {words.chance(share)} of the draws or "
        "more)"
        for rank, (name, date, share) in enumerate(spells)
    ]
    return f"Ten times more of which is worth most: {', '.join(told)}."
