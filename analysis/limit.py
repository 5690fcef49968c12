"""Beyond the data: the floor if the runs earned one, the loss at more compute, and how far each claim reaches."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import claims, far_cost
from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.forecast import Forecast
from analysis.frontier import Frontier
from analysis.walls import walls

if TYPE_CHECKING:
    from analysis.walls.scenario import Scenario

Array = NDArray[np.float64]

FACTORS = (10.0, 100.0, 1000.0)
"""Multiples of the largest run at which a loss is given where no compute is asked for."""
NO_FLOOR = (
    "The runs do not identify a floor, so losses far beyond them differ from law to law: read the intervals, not what "
    "lies in their middle."
)
"""What is said of walls where there is no floor to name the last one."""


def limit(
    fit: Fit,
    made: Forecast,
    at: Sequence[float] = (),
    fit_sha256: str = "",
    *,
    below: Sequence[float] = (),
    scenario: Scenario | None = None,
) -> dict[str, Any]:
    """The content of limit.json, from a fit with its evidence; `at` are the computes asked for, `below` the losses
    whose probabilities are, and the walls are those of a scenario.

    E is null unless its verdict is `identified`, so that no program takes it for a limit; `bounded_above_only` gives
    its upper end. Distances to a floor are given only where there is one. null also stands for "never" (`C` or `hi` of
    a distance), and "not determined" (`N_opt` and `D_opt` where the fit's frontier is withheld). `extrapolation` is how
    many times the largest run's C a claim is about; beyond `claims.FARTHEST` of them a loss has no middle (L is null)
    where the floor is not identified.
    """
    identification = fit.identification
    verdict, reason = identification["verdict"], identification["reason"]
    points = _points(at, made.largest)
    x, distances = made.track.x, []
    undetermined = "withheld" in fit.frontier and made.track.cost is not None
    ends = [f"{name}{end}" for name in claims.SPLIT for end in ("", "_lo", "_hi")]
    unknown: dict[str, Any] = dict.fromkeys(ends) if undetermined else {}
    halving = None
    if verdict == "identified":
        distances = [claims.distance(made, share, not undetermined) for share in claims.SHARES]
        halving = claims.halving(made, not undetermined)
    losses = [_loss(made, point, verdict) | unknown for point in points]
    return {
        "verdict": verdict,
        "reason": reason,
        "E": _floor(identification, made.level),
        "x": x,
        "largest_run": {x: made.largest},
        "losses": losses,
        "cost": _cost(fit, made, [*losses, *distances, *([halving] if halving else [])]),
        "left": claims.left(made, identification),
        "halving": halving,
        "distances": distances,
        "distances_missing": ""
        if distances
        else "no distance to a floor is given, since the runs do not identify one",
        "probabilities": claims.probabilities(made, points, below),
        "probabilities_of": claims.probabilities_words(made, fit.law),
        "fan": claims.fan(made, max(points), verdict),
        "walls": _walls(fit, made, scenario),
        "method": made.method,
        "tuning_warnings": fit.tuning.get("warnings", []),
        "law": fit.law,
        "table_sha256": fit.table_sha256,
        "fit_sha256": fit_sha256,
        "version": fit.version,
    }


def write(content: Mapping[str, Any], path: Path) -> None:
    """Write limit.json, whole or not at all; floats unrounded, no NaN or infinity."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path} ({error.strerror}); choose another folder with --out"
        ) from None


def _points(at: Sequence[float], largest: float) -> list[float]:
    for value in at:
        if not (math.isfinite(value) and value > 0):
            raise InputError(
                f"a loss is asked for at {value} FLOPs; give numbers above 0, e.g. --at 1e21 1e22"
            )
    return list(at) or [largest * factor for factor in FACTORS]


def _floor(identification: Mapping[str, Any], level: float) -> dict[str, Any]:
    """E with its interval as far as the verdict allows."""
    verdict = identification["verdict"]
    return {
        "value": identification["E"] if verdict == "identified" else None,
        "lo": identification["lo"] if verdict == "identified" else None,
        "hi": None if verdict == "not_identified" else identification["hi"],
        "level": level,
        "method": "this law alone: its ranges of runs, profile and bootstrap"
        if len(identification["admissible"]["admitted"]) == 1
        else "all admissible laws and ranges of runs, weighed by how they foretold larger runs",
    }


def _loss(made: Forecast, at: float, verdict: str) -> dict[str, Any]:
    value, lo, hi = (float(part[0]) for part in made.loss(np.array([at])))
    found: dict[str, Any] = {made.track.x: at, "L": value, "lo": lo, "hi": hi, "level": made.level}
    if not claims.has_middle(made, at, verdict):
        found["L"] = None
    found |= _best_split(made, at)
    return found | {"extrapolation": at / made.largest}


def _best_split(made: Forecast, at: float) -> dict[str, float | None]:
    """N and D of the fitted law's best split of a compute, with the percentiles of its own replicates; null where a
    term is absent and the split has no end."""
    if made.track.cost is None:
        return {}
    told: dict[str, float] = {}
    for law, suffixes in ((made.best, ("",)), (made.replicates, ("_lo", "_hi"))):
        with np.errstate(invalid="ignore", divide="ignore"):
            N = np.atleast_1d(Frontier(law, made.track.cost).N_opt(at))
            both = N, made.track.cost.tokens(at, N)
            for name, drawn in zip(claims.SPLIT, both, strict=True):
                found = np.quantile(drawn, made.tails[: len(suffixes)], method="nearest")
                told |= {f"{name}{end}": float(value) for end, value in zip(suffixes, found, strict=True)}
    return {name: value if math.isfinite(value) and value > 0 else None for name, value in told.items()}


def _cost(fit: Fit, made: Forecast, told: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What a run costs, and whether that can be for the sizes that are claimed; None for a law in one column."""
    if made.track.cost is None:
        return None
    return far_cost.as_dict(
        made.track.cost, (claim["N_opt"] for claim in told), fit.data_span[fit.columns["N"]][1]
    )


def _cost_caution(fit: Fit, made: Forecast, found: Mapping[str, Any]) -> str:
    """What the cost formula makes of the largest model that is best at the compute of a wall."""
    if made.track.cost is None or "withheld" in fit.frontier:
        return ""
    met = [found["compute"]["C"], *(found["data"]["at"].values() if found["data"] else ())]
    sizes = [_best_split(made, wall["value"])["N_opt"] for wall in met if wall["value"] is not None]
    N = max((size for size in sizes if size is not None), default=math.nan)
    return far_cost.caution(made.track.cost, N, fit.data_span[fit.columns["N"]][1])


def _walls(fit: Fit, made: Forecast, scenario: Scenario | None) -> dict[str, Any] | None:
    """The walls of a scenario, told of no data where the fit does not say how compute is split."""
    if scenario is None:
        return None
    withheld = fit.frontier.get("withheld", "") if made.track.cost is not None else ""
    found = walls.walls(
        made,
        scenario,
        no_data=f"the data wall cannot be told, since {withheld}" if withheld else "",
        seed=fit.bootstrap.get("seed", 0),
        smallest=fit.data_span["C"][0] if "C" in fit.data_span else None,
    )
    used = fit.data_span.get("D", (0.0, 0.0))[1]
    identified = fit.identification["verdict"] == "identified"
    cautions = ["" if identified else NO_FLOOR, _cost_caution(fit, made, found)]
    caution = " ".join(said for said in cautions if said)
    floor = _floor(fit.identification, made.level) if identified else None
    return found | {"tokens_used": used or None, "floor": floor, "caution": caution}
