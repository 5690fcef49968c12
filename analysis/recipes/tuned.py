"""How the learning rates of two recipes were chosen: a recipe that was tuned less looks worse than it is."""

from __future__ import annotations

from analysis.rates import rate_words, transfer
from analysis.recipes.recipe import Recipe
from analysis.rows import asked_for

RATE = "lr"


def told(base: Recipe, candidate: Recipe) -> list[str]:
    """The tuning gate's warnings of each side, and how many rates its table holds at a size beside the other's."""
    said = [f"{side.name}: {warning}" for side in (base, candidate) for warning in _warnings(side)]
    counts = [_rates(side) for side in (base, candidate)]
    if None in counts:
        said.append(
            "the tables do not both name their learning rates, so how well each was tuned is not known"
        )
    elif counts == [1, 1]:
        said.append(
            "rates tried at a size: 1 against 1; neither table holds a sweep, so how well each was tuned is not seen"
        )
    else:
        said.append(
            f"rates tried at a size, at most: {counts[0]} in the base against {counts[1]} in the candidate"
        )
    return said


def _warnings(side: Recipe) -> list[str]:
    found = transfer.series(side.source.table, side.fit.where, side.boot.level)
    warnings: list[str] = rate_words.as_dict(found, side.frame)["warnings"]
    return warnings


def _rates(side: Recipe) -> int | None:
    """Most learning rates that the rows of a side hold at one N, those that others outdid included; None where the
    table names none."""
    table = side.source.table
    if RATE not in table or "N" not in table or table[RATE].isna().all():
        return None
    return int(asked_for(table, side.fit.where).groupby("N")[RATE].nunique().max())
