"""What rows must be to be fitted, how they are named, and the sentence that says what is wrong with which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NAMED = 3
"""Rows that a sentence names; the others are counted."""


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


def require_columns(frame: pd.DataFrame, names: Collection[str]) -> None:
    """Raise InputError with all that the law takes, what is not there and how to name it."""
    missing = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if missing:
        told = " ".join(f"{name}=theirs" for name in missing)
        raise InputError(
            f"the law takes {', '.join(dict.fromkeys(names))}, and the table has no column {', '.join(missing)}; name "
            f"what holds it, e.g. --columns {told} (columns are: {', '.join(map(str, frame.columns))})"
        )


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


def require_finite(frame: pd.DataFrame, column: str) -> None:
    """Raise InputError, with the rows, where the column holds NaN or an infinity."""
    import numpy as np

    values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"{column} is {values[bad][0]} in {named(frame, bad)} ({bad.sum()} such rows); it must be finite: correct "
            f"it, or leave the row out with --where '-1e300 < {column} < 1e300'"
        )


def require_positive(frame: pd.DataFrame, column: str) -> None:
    """Raise InputError, with the rows, where the column is not finite and above 0."""
    import numpy as np

    values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise InputError(
            f"{column} is {values[bad][0]} in {named(frame, bad)} ({bad.sum()} such rows); it must be finite and above "
            f"0: correct it, or leave the row out with --where '0 < {column} < 1e300'"
        )


def require_one_corpus(frame: pd.DataFrame) -> None:
    """Raise InputError for rows of several corpora."""
    if "corpus" not in frame.columns:
        return
    names = list(map(str, frame["corpus"].dropna().unique()))
    if len(names) > 1:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(
            f"the rows are of {len(names)} corpora ({shown}), whose losses follow no common law: keep one, e.g. "
            f"--where 'corpus == \"{names[0]}\"'"
        )


def require_one_row_a_run(frame: pd.DataFrame, columns: Mapping[str, str], target: str) -> None:
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


def unit_of(frame: pd.DataFrame) -> str:
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
