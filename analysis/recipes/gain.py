"""The verb `gain`: what a recipe is worth as a multiple of another's compute. What is heavy is imported inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from analysis.options import Options

if TYPE_CHECKING:
    from analysis.recipes.recipe import Recipe
    from analysis.source import Source

FEWER = 200
"""Refits of the bootstrap of each other law."""


def gain(
    base: Annotated[Path, tyro.conf.Positional],
    candidate: Annotated[Path, tyro.conf.Positional],
    options: Annotated[Options, tyro.conf.arg(name="")],
    at: tuple[float, ...] = (),
    names: tuple[str, str] = ("base", "candidate"),
    where_base: str = "",
    where_candidate: str = "",
    comparable: str = "",
    tests: int = 199,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Say what a recipe is worth: the multiple of compute that the base needs to reach the candidate's loss.

    Args:
        base: a study folder, or a .csv or .parquet file with columns N, D, L: the recipe that is compared with
        candidate: the recipe that is compared; it may be the same table, divided by the two conditions below
        options: how both tables are fitted
        at: computes of the candidate, in FLOPs, at which the gain is told; without it three inside the runs of both,
            and 10 and 100 times the candidate's largest run
        names: what base and candidate are called in the table and the figure, e.g. sgd adamw
        where_base: use only rows for which this expression over columns is true for the base, e.g. "optimizer == 'sgd'"
        where_candidate: likewise for the candidate
        comparable: why losses on corpora or tokenizers that differ are the same quantity nonetheless, in your words,
            e.g. "both evaluated on the same held-out text"; without it no gain is told of such
        tests: draws of each test of what the recipes differ in, and of the exponents' intervals; enough that their
            least p, 1 / (tests + 1), lies below 1 - level
        out: folder for gain.json and the figure gain.png and .svg; nothing is written without it
        json: print gain.json and nothing else
    """
    from analysis.evidence import Progress
    from analysis.recipes import gain_plots, gain_words
    from analysis.recipes.comparable import comparison
    from analysis.recipes.compared import compared
    from analysis.recipes.recipe import require_apart
    from analysis.recipes.verdict import require_draws
    from analysis.source import open_source
    from analysis.verbs import renames
    from analysis.written import dumped, write_answer

    require_draws(tests, options.level)
    say = Progress()
    sources = [open_source(path, renames(options.columns)) for path in (base, candidate)]
    wheres = where_base, where_candidate
    own = _sides(sources, options, wheres, say)
    require_apart(*own)
    of = comparison(*own, consent=comparable)
    others = _others(sources, options, wheres, say) if of.comparable else []
    content = compared(
        *own, of, at=at, names=names, others=others, seed=options.seed, replicates=tests, say=say
    )
    if out is not None:
        write_answer(out, "gain", content, gain_plots.draw(content) if of.comparable else None)
    text = gain_words.text(content) + (f"\n\nwrote {out}" if out else "")
    print(dumped(content) if json else text)


def _sides(
    sources: list[Source], options: Options, wheres: tuple[str, str], say: Callable[[str], None]
) -> tuple[Recipe, Recipe]:
    """Base and candidate, their bootstraps with seeds of their own."""
    from analysis.recipes.recipe import recipe

    made = []
    for number, name in enumerate(("base", "candidate")):
        say(f"fitting {options.law} to the {name}")
        made.append(recipe(sources[number], options, wheres[number], name, options.seed + number))
    return made[0], made[1]


def _others(
    sources: list[Source], options: Options, wheres: tuple[str, str], say: Callable[[str], None]
) -> list[tuple[Recipe, Recipe]]:
    """Both sides under the other admitted laws, where the law asked for is one in N and D; one that cannot be fitted or
    has no best split is left out."""
    from dataclasses import replace

    from analysis.errors import InputError
    from analysis.rows import law_named

    found = []
    for law in options.admit if law_named(options.law).columns == ("N", "D") else ():
        if law == options.law:
            continue
        try:
            found.append(
                _sides(
                    sources, replace(options, law=law, replicates=min(FEWER, options.replicates)), wheres, say
                )
            )
        except InputError:
            continue
    return found
