"""All that a report says of a table: its fit with evidence, what was held out, and what lies beyond the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import holdout, limit, rows
from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.floor.combination import Combination
from analysis.forecast import Forecast, forecast
from analysis.intervals.uncertainty import Bootstrap, bootstrap, predict
from analysis.options import Options
from analysis.pages import run_words
from analysis.pages.predictions import Predictions
from analysis.pages.stored import again as again
from analysis.pages.stored import fitted as fitted
from analysis.pages.stored import kept_or_made as kept_or_made
from analysis.pages.stored import stored_or_made
from analysis.pages.stored import too_few as too_few
from analysis.source import Source
from analysis.walls.asked import Asked

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Findings:
    """A fit with its evidence, as fit.json holds it, and what is made of it."""

    fit: Fit
    bootstrap: Bootstrap
    fitted: pd.DataFrame
    """The rows fitted, with C."""
    left_out: pd.DataFrame
    """Rows with a loss and a C that were not fitted."""
    forecast: Forecast
    predictions: Predictions
    limit: dict[str, Any]
    """The content of limit.json."""

    @property
    def verdict(self) -> dict[str, Any]:
        """The `identification` entry of fit.json."""
        return self.fit.identification

    @property
    def expected(self) -> Array:
        """The law at the fitted rows."""
        return self.fit.curve(**self.fit.arguments(self.fitted))

    @property
    def residuals(self) -> Array:
        """Relative distance of the observed losses from the law, L / Lhat - 1."""
        return np.asarray(self.fitted["L"], dtype=np.float64) / self.expected - 1


def find(
    source: Source, options: Options, stored: Path, *, refit: bool = False, say: Say = print
) -> tuple[Fit, Bootstrap, Combination]:
    """As `stored_or_made`; raises InputError for a law without a floor of the loss, which is what a report is about."""
    _require_floor(options)
    fit, boot, combined = stored_or_made(source, options, stored, refit=refit, say=say)
    if combined is None:
        raise AssertionError("a law with a floor is combined with the admissible ones")
    return fit, boot, combined


def conclude(
    source: Source,
    fit: Fit,
    boot: Bootstrap,
    combined: Combination,
    *,
    at: tuple[float, ...] = (),
    asked: Asked | None = None,
    fit_sha256: str = "",
    say: Say = print,
) -> Findings:
    """Everything that a report shows of a fit; `asked` is what else is asked of what lies beyond the data."""
    chosen = fit.select(source.table)
    say("looking beyond the data")
    made = forecast(source.table, fit, boot, combined)
    more = asked or Asked()
    scenario = more.made(made.largest)
    content = limit.limit(fit, made, at, fit_sha256, below=more.below, scenario=scenario)
    return Findings(
        fit,
        boot,
        chosen.frame,
        _left_out(source, chosen),
        made,
        _predictions(fit, boot, chosen.frame),
        content,
    )


def _require_floor(options: Options) -> None:
    law = rows.law_named(options.law)
    instead = "use python -m analysis fit for its parameters, and predict for its values at named runs"
    if law.floor is None or law.target != "L":
        raise InputError(
            f"the law {options.law} has no floor of the loss, and report and limit are about that; {instead}"
        )
    if set(law.columns) != {"N", "D"} and len(law.columns) > 1:
        raise InputError(
            f"the law {options.law} takes {', '.join(law.columns)}, so compute alone does not say where it goes, and "
            f"report and limit follow compute; {instead}"
        )


def _left_out(source: Source, chosen: rows.Rows) -> pd.DataFrame:
    """Rows that were not fitted and can be shown all the same: those with a loss and a C, 6 N D where there is none."""
    rest = source.table.drop(index=chosen.frame.index)
    if "corpus" in rest.columns:
        rest = rest[rest["corpus"].isin(chosen.frame["corpus"].unique())]
    if "C" not in rest.columns and {"N", "D"} <= set(rest.columns):
        rest = rest.assign(C=6.0 * rest["N"] * rest["D"])
    return (
        rest[(rest["C"] > 0) & (rest["L"] > 0) & np.isfinite(rest["L"])]
        if "C" in rest.columns
        else rest.iloc[:0]
    )


def _predictions(fit: Fit, boot: Bootstrap, frame: pd.DataFrame) -> Predictions:
    """Every row predicted by the fit of the smaller runs at the first cut that could be made, else by the whole fit."""
    observed = np.asarray(frame["L"], dtype=np.float64)
    compute = np.asarray(frame["C"], dtype=np.float64) if "C" in frame else np.full(len(frame), math.nan)
    cut = next((cut for cut in fit.holdout if not cut["skipped"]), None)
    if cut is None:
        made = predict(boot, fit, frame)
        nothing = np.zeros(len(frame), dtype=bool)
        told = run_words.predicted(frame, made.value, made.lo, made.hi)
        return Predictions(
            compute, observed, made.value, made.lo, made.hi, nothing, math.inf, made.level, told
        )
    seen = frame[compute <= cut["cut"]]
    refit = holdout.refitted(seen, fit)
    clusters = boot.method.removeprefix("cluster:")
    small = bootstrap(
        seen, refit, replicates=holdout.REPLICATES, clusters=clusters, seed=boot.seed, level=boot.level
    )
    held_out = compute > cut["cut"]
    value, lo, hi = (np.empty(len(frame)) for _ in range(3))
    for part in (
        held_out,
        ~held_out,
    ):  # apart, so that the held-out intervals are those of the rolling origin
        made = predict(small, refit, frame[part])
        value[part], lo[part], hi[part] = made.value, made.lo, made.hi
    told = run_words.predicted(frame, value, lo, hi)
    return Predictions(compute, observed, value, lo, hi, held_out, cut["cut"], boot.level, told)
