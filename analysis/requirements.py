"""What rows must be to be fitted, how they are named, and the sentence that says what is wrong with which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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


def require_columns(frame: pd.DataFrame, names: Collection[str], present: Iterable[Any]) -> None:
    """Raise InputError with all that the law takes, what is not there and how to name it; present: the columns that
    the table came with."""
    missing = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if missing:
        told = " ".join(f"{name}=theirs" for name in missing)
        curves = ""
        if {"S1", "S2"} & set(missing):
            curves = (
                "; S1 and S2 are areas under the rates of training curves, which analysis.annealing.areas makes: "
                "analysis.annealing.fit_curves(analysis.annealing.read_study(folder, table)) fits a study's"
            )
        raise InputError(
            f"the law takes {', '.join(dict.fromkeys(names))}, and the table has no column {', '.join(missing)}; name "
            f"what holds it, e.g. --columns {told} (columns are: {', '.join(map(str, present))}){curves}"
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
        given = frame[column].dropna()
        bad = given[pd.to_numeric(given, errors="coerce").isna()]
        held = repr(bad.tolist()[0]) if len(bad) else f"values of type {frame[column].dtype}"
        raise InputError(f"column {column} holds {held}; a fit needs numbers there")


def require_unique(frame: pd.DataFrame) -> None:
    """Raise InputError where two columns have one name."""
    twice = list(dict.fromkeys(map(str, frame.columns[frame.columns.duplicated()])))
    if twice:
        raise InputError(f"the table has two columns {' and '.join(twice)}; rename or drop one")


def require_values(frame: pd.DataFrame, columns: Collection[str], signed: Collection[str]) -> None:
    """Raise InputError, with all columns and rows, where a value is not finite, or not above 0 in a column that is not
    among `signed`."""
    import numpy as np

    told, conditions = [], []
    for column in columns:
        values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        bad = ~np.isfinite(values) | ((values <= 0) & (column not in signed))
        if bad.any():
            told.append(f"{column} is {values[bad][0]} in {named(frame, bad)}")
            conditions.append(f"{-1e300 if column in signed else 0:g} < {column} < 1e300")
    if told:
        least = "finite" if all(c.startswith("-") for c in conditions) else "finite and above 0"
        raise InputError(
            f"{'; '.join(told)}: it must be {least}; correct it, or leave such rows out with --where "
            f"'{' and '.join(conditions)}'"
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
