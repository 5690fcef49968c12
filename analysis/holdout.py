"""How well the law foretells runs larger than those it was fitted to: the rolling origin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.origin import Foretelling, foretell, growth, refitted, within

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

__all__ = ["FACTORS", "REPLICATES", "Cut", "refitted", "rolling_origin"]

FACTORS = (3.0, 10.0, 30.0)
"""Of the origins below the largest compute, and of the horizons beyond each."""
REPLICATES = 200
"""Of the bootstrap at each cut: a prediction interval's ends move by a tenth of its width between seeds."""


@dataclass(frozen=True)
class Cut:
    """One origin: the rows with C at most `cut` were fitted, those beyond were predicted.

    Errors are relative, Lhat / L - 1. Skill is 1 - (the law's mean absolute error) / (a baseline's): above 0 the law
    is the better forecast. A cut that could not be made has `skipped` set and NaN in its numbers.
    """

    factor: float
    """Largest C of the table over the cut."""
    cut: float
    fitted: int
    held_out: int
    skipped: str = ""
    shared: int = 0
    """Held-out rows whose trunk has fitted rows as well: not independent of the fit."""
    status: str = ""
    mean_error: float = float("nan")
    """Mean absolute error."""
    max_error: float = float("nan")
    bias: float = float("nan")
    """Mean error: above 0 the law was too pessimistic."""
    coverage: float = float("nan")
    """Share of the held-out losses inside the prediction interval of `level` that the bootstrap claims."""
    calibrated: float = float("nan")
    """The same of that interval widened by the growth of errors within the fitted rows (`origin.growth`); NaN where
    these have no origin to measure it at."""
    growth: float = float("nan")
    """Of the error, in the unit of residuals, a unit of log(1 + C / cut)."""
    origins: tuple[float, ...] = ()
    """Inner origins that it was measured at, as factors below the cut."""
    horizons: dict[str, dict[str, int]] | None = None
    """Held-out rows by C / cut, up to "3", "10", "30" or "more" times: how many, and how many inside either way."""
    level: float = float("nan")
    replicates: int = 0
    """Of the bootstrap that made the prediction interval."""
    skill: dict[str, float] | None = None
    """Against "last value" (the least loss seen; of another target, that of the largest run), "power of C" and "power
    of the law's columns" (no floor), as far as these columns and the target are above 0."""

    def as_dict(self) -> dict[str, Any]:
        """An entry of `holdout` in fit.json."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def rolling_origin(
    table: pd.DataFrame,
    fit: Fit,
    *,
    factors: Sequence[float] = FACTORS,
    replicates: int = REPLICATES,
    level: float = 0.9,
    seed: int = 0,
    clusters: str = "auto",
    progress: Callable[[str], None] | None = None,
) -> tuple[Cut, ...]:
    """One Cut a factor, at C = largest C / factor; a cut with too few rows on either side is returned as skipped.

    Nothing beyond a cut has a part in its intervals, neither the bootstrap's nor the widened ones.
    """
    frame = fit.select(table).frame
    if "C" not in frame.columns:
        return tuple(Cut(f, math.nan, 0, 0, "the table has neither C nor N and D") for f in factors)
    compute = np.asarray(frame["C"], dtype=np.float64)
    cuts = []
    for factor in factors:
        if progress:
            progress(f"predicting the runs beyond 1/{factor:g} of the largest compute")
        limit = float(compute.max()) / factor
        small = within(compute, limit)
        seen, unseen = frame[small], frame[~small]
        try:
            made = foretell(
                fit, frame, limit, replicates=replicates, level=level, seed=seed, clusters=clusters
            )
        except InputError as error:
            cuts.append(Cut(factor, limit, len(seen), len(unseen), str(error)))
            continue
        slope, origins = growth(fit, seen, level=level, seed=seed, clusters=clusters)
        naive = _naive_errors(fit, seen, unseen)
        shared = _shared_trunks(seen, unseen)
        found = Cut(factor, limit, len(seen), len(unseen), shared=shared, level=level, replicates=replicates)
        cuts.append(replace(found, **_judged(made, slope, naive), growth=slope, origins=origins))
    return tuple(cuts)


def _judged(made: Foretelling, slope: float, naive: dict[str, float]) -> dict[str, Any]:
    """The fields of a Cut that compare what was foretold with what came."""
    errors = made.value / made.truth - 1
    mean = float(np.abs(errors).mean())
    claimed = made.inside()
    widened = None if math.isnan(slope) else made.widened(slope).inside()
    return {
        "status": made.status,
        "mean_error": mean,
        "max_error": float(np.abs(errors).max()),
        "bias": float(errors.mean()),
        "coverage": float(claimed.mean()),
        "calibrated": math.nan if widened is None else float(widened.mean()),
        "horizons": _horizons(np.expm1(made.distance), claimed, widened),
        "skill": {name: 1 - mean / error if error > 0 else math.nan for name, error in naive.items()},
    }


def _horizons(
    times: Array, claimed: NDArray[np.bool_], widened: NDArray[np.bool_] | None
) -> dict[str, dict[str, int]]:
    """Counts by how many times the cut's compute a row has; `calibrated` is missing where nothing was widened."""
    found = {}
    edges = [*FACTORS, math.inf]
    for lower, upper in zip([0.0, *FACTORS], edges, strict=True):
        rows = (times > lower * (1 + 1e-9)) & (times <= upper * (1 + 1e-9))
        if rows.any():
            name = f"{upper:g}" if math.isfinite(upper) else "more"
            found[name] = {"of": int(rows.sum()), "inside": int(claimed[rows].sum())}
            if widened is not None:
                found[name]["calibrated"] = int(widened[rows].sum())
    return found


def _shared_trunks(seen: pd.DataFrame, unseen: pd.DataFrame) -> int:
    if "trunk_id" not in seen.columns:
        return 0
    return int(unseen["trunk_id"].isin(seen["trunk_id"].dropna()).sum())


def naive_forecasts(fit: Fit, seen: pd.DataFrame, unseen: pd.DataFrame) -> dict[str, Array]:
    """Forecasts [n] of runs that need no law: the least loss seen (of another target, that of the largest run), and
    straight lines in logarithms, of C and of the law's columns, as far as these are known and above 0."""
    known, columns = fit.aims(seen), list(fit.columns.values())
    last = known.min() if fit.target == "L" or "C" not in seen else known[np.argmax(np.asarray(seen["C"]))]
    found = {"last value": np.full(len(unseen), last)}
    for name, used in {"power of C": ["C"], "power of " + " and ".join(columns): columns}.items():
        there = all(column in rows for column in used for rows in (seen, unseen))
        if there and (known > 0).all() and all((rows[used] > 0).to_numpy().all() for rows in (seen, unseen)):
            found[name] = _line(seen, unseen, used, known)
    return found


def _naive_errors(fit: Fit, seen: pd.DataFrame, unseen: pd.DataFrame) -> dict[str, float]:
    """Mean absolute relative error of every naive forecast."""
    truth = fit.aims(unseen)
    made = naive_forecasts(fit, seen, unseen)
    return {name: float(np.abs(value / truth - 1).mean()) for name, value in made.items()}


def _line(seen: pd.DataFrame, unseen: pd.DataFrame, columns: Sequence[str], known: Array) -> Array:
    """What a least-squares line of the logarithms on those of the columns gives for unseen rows."""

    def design(rows: pd.DataFrame) -> Array:
        logs = [np.log(np.asarray(rows[column], dtype=np.float64)) for column in columns]
        return np.stack([np.ones(len(rows)), *logs], axis=1)

    return np.asarray(np.exp(design(unseen) @ np.linalg.lstsq(design(seen), np.log(known), rcond=None)[0]))
