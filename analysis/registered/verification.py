"""Registered predictions held to the runs that have come in: errors, intervals, and what naive forecasts had said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import rows
from analysis.condition import evaluate
from analysis.errors import InputError
from analysis.laws import LAWS
from analysis.registered import registration
from analysis.registered.registration import INTERVALS
from analysis.requirements import label

if TYPE_CHECKING:
    import pandas as pd

WITHIN = 0.02
"""Share by which each column of a run may differ from what was predicted, and be that run."""


@dataclass(frozen=True)
class Outcome:
    """One run held to its prediction. Errors are relative, Lhat / L - 1, as everywhere."""

    prediction: str
    """The name it was predicted under."""
    row: str
    """The run_id of the run that came in, or its row."""
    seen: bool
    """Whether it was among the fitted rows: then this is no test, and it does not count."""
    observed: float
    value: float
    """As registered, moved by the registered law to the run's own columns."""
    moved: float
    """By what factor."""
    error: float
    intervals: dict[str, dict[str, float]]
    inside: dict[str, bool]
    """For each of `registration.INTERVALS` that was registered."""
    z: float
    """Distance of the run from the value in half-widths of the interval it is judged by, times the normal quantile of
    its level: beyond 1.64 it is outside a 90 % interval. NaN where that has no width."""
    naive_errors: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Verification:
    """What became of one prediction file."""

    path: str
    content: dict[str, Any]
    outcomes: tuple[Outcome, ...]
    awaited: tuple[str, ...]
    """Predicted runs that are not in the table, with the reason."""

    @property
    def tests(self) -> list[Outcome]:
        """Outcomes that count: of runs that were not fitted."""
        return [outcome for outcome in self.outcomes if not outcome.seen]

    @property
    def judged_by(self) -> str:
        """The interval of `registration.INTERVALS` by which it is judged."""
        return next(name for name in reversed(INTERVALS) if name in self.content["methods"])

    @property
    def held(self) -> bool:
        """Whether every run that counts is inside its interval, and there is one."""
        return bool(self.tests) and all(outcome.inside[self.judged_by] for outcome in self.tests)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        inside = [outcome.inside[self.judged_by] for outcome in self.tests]
        return {
            "prediction": self.path,
            "date": self.content["date"],
            "sha256": self.content["sha256"],
            "fit": self.content["fit"],
            "level": self.content["level"],
            "judged_by": self.judged_by,
            "tests": len(inside),
            "inside": sum(inside),
            "outcomes": [outcome.as_dict() for outcome in self.outcomes],
            "awaited": list(self.awaited),
        }


def verify(
    path: Path,
    table: Path,
    *,
    where: str = "",
    columns: Mapping[str, str] | None = None,
    within: float = WITHIN,
    sha256: str = "",
) -> Verification:
    """Hold a prediction file to a table with the runs, read with the renames of the fit unless `columns` are given; a
    column that the table has by our name alone is that.

    A run is found by `where`, or by a run_id or name equal to the prediction's, or by its columns, each within a share
    `within`; it must be done, decayed, and of the fitted corpus, as for a fit. With sha256, the file must be the one
    that was published under it. Raises InputError for a file that was changed, and where no predicted run is there.
    """
    from analysis.source import open_source

    content = registration.read(path)
    if sha256 and content["sha256"] != sha256:
        raise InputError(f"{path} has SHA-256 {content['sha256']}, not {sha256}; restore the published file")
    if where and len(content["runs"]) > 1:
        raise InputError(
            f"{path} predicts {len(content['runs'])} runs, and --where {where!r} finds one; leave it out, or verify "
            "them by run_id"
        )
    frame = open_source(table, columns or _names(table, content["fit"]["renamed"])).table
    usable, reasons = _usable(frame, content)
    outcomes: list[Outcome] = []
    awaited: list[str] = []
    for run in content["runs"]:
        found = _found(frame, run, content["fit"]["columns"], where, within)
        usable_rows = frame[found & usable]
        outcomes += (_outcome(run, row, content) for _, row in _labelled(usable_rows, content).iterrows())
        if usable_rows.empty:
            awaited.append(_why(run, reasons[found]))
    if not outcomes:
        raise InputError(
            f"{table} has none of the runs predicted in {path}: {'; '.join(awaited)}; name the run with --where, or "
            "widen --within"
        )
    return Verification(str(path), content, tuple(outcomes), tuple(awaited))


def _names(table: Path, renamed: Mapping[str, str]) -> dict[str, str]:
    """The renames of the fit, but of columns that go by our names in this table and not by the fit's."""
    from analysis.source import open_source
    from scaling.table import TableError

    try:
        open_source(table, renamed)
    except TableError:
        present = open_source(table).table.columns
        return {ours: name for ours, name in renamed.items() if name in present or ours not in present}
    return dict(renamed)


def _usable(frame: pd.DataFrame, content: Mapping[str, Any]) -> tuple[pd.Series, pd.Series]:
    """Which rows a fit would use, and why it would not use the others."""
    import pandas as pd

    fit = content["fit"]
    kept, corpus = frame, content["corpus"]
    if corpus is not None and "corpus" in frame:
        kept = frame[frame["corpus"].astype("string") == corpus]
    signed = rows.signed_columns(rows.law_named(fit["law"]), fit["columns"])
    chosen = rows.select(kept, fit["columns"], 0, target=fit["target"], signed=signed)
    left_out = kept.index.difference(chosen.frame.index)  # in the order of `excluded`
    named = dict(zip(left_out, (row.reason for row in chosen.excluded), strict=True))
    reasons = {index: named.get(index, "of another corpus") for index in frame.index}
    usable = pd.Series(frame.index.isin(chosen.frame.index), index=frame.index)
    return usable, pd.Series(reasons, index=frame.index, dtype="string")


def _found(
    frame: pd.DataFrame, run: Mapping[str, Any], columns: Mapping[str, str], where: str, within: float
) -> pd.Series:
    """Which rows are the predicted run."""
    import pandas as pd

    if where:
        return evaluate(frame, where)
    for name in ("run_id", "name"):
        if name in frame and (named := frame[name].astype("string") == run["name"]).any():
            return named.fillna(False).astype(bool)
    near = pd.Series(True, index=frame.index)
    for column in columns.values():
        planned = run["columns"][column]
        near &= (frame[column] - planned).abs() <= within * abs(planned)
    return near


def _labelled(chosen: pd.DataFrame, content: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with their labels and whether they were fitted."""
    fit = content["fit"]
    fitted = set(content["rows_fitted"])
    return chosen.assign(
        _label=[label(chosen, index) for index in chosen.index],
        _seen=[
            bool(fitted & set(row)) for row in registration.digests(chosen, fit["columns"], fit["target"])
        ],
    )


def _outcome(run: Mapping[str, Any], row: pd.Series, content: Mapping[str, Any]) -> Outcome:
    from scipy.special import ndtri

    fit = content["fit"]
    law = LAWS[fit["law"]](**fit["params"])
    planned, own = (
        law(**{name: float(values[theirs]) for name, theirs in fit["columns"].items()})
        for values in (run["columns"], row)
    )
    moved, observed = float(own / planned), float(row[fit["target"]])
    value = run["value"] * moved
    intervals = {
        name: {end: math.nan if run[name][end] is None else run[name][end] * moved for end in ("lo", "hi")}
        for name in content["methods"]
    }
    judged = intervals[next(name for name in reversed(INTERVALS) if name in intervals)]
    middle = run.get("all_laws_value", run["value"]) * moved
    width = (judged["hi"] if observed > middle else judged["lo"]) - middle
    quantile = float(ndtri((1 + content["level"]) / 2))
    return Outcome(
        prediction=run["name"],
        row=row["_label"],
        seen=bool(row["_seen"]),
        observed=observed,
        value=value,
        moved=moved,
        error=value / observed - 1,
        intervals=intervals,
        inside={name: ends["lo"] <= observed <= ends["hi"] for name, ends in intervals.items()},
        z=(observed - middle) / abs(width) * quantile if width else math.nan,
        naive_errors={name: guess / observed - 1 for name, guess in run["baselines"].items()},
    )


def _why(run: Mapping[str, Any], reasons: pd.Series) -> str:
    """Why a predicted run is not there."""
    if reasons.empty:
        return f"{run['name']} is not in"
    return f"{run['name']} is in and not usable ({reasons.dropna().iloc[0]})"


def mean_errors(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Mean absolute relative error of the law and of every naive forecast."""
    found = {"law": float(np.mean([abs(outcome.error) for outcome in outcomes]))}
    for name in outcomes[0].naive_errors:
        found[name] = float(np.mean([abs(outcome.naive_errors.get(name, math.nan)) for outcome in outcomes]))
    return found
