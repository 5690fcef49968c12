"""Every method on every language cut at every truncation: what it says of the limit, and of the runs it did not see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import InputError
from analysis.known.extrapolation import Extrapolation, Method
from analysis.known.ladders import Language
from analysis.known.scores import interval_score

if TYPE_CHECKING:
    import pandas as pd

Say = Callable[[str], None]

HORIZONS = (3.0, 10.0, 30.0)
"""Multiples of the largest compute seen up to which held-out runs are foretold."""


@dataclass(frozen=True)
class Settings:
    """How methods are asked. Raises InputError for a value that cannot be."""

    factors: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0)
    """Truncations: only runs with C <= C_max / factor are seen."""
    replicates: int = 300
    level: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.factors or not all(np.isfinite(f) and f >= 1 for f in self.factors):
            raise InputError(f"factors are {self.factors}; each is C_max over the largest C seen, 1 or more")
        if len(set(self.factors)) < len(self.factors):
            raise InputError(f"factors are {self.factors}; name each once")
        if self.replicates < 2:
            raise InputError(f"replicates is {self.replicates}; use at least 2, and 300 for steady intervals")
        if not 0 < self.level < 1:
            raise InputError(f"level is {self.level}; it is a probability between 0 and 1, e.g. 0.9")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; use a whole number from 0")


def run(
    languages: Sequence[Language], methods: Mapping[str, Method], settings: Settings, say: Say
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Limits, a row a language, truncation and method, and forecasts, a row for every horizon of these.

    Horizons reach no further than the ladder does: at truncation 3 only to 3 times. A method that cannot be applied
    has a row with `answered` false and the reason, and NaN in its numbers. `say` is told what is done of the total.
    """
    import pandas as pd

    total = len(languages) * len(settings.factors) * len(methods)
    limits: list[dict[str, Any]] = []
    forecasts: list[dict[str, Any]] = []
    for language in languages:
        for factor in settings.factors:
            for name, method in methods.items():
                say(f"{len(limits)} of {total} done; now {language.name}, C_max / {factor:g}, {name}")
                limit, foretold = _cell(language, factor, name, method, settings)
                limits.append(limit)
                forecasts.extend(foretold)
    columns = ["language", "factor", "method", "horizon", "runs", "answered", "inside", "coverage", "error"]
    return pd.DataFrame(limits), pd.DataFrame(forecasts, columns=columns)


def _cell(
    language: Language, factor: float, name: str, method: Method, settings: Settings
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    cut = language.largest / factor
    seen = language.upto(cut)
    where = {"language": language.name, "factor": factor, "method": name}
    found: Extrapolation | None = None
    reason = f"no run has C at most C_max / {factor:g}"
    if len(seen):
        try:
            found = method(seen, level=settings.level, seed=settings.seed, replicates=settings.replicates)
        except InputError as error:
            reason = str(error)
    about = {"truth": language.truth, "cut": cut, "runs": len(seen)}
    limit = where | about | (_limit(found, language.truth, seen, settings.level) if found else _none(reason))
    reached = [horizon for horizon in HORIZONS if horizon <= factor * (1 + 1e-9)]
    return limit, [where | _foretold(found, language, cut, horizon) for horizon in reached]


def _limit(found: Extrapolation, truth: float, seen: pd.DataFrame, level: float) -> dict[str, Any]:
    """What was said and how it stands against the truth. An upper end left open is scored as the best loss seen, which
    no limit can lie above."""
    hi = found.hi if np.isfinite(found.hi) else max(float(seen["L"].min()), found.lo)
    return {
        "answered": True,
        "E": found.E,
        "lo": found.lo,
        "hi": found.hi,
        "verdict": found.verdict,
        "hit": bool(found.lo <= truth <= found.hi),
        "width": hi - found.lo,
        "score": float(interval_score(found.lo, hi, truth, level)),
        "reason": found.reason,
    }


def _none(reason: str) -> dict[str, Any]:
    numbers = dict.fromkeys(("E", "lo", "hi"), float("nan"))
    scored = {"verdict": "", "hit": False, "width": float("nan"), "score": float("nan")}
    return {"answered": False, **numbers, **scored, "reason": reason}


def _foretold(found: Extrapolation | None, language: Language, cut: float, horizon: float) -> dict[str, Any]:
    points = language.between(cut, cut * horizon)
    about = {"horizon": horizon, "runs": len(points), "answered": found is not None}
    if found is None or points.empty:
        return about | {"inside": 0, "coverage": float("nan"), "error": float("nan")}
    made = found.predict(points)
    truth = points["L"].to_numpy(dtype=np.float64)
    inside = (truth >= made.lo) & (truth <= made.hi)
    error = float(np.abs(made.value / truth - 1).mean())
    return about | {"inside": int(inside.sum()), "coverage": float(inside.mean()), "error": error}
