"""How often the intervals of `analysis.trends` hold the truth, and how often its break test errs. Nominal: 90 %, 5 %.

    python -m benchmarks.trend_coverage --sets 300

A set is models of organisations of unequal size (the k-th has a share of 1/k), with dates uniform over 7 years and
log10 of the quantity 0.6 a year plus an offset of the organisation (0.5 decades) and noise of the model (0.6). For
each design: the share of sets whose interval of the slope held the truth, by least squares with expanded percentiles
(as the verb has them), with plain percentiles, by Huber, and for the records, of which the truth is the mean of their
slopes over the sets; then the share of sets in which a break was found that is not there (size), in which one was found
where the rate falls from 0.6 to -0.3 decades a year half way (power), and whose interval of its date held the truth. A
share of 300 sets that is 90 % is known to 1.7.

usual      25 organisations, 120 models
few        12 organisations
many       60 organisations, 150 models
equal      25 organisations of equal size
own_rates  the organisations' rates differ too, by 0.15 decades a year

Of 200 sets with 300 replicates: expanded percentiles held the rate in 0.885 to 0.935, plain ones in 0.835 to 0.865,
those of the records in 0.93 to 0.96; the test erred in 0.025 to 0.05 and found the break in 0.98 to 1.00, and the
interval of its date held it in 0.82 to 0.85.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.trends.breaks import breaks
from analysis.trends.models import Series, Window
from analysis.trends.trend import Missing, Sampling
from analysis.trends.versions import all_models, running

Array = NDArray[np.float64]

RATE, CHANGE, HALF_WAY = 0.6, -0.9, 2021.5


@dataclass(frozen=True)
class Design:
    """How the models of a set come about."""

    organizations: int = 25
    models: int = 120
    equal: bool = False
    own_rates: float = 0.0


DESIGNS = {
    "usual": Design(),
    "few": Design(organizations=12),
    "many": Design(organizations=60, models=150),
    "equal": Design(equal=True),
    "own_rates": Design(own_rates=0.15),
}


def drawn(design: Design, seed: int) -> Series:
    """A set of models."""
    rng = np.random.default_rng(seed)
    share = np.ones(design.organizations) if design.equal else 1 / np.arange(1, design.organizations + 1)
    group = rng.choice(design.organizations, design.models, p=share / share.sum())
    years = np.sort(rng.uniform(2018, 2025, design.models))
    offsets, rates = rng.normal(0, [[0.5], [design.own_rates]], (2, design.organizations))
    noise = rng.normal(0, 0.6, design.models)
    logs = 8 + (RATE + rates[group]) * (years - HALF_WAY) + offsets[group] + noise
    _, groups = np.unique(group, return_inverse=True)
    names = tuple(map(str, range(design.models)))
    return Series("compute", names, tuple(map(str, group)), years, logs, groups.astype(np.intp))


def measured(design: Design, sets: int, replicates: int) -> dict[str, float]:
    """The shares of a design."""
    held: dict[str, list[bool]] = {}
    records: list[tuple[float, float, float]] = []
    for seed in range(sets):
        made, sampling = drawn(design, seed), Sampling(replicates, seed)
        for method in ("OLS", "Huber"):
            trend = all_models(made, Window(), method, sampling)
            assert not isinstance(trend, Missing)
            held.setdefault(method, []).append(_holds(trend.slopes, RATE))
            if method == "OLS":
                plain = np.quantile(trend.drawn.slope, [0.05, 0.95])
                held.setdefault("plain", []).append(_holds((float(plain[0]), float(plain[1])), RATE))
        record = running(made, Window(), "OLS", sampling)
        if not isinstance(record, Missing):
            records.append((record.slope, *record.slopes))
        bent = replace(made, logs=made.logs + CHANGE * np.maximum(0, made.years - HALF_WAY))
        found = breaks(bent, sampling)
        assert found.first is not None
        held.setdefault("size", []).append(_finds(made, sampling))
        held.setdefault("power", []).append(found.first.significant)
        held.setdefault("date", []).append(_holds(found.first.intervals[0], HALF_WAY))
    truth = float(np.mean([one[0] for one in records]))
    shares = {name: float(np.mean(values)) for name, values in held.items()}
    return shares | {"records": float(np.mean([_holds((lo, hi), truth) for _, lo, hi in records]))}


def _finds(made: Series, sampling: Sampling) -> bool:
    """Whether the test finds a first break, fragile or not."""
    first = breaks(made, sampling).first
    return first is not None and first.significant


def _holds(ends: tuple[float, float], truth: float) -> bool:
    return ends[0] <= truth <= ends[1]


def main() -> None:
    """Print a line a design."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--replicates", type=int, default=400)
    given = parser.parse_args()
    names = ("OLS", "plain", "Huber", "records", "size", "power", "date")
    print("design    " + "".join(f"{name:>9}" for name in names))
    for name, design in DESIGNS.items():
        shares = measured(design, given.sets, given.replicates)
        print(f"{name:10}" + "".join(f"{shares[key]:9.3f}" for key in names), flush=True)


if __name__ == "__main__":
    main()
