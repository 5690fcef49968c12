"""Ladders of runs on languages whose entropy is known: read from tables, grouped by language, and cut short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis import rows
from analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 8
"""Runs a language must have: below that not even the whole ladder says anything about a method."""
SEEN = ("run_id", "trunk_id", "seed", "N", "D", "C", "L")
"""Columns that methods are given; the truth is not among them."""
SAME = 1e-9
"""Entropies of one language may differ by this share, which is rounding."""


@dataclass(frozen=True)
class Language:
    """A language, the entropy that no model can beat, and its ladder of runs with the columns of `SEEN`."""

    name: str
    truth: float
    """Nats per token, for a model that sees as much context as these do; 0 where the loss falls for ever."""
    runs: pd.DataFrame
    exact: int
    """Runs whose L is truth + excess, free of the noise of a held-out sample."""

    @property
    def largest(self) -> float:
        """Largest compute of a run."""
        return float(self.runs["C"].max())

    def upto(self, cut: float) -> pd.DataFrame:
        """The runs with C at most `cut`."""
        return self.runs[self.runs["C"] <= cut * (1 + 1e-12)]

    def between(self, cut: float, end: float) -> pd.DataFrame:
        """The runs with C above `cut` and at most `end`."""
        compute = self.runs["C"]
        return self.runs[(compute > cut * (1 + 1e-12)) & (compute <= end * (1 + 1e-12))]


def read_tables(paths: Sequence[Path], where: str = "") -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """All rows of tables or study folders, and path and sha256 of each; `where` keeps rows for which it is true."""
    import pandas as pd

    from scaling.table import read, sha256

    if not paths:
        raise InputError("no table is named; give one or more tables or study folders")
    frames: list[pd.DataFrame] = []
    sources: list[dict[str, str]] = []
    for path in paths:
        table = path / "table.csv" if path.is_dir() else path
        frame = read(table)
        for column in ("corpus", "entropy"):
            if column not in frame.columns:
                raise InputError(
                    f"{table} has no column {column}; a benchmark of known limits needs the language in `corpus` and "
                    "its true entropy, nats per token, in `entropy`"
                )
        digest = sha256(table)
        if any(digest == source["sha256"] for source in sources):
            raise InputError(f"{table} is given twice (the same content); name each table once")
        sources.append({"path": str(table), "sha256": digest})
        frames.append(frame[rows.evaluate(frame, where)] if where else frame)
    return pd.concat(frames, ignore_index=True), sources


def languages(table: pd.DataFrame) -> list[Language]:
    """The languages of a table of runs, in the order in which they appear.

    L becomes entropy + excess in rows that have an `excess`. Raises InputError for rows without a language or entropy,
    an entropy that differs within a language, and too few runs.
    """
    unnamed = int(table["corpus"].isna().sum())
    if unnamed:
        raise InputError(
            f"{unnamed} rows have no corpus; name their language, or leave them out with --where"
        )
    found = [_language(str(name), group) for name, group in table.groupby("corpus", sort=False)]
    if not found:
        raise InputError("no rows are left; widen --where")
    return found


def _language(name: str, table: pd.DataFrame) -> Language:
    truth = _truth(name, table)
    exact = 0
    if "excess" in table.columns:
        rows.require_numbers(table, "excess")
        known = table["excess"].notna()
        if (least := float(table["excess"].min())) < -1e-4:  # float32 rounding of a divergence of 0
            raise InputError(f"language {name} has an excess of {least}; a divergence is 0 or more")
        table = table.assign(L=table["L"].where(~known, truth + table["excess"]))
        exact = int(known.sum())
    try:
        chosen = rows.select(table, {name: name for name in ("N", "D", "C")}, FEWEST)
    except InputError as error:
        words = str(error).replace("the 8 parameters of the law", f"a benchmark, which needs {FEWEST}")
        raise InputError(f"language {name}: {words}") from None
    kept = [column for column in SEEN if column in chosen.frame.columns]
    return Language(name, truth, chosen.frame[kept].reset_index(drop=True), exact)


def _truth(name: str, table: pd.DataFrame) -> float:
    rows.require_numbers(table, "entropy")
    values = table["entropy"].to_numpy(dtype=np.float64)
    missing = int(np.isnan(values).sum())
    if missing:
        raise InputError(
            f"{missing} of {len(values)} rows of language {name} have no entropy; fill it in, or leave them out with "
            "--where 'entropy >= 0'"
        )
    lo, hi = float(values.min()), float(values.max())
    if lo < 0 or not np.isfinite(hi):
        raise InputError(
            f"language {name} has an entropy of {lo if lo < 0 else hi}; it is nats per token, 0 or more"
        )
    if hi - lo > SAME * hi:
        raise InputError(
            f"language {name} has entropies from {lo:.9g} to {hi:.9g}; one language has one, so name ladders that see "
            "different contexts differently in `corpus`"
        )
    return lo
