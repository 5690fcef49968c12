"""How well methods did against the truth: hits, interval scores, widths, confident wrong limits, forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

TOLERANCE = 0.02
"""A method reaches the level when it covers at most this much less: 88 % for 90 %."""


def interval_score(lo: ArrayLike, hi: ArrayLike, truth: ArrayLike, level: float) -> Array:
    """(hi - lo) + 2/a (lo - y) where y < lo, + 2/a (y - hi) where y > hi, with a = 1 - level: lower is better, in the
    unit of y (Winkler 1972; Gneiting and Raftery 2007, JASA 102:359, equation 43)."""
    lo, hi, truth = (np.asarray(values, dtype=np.float64) for values in (lo, hi, truth))
    outside = np.maximum(lo - truth, 0.0) + np.maximum(truth - hi, 0.0)
    return np.asarray(hi - lo + 2 / (1 - level) * outside)


def scores(limits: pd.DataFrame, forecasts: pd.DataFrame, level: float) -> pd.DataFrame:
    """A row a method, in the order in which they appear.

    limits: a row a language, truncation and method, with columns method, truth, answered, lo, hi, width, score, hit,
    verdict. forecasts: a row for every horizon of these, with method, horizon, runs, answered, inside, error (the mean
    absolute relative error of its runs).

    `coverage` is hits / answers and `coverage_of_all` counts no answer as a miss; scores, widths and the share that is
    not identified are over answers. `relative_width` is over the narrowest method that reaches the level.
    """
    import pandas as pd

    found = pd.DataFrame(
        [
            _scored(str(name), group, forecasts[forecasts["method"] == name])
            for name, group in limits.groupby("method", sort=False)
        ]
    )
    found["reaches"] = found["coverage"] >= level - TOLERANCE - 1e-12
    narrowest = found.loc[found["reaches"], "median_width"].min()
    with np.errstate(divide="ignore", invalid="ignore"):
        found["relative_width"] = found["median_width"] / narrowest
    return found


def _scored(name: str, limits: pd.DataFrame, forecasts: pd.DataFrame) -> dict[str, object]:
    answered = limits[limits["answered"]]
    bounded = answered["verdict"] == "bounded_above_only"
    hits, claimed = int(answered["hit"].sum()), answered["verdict"] == "identified"
    endless = limits["truth"] == 0
    row: dict[str, object] = {
        "method": name,
        "cells": len(limits),
        "answers": len(answered),
        "no_answers": len(limits) - len(answered),
        "hits": hits,
        "coverage": hits / len(answered) if len(answered) else float("nan"),
        "coverage_of_all": hits / len(limits),
        "mean_interval_score": float(answered["score"].mean()),
        "median_width": float(answered["width"].median()),
        "not_identified": float((answered["verdict"] == "not_identified").mean()),
        "claims": int(claimed.sum()),
        "confident_wrong": int((claimed & ~answered["hit"].astype(bool)).sum()),
        "bounds": int(bounded.sum()),
        "wrong_bounds": int((bounded & (answered["hi"] < answered["truth"])).sum()),
        "endless_cells": int(endless.sum()),
        "endless_claims": int((claimed & endless[limits["answered"]] & (answered["lo"] > 0)).sum()),
    }
    for horizon, group in forecasts.groupby("horizon"):
        row |= _foretold(f"{horizon:g}x", group)
    return row


def _foretold(name: str, group: pd.DataFrame) -> dict[str, object]:
    """Of the forecasts of one method at one horizon: coverage and mean absolute relative error, over runs."""
    answered = group[group["answered"]]
    runs = int(answered["runs"].sum())
    return {
        f"runs_{name}": runs,
        f"runs_without_answer_{name}": int(group["runs"].sum()) - runs,
        f"coverage_{name}": float(answered["inside"].sum()) / runs if runs else float("nan"),
        f"error_{name}": float((answered["error"] * answered["runs"]).sum()) / runs if runs else float("nan"),
    }
