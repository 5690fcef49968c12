"""A table of published models: which rows have a date and a quantity, which are left out and why."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import rows
from analysis.errors import InputError
from analysis.trends import cells, dates, organizations

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

QUANTITIES = {"parameters": "parameters", "tokens": "training tokens", "compute": "training compute"}
"""Column of the table -> what it is called."""
ORGANIZATION = "organization"
UNITS = {"parameters": "parameters", "tokens": "tokens", "compute": "FLOPs"}
FEWEST = 5
"""Models below which a line has no residual spread worth an interval."""


@dataclass(frozen=True)
class Series:
    """One quantity of the models that have it, in the order of their dates (of one date the largest first)."""

    quantity: str
    models: tuple[str, ...]
    organizations: tuple[str, ...]
    """The organisation named first, by its company's name; a model of none is a cluster of its own."""
    years: Array
    """[n] dates as `dates.year`."""
    logs: Array
    """[n] base-10 logarithms of the quantity."""
    groups: NDArray[np.intp]
    """[n] number of the organisation."""
    makers: tuple[str, ...] = ()
    """All who made each model, as the table writes them; empty where that is `organizations`."""

    def __len__(self) -> int:
        return len(self.years)

    def made_by(self, place: int) -> str:
        """Who made a model, as the table writes it."""
        return (self.makers or self.organizations)[place]

    @property
    def units(self) -> int:
        """How many organisations."""
        return int(self.groups.max()) + 1 if len(self) else 0

    def among(self, mask: NDArray[np.bool_]) -> Series:
        """The models where `mask` [n] is true."""
        picked = np.flatnonzero(mask)
        _, groups = np.unique(self.groups[picked], return_inverse=True)
        return replace(
            self,
            models=tuple(self.models[i] for i in picked),
            organizations=tuple(self.organizations[i] for i in picked),
            years=self.years[picked],
            logs=self.logs[picked],
            groups=groups.astype(np.intp),
            makers=tuple(self.made_by(int(i)) for i in picked),
        )

    def within(self, window: Window) -> NDArray[np.bool_]:
        """[n] whether each model is of the window."""
        return (self.years >= window.begin) & (self.years <= window.end)


@dataclass(frozen=True)
class Window:
    """From a date to a date, both included, as years; infinite where an end is open."""

    begin: float = -math.inf
    end: float = math.inf

    def words(self) -> str:
        """'2018-01-01 to 2022-07-01', 'since 2018-01-01', 'all dates'."""
        begin = dates.date(self.begin).isoformat() if math.isfinite(self.begin) else ""
        end = dates.date(self.end).isoformat() if math.isfinite(self.end) else ""
        if begin and end:
            return f"{begin} to {end}"
        return f"since {begin}" if begin else f"until {end}" if end else "all dates"


def window(since: str, until: str) -> Window:
    """The window of two options; an empty one is open. Raises InputError for one that ends before it begins."""
    begin = dates.year(dates.option(since, "since")) if since else -math.inf
    end = dates.year(dates.option(until, "until")) if until else math.inf
    if begin >= end:
        raise InputError(f"the window from {since} to {until} holds no time; --since must be before --until")
    return Window(begin, end)


def window_of(text: str) -> Window:
    """The window of '2018-01-01..2022-07-01', where either end may be missing."""
    begin, dots, end = text.partition("..")
    if not dots or not (begin or end):
        raise InputError(f"--windows {text!r} is no window; write it as 2018-01-01..2022-07-01")
    return window(begin.strip(), end.strip())


@dataclass(frozen=True)
class Table:
    """The series of a table, with what was left out of them."""

    series: dict[str, Series]
    rows: int
    """Rows of the file for which `where` is true."""
    left_out: dict[str, int]
    """Why rows are in no series, with their number."""
    without: dict[str, int]
    """For each quantity, models with a date and without it."""
    missing: tuple[str, ...]
    """Columns that the table does not have: quantities, the organisation."""
    active: Series | None = None
    """Parameters that a token passes through, all of a dense model's; None where the table tells no mixture of experts
    from a dense model."""


def select(frame: pd.DataFrame, where: str | None, today: datetime.date) -> Table:
    """The series of every quantity that the table has; a row without a date is left out and counted.

    Raises InputError for a table without a column date or without any quantity, a date that cannot be read or lies
    after `today` or before `cells.EARLIEST`, a quantity that is not between `cells.LEAST` and `cells.MOST`, and for no
    row with a date. A quantity that is text is as one that is missing, and counted.
    """
    _require_columns(frame)
    frame = _with_active(frame)
    asked = rows.asked_for(frame, where)
    if asked.empty:
        raise InputError(f"no row of {len(frame)} is one where {where}; widen --where")
    again = asked.duplicated() if "model" in asked.columns else asked.index != asked.index
    asked, repeated = asked[~again], int(again.sum())
    years = cells.years(asked, today)
    dated = asked[np.isfinite(years)]
    left_out = {"no date": len(asked) - len(dated), "all columns as a row before": repeated}
    left_out = {why: count for why, count in left_out.items() if count}
    if dated.empty:
        raise InputError(
            f"none of {len(asked)} rows has a date; name their column, e.g. --columns date=published"
        )
    years = years[np.isfinite(years)]
    series, without = {}, {}
    for name in (name for name in QUANTITIES if name in frame.columns):
        values, unread = cells.values(dated, name)
        series[name] = _series(dated, name, values, years)
        without[name] = int(np.isnan(values).sum())
        if unread:
            left_out[f"{name} that is not one number"] = unread
    missing = tuple(name for name in (*QUANTITIES, ORGANIZATION) if name not in frame.columns)
    return Table(series, len(asked) + repeated, left_out, without, missing, _active(dated, years))


def _active(frame: pd.DataFrame, years: Array) -> Series | None:
    if not {"active_parameters", "parameters"} <= set(frame.columns):
        return None
    values, total = cells.values(frame, "active_parameters")[0], cells.values(frame, "parameters")[0]
    if not (values < total).any():
        return None
    return _series(frame, "parameters", values, years)


def _require_columns(frame: pd.DataFrame) -> None:
    present = ", ".join(map(str, frame.columns))
    if "date" not in frame.columns:
        raise InputError(
            f"the table has no column date; name it, e.g. --columns date=published; its columns are: {present}"
        )
    if not set(QUANTITIES) & set(frame.columns):
        raise InputError(
            "the table has none of the columns parameters, tokens, compute; name one, e.g. --columns "
            f"parameters=params; its columns are: {present}"
        )


def _with_active(frame: pd.DataFrame) -> pd.DataFrame:
    """Active parameters of dense models are all that they have, so that `where` tells them from mixtures of experts."""
    if not {"active_parameters", "parameters"} <= set(frame.columns):
        return frame
    return frame.assign(active_parameters=frame["active_parameters"].fillna(frame["parameters"]))


def _series(frame: pd.DataFrame, quantity: str, values: Array, years: Array) -> Series:
    has = np.flatnonzero(np.isfinite(values))
    order = has[np.lexsort((-values[has], years[has]))]
    makers = [_makers(frame, int(i)) for i in order]
    labels = [organizations.first(text) or text for text in makers]
    _, groups = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)
    models = [
        str(frame["model"].iloc[i]).strip() if "model" in frame else cells.name_of(frame, int(i))
        for i in order
    ]
    return Series(
        quantity, tuple(models), tuple(labels), years[order], np.log10(values[order]), groups.astype(np.intp),
        tuple(makers),
    )  # fmt: skip


def _makers(frame: pd.DataFrame, place: int) -> str:
    """Who made a model, as the table writes it; the row where that is not known."""
    named = frame["organization"].iloc[place] if "organization" in frame.columns else ""
    return named.strip() if isinstance(named, str) and named.strip() else f"row {int(frame.index[place]) + 1}"


def columns_of(pairs: Mapping[str, str]) -> dict[str, str]:
    """Columns by our names; raises InputError for a name that trends do not know."""
    known = ("model", "organization", "date", *QUANTITIES)
    for name in pairs:
        if name not in known:
            raise InputError(
                f"--columns names {name!r}; trends know {', '.join(known)}, e.g. parameters=params"
            )
    return dict(pairs)
