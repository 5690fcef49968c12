"""From the calendar to the loss: what a fit says of the compute that a trend foretells, year by year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import evidence, laws, record
from analysis.errors import InputError
from analysis.forecast import Forecast, forecast
from analysis.intervals.interval import tails
from analysis.options import Options
from analysis.source import of_stored_fit, open_source
from analysis.trends.trend import Trend
from analysis.verbs import renames

if TYPE_CHECKING:
    from analysis.walls.scenario import Scenario

Array = NDArray[np.float64]

DRAWS = 9
"""Equally likely lines of the trend that each replicate of a law is followed along."""


@dataclass(frozen=True)
class Law:
    """A fit that was kept, and what it says beyond its runs."""

    path: Path
    table: str
    name: str
    forecast: Forecast
    verdict: str
    """Of the floor: identified, bounded_above_only or not_identified."""


@dataclass(frozen=True)
class Wall:
    """Something that a scenario says happens: the year in the middle, the ends of its interval (infinite: not before
    the last date looked at), and the probability that it happens before that."""

    name: str
    value: float
    lo: float
    hi: float
    probability: float


@dataclass(frozen=True)
class Calendar:
    """Compute and loss at dates [k], with intervals that hold the trend's uncertainty and the law's."""

    law: Law
    trend: Trend
    years: Array
    compute: Array
    """[3, k] FLOPs of the trend: value, lo, hi."""
    loss: Array
    """[3, k] nats per token: value, lo, hi."""
    level: float
    walls: tuple[Wall, ...] = ()
    """In the order of the scenario's events; empty without a scenario."""
    binding: Mapping[str, Array] = field(default_factory=dict)
    """[k] probability that ten times more of a resource is worth more than of the others; empty without a scenario."""
    scenario: Scenario | None = None

    @property
    def reach(self) -> Array:
        """[k] how many times the largest run's compute the trend's is."""
        return np.asarray(self.compute[0] / self.law.forecast.largest)

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """[k] whether a date is later than the trend's last model."""
        return np.asarray(self.years > self.trend.last)


def law(path: Path) -> Law:
    """The law of a fit.json, or of a study folder that holds one; nothing is written.

    Raises InputError where there is no fit.json or its table is not beside it or was edited, and for a law without a
    floor, or of something else than parameters and tokens, or compute.
    """
    stored = path / "fit.json" if path.is_dir() else path
    if not stored.is_file():
        raise InputError(f"no fit at {stored}; make one with python -m analysis fit {path} --out {stored}")
    if stored.suffix != ".json":
        raise InputError(f"--fit {path} is neither a study folder nor a fit.json; fit the table first")
    table, _home, options = of_stored_fit(stored, None, Options())
    source, fit = open_source(table, renames(options.columns)), record.read(stored)
    if fit.table_sha256 and fit.table_sha256 != source.table_sha256:
        raise InputError(f"{stored} is of another version of {table.name}; fit the table again")
    reason = evidence.no_floor(fit)
    columns = set(fit.columns)
    if reason or not ({"N", "D"} <= columns or list(fit.columns.values()) == ["C"]):
        raise InputError(
            f"{stored} is of the law {fit.law}, which gives no loss for a compute; fit one in N and D, e.g. hoffmann"
        )
    from analysis.pages.findings import again

    boot, combined = again(source, fit, options)
    made = forecast(source.table, fit, boot, combined)
    return Law(stored, table.name, fit.law, made, str(fit.identification.get("verdict", "")))


def calendar(law: Law, trend: Trend, until: float) -> Calendar:
    """Loss at the start of every year of the trend, and at its last model, and on to `until`."""
    years = _years(trend, until)
    return Calendar(
        law, trend, years, _compute(trend, years), losses(law.forecast, trend, years), trend.level
    )


def walled(law: Law, trend: Trend, until: float, scenario: Scenario, seed: int) -> Calendar:
    """As `calendar`, with the scenario's stock of tokens and progress of recipes, and when a wall binds.

    Compute is the trend's; the scenario's own compute, growth and budget are not used.
    """
    from analysis.walls.timeline import when

    years = _years(trend, until)
    line = when(law.forecast, scenario, years, 10.0 ** trend.widened.at(years), seed)
    probabilities = [0.5, *tails(trend.level)]
    walls = []
    for name, found in line.events.items():
        value, lo, hi = (float(at) for at in line.quantiles(found, probabilities))
        walls.append(Wall(name, value, lo, hi, float(line.weights @ np.isfinite(found))))
    loss = line.quantiles(np.maximum(line.loss, 0.0), probabilities)
    return Calendar(
        law,
        trend,
        years,
        _compute(trend, years),
        loss,
        trend.level,
        tuple(walls),
        dict(line.binding),
        scenario,
    )


def _years(trend: Trend, until: float) -> Array:
    first = int(np.ceil(trend.series.years.min()))
    return np.array(sorted({*map(float, range(first, int(until) + 1)), trend.last, until}))


def _compute(trend: Trend, years: Array) -> Array:
    return 10.0 ** np.stack(trend.at(years))


def losses(made: Forecast, trend: Trend, years: Array) -> Array:
    """[3, k]: the loss at the trend's compute, and the ends of its interval.

    Every replicate of every law is followed along `DRAWS` lines, quantiles of the trend's replicates: trend and law
    come of different data, so all pairs of them are as likely.
    """
    places = (np.arange(DRAWS) + 0.5) / DRAWS
    drawn = 10.0 ** np.quantile(trend.widened.at(years), places, axis=0)  # [DRAWS, k]
    probabilities = [0.5, *tails(trend.level)]
    if made.combined is not None:
        combined = made.combined.quantiles(
            lambda candidate: _followed(made, candidate.boot.law, drawn), probabilities
        )
        return np.maximum(combined, 0.0)  # the blur of their errors may reach below 0, which no loss does
    found = np.concatenate([_followed(made, one, drawn) for one in (made.replicates, made.floors)])
    return np.asarray(np.quantile(found, probabilities, axis=0))


def _followed(made: Forecast, law: laws.Law, drawn: Array) -> Array:
    """[R DRAWS, k] losses of a law's replicates at computes [DRAWS, k]."""
    flat = made.track.loss(law, drawn.ravel())
    return np.asarray(flat.reshape(-1, drawn.shape[1]))
