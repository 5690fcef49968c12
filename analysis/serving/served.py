"""What a study says of the model that is cheapest to serve: every number with its interval, for JSON and for words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import far_cost, notation
from analysis.errors import InputError
from analysis.fitting import Fit
from analysis.floor.identify import undetermined
from analysis.frontier import Cost, Frontier, cost_of
from analysis.intervals.uncertainty import Bootstrap, tails
from analysis.laws import LAWS, Law
from analysis.serving.optimum import Serving, Split, cheapest

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

SWEPT = 25
"""Numbers of tokens served between the least of the sweep and those asked for."""
SWEPT_FROM = 1e9
MOST = 0.5
"""Share of the draws that may never reach the loss: beyond it most say that no model does."""


@dataclass(frozen=True)
class Target:
    """The quality asked for: a loss, or that of the best model that a compute trains, which is another for every law.
    Exactly one is given."""

    loss: float | None = None
    C: float | None = None

    def __post_init__(self) -> None:
        if (self.loss is None) == (self.C is None):
            raise InputError(
                "say how good the model is to be, by one of --loss (nats per token) and --C (FLOPs)"
            )
        value = self.C if self.loss is None else self.loss
        if value is None or not (math.isfinite(value) and value > 0):
            raise InputError(
                f"the target is {value}; it must be a number above 0, e.g. --loss 2.5 or --C 1e21"
            )

    def of(self, law: Law, cost: Cost) -> Array:
        """The loss under a law, of its shape [R]."""
        if self.C is None:
            return np.asarray(self.loss, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            return Frontier(law, cost).L_opt(self.C)


@dataclass(frozen=True)
class Study:
    """A fit with its bootstrap, and what its runs cost."""

    fit: Fit
    boot: Bootstrap
    frame: pd.DataFrame
    """The rows fitted."""

    @property
    def cost(self) -> Cost:
        """kappa and rho of the rows."""
        return cost_of(self.frame)


def require_usable(study: Study, target: Target) -> None:
    """Raise InputError where the fit has no floor or no best split, or cannot be asked of the target."""
    fit, losses = study.fit, np.asarray(study.frame["L"], dtype=np.float64)
    if LAWS[fit.law].floor is None:
        raise InputError(
            f"{fit.law} has no floor, so that every loss would be in reach; use --law hoffmann, tied or coupled"
        )
    if set(fit.columns.values()) != {"N", "D"} or fit.target != "L":
        raise InputError(f"{fit.law} is no law of the loss in N and D; use --law hoffmann, tied or coupled")
    if doubt := undetermined(fit, fit.problem(study.frame)):
        raise InputError(
            f"the split of compute is not determined by these runs: {doubt}; add runs at other N and D"
        )
    if target.loss is not None and target.loss >= losses.max():
        raise InputError(
            f"a loss of {target.loss:g} is no better than any run's ({losses.min():.3f} to {losses.max():.3f}); ask "
            "for one below"
        )
    floor, interval = fit.params["E"], study.boot.interval(np.asarray(study.boot.law.as_dict()["E"]))
    if target.loss is not None and target.loss <= floor:
        reach = float(np.mean(np.asarray(study.boot.law.as_dict()["E"]) < target.loss))
        raise InputError(
            f"a loss of {target.loss:g} lies below the fitted floor of {floor:.4g} ({interval.lo:.4g} to "
            f"{interval.hi:.4g}), and no model reaches it; it is above the floor in {notation.percent(reach)} of the "
            "bootstrap's draws; ask for a higher one"
        )


def served(study: Study, target: Target, serving: Serving, others: Sequence[Study] = ()) -> dict[str, Any]:
    """The content of serve.json; see `require_usable` for what is refused. `others` are the same rows under other laws.

    In a share `beyond_reach` of the draws the loss cannot be reached: they count as endless parameters, tokens and
    FLOPs and as nothing saved, and an end of an interval that is endless is null. Draws in which a term of the law is
    absent tell nothing and are left out, `without_split`; refused where they are more than an interval leaves out at
    one end.
    """
    require_usable(study, target)
    made = _Answer(study, target)
    if made.beyond_reach > MOST or made.without_split > tails(study.boot.level)[0]:
        raise InputError(
            f"in {notation.percent(made.beyond_reach)} of the bootstrap's draws the loss lies below the floor, and in "
            f"{notation.percent(made.without_split)} there is no best split, so no model can be named; ask for a "
            "higher loss"
        )
    asked = made.at(serving)
    by_law = [{"law": other.fit.law, **_Answer(other, target).at(serving)} for other in others]
    return {
        "target": {
            "loss": made.interval(target.of),
            "asked_as": "C" if target.loss is None else "loss",
            "C": target.C,
        },
        "tokens_served": serving.tokens,
        "price": serving.price,
        **asked,
        "beyond_reach": made.beyond_reach,
        "without_split": made.without_split,
        "extrapolation": _extrapolation(study.frame, asked),
        "sweep": [{"tokens_served": t, **made.at(Serving(t, serving.price))} for t in _swept(serving.tokens)],
        "by_law": by_law,
        "over_laws": _over([{"law": study.fit.law, **asked}, *by_law]),
        "law": study.fit.law,
        "params": study.fit.params,
        "kappa": study.cost.kappa,
        "rho": study.cost.rho,
        "largest_error_of_C": study.cost.largest_error,
        "far_cost": far_cost.as_dict(
            study.cost,
            [asked[model]["N"]["value"] for model in ("cheapest", "training_optimal")],
            float(study.frame["N"].max()),
        ),
        "level": study.boot.level,
        "method": f"bootstrap ({study.boot.method}, {study.boot.replicates} refits)",
        "note": study.boot.note,
        "floor_found": study.fit.params["E"] > 0,
        "table": study.fit.table,
        "table_sha256": study.fit.table_sha256,
        "version": study.fit.version,
    }


class _Answer:
    """A study's numbers at one target."""

    def __init__(self, study: Study, target: Target) -> None:
        self.study, self.cost = study, study.cost
        self.best, self.draws = study.fit.curve, study.boot.law
        self.losses = target.of(self.best, self.cost), target.of(self.draws, self.cost)
        floors = np.asarray(self.draws.as_dict()["E"], dtype=np.float64)
        self.never = np.broadcast_to(self.losses[1], floors.shape) <= floors
        self.is_never = bool(self.losses[0] <= self.best.as_dict()["E"])
        found = np.isfinite(cheapest(self.draws, self.cost, self.losses[1], Serving(0.0)).N)
        self.beyond_reach = float(self.never.mean())
        self.without_split = float((~found & ~self.never).mean())

    def interval(self, of: Callable[[Law, Cost], Array]) -> dict[str, float | None]:
        """A quantity of the law with its interval."""
        return self._told(of(self.best, self.cost), of(self.draws, self.cost))  # none is endless

    def at(self, serving: Serving) -> dict[str, Any]:
        """Both models and what the cheaper saves, for so many tokens served."""
        (best, draws), (best0, draws0) = self._splits(serving, serving), self._splits(Serving(0.0), serving)
        shares = 1 - best.total / best0.total, 1 - draws.total / draws0.total
        return {
            "cheapest": self._model(best, draws),
            "training_optimal": self._model(best0, draws0),
            "saving": self._told(*self._where_never(*shares, 0.0)),
        }

    def _splits(self, by: Serving, cost_of: Serving) -> tuple[Split, Split]:
        one, many = (
            cheapest(law, self.cost, loss, by, cost_of)
            for law, loss in zip((self.best, self.draws), self.losses, strict=True)
        )
        return one, many

    def _model(self, best: Split, draws: Split) -> dict[str, Any]:
        names = ("N", "D", "training", "serving", "total")
        return {
            name: self._told(*self._where_never(getattr(best, name), getattr(draws, name), np.inf))
            for name in names
        }

    def _where_never(self, value: Array, draws: Array, instead: float) -> tuple[Array, Array]:
        """The value and its draws, with another number where the loss is never reached."""
        never = np.asarray(instead)
        return never if self.is_never else value, np.where(self.never, never, draws)

    def _told(self, value: Array, draws: Array) -> dict[str, float | None]:
        """With its interval, whose ends are draws (so that they may be endless); null is endless."""
        if not draws.ndim:
            return {"value": float(value), "lo": float(draws), "hi": float(draws)}
        known = draws[~np.isnan(draws)]
        at = self.study.boot.tails(self.study.boot.level)
        lo, hi = np.quantile(known, at, method="inverted_cdf")
        return {"value": _finite(value), "lo": _finite(lo), "hi": _finite(hi)}


def _over(laws: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """From where to where the intervals of several laws reach together; null is endless."""

    def span(entries: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
        los, his = ([entry[end] for entry in entries] for end in ("lo", "hi"))
        least = [lo for lo in los if lo is not None]
        largest = [hi for hi in his if hi is not None]
        return {"lo": min(least) if least else None, "hi": max(largest) if len(largest) == len(his) else None}

    return {
        "laws": [one["law"] for one in laws],
        "N": span([one["cheapest"]["N"] for one in laws]),
        "D": span([one["cheapest"]["D"] for one in laws]),
        "saving": span([one["saving"] for one in laws]),
    }


def _finite(value: Array | np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None


def _swept(asked: float) -> list[float]:
    """Tokens served for the figure, up to those asked for; empty where none are."""
    if not asked:
        return []
    least = SWEPT_FROM if asked >= 10 * SWEPT_FROM else asked / 1e3
    return [float(t) for t in np.geomspace(least, asked, SWEPT)]


def _extrapolation(frame: pd.DataFrame, asked: dict[str, Any]) -> dict[str, float]:
    """How many times beyond the largest run the cheapest model's training lies, and its tokens a parameter."""
    N, D, C = (np.asarray(frame[name], dtype=np.float64) for name in ("N", "D", "C"))
    model = {name: entry["value"] for name, entry in asked["cheapest"].items()}
    return {
        "C": model["training"] / float(C.max()),
        "D": model["D"] / float(D.max()),
        "N": model["N"] / float(N.max()),
        "N_over_smallest": model["N"] / float(N.min()),
        "tokens_per_parameter": model["D"] / model["N"] / float((D / N).max()),
    }
