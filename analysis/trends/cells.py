"""Cells of a table of models, read as dates and as counts; what no model has is refused with its row."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.trends import dates

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

LEAST, MOST = 1.0, 1e40
"""Counts that are read: smaller ones are of another unit (billions) or slips, larger ones are slips."""
EARLIEST = 1950
"""Year before which no language model was trained."""


def name_of(frame: pd.DataFrame, place: int) -> str:
    """'GPT-3 (row 12)', or the row alone; the row is that of the file, the header not counted."""
    row = f"row {int(frame.index[place]) + 1}"
    if "model" not in frame.columns or not isinstance(frame["model"].iloc[place], str):
        return row
    return f"{frame['model'].iloc[place].strip()} ({row})"


def years(frame: pd.DataFrame, today: datetime.date) -> Array:
    """Years [n]; NaN where there is no date. Raises InputError for one that cannot be or cannot be read."""
    found = np.full(len(frame), np.nan)
    for place, text in enumerate(frame["date"].astype("string").fillna("")):
        if not text.strip():
            continue
        try:
            date = dates.parse(text)
        except ValueError:
            raise InputError(
                f"the date of {name_of(frame, place)} is {text!r}, which cannot be read; write it as 2020-05-28 or "
                "2020-05"
            ) from None
        if date > today:
            raise InputError(
                f"the date of {name_of(frame, place)} is {text}, after today, {today}; correct it or leave it out, "
                f"e.g. --where \"date < '{today}'\""
            )
        if date.year < EARLIEST:
            raise InputError(
                f"the date of {name_of(frame, place)} is {text}, before {EARLIEST}; correct it or leave it out, e.g. "
                f"--where \"date >= '{EARLIEST}-01-01'\""
            )
        found[place] = dates.year(date)
    return found


def values(frame: pd.DataFrame, column: str) -> tuple[Array, int]:
    """Values [n], NaN where there is none, and how many are text that is no number; raises InputError beyond bounds."""
    import pandas as pd

    text = frame[column].astype("string").str.strip()
    numbers: Array = np.asarray(pd.to_numeric(text, errors="coerce").astype("float64"), dtype=np.float64)
    unread = np.isnan(numbers) & (text.fillna("").str.lower().isin(["", "nan"]).to_numpy() == 0)
    wrong = ~np.isnan(numbers) & ~((numbers > 0) & np.isfinite(numbers))
    if wrong.any():
        place = int(wrong.argmax())
        raise InputError(
            f"{column} of {name_of(frame, place)} is {numbers[place]:g}, and its logarithm is taken; correct it, "
            f"or leave it empty where it is not known, or use --where '{column} > 0'"
        )
    beyond = (numbers < LEAST) | (numbers > MOST)
    if beyond.any():
        place = int(beyond.argmax())
        raise InputError(
            f"{column} of {name_of(frame, place)} is {numbers[place]:g}, and counts from {LEAST:g} to {MOST:g} are "
            f"read; write it in full, not in billions, or use --where '{column} >= {LEAST:g} and {column} <= {MOST:g}'"
        )
    return numbers, int(unread.sum())
