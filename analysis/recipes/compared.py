"""Two recipes compared: the content of gain.json."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import notation
from analysis.errors import InputError
from analysis.recipes import equivalent, tuned
from analysis.recipes.comparable import Comparison
from analysis.recipes.equivalent import Gains
from analysis.recipes.hypotheses import Pool
from analysis.recipes.measured import measured
from analysis.recipes.recipe import Recipe
from analysis.recipes.verdict import verdict

Array = NDArray[np.float64]

CURVE = 121
"""Computes of the figure."""
BEYOND = (10.0, 100.0)
"""Multiples of the candidate's largest run at which a gain is told where no compute is asked for."""
MEANT = 1e4
"""Multiples of the candidate's largest run within which the end of the base is told."""
INSIDE = 3
"""Computes inside the runs at which it is told as well."""


def compared(
    base: Recipe,
    candidate: Recipe,
    of: Comparison,
    *,
    at: Sequence[float] = (),
    names: tuple[str, str] = ("base", "candidate"),
    others: Sequence[tuple[Recipe, Recipe]] = (),
    seed: int = 0,
    replicates: int = 199,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Everything that is said of the two. Where the losses are not comparable there is no gain, only each side's law
    and whether the exponents differ. `names` are what the two are called in table and figure, `others` both
    sides under other laws, for the gain that these give."""
    points = _asked(at)
    found = {
        "base": {"label": names[0], **_side(base)},
        "candidate": {"label": names[1], **_side(candidate)},
        "comparable": of.comparable,
        "against": list(of.against),
        "consent": of.consent,
        "caveats": [*of.caveats, *_notes(base, candidate), *tuned.told(base, candidate)],
        "verdict": verdict(Pool(base, candidate), of.comparable, replicates, seed, say).as_dict(),
        "law": base.fit.law,
        "level": base.boot.level,
        "method": f"bootstrap of each ({base.boot.method}; {candidate.boot.method}), {base.boot.replicates} refits",
        "version": base.fit.version,
    }
    if not of.comparable:
        return found
    inside = _inside(base, candidate)
    headline = inside[1] if inside else candidate.span[1]
    points = points or [*(np.geomspace(*inside, INSIDE).tolist() if inside else ()), *_beyond(candidate)]
    return found | {
        "inside": list(inside) if inside else None,
        "headline": told(base, candidate, [headline])[0],
        "points": told(base, candidate, points),
        "passing": _passing(base, candidate),
        "curve": told(base, candidate, _grid(base, candidate, points)),
        "frontiers": {side.name: _frontier(side, points) for side in (base, candidate)},
        "measured": made.as_list() if (made := measured(base, candidate)) else [],
        "by_law": [{"law": one.fit.law, **told(one, two, [headline])[0]} for one, two in others],
    }


def told(base: Recipe, candidate: Recipe, C: Sequence[float]) -> list[dict[str, Any]]:
    """The gain at each compute with its interval; null is endless (`endless` is true where the value is: the base
    never gets there)."""
    made = equivalent.gains(base, candidate, np.asarray(C, dtype=np.float64))
    lo, hi = equivalent.ends(made.draws / made.C, base, candidate)
    losses = equivalent.ends(made.losses, base, candidate)
    return [_point(made, k, lo, hi, losses, base, candidate) for k in range(len(made.C))]


def _point(
    made: Gains, k: int, lo: Array, hi: Array, losses: tuple[Array, Array], base: Recipe, candidate: Recipe
) -> dict[str, Any]:
    C, needed = float(made.C[k]), float(made.needed[k])
    (least, largest), (first, last) = base.span, candidate.span
    return {
        "C": C,
        "loss": {"value": float(made.loss[k]), "lo": float(losses[0][k]), "hi": float(losses[1][k])},
        "gain": {"value": _finite(needed / C), "lo": _finite(float(lo[k])), "hi": _finite(float(hi[k]))},
        "C_base": _finite(needed),
        "endless": math.isinf(needed),
        "never": float(made.never[k]),
        "unknown": float(made.unknown[k]),
        "inside": bool(_within(C, first, last) and _within(needed, least, largest)),
        "extrapolation": {"candidate": C / last, "base": _finite(needed / largest)},
    }


def _side(side: Recipe) -> dict[str, Any]:
    E = np.asarray(side.draws.as_dict()["E"], dtype=np.float64)
    interval = side.boot.interval(E)
    C = side.span[1]
    slopes = equivalent.slope(side, side.draws, C)
    lo, hi = equivalent.ends(slopes[:, None], side, side)
    return {
        "name": side.name,
        "study": side.source.name,
        "table": side.source.table_path.name,
        "table_sha256": side.source.table_sha256,
        "where": side.fit.where,
        "runs": side.fit.rows,
        "status": side.fit.status,
        "params": side.fit.params,
        "E": {"value": side.fit.params["E"], "lo": interval.lo, "hi": interval.hi},
        "L_exponent": {
            "value": float(equivalent.slope(side, side.law, C)[0]), "lo": float(lo[0]), "hi": float(hi[0])
        },
        "C_span": list(side.span),
        "kappa": None if side.track.cost is None else side.track.cost.kappa,
        "rho": None if side.track.cost is None else side.track.cost.rho,
    }  # fmt: skip


def _frontier(side: Recipe, points: Sequence[float]) -> dict[str, Any]:
    """L_opt with its interval, for the figure, and the runs."""
    C = np.geomspace(side.span[0], max(side.span[1], *points), CURVE)
    lo, hi = equivalent.ends(side.track.loss(side.draws, C), side, side)
    loss = side.track.loss(side.law, C)
    runs = {name: np.asarray(side.frame[name], dtype=np.float64).tolist() for name in ("C", "L")}
    return {"C": C.tolist(), "L": loss.tolist(), "lo": lo.tolist(), "hi": hi.tolist(), "runs": runs}


def _passing(base: Recipe, candidate: Recipe) -> dict[str, Any] | None:
    """Where the candidate passes the base's floor; None where that is so far beyond the runs that it means nothing."""
    value, draws = equivalent.passing(base, candidate)
    largest = candidate.span[1]
    if not value[0] <= MEANT * largest:
        return None
    lo, hi = (_finite(float(end[0])) for end in equivalent.ends(draws, base, candidate))
    return {"C": float(value[0]), "lo": lo, "hi": hi, "extrapolation": float(value[0]) / largest}


def _inside(base: Recipe, candidate: Recipe) -> tuple[float, float] | None:
    """The computes of the candidate at which both recipes' runs reach; None where there are none."""
    C = np.geomspace(*candidate.span, 400)
    needed = equivalent.gains(base, candidate, C).needed
    kept = C[(needed >= base.span[0] * (1 - 1e-9)) & (needed <= base.span[1] * (1 + 1e-9))]
    return (float(kept[0]), float(kept[-1])) if len(kept) else None


def _grid(base: Recipe, candidate: Recipe, points: Sequence[float]) -> list[float]:
    lo, hi = min(candidate.span[0], *points), max(candidate.span[1], *points)
    return [float(C) for C in np.geomspace(lo, hi, CURVE)]


def _beyond(candidate: Recipe) -> list[float]:
    return [candidate.span[1] * factor for factor in BEYOND]


def _asked(at: Sequence[float]) -> list[float]:
    for C in at:
        if not (math.isfinite(C) and C > 0):
            raise InputError(f"a gain is asked for at {C} FLOPs; give numbers above 0, e.g. --at 1e21 1e22")
    return list(at)


def _notes(base: Recipe, candidate: Recipe) -> list[str]:
    told = [f"{side.name}: {side.boot.note}" for side in (base, candidate) if side.boot.note]
    for side in (base, candidate):
        if side.fit.params["E"] <= 0:
            told.append(
                f"{side.name}: its runs identify no floor (E rests at 0): what is said beyond them holds if "
                "there is none"
            )
        elif side.fit.status != "converged":
            told.append(f"{side.name}: the fit is {side.fit.status.replace('_', ' ')}")
        error = 0.0 if side.track.cost is None else side.track.cost.largest_error
        if error > 0.1:
            told.append(
                f"{side.name}: kappa N^rho D is up to {notation.percent(error)} off a run's own compute"
            )
    return told


def _within(value: float, lo: float, hi: float) -> bool:
    return lo * (1 - 1e-9) <= value <= hi * (1 + 1e-9)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
