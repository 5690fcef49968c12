"""Claims beyond the data, with intervals and reach: what is left to gain, what it takes, how likely a loss is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.floor.combination import weighted_quantiles
from analysis.frontier import Paired
from analysis.intervals.uncertainty import tails
from analysis.laws import Law
from analysis.walls.asked import check_losses

if TYPE_CHECKING:
    from analysis.forecast import Forecast

Array = NDArray[np.float64]

SHARES = (0.05, 0.01, 0.001)
"""Distances to the floor, as shares of it."""
WIDTHS = (0.5, 0.8, 0.9)
"""Levels of a fan's bands, beside the fit's own."""
FAN_POINTS, FAN_BELOW = 49, 1e-3
"""Points of a fan, and where it begins where the runs fitted are not known, as a multiple of the largest run."""
FARTHEST = 1e3
"""Multiple of the largest run beyond which a loss is told by its interval alone where the floor is not identified: its
middle is then one of many answers, chosen by the weights of laws that the runs cannot tell apart."""
SPLIT = ("N_opt", "D_opt")


def has_middle(made: Forecast, x: float, verdict: str) -> bool:
    """Whether a loss at x is told with what lies in the middle of its interval."""
    return verdict == "identified" or x <= made.largest * FARTHEST * (1 + 1e-9)


def left(made: Forecast, identification: Mapping[str, Any]) -> dict[str, Any]:
    """The reducible loss at the largest run, L - E: `nats` per token and `share` of the loss there, as far as the
    verdict on the floor allows.

    Identified: with intervals. Bounded above only: at least the loss there less the bound (`lo`), each at the end that
    claims less. Else nothing, and `missing` says so.
    """
    verdict = identification["verdict"]
    nothing = {"value": None, "lo": None, "hi": None}
    if verdict == "identified":
        nats, share = _left(made)
        return {"nats": nats, "share": share, "level": made.level, "missing": ""}
    if verdict != "bounded_above_only":
        missing = "how much of the loss is reducible cannot be said, since the runs do not identify a floor"
        return {"nats": nothing, "share": nothing, "level": made.level, "missing": missing}
    _value, least, _most = (float(part[0]) for part in made.loss(np.array([made.largest])))
    nats_left = max(least - identification["hi"], 0.0)
    missing = "only the least that is reducible can be said, since the runs bound the floor from above alone"
    return {
        "nats": nothing | {"lo": nats_left},
        "share": nothing | {"lo": nats_left / least},
        "level": made.level,
        "missing": missing,
    }


def distance(made: Forecast, share: float, split: bool = True) -> dict[str, Any]:
    """What it takes to come within `share` of the floor; without `split` the best N and D are not determined."""
    return {"share": share} | _needed(made, lambda E, _left: share * E, split)


def halving(made: Forecast, split: bool = True) -> dict[str, Any]:
    """What it takes to halve the reducible loss left at the largest run."""
    return _needed(made, lambda _E, nats: nats / 2, split)


def probabilities(made: Forecast, at: Sequence[float], below: Sequence[float]) -> list[dict[str, Any]]:
    """P(L(x) < b) at each x of `at` for each b of `below`, losses in nats per token: the weight of the draws of all
    admissible laws that lie below, or the share of the one law's replicates where that stands alone.

    They are of the expected loss: the noise of one new run is left out. Raises InputError for a b that is no loss.
    """
    check_losses(below)
    if not below:
        return []
    losses, weights = _losses(made, np.array(at))
    return [
        {
            made.track.x: x,
            "below": value,
            "probability": float(min(weights @ (column < value), 1.0)),
            "extrapolation": x / made.largest,
        }
        for x, column in zip(at, losses.T, strict=True)
        for value in below
    ]


def probabilities_words(made: Forecast, law: str) -> str:
    """Whose probabilities those are, and what they leave out."""
    whose = f"of the law {law} alone: the share of its bootstrap replicates"
    if made.combined is not None and not made.combined.of_one_law:
        whose = "of all admissible laws, weighed by how they foretold larger runs"
    elif made.combined is not None:
        whose = f"of the law {law} alone, on its ranges of runs, with the error of its forecasts"
    return f"{whose}; they are of the expected loss, and the noise of one new run is left out"


def fan(made: Forecast, to: float, verdict: str) -> dict[str, Any]:
    """Quantiles of the loss to x = `to`, from where every law is among the runs it was fitted to: `bands` by level,
    each `lo` and `hi`; L is null where it has no middle."""
    begin = made.begin if made.begin is not None else made.largest * FAN_BELOW
    x = np.geomspace(begin, max(to, made.largest * 10), FAN_POINTS)
    levels = sorted({*WIDTHS, made.level})
    losses, weights = _losses(made, x)
    asked = [end for level in levels for end in tails(level)]
    middle, *ends = weighted_quantiles(losses, weights, [0.5, *asked])
    bands = [
        {"level": level, "lo": low.tolist(), "hi": high.tolist()}
        for level, low, high in zip(levels, ends[0::2], ends[1::2], strict=True)
    ]
    if made.combined is None:  # one law's own interval is wider than its percentiles
        own = levels.index(made.level)
        middle, lo, hi = made.loss(x)
        bands[own] = bands[own] | {"lo": lo.tolist(), "hi": hi.tolist()}
    return {
        "x": made.track.x,
        "whose": made.whose,
        "largest": made.largest,
        "at": x.tolist(),
        "L": [
            loss if has_middle(made, at, verdict) else None
            for at, loss in zip(x.tolist(), middle.tolist(), strict=True)
        ],
        "bands": bands,
    }


def _losses(made: Forecast, x: Array) -> tuple[Array, Array]:
    """Losses [n, k] at x [k] by every draw, and the draws' weights [n]."""
    return made.weighed([made.track.loss(law, x) for law in made.laws])


def _left(made: Forecast) -> tuple[dict[str, float], dict[str, float]]:
    """Nats and share that are reducible at the largest run; blurred as the floor itself is."""

    def share(law: Law) -> Array:
        nats = made.left(law)
        return nats / (nats + np.atleast_1d(np.asarray(law.as_dict()["E"], dtype=np.float64)))

    level = float(made.loss(np.array([made.largest]))[0][0])
    nats = np.clip(made.quantity(made.left, noise=True, of=level), 0.0, None)
    shares = np.clip(made.quantity(share, noise=True, of=1.0), 0.0, 1.0)
    return _interval(nats), _interval(shares)


def _needed(made: Forecast, target: Callable[[Array, Array], Array], split: bool) -> dict[str, Any]:
    """x with its interval and, along a frontier, N_opt and D_opt there with theirs; null stands for never."""

    known: dict[int, tuple[Law, Array, dict[str, Array]]] = {}

    def needed(law: Law) -> tuple[Array, dict[str, Array]]:
        if id(law) not in known:
            x = made.reached(law, target)
            known[id(law)] = law, x, _splits(made, x, law) if split and made.track.cost else {}
        return known[id(law)][1:]

    found = made.quantity(lambda law: needed(law)[0])
    value, lo, hi = map(_finite, found)
    told = {
        made.track.x: value,
        "lo": lo,
        "hi": hi,
        "level": made.level,
        "extrapolation": None if value is None else value / made.largest,
        "extrapolation_lo": None if lo is None else lo / made.largest,
        "extrapolation_hi": None if hi is None else hi / made.largest,
    }
    if made.track.cost is None:
        return told
    for name in SPLIT:
        ends: list[float | None] = [None] * 3
        if split:
            ends = [_finite(end) for end in made.quantity(partial(_named, needed, name))]
        told |= dict(zip((name, f"{name}_lo", f"{name}_hi"), ends, strict=True))
    return told


def _named(needed: Callable[[Law], tuple[Array, dict[str, Array]]], name: str, law: Law) -> Array:
    return needed(law)[1][name]


def _splits(made: Forecast, C: Array, law: Law) -> dict[str, Array]:
    """N_opt and D_opt [R] of each draw at the compute C [R] that it needs; infinite where that is, and 0 where it is
    0."""
    if made.track.cost is None:
        raise AssertionError("a law in one column has no split")
    own = type(law)(**{key: np.atleast_1d(value) for key, value in law.as_dict().items()})
    within = np.where(np.isfinite(C) & (C > 0), C, 1.0)
    N = Paired(own, made.track.cost).N_opt(within[:, None])[:, 0]
    with np.errstate(divide="ignore"):
        both = N, made.track.cost.tokens(within, N)
    whole = [np.nan_to_num(found, nan=np.inf, posinf=np.inf) for found in both]
    return {
        name: np.where(np.isfinite(C) & (C > 0), found, C) for name, found in zip(SPLIT, whole, strict=True)
    }


def _interval(numbers: Array) -> dict[str, float]:
    value, lo, hi = (float(number) for number in numbers)
    return {"value": value, "lo": lo, "hi": hi}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
