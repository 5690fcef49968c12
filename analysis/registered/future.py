"""Runs that are not in yet, as a command line or a table names them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting import Fit

REMEDY = "give --N and --D, --C for the best split, or --points with a table of runs"


@dataclass(frozen=True)
class Future:
    """The runs that are asked about. Raises InputError for numbers that cannot be, and for two ways to say them."""

    N: tuple[float, ...] = ()
    """parameters of each run"""
    D: tuple[float, ...] = ()
    """training tokens of each run, as many as --N or one for all"""
    C: tuple[float, ...] = ()
    """compute of each run in FLOPs: of a law in N and D at its best split, of a law in C as it is"""
    also: tuple[str, ...] = ()
    """other columns that the law takes, one value for all runs, e.g. D_unique=2.5e10"""
    points: Path | None = None
    """a .csv or .parquet file with a row a run and the law's columns, in place of --N, --D and --C"""
    name: tuple[str, ...] = ()
    """names of the runs, in their order; a run_id finds the run again"""

    def __post_init__(self) -> None:
        for column in ("N", "D", "C"):
            for value in getattr(self, column):
                if not (math.isfinite(value) and value > 0):
                    raise InputError(f"--{column} is {value}; give numbers above 0, e.g. --{column} 1e9")
        if self.points is None and not (self.N or self.D or self.C or self.also):
            raise InputError(f"no run is named: {REMEDY}")
        if self.points is not None and (self.N or self.D or self.C):
            raise InputError(
                f"--points {self.points} and --N, --D or --C name runs twice; leave one of them out"
            )

    def frame(self, fit: Fit, rows: pd.DataFrame) -> pd.DataFrame:
        """A row a run: the law's columns, N, D and C as far as they are known, and `name`.

        rows are those fitted, from which comes what a run of N and D costs. Raises InputError for a column of the law
        that is not given.
        """
        import numpy as np

        given = self._table(fit) if self.points is not None else self._spelled()
        if {"N", "D"} <= set(fit.columns.values()):
            given = _with_compute(given, fit, rows)
        for column in fit.columns.values():
            if column not in given:
                raise InputError(f"the law {fit.law} takes column {column}, which no run is given; {REMEDY}")
            values = given[column].to_numpy(dtype=np.float64)
            if not np.isfinite(values).all():
                raise InputError(f"{column} of a run is {values[~np.isfinite(values)][0]}; give it a number")
        return given.assign(name=self._names(given, fit)).reset_index(drop=True)

    def _spelled(self) -> pd.DataFrame:
        import pandas as pd

        columns = {name: values for name in ("N", "D", "C") if (values := getattr(self, name))}
        count = max((len(values) for values in columns.values()), default=1)
        for name, values in columns.items():
            if len(values) not in (1, count):
                raise InputError(
                    f"--{name} has {len(values)} values and another has {count}; give as many, or one for all runs"
                )
        spread = {name: [*values] * (count if len(values) == 1 else 1) for name, values in columns.items()}
        return pd.DataFrame(spread | {name: [value] * count for name, value in self._others().items()})

    def _others(self) -> dict[str, float]:
        found = {}
        for pair in self.also:
            name, equals, text = pair.partition("=")
            try:
                found[name] = float(text)
            except ValueError:
                equals = ""
            if not (name and equals):
                raise InputError(f"--also {pair!r} is not of the form COLUMN=NUMBER, e.g. D_unique=2.5e10")
        return found

    def _table(self, fit: Fit) -> pd.DataFrame:
        from scaling.table import read

        assert self.points is not None
        columns = list(read(self.points).columns)
        given = read(self.points, {ours: theirs for ours, theirs in fit.renamed.items() if theirs in columns})
        return given.assign(**self._others())

    def _names(self, given: pd.DataFrame, fit: Fit) -> list[str]:
        if self.name:
            if len(self.name) != len(given):
                raise InputError(f"--name has {len(self.name)} names for {len(given)} runs; give one a run")
            return list(self.name)
        for column in ("run_id", "name"):
            if column in given and given[column].notna().all():
                return [str(value) for value in given[column]]
        columns = list(fit.columns.values())
        return [
            " ".join(f"{column}={value:.4g}" for column, value in zip(columns, values, strict=True))
            for values in given[columns].itertuples(index=False)
        ]


def _with_compute(given: pd.DataFrame, fit: Fit, rows: pd.DataFrame) -> pd.DataFrame:
    """N and D of the best split of C where they are not given, and C of N and D where that is not."""
    import numpy as np

    from analysis.frontier import Frontier, cost_of

    cost = cost_of(rows)
    if {"N", "D"} <= set(given):
        return given if "C" in given else given.assign(C=cost.kappa * given["N"] ** cost.rho * given["D"])
    if "C" not in given or set(fit.columns) != {"N", "D"}:
        return given
    C = given["C"].to_numpy(dtype=np.float64)
    if "N" in given:
        return given.assign(D=cost.tokens(C, given["N"]))
    split = Frontier(fit.curve, cost)
    if "D" in given or not (np.isfinite(split.N_opt(C)).all() and (split.N_opt(C) > 0).all()):
        raise InputError("the best split of --C into N and D is not known; give --N and --D")
    return given.assign(N=split.N_opt(C), D=split.D_opt(C))
