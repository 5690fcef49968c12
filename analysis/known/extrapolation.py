"""Methods that extrapolate runs to a limit and to larger runs: an explicit registry, each a function of the runs.

To add a method: one entry in `METHODS`, a function or a frozen dataclass with `__call__`, as `Method` says. It sees the
runs' N, D, C, L, trunk_id and seed and never the truth. What it needs is imported inside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting import Fit
    from analysis.intervals.uncertainty import Bootstrap

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Foretold:
    """Losses expected of new runs [n], with the ends of each one's interval."""

    value: Array
    lo: Array
    hi: Array


@dataclass(frozen=True)
class Extrapolation:
    """What a method says: the limit E with its interval and verdict, and what it expects of larger runs."""

    E: float
    lo: float
    """Lower end; 0 where no floor at all is possible."""
    hi: float
    """Upper end; infinite where the runs do not bound the limit."""
    verdict: str
    """One of `identify.VERDICTS`: "identified" is a claim that the limit lies in lo to hi."""
    reason: str
    predict: Callable[[pd.DataFrame], Foretold]
    """Losses of runs with columns N, D and C, with intervals of the level asked for."""


class Method(Protocol):
    """A method: runs -> Extrapolation. Deterministic; raises InputError where it cannot be applied to these runs."""

    def __call__(
        self, frame: pd.DataFrame, *, level: float, seed: int, replicates: int
    ) -> Extrapolation:  # fmt: skip
        """Extrapolate runs with columns N, D, C and L, and trunk_id and seed where they are known."""
        ...


@dataclass(frozen=True)
class Bootstrapped:
    """One law, its percentiles over a bootstrap, and nothing else: a limit is claimed when the interval excludes 0."""

    law: str
    clusters: str = "auto"
    """"pairs", or "auto": whole trunks where there are any."""

    def __call__(self, frame: pd.DataFrame, *, level: float, seed: int, replicates: int) -> Extrapolation:
        """Fit and resample."""
        fit, boot = _bootstrapped(frame, self.law, self.clusters, level, seed, replicates)
        ends = boot.intervals()["E"]
        if ends.lo > 0:
            verdict, reason = "identified", f"its interval, {ends.lo:.4g} to {ends.hi:.4g}, excludes 0"
        else:
            verdict, reason = "not_identified", "its interval includes 0"
        return Extrapolation(
            fit.params["E"], ends.lo, ends.hi, verdict, reason, lambda points: _foretold(fit, boot, points)
        )


@dataclass(frozen=True)
class Profiled:
    """One law, its bootstrap and its profile, the wider of the two, and the verdict of `analysis.floor.identify`."""

    law: str
    clusters: str = "auto"

    def __call__(self, frame: pd.DataFrame, *, level: float, seed: int, replicates: int) -> Extrapolation:
        """Fit, resample, profile and judge."""
        from dataclasses import replace

        from analysis.floor.identify import verdict
        from analysis.forecast import forecast
        from analysis.intervals.profile import profile

        fit, boot = _bootstrapped(frame, self.law, self.clusters, level, seed, replicates)
        curve = profile(frame, fit, level=level, clusters=self.clusters, seed=seed)
        found = verdict(frame, fit, boot, curve)
        floors = forecast(frame, replace(fit, profile=curve.as_dict()), boot).floors

        def predict(points: pd.DataFrame) -> Foretold:
            made = _foretold(fit, boot, points)
            spanned = floors(**fit.arguments(points))
            return Foretold(
                made.value, np.minimum(made.lo, spanned.min(axis=0)), np.maximum(made.hi, spanned.max(axis=0))
            )

        return Extrapolation(found.E, found.lo, found.hi, found.verdict, found.reason, predict)


@dataclass(frozen=True)
class Combined:
    """The project's own: all admissible laws and ranges of runs, weighed by how they foretold larger runs."""

    law: str = "hoffmann"
    clusters: str = "auto"

    def __call__(self, frame: pd.DataFrame, *, level: float, seed: int, replicates: int) -> Extrapolation:
        """Fit every candidate, combine and judge, as `fit` and `limit` do: with their number of replicates."""
        from analysis.floor.admissible import combine
        from analysis.floor.judgement import judge

        combined = combine(frame, law=self.law, clusters=self.clusters, seed=seed, level=level)
        found = judge(frame, combined)
        return Extrapolation(
            found.E, found.lo, found.hi, found.verdict, found.reason,
            lambda points: Foretold(*combined.predict(points)),
        )  # fmt: skip


METHODS: dict[str, Method] = {
    "hoffmann, pairs": Bootstrapped("hoffmann", clusters="pairs"),
    "hoffmann, trunks": Bootstrapped("hoffmann"),
    "power in C": Bootstrapped("power"),
    "tied": Bootstrapped("tied"),
    "coupled": Bootstrapped("coupled"),
    "shifted": Bootstrapped("shifted"),
    "stretched": Bootstrapped("stretched"),
    "hoffmann, profile": Profiled("hoffmann"),
    "admissible": Combined(),
}


def methods_named(names: tuple[str, ...]) -> dict[str, Method]:
    """The methods of these names, all of them where none is named; raises InputError with the names there are."""
    for name in names:
        if name not in METHODS:
            raise InputError(
                f"no method is called {name!r}; there are: {', '.join(map(repr, METHODS))} (quote names with spaces)"
            )
    return {name: METHODS[name] for name in names or METHODS}


def _bootstrapped(
    frame: pd.DataFrame, law: str, clusters: str, level: float, seed: int, replicates: int
) -> tuple[Fit, Bootstrap]:
    from analysis.fitting import fit as fit_law
    from analysis.intervals.uncertainty import bootstrap
    from analysis.rows import law_named

    needed = len(law_named(law).parameters()) + 1
    if len(frame) < needed:
        raise InputError(f"{len(frame)} runs, and {needed} are needed for {needed - 1} parameters")
    fit = fit_law(frame, law)
    return fit, bootstrap(frame, fit, replicates=replicates, clusters=clusters, seed=seed, level=level)


def _foretold(fit: Fit, boot: Bootstrap, points: pd.DataFrame) -> Foretold:
    from analysis.intervals.uncertainty import predict

    made = predict(boot, fit, points)
    return Foretold(made.value, made.lo, made.hi)
