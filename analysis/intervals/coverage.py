"""What share of simulated truths each interval caught on the user's own design, and the interval calibrated by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import Fit, scan, solve_batch, vector
from analysis.frontier import Frontier, cost, two_powers
from analysis.intervals.calibration import Member, calibrated, level_of, member, smallest
from analysis.intervals.caught import Caught, Coverage
from analysis.intervals.simulation import Noise, noise
from analysis.intervals.uncertainty import Interval, Uncertainty, grouping, resample
from analysis.laws import LAWS, Law
from analysis.options import FEWEST_TRUTHS as FEWEST
from analysis.rows import X
from analysis.solver.problem import Problem

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Quantities = Callable[[Law], dict[str, Array]]

TRUTHS = 300
"""Simulated tables: a share of 90 % of them is known within 3.4 percentage points (95 %)."""
REFITS = 200
"""Uncertainty refits of each simulated table. What is calibrated is a rank among them, which has no bias in their
number; more would sharpen it less than more tables do."""
ROWS, FULL = 300, 1000
"""Rows of a table up to which, and replicates asked for from which, `TRUTHS` tables are simulated by default; with more
rows or fewer replicates it is fewer, in proportion."""
UNBOUNDED = (-math.inf, math.inf)
STEPS = 60
"""Of the optimiser in a refit: the few that need more are on flat ground, where more would change little."""
ELEMENTS = 2**20
"""Rows of resamples that are worked on at once: 16 MB of weights and targets."""
BEYOND = (10.0, 100.0)
"""Multiples of the largest compute at which the loss is a quantity of its own."""


def coverage(
    table: pd.DataFrame,
    fit: Fit,
    boot: Uncertainty,
    *,
    truths: int = TRUTHS,
    refits: int = REFITS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Coverage:
    """Simulate the fit's own table `truths` times, fit and bootstrap each as the fit was, and count.

    Every other truth is the fitted law; those between are replicates of its bootstrap, so that the fit is not taken to
    be right. Of each, a table is made with the columns, clusters and weights of the fitted rows and the noise of their
    residuals (`simulation.noise`), under the fit's objective and delta. `refits` resamples of it are searched
    globally, and each quantity's percentile intervals are held against its truth. Quantities: the parameters, the
    exponents of the frontier where it has a closed form, and the loss at `BEYOND` times the largest compute along it
    (of a law of one column, times the largest of that).

    The intervals measured are those of `boot`: its level, and its clusters. progress is called with (done, truths).
    Raises InputError for fewer than 20 truths or 20 refits.
    """
    _check(truths, refits)
    frame = fit.select(table).frame
    problem, drawn = fit.problem(frame), _noise(fit, frame, boot)
    quantities = followed(table, fit)
    given = quantities(boot.law)
    given = {name: values for name, values in given.items() if np.isfinite(values).all()}
    sizes: dict[str, list[float]] = {name: [] for name in given}
    tables = _tables(frame, fit, boot, drawn, truths, refits, seed)
    for done, (truth, found) in enumerate(tables, start=1):
        true, values = quantities(truth), quantities(found)
        for name in sizes:
            sizes[name].append(smallest(np.asarray(values[name]), float(true[name])))
        if progress:
            progress(done, truths)
    bounds = dict(zip(problem.names, zip(problem.lower, problem.upper, strict=True), strict=True))
    measured = {
        name: _caught(np.array(found), given[name], boot, refits, bounds.get(name, UNBOUNDED))
        for name, found in sizes.items()
    }
    return Coverage(measured, truths, refits, seed, boot.level, boot.method, drawn.shared, drawn.own)


def simulated_tables(
    table: pd.DataFrame, fit: Fit, boot: Uncertainty, *, truths: int, seed: int = 0
) -> Iterator[tuple[Law, pd.DataFrame]]:
    """The truths and the tables on which `coverage` counts, the tables being the fit's rows with other losses."""
    frame = fit.select(table).frame
    problem = fit.problem(frame)
    drawn = _noise(fit, frame, boot)
    for number in range(truths):
        truth, losses, _ = _table(number, problem, fit, boot, drawn, seed)
        yield truth, frame.assign(**{fit.target: losses})


def _noise(fit: Fit, frame: pd.DataFrame, boot: Uncertainty) -> Noise:
    problem, weights = fit.problem(frame), fit.weights(frame)
    return noise(problem, vector(problem, fit.params), weights, grouping(frame, boot.clusters)[0])


def default_truths(law: type[Law], rows: int, replicates: int) -> int:
    """How many tables are simulated where no number is asked for: fewer of many rows, and where few replicates are
    asked for, as for a quick look; 0 where it would be fewer than 20, and of a law of more than two shape parameters,
    whose refits take 0.2 to 6 s of CPU a table."""
    if len(law.exponents) > 2:
        return 0
    found = min(TRUTHS, TRUTHS * ROWS // max(rows, 1), TRUTHS * replicates // FULL)
    return found if found >= FEWEST else 0


def followed(table: pd.DataFrame, fit: Fit) -> Quantities:
    """The quantities whose intervals are measured, as a function of a law: name -> values of its leading axis."""
    if {"N", "D"} != set(fit.columns):
        largest = float(fit.select(table).frame[next(iter(fit.columns.values()))].max())
        return lambda law: _of_one_column(law, largest) if set(fit.columns) == {X} else law.as_dict()
    chosen = fit.select(table)
    price, largest = cost(chosen), float(chosen.frame["C"].max())

    def of_size_and_data(law: Law) -> dict[str, Array]:
        track = Frontier(law, price)
        found = law.as_dict()
        if two_powers(law) is not None:
            found |= {name: getattr(track, name) for name in ("N_exponent", "D_exponent", "L_exponent")}
        with np.errstate(invalid="ignore", over="ignore"):
            return found | {loss_name(far): track.L_opt(far * largest) for far in BEYOND}

    return of_size_and_data


def loss_name(far: float) -> str:
    """Name of the loss at so many times the largest compute."""
    return f"L_at_{far:g}x"


def _of_one_column(law: Law, largest: float) -> dict[str, Array]:
    losses = {loss_name(far): law(x=np.array([far * largest]))[..., 0] for far in BEYOND}
    return law.as_dict() | losses


def _tables(
    frame: pd.DataFrame, fit: Fit, boot: Uncertainty, drawn: Noise, truths: int, refits: int, seed: int
) -> Iterator[tuple[Law, Law]]:  # fmt: skip
    """Each truth, with the refits of its table, fields [refits]; some tables are worked on at once."""
    problem, weights = fit.problem(frame), fit.weights(frame)
    groups, _ = grouping(frame, boot.clusters)
    grid, some = scan(problem), max(ELEMENTS // (refits * problem.size), 1)
    for first in range(0, truths, some):
        made = [
            _table(number, problem, fit, boot, drawn, seed)
            for number in range(first, min(first + some, truths))
        ]
        resampled = [resample(groups, refits, rng) * weights for _, _, rng in made]
        targets = np.repeat(np.stack([target for _, target, _ in made]), refits, axis=0)
        batch = solve_batch(problem, np.concatenate(resampled), grid=grid, max_steps=STEPS, targets=targets)
        for n, (truth, _, _) in enumerate(made):
            found = batch.parameters[:, n * refits : (n + 1) * refits]
            yield truth, LAWS[fit.law](**dict(zip(problem.names, found, strict=True)))


def _table(
    number: int, problem: Problem, fit: Fit, boot: Uncertainty, drawn: Noise, seed: int
) -> tuple[Law, Array, np.random.Generator]:
    """A truth, the losses [n] of its runs, and what its resamples are drawn with: the same for however many tables."""
    rng = np.random.default_rng((seed, 1, number))
    truth = fit.curve if number % 2 == 0 else _replicate(boot, int(rng.integers(boot.replicates)))
    losses, error = truth(**problem.columns), drawn.draw(rng)
    return truth, losses + error if problem.objective.raw else losses * np.exp(error), rng


def _replicate(boot: Uncertainty, number: int) -> Law:
    return replace(boot.law, **{name: float(values[number]) for name, values in boot.law.as_dict().items()})


def _caught(
    sizes: Array, values: Array, boot: Uncertainty, refits: int, bounds: tuple[float, float]
) -> Caught:
    """The count of one quantity, from the sizes [K] that its truths needed and the fit's own replicates [R].

    Where the plain interval ends at a bound of the parameter, the truths rest there as well and are caught for
    nothing, which says little of other truths (resampling is not consistent at a boundary: Andrews 2000, Econometrica
    68:399): such an interval is made no narrower.
    """
    plain, level = boot.interval(values), boot.level
    nominal = 1 - 2 * max(boot.tails(level)[0], 1 / (refits + 1))
    resting = plain.lo <= bounds[0] or plain.hi >= bounds[1]
    least = nominal if resting else 0.0
    size, found, at, stretch = calibrated(sizes, level), None, math.nan, math.nan
    if size <= least:
        found, at, stretch = replace(plain, method=f"{plain.method}, at a bound and not narrowed"), level, 1.0
    elif math.isfinite(size):
        chosen = member(size, refits)
        at, stretch = level_of(chosen.tail, boot.tails), chosen.stretch
        lo, hi = chosen.interval(values, bounds[0])
        found = Interval(lo, hi, level, f"{boot.method}, {_words(at, chosen)}")
    held_out = crossed(sizes, level, least)
    return Caught(plain, int((sizes <= nominal).sum()), len(sizes), found, at, stretch, held_out)


def crossed(sizes: Array, level: float, least: float = 0.0) -> int:
    """How many truths the interval caught that was calibrated on the other half of them, and is of a size of at least
    `least`."""
    half = np.arange(len(sizes)) // 2 % 2 == 0  # truths alternate between the fit and its replicates
    return int(
        sum((sizes[part] <= max(calibrated(sizes[~part], level), least)).sum() for part in (half, ~half))
    )


def _words(level: float, chosen: Member) -> str:
    at = f"calibrated at {level:.3g}"
    return at if chosen.stretch == 1 else f"{at}, stretched {chosen.stretch:.3g} times"


def _check(truths: int, refits: int) -> None:
    if truths < FEWEST:
        raise InputError(
            f"coverage is asked of {truths} simulated tables; use at least {FEWEST}, or 0 to leave it unmeasured"
        )
    if refits < FEWEST:
        raise InputError(f"refits is {refits}; use at least {FEWEST}, and {REFITS} for a steady calibration")
