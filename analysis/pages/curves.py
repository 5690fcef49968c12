"""Training curves of a study's trunks and decay branches, read from its logs and smoothed for the eye."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

MOST_POINTS = 300
"""Points kept of a curve, even in log tokens: more than a figure can show."""


@dataclass(frozen=True)
class Curve:
    """Training loss of one trunk or branch against the compute spent since its trunk began, both [k]."""

    N: float
    compute: Array
    loss: Array
    is_trunk: bool


def read_curves(folder: Path, table: pd.DataFrame) -> list[Curve]:
    """Every trunk and branch of a study's table that has a log with two or more points; [] where it has no logs.

    A branch begins at the last smoothed point of its trunk before it. Compute is tokens times the row's C / D.
    """
    if not {"run_id", "trunk_id", "N", "C", "D"} <= set(table.columns):
        return []
    curves = []
    for trunk_id, rows in table.groupby("trunk_id", sort=False):
        first = rows.iloc[0]
        rate = float(first["C"] / first["D"])
        trunk = _smooth(*read_log(folder / f"trunk-{trunk_id}" / "metrics.jsonl"))
        curves.append(Curve(float(first["N"]), trunk[0] * rate, trunk[1], True))
        for run_id in rows["run_id"].dropna():
            tokens, loss = _smooth(*read_log(folder / str(run_id) / "metrics.jsonl"))
            before = int(np.searchsorted(trunk[0], tokens[0])) if len(tokens) else 0
            if before:
                tokens = np.concatenate([trunk[0][before - 1 : before], tokens])
                loss = np.concatenate([trunk[1][before - 1 : before], loss])
            curves.append(Curve(float(first["N"]), tokens * rate, loss, False))
    return [curve for curve in curves if len(curve.loss) >= 2]


def read_log(path: Path) -> tuple[Array, Array]:
    """Tokens and training loss of a metrics.jsonl, without losses that are no number and a half-written last line.

    Raises InputError that names the line that is not such a record.
    """
    if not path.is_file():
        return np.empty(0), np.empty(0)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    points = []
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            break
        try:
            record = json.loads(line)
            point = float(record["tokens"]), float(record["loss"])
        except (ValueError, KeyError, TypeError):
            message = f"{path}, line {number} is no record with tokens and loss; mend or delete that line"
            raise InputError(message) from None
        if point[0] > 0 and point[1] > 0 and math.isfinite(point[1]):
            points.append(point)
    points.sort()
    return np.array([p[0] for p in points]), np.array([p[1] for p in points])


def _smooth(tokens: Array, loss: Array) -> tuple[Array, Array]:
    """The curve by local straight lines in log-log, which do not bend its ends (Fan 1992)."""
    if len(tokens) < 3:
        return tokens, loss
    x, y = np.log(tokens), np.log(loss)
    span = float(x[-1] - x[0])
    width = max(span / 15, min(0.15, span / 2))
    at = x if len(x) <= MOST_POINTS else np.linspace(x[0], x[-1], MOST_POINTS)
    return np.exp(at), np.exp([_local_line(x, y, point, width) for point in at])


def _local_line(x: Array, y: Array, at: float, width: float) -> float:
    lo, hi = np.searchsorted(x, [at - 4 * width, at + 4 * width])
    x, y = x[lo:hi] - at, y[lo:hi]
    weight = np.exp(-0.5 * (x / width) ** 2)
    total, middle = weight.sum(), (weight * x).sum()
    spread = (weight * x * x).sum() * total - middle**2
    if len(x) < 3 or spread <= 1e-9 * total**2 * width**2:
        return float((weight * y).sum() / total)
    slope = ((weight * x * y).sum() * total - middle * (weight * y).sum()) / spread
    return float(((weight * y).sum() - slope * middle) / total)
