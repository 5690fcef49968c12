"""How a table is fitted: the options that `report` and `limit` share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.errors import InputError

IN_N_AND_D = ("hoffmann", "tied", "coupled", "shifted", "stretched")
"""Laws in N and D that are admitted beside each other; here, where `--help` finds them without NumPy."""


@dataclass(frozen=True)
class Options:
    """How the table is fitted. Raises InputError for a value that cannot be."""

    law: str = "hoffmann"
    """hoffmann (E + A / N^alpha + B / D^beta), tied (alpha = beta), coupled, shifted, stretched or power"""
    where: str = ""
    """fit only rows for which this expression over columns is true, e.g. "N > 1e6 and not dropped" """
    columns: tuple[str, ...] = ()
    """names of our columns in the table, e.g. N=params D=tokens L=loss"""
    x: str = "C"
    """column that the law `power` is in"""
    delta: float = 1e-3
    """relative error at which the Huber loss turns from quadratic to linear"""
    weights: str = ""
    """column by which each row's loss is multiplied"""
    replicates: int = 1000
    """refits of the law's own bootstrap (the verdict takes 200 of every admissible law)"""
    clusters: str = "auto"
    """what the bootstrap resamples: "auto" (trunks where there are any, else rows), "pairs", or a column"""
    seed: int = 0
    """seed of the resampling"""
    level: float = 0.9
    """level of all intervals"""
    admit: tuple[str, ...] = IN_N_AND_D
    """laws that the verdict on the floor asks beside --law, where that is one in N and D"""

    def __post_init__(self) -> None:
        if self.replicates < 2:
            raise InputError(
                f"replicates is {self.replicates}; use at least 2, and 1000 for steady intervals"
            )
        if not 0 < self.level < 1:
            raise InputError(f"level is {self.level}; it is a probability between 0 and 1, e.g. 0.9")
        if not (math.isfinite(self.delta) and self.delta > 0):
            raise InputError(f"delta is {self.delta}; it is a relative error and must be above 0, e.g. 0.001")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; use a whole number from 0")

        from analysis.rows import law_named

        for name in self.admit:
            if law_named(name).columns != ("N", "D"):
                raise InputError(
                    f"admit names {name!r}, which is no law in N and D; use {', '.join(IN_N_AND_D)}"
                )

    def words(self) -> str:
        """The options that are not the default, as a command line says them."""
        import shlex

        parts = []
        for name, default in vars(Options()).items():
            value = getattr(self, name)
            if value != default:
                shown = tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)
                parts.append(" ".join([f"--{name}", *(shlex.quote(item) for item in shown)]))
        return " ".join(parts)
