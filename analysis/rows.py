"""From a table to the rows that are fitted: which rows are left out and why, and which numbers cannot be fitted."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.errors import InputError
from analysis.laws import LAWS, Law
from scaling.tuning import outdone

if TYPE_CHECKING:
    import pandas as pd

X = "x"
"""The column of a law that stands for any column of the table, chosen by `x`."""

Y = "y"
"""What a law is of, where that is any column of the table, chosen by `y`."""

OUTDONE = "another learning rate did better"
"""Why a row of a sweep is not fitted: of its size, D and recipe another rate has a lower mean loss."""

NAMED = 3
"""Rows that a sentence names; the others are counted."""

_ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.Compare),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod),
    *(ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple),
)


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
    """Column of the law -> column of the table; a law in any one column takes the table's column `x`."""
    return {name: x if name == X else name for name in law.columns}


def law_target(law: type[Law], y: str = "L") -> str:
    """The column of the table that the law is of; one of any column is of the table's column `y`."""
    return y if law.target == Y else law.target


def select(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    parameters: int,
    where: str | None = None,
    target: str = "L",
    signed: Collection[str] = (),
) -> Rows:
    """The rows to fit: those where `where` is true, that are done, decayed and have a loss, at the best learning rate.

    Of several rates of one size, D and recipe (see `scaling.tuning`) the one of least mean loss among the rows where
    `where` is true is kept, with all its seeds: the law is that of tuned runs, and a sweep's bad rates are no part of
    it. The least of several noisy means lies a little below the loss that the rate would have with more seeds.

    A row that is the same in every column as one before it is left out. columns maps the law's columns to the table's;
    C is made as 6 N D where the table has none. Raises InputError for a column that is missing or not numeric, losses
    in several units, two losses of one run, a value that is not above 0 (or not finite, in a
    column among `signed`), and fewer rows than parameters.
    """
    frame, conventions = _with_compute(table)
    _require_columns(frame, (*columns.values(), target))
    for column in (*columns.values(), target):
        require_numbers(frame, column)
    reasons = _reasons(frame, where, target)
    kept = frame[reasons.isna()]
    for column in (*columns.values(), target):
        (_require_finite if column in signed else _require_positive)(kept, column)
    if len(kept) < parameters:
        raise InputError(_too_few(len(kept), len(frame), parameters, reasons))
    _require_one_corpus(kept)
    _require_one_row_a_run(kept, columns, target)
    if target == "L" and (unit := _unit(kept)):
        conventions["L"] = unit
    left_out = reasons.dropna()
    excluded = tuple(Excluded(label(frame, i), str(reason)) for i, reason in left_out.items())
    return Rows(kept, excluded, conventions)


def label(frame: pd.DataFrame, index: Any) -> str:
    """The run_id of a row, or its number in the file (the first after the header is row 1)."""
    if "run_id" in frame.columns and frame["run_id"].notna()[index]:
        return str(frame.at[index, "run_id"])
    return place(frame, index)


def place(frame: pd.DataFrame, index: Any) -> str:
    """A row's number in the file: "row 7"."""
    return f"row {int(index) + 1}"


def named(frame: pd.DataFrame, mask: Any) -> str:
    """The rows where the mask [n] is true, in words: "r3, r7 and r9", or the first three and how many more."""
    import numpy as np

    found = np.flatnonzero(mask)
    names = [label(frame, frame.index[i]) for i in found[:NAMED]]
    if len(found) > NAMED:
        return f"{', '.join(names)} and {len(found) - NAMED} more rows"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def evaluate(table: pd.DataFrame, expression: str) -> pd.Series:
    """True where an expression over columns is true: names, constants, comparisons, and/or/not, arithmetic, `in`.

    A comparison with a missing value is false. Raises InputError for anything else: no call, attribute or index is
    evaluated.
    """
    import pandas as pd

    tree = _parse(expression)
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise InputError(
                f"--where {expression!r} holds {type(node).__name__.lower()}, which is not allowed; use names of "
                "columns, numbers, strings, comparisons, and, or, not, in, + - * / ** %"
            )
        if isinstance(node, ast.Name) and node.id not in table.columns:
            present = ", ".join(map(str, table.columns))
            raise InputError(
                f"--where {expression!r} names {node.id!r}, which is no column; columns are: {present}"
            )
        if isinstance(node, ast.Constant) and type(node.value) is int:
            node.value = float(node.value)  # whole numbers grow without end, 9**9**9 for one
    try:
        result = table.eval(ast.unparse(tree), engine="python")
    except (
        Exception
    ) as error:  # pandas raises many kinds for what the whitelist lets through, e.g. text < number
        raise InputError(f"--where {expression!r} cannot be evaluated: {error}") from None
    if not isinstance(result, pd.Series) or not pd.api.types.is_bool_dtype(result.dtype):
        raise InputError(f"--where {expression!r} is not true or false in each row; compare, e.g. 'N > 1e6'")
    return result.astype("boolean").fillna(False).astype(bool)


def _parse(expression: str) -> ast.Expression:
    try:
        return ast.parse(expression.strip(), mode="eval")
    except SyntaxError as error:
        raise InputError(f"--where {expression!r} is not an expression: {error.msg}") from None


def _require_columns(frame: pd.DataFrame, names: Collection[str]) -> None:
    """Raise InputError with all that the law takes, what is not there and how to name it."""
    missing = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if missing:
        told = " ".join(f"{name}=theirs" for name in missing)
        raise InputError(
            f"the law takes {', '.join(dict.fromkeys(names))}, and the table has no column {', '.join(missing)}; name "
            f"what holds it, e.g. --columns {told} (columns are: {', '.join(map(str, frame.columns))})"
        )


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


def require_numbers(frame: pd.DataFrame, column: str) -> None:
    """Raise InputError unless the table has the column and it is numeric."""
    import pandas as pd

    if column not in frame.columns:
        present = ", ".join(map(str, frame.columns))
        raise InputError(
            f"the table has no column {column}; name the one that holds it, e.g. --columns {column}=theirs "
            f"(columns are: {present})"
        )
    numeric = pd.api.types.is_numeric_dtype(frame[column].dtype)
    if not numeric or pd.api.types.is_bool_dtype(frame[column].dtype):
        raise InputError(f"column {column} holds {frame[column].iloc[0]!r}; a fit needs numbers there")


def signed_columns(law: type[Law], columns: Mapping[str, str]) -> set[str]:
    """Columns of the table that may be 0 or below; columns maps the law's to the table's."""
    return {columns[name] for name in law.signed}


def _require_finite(frame: pd.DataFrame, column: str) -> None:
    import numpy as np

    values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"{column} is {values[bad][0]} in {named(frame, bad)} ({bad.sum()} such rows); it must be finite: correct "
            f"it, or leave the row out with --where '-1e300 < {column} < 1e300'"
        )


def _require_positive(frame: pd.DataFrame, column: str) -> None:
    import numpy as np

    values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise InputError(
            f"{column} is {values[bad][0]} in {named(frame, bad)} ({bad.sum()} such rows); it must be finite and above "
            f"0: correct it, or leave the row out with --where '0 < {column} < 1e300'"
        )


def _require_one_corpus(frame: pd.DataFrame) -> None:
    if "corpus" not in frame.columns:
        return
    names = list(map(str, frame["corpus"].dropna().unique()))
    if len(names) > 1:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(
            f"the rows are of {len(names)} corpora ({shown}), whose losses follow no common law: keep one, e.g. "
            f"--where 'corpus == \"{names[0]}\"'"
        )


def _require_one_row_a_run(frame: pd.DataFrame, columns: Mapping[str, str], target: str) -> None:
    """Raise InputError where one run_id has two sizes, or two values of the target at one place of the law."""
    if "run_id" not in frame.columns or not frame["run_id"].dropna().duplicated().any():
        return
    rows = frame[frame["run_id"].notna()]
    for name, by in (("N", ["run_id"]), (target, ["run_id", *dict.fromkeys(columns.values())])):
        if name not in rows.columns or name in by:
            continue
        different = rows[[*by, name]].drop_duplicates()
        clash = different[different.duplicated(by, keep=False)]
        if len(clash):
            first = clash.iloc[0]
            values = clash.loc[(clash[by] == first[by]).all(axis=1), name]
            raise InputError(
                f"run_id {first['run_id']} has rows of {name} = {' and '.join(f'{value:g}' for value in values[:2])} "
                f"({clash['run_id'].nunique()} such runs): one run has one; correct its run_id, or keep one row with "
                "--where"
            )


def _unit(frame: pd.DataFrame) -> str:
    """What the rows' losses are in, where a column says so; raises InputError where that is not nats per token or
    the same for every row."""
    from scaling.table import PER_BYTE, loss_units

    known = loss_units(frame)
    if known is None:
        return ""
    column, units = known
    different = list(units.dropna().unique())
    if len(different) > 1:
        shown = ", ".join(f"{unit} in {named(frame, (units == unit).to_numpy())}" for unit in different)
        raise InputError(
            f"column {column} says that L is in {len(different)} units ({shown}); convert L to one of them (nats are "
            f"bits times 0.693147), or keep one, e.g. --where '{column} == \"{frame[column].iloc[0]}\"'"
        )
    if different[0] == "bits per token":
        raise InputError(
            f"column {column} says that L is in bits per token; multiply it by 0.693147 (ln 2) and say nats there"
        )
    if different[0] == "perplexity":
        raise InputError(f"column {column} says that L is perplexity; take its logarithm, and say nats there")
    whence = f"as column {column} says"
    converted = frame[column].astype("string").str.contains("converted").all()
    if different[0] in PER_BYTE:
        return f"{different[0]} (and so is the floor), {whence}"
    return f"nats per token, converted from bits, {whence}" if converted else f"nats per token, {whence}"


def _reasons(frame: pd.DataFrame, where: str | None, target: str) -> pd.Series:
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
