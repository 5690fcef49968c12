"""All that is said of a table of models: the trends of every quantity in every version, their breaks, the claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.errors import InputError
from analysis.trends import breaks, claims
from analysis.trends.breaks import Breaks
from analysis.trends.claims import Claim, Judged
from analysis.trends.models import QUANTITIES, Series, Table, Window
from analysis.trends.trend import ACTIVE, ALL, Missing, Sampling, Trend
from analysis.trends.versions import all_models, running


@dataclass(frozen=True)
class Asked:
    """What is asked of a table."""

    window: Window = Window()
    windows: tuple[Window, ...] = ()
    """More windows, in each of which all models are fitted by least squares."""
    top: int = 1
    """How many of the largest models at a date count as its records."""
    claims: tuple[Claim, ...] = ()
    sampling: Sampling = Sampling()


@dataclass(frozen=True)
class Quantity:
    """The trends of one quantity."""

    name: str
    series: Series
    """Every model that has it, those outside the window too."""
    versions: tuple[Trend, ...]
    """All models by OLS, which is the headline, all by Huber, the records by both; active parameters by OLS where the
    table tells mixtures of experts from dense models."""
    windows: tuple[Trend, ...]
    missing: tuple[Missing, ...]
    breaks: Breaks

    @property
    def headline(self) -> Trend:
        """All models by least squares, whatever the numbers: published rates are made so, it has the most models, and
        its interval holds what it promises (`python -m benchmarks.trend_coverage`)."""
        return self.versions[0]

    @property
    def record(self) -> Trend | None:
        """The trend of the records by least squares, where there is one."""
        others = (ALL, ACTIVE)
        return next((t for t in self.versions if t.version not in others and t.method == "OLS"), None)


@dataclass(frozen=True)
class Study:
    """Trends, breaks and verdicts of a table."""

    table: Table
    asked: Asked
    quantities: tuple[Quantity, ...]
    absent: tuple[Missing, ...]
    """Quantities without a trend, and why."""
    judged: tuple[Judged, ...]

    def of(self, name: str) -> Quantity | None:
        """The quantity of that name; None where it has no trend."""
        return next((one for one in self.quantities if one.name == name), None)


def study(table: Table, asked: Asked) -> Study:
    """Every trend of the table; raises InputError where no quantity has one, or a claim is of one without."""
    found, absent = [], []
    for name, series in table.series.items():
        one = quantity(name, series, asked, table.active if name == "parameters" else None)
        if isinstance(one, Missing):
            absent.append(one)
        else:
            found.append(one)
    if not found:
        reasons = "; ".join(f"{one.quantity}: {one.reason}" for one in absent)
        raise InputError(
            f"no quantity has a trend ({reasons}); widen --where, --since or --until, or add models"
        )
    for claim in asked.claims:
        _require(claim, found, absent)
    judged = tuple(
        claims.judge(
            claim, (*one.versions, *one.windows), one.breaks.found.segments if one.breaks.found else ()
        )
        for claim in asked.claims
        for one in found
        if one.name == claim.quantity
    )
    return Study(table, asked, tuple(found), tuple(absent), judged)


def quantity(name: str, series: Series, asked: Asked, active: Series | None = None) -> Quantity | Missing:
    """The trends of one quantity; Missing where all its models of the window allow none.

    active: the same quantity, of mixtures of experts only the part that works on a token, as one more version.
    """
    made = [
        *(all_models(series, asked.window, method, asked.sampling) for method in ("OLS", "Huber")),
        *(running(series, asked.window, method, asked.sampling, asked.top) for method in ("OLS", "Huber")),
    ]
    if active is not None:
        made.append(all_models(active, asked.window, "OLS", asked.sampling, ACTIVE))
    if isinstance(made[0], Missing):
        return made[0]
    others = [all_models(series, window, "OLS", asked.sampling) for window in asked.windows]
    everything = [*made, *others]
    headline = made[0]
    return Quantity(
        name,
        series,
        tuple(t for t in made if isinstance(t, Trend)),
        tuple(t for t in others if isinstance(t, Trend)),
        tuple(t for t in everything if isinstance(t, Missing)),
        breaks.breaks(headline.series, asked.sampling),
    )


def _require(claim: Claim, found: Sequence[Quantity], absent: Sequence[Missing]) -> None:
    if any(one.name == claim.quantity for one in found):
        return
    why = next(
        (one.reason for one in absent if one.quantity == claim.quantity), "the table has no such column"
    )
    known = ", ".join(one.name for one in found)
    raise InputError(
        f"--claim {claim.text!r} is of {QUANTITIES[claim.quantity]}, of which there is no trend ({why}); name it by "
        f"--columns, or claim one of {known}"
    )
