"""From a table to the rows that are fitted: which rows are left out and why, and which numbers cannot be fitted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.condition import evaluate
from analysis.errors import InputError
from analysis.laws import LAWS, Law
from analysis.requirements import (
    label,
    place,
    require_columns,
    require_numbers,
    require_one_corpus,
    require_one_row_a_run,
    require_unique,
    require_values,
    unit_of,
)
from scaling.tuning import outdone

if TYPE_CHECKING:
    import pandas as pd

X = "x"
"""The column of a law that stands for any column of the table, chosen by `x`."""

Y = "y"
"""What a law is of, where that is any column of the table, chosen by `y`."""

OUTDONE = "another learning rate did better"
"""Why a row of a sweep is not fitted: of its size, D and recipe another rate has a lower mean loss."""


@dataclass(frozen=True)
class Excluded:
    """A row that is not fitted: its run_id, or "row 7" of the file where it has none, and why."""

    row: str
    reason: str


@dataclass(frozen=True)
class Rows:
    """The rows of a table that are fitted, those that are not, and what N and C mean in them."""

    frame: pd.DataFrame
    excluded: tuple[Excluded, ...]
    conventions: dict[str, str]


def law_named(name: str) -> type[Law]:
    """The class of a law, by its name in `LAWS`; raises InputError with the names there are."""
    if name not in LAWS:
        raise InputError(f"no law is called {name!r}; there are: {', '.join(LAWS)}")
    return LAWS[name]


def law_columns(law: type[Law], x: str = "C") -> dict[str, str]:
    """Column of the law -> column of the table; a law in any one column takes the table's column `x`.

    Raises InputError where a law in N and D and a further x is given N, D or C for it: its best split of compute and
    its exponents are those of an x that these do not move.
    """
    if {X, "N", "D"} <= set(law.columns) and x in ("N", "D", "C"):
        raise InputError(
            f"x is {x}, and in {law.equation} it must be a column other than N, D and C; name one, e.g. --x code_share"
        )
    return {name: x if name == X else name for name in law.columns}


def law_target(law: type[Law], y: str = "L") -> str:
    """The column of the table that the law is of; one of any column is of the table's column `y`."""
    return y if law.target == Y else law.target


def require_own_columns(law: type[Law], columns: Mapping[str, str], target: str) -> None:
    """Raise InputError where a law of any column was not given one: it would be fitted to what it takes, or a loss on
    another corpus would be N, D or C."""
    if law.target != Y:
        return
    name = next(name for name, known in LAWS.items() if known is law)
    if X in law.columns and columns[X] in ("N", "D", "C"):
        raise InputError(
            f"{name} is a loss y against another corpus's loss x, and x is {columns[X]}; name both columns, e.g. --x "
            "L --y L_other"
        )
    if target in columns.values():
        example = "--x L --y L_other" if X in law.columns else "--y error"
        raise InputError(
            f"{name} is of another column than {target}, which it takes; name the column that it is of, e.g. {example}"
        )


def select(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    parameters: int,
    where: str | None = None,
    target: str = "L",
    signed: Collection[str] = (),
    weights: str | None = None,
) -> Rows:
    """The rows to fit: those where `where` is true, that are done, decayed and have a loss, at the best learning rate.

    Of several rates of one size, D and recipe (see `scaling.tuning`) the one of least mean loss among the rows where
    `where` is true is kept, with all its seeds: the law is that of tuned runs, and a sweep's bad rates are no part of
    it. The least of several noisy means lies a little below the loss that the rate would have with more seeds.

    A row that is the same in every column as one before it is left out, and one of weight 0 in the column `weights`.
    columns maps the law's columns to the table's; C is made as 6 N D where the table has none. Raises InputError for a
    column that is missing, there twice or not numeric, losses in several units, two losses of one run, a value that is
    not above 0 (or not finite, in a column among `signed`), and fewer rows than parameters.
    """
    names = list(dict.fromkeys((*columns.values(), target)))
    require_unique(table)
    frame, conventions = _with_compute(table)
    require_columns(frame, names, present=table.columns)
    for column in (*names, *([weights] if weights else [])):
        require_numbers(frame, column)
    reasons = _reasons(frame, where, target, weights)
    kept = frame[reasons.isna()]
    require_values(kept, names, signed)
    if len(kept) < parameters:
        raise InputError(_too_few(len(kept), len(frame), parameters, reasons))
    require_one_corpus(kept)
    require_one_row_a_run(kept, columns, target)
    if target == "L" and (unit := unit_of(kept)):
        conventions["L"] = unit
    left_out = reasons.dropna()
    excluded = tuple(Excluded(label(frame, i), str(reason)) for i, reason in left_out.items())
    return Rows(kept, excluded, conventions)


def _with_compute(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    frame = table.reset_index(drop=True) if not table.index.is_unique else table
    conventions = {"N": "column N of the table", "C": "column C of the table"}
    if "N" not in frame.columns:
        del conventions["N"]
    if "C" not in frame.columns:
        del conventions["C"]
        if {"N", "D"} <= set(frame.columns):
            for column in ("N", "D"):
                require_numbers(frame, column)
            frame = frame.assign(C=6.0 * frame["N"] * frame["D"])
            conventions["C"] = "6 N D: the table has no column C"
    return frame, conventions


def signed_columns(law: type[Law], columns: Mapping[str, str]) -> set[str]:
    """Columns of the table that may be 0 or below; columns maps the law's to the table's."""
    return {columns[name] for name in law.signed}


def _reasons(frame: pd.DataFrame, where: str | None, target: str, weights: str | None = None) -> pd.Series:
    """Why a row is not fitted; missing where it is."""
    import pandas as pd

    reasons = pd.Series(pd.NA, index=frame.index, dtype="string")

    def give(mask: pd.Series, reason: str | pd.Series) -> None:
        reasons[mask & reasons.isna()] = reason if isinstance(reason, str) else reason[mask & reasons.isna()]

    if where:
        give(~evaluate(frame, where), f"not where {where}")
    again = frame.duplicated()
    if again.any():
        give(again, _duplicate_of(frame))
    if "status" in frame.columns:
        status = frame["status"].astype("string")
        give(status.notna() & (status != "done"), "status " + status.fillna(""))
    if "decayed" in frame.columns:
        decayed = frame["decayed"].astype("string").str.lower()
        give(decayed.isin(["false", "0", "0.0"]), "its learning rate was not decayed")
    if weights:
        give((frame[weights] == 0).fillna(False).astype(bool), "weight 0")
    give(frame[target].isna(), "no loss L" if target == "L" else f"no {target}")
    if "L" in frame.columns:
        once = frame[~again]
        give(_outdone(once, where).reindex(frame.index, fill_value=False), OUTDONE)
    return reasons


def _duplicate_of(frame: pd.DataFrame) -> pd.Series:
    """For rows that are the same in every column as one before them, which that is."""
    import pandas as pd

    same = frame[frame.duplicated(keep=False)]
    first: dict[Any, str] = {}
    reasons = pd.Series(pd.NA, index=frame.index, dtype="string")
    keys = pd.util.hash_pandas_object(same, index=False)
    for index, key in zip(same.index, keys, strict=True):
        if key in first:
            reasons[index] = f"duplicate of {first[key]}"
        else:
            first[key] = place(frame, index)
    return reasons


def asked_for(frame: pd.DataFrame, where: str | None) -> pd.DataFrame:
    """The rows where `where` is true; all of them without one."""
    return frame[evaluate(frame, where)] if where else frame


def _outdone(frame: pd.DataFrame, where: str | None) -> pd.Series:
    """Whether another learning rate did better; only rows where `where` is true are compared."""
    import pandas as pd

    asked = asked_for(frame, where)
    return pd.Series(outdone(asked), index=asked.index).reindex(frame.index, fill_value=False)


def _too_few(kept: int, total: int, parameters: int, reasons: pd.Series) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.dropna().value_counts().items())
    left_out = f" ({counts})" if counts else ""
    return (
        f"{kept} of {total} rows are left{left_out} for the {parameters} parameters of the law; "
        "add runs, widen --where or fit a law with fewer parameters"
    )
