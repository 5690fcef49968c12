"""What a run is called, and what its point in a figure tells: name, N, D, C and L with their units."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from analysis import notation

if TYPE_CHECKING:
    import pandas as pd

VALUES: tuple[tuple[str, Callable[[float], str], str], ...] = (
    ("N", notation.count, "parameters"),
    ("D", notation.count, "tokens"),
    ("C", notation.power, "FLOPs"),
)


def labels(frame: pd.DataFrame) -> list[str]:
    """What each row is called: its name, else its run_id, else its number in the file (its index, from 0)."""
    found = [f"row {index + 1 if isinstance(index, int) else index}" for index in frame.index.tolist()]
    for column in ("run_id", "name"):
        if column in frame.columns:
            given = [None if missing else str(value) for value, missing in _with_missing(frame[column])]
            found = [old if new is None else new for old, new in zip(found, given, strict=True)]
    return found


def values(frame: pd.DataFrame) -> list[str]:
    """A line for the name and one for each value that a row has."""
    lines = [[name] for name in labels(frame)]
    for column, form, unit in VALUES:
        if column in frame.columns:
            for line, value in zip(lines, np.asarray(frame[column], dtype=np.float64), strict=True):
                line += [f"{column} = {form(float(value))} {unit}"] if math.isfinite(value) else []
    errors = np.asarray(frame["L_se"] if "L_se" in frame else np.full(len(frame), np.nan), dtype=np.float64)
    for line, loss, error in zip(lines, np.asarray(frame["L"], dtype=np.float64), errors, strict=True):
        line.append(f"L = {loss_words(loss, error)} nats per token")
    return ["\n".join(line) for line in lines]


def loss_words(loss: float, error: float = math.nan) -> str:
    """A loss, with its standard error where that is known."""
    return notation.fixed(loss, 3) + (f" ± {notation.fixed(error, 3)}" if math.isfinite(error) else "")


def predicted(frame: pd.DataFrame, value: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> tuple[str, ...]:
    """As `values`, with each row's predicted loss and its interval."""
    ends = zip(value.tolist(), lo.tolist(), hi.tolist(), strict=True)
    foretold = [
        f"predicted {notation.estimate(middle, low, high)} ({notation.interval(low, high)})"
        for middle, low, high in ends
    ]
    return tuple(f"{words}\n{said}" for words, said in zip(values(frame), foretold, strict=True))


def _with_missing(values: pd.Series) -> zip[tuple[object, bool]]:
    return zip(values.tolist(), values.isna().tolist(), strict=True)
