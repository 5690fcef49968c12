"""What lies beyond the data as parts of a report, from the content of limit.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis import notation
from analysis.pages.document import Paragraph, Part, Table
from analysis.pages.page import Cell, Column, number
from analysis.walls import date_words, words
from analysis.walls.calendar_date import month

MOST_DATES = 9
"""Rows of the table of dates."""


def claims(limit: Mapping[str, Any]) -> list[Part]:
    """What is left to gain, what it takes to halve it and to come near the floor, and how likely losses are."""
    parts: list[Part] = [Paragraph(words.left(limit))]
    needed = words.needed(limit)
    if needed:
        parts.append(_needed(limit, needed))
    else:
        parts.append(Paragraph(f"{limit['distances_missing'][0].upper()}{limit['distances_missing'][1:]}."))
    if limit["probabilities"]:
        parts += [_probabilities(limit), Paragraph(f"Probabilities {limit['probabilities_of']}.")]
    return parts


def walls(limit: Mapping[str, Any]) -> list[Part]:
    """Which wall comes first in the scenario, and when; empty without one."""
    found = limit["walls"]
    if found is None:
        return []
    level = notation.percent(found["level"])
    parts: list[Part] = [
        Paragraph(
            f"The scenario: {words.scenario(found)}. Ranges are 90 % intervals, those of dates and shares all that is "
            "possible."
        ),
        *(Paragraph(sentence) for sentence in words.of_resources(found)),
    ]
    if found["dates"]:
        parts += [_dates(found), *(Paragraph(text) for text in _summary(found)), _worth(found)]
    else:
        parts.append(Paragraph(date_words.of_dates(found)[0]))
    note = (
        f"In brackets and columns of intervals: {level}, by {found['draws']:,} draws of the admissible laws, each with "
        f"one of {found['scenario_draws']:,} draws of the scenario, which every law shares. A number "
        "without an interval is fixed by the scenario. The gain of ten times more is that of the law drawn; what is "
        "worth most counts draws in which ten times more of it lowers the loss most, ties going to compute."
    )
    return [*parts, Paragraph(note)]


def _summary(found: Mapping[str, Any]) -> list[str]:
    return [*([date_words.first(found)] if found["first"] else []), date_words.worth_most(found)]


def _needed(limit: Mapping[str, Any], needed: list[tuple[str, Mapping[str, Any]]]) -> Table:
    x = limit["x"]
    form = words.compute if x == "C" else notation.count
    split = "N_opt" in needed[0][1]
    columns = [Column("To reach", "label"), Column(x), Column("Interval"), Column("Beyond the largest run")]
    columns += [Column("N at its best"), Column("D at its best")] if split else []
    rows: list[list[object]] = []
    for what, claim in needed:
        row: list[object] = [
            what,
            _cell(claim[x], form),
            _ends(claim, form),
            _cell(claim["extrapolation"], notation.times),
        ]
        for name in ("N_opt", "D_opt") if split else ():
            ends = words.split_of(claim, name)
            known = any(value is not None for value in ends.values())
            shown = words.span(ends, "value", notation.count) if known else notation.MISSING
            row.append(Cell(shown, ends["value"]))
        rows.append(row)
    return Table("What it takes to halve what is reducible and to come near the floor", columns, rows)


def _probabilities(limit: Mapping[str, Any]) -> Table:
    x = limit["x"]
    form = words.compute if x == "C" else notation.count
    columns = [Column(x), Column("Loss below"), Column("Probability"), Column("Beyond the largest run")]
    rows = [
        [
            number(one[x], form(one[x])),
            number(one["below"], notation.plain(one["below"], 4)),
            number(one["probability"], words.chance(one["probability"])),
            number(one["extrapolation"], notation.times(one["extrapolation"])),
        ]
        for one in limit["probabilities"]
    ]
    return Table("How likely a loss is", columns, rows)


def _dates(found: Mapping[str, Any]) -> Table:
    columns = [
        Column("What happens", "words"), Column("When"), Column("Interval"), Column("Not before the horizon"),
        Column("So from the start"),
    ]  # fmt: skip
    rows = [
        [
            date_words.EVENTS[name],
            Cell(words.when(date["value"]), date["value"]),
            Cell(date_words.date_ends(date, found["scenario"]["start"]), date["lo"]),
            number(date["never"], words.chance(date["never"])),
            number(date["already"], words.chance(date["already"])),
        ]
        for name, date in date_words.dates(found).items()
    ]
    return Table("When walls are met", columns, rows)


def _worth(found: Mapping[str, Any]) -> Table:
    """By date: compute, loss, what ten times more of each resource gains, and which is worth most."""
    entries = found["calendar"]
    every = -(-(len(entries) - 1) // (MOST_DATES - 1))
    names = list(entries[0]["gains"])
    columns = [Column("Date", "label"), Column("C (FLOPs)"), Column("Loss expected")]
    columns += [Column(f"Gain by 10 times {date_words.SHORT[name]} (nats)") for name in names]
    columns += [Column("Worth most, share of draws", "words")]
    rows = []
    for entry in entries[::every]:
        row: list[object] = [Cell(month(entry["date"]), entry["date"])]
        row.append(Cell(words.span(entry["C"], "value", words.compute), entry["C"]["value"]))
        row.append(Cell(words.with_interval(entry["loss"]), entry["loss"]["value"]))
        row += [
            Cell(words.with_interval(entry["gains"][name]), entry["gains"][name]["value"]) for name in names
        ]
        row.append(
            ", ".join(f"{date_words.SHORT[name]} {words.chance(share)}" for name, share in _most(entry))
        )
        rows.append(row)
    return Table("What ten times more of each would be worth", columns, rows)


def _most(entry: Mapping[str, Any]) -> list[tuple[str, float]]:
    shares = sorted(entry["binding"].items(), key=lambda item: -item[1])
    return [(name, share) for name, share in shares if share >= 0.005]


def _cell(value: float | None, form: Any) -> Cell:
    return Cell(words.NEVER if value is None else form(value), value)


def _ends(claim: Mapping[str, Any], form: Any) -> Cell:
    ends = [words.NEVER if claim[end] is None else form(claim[end]) for end in ("lo", "hi")]
    return Cell(" to ".join(ends), claim["lo"])
