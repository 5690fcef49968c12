"""What share of simulated truths a profile's interval caught, and the threshold at which it catches the level."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting import Fit, scan, solve_batch
from analysis.intervals.calibration import calibrated
from analysis.intervals.caught import Caught
from analysis.intervals.coverage import STEPS, crossed, simulated_tables
from analysis.intervals.interval import Interval, Uncertainty
from analysis.intervals.profile import Profile

if TYPE_CHECKING:
    import pandas as pd


def profile_coverage(
    table: pd.DataFrame, fit: Fit, boot: Uncertainty, curve: Profile, *, truths: int, seed: int = 0
) -> Caught:
    """The count of one profile on the tables that `coverage` simulates, each fitted with the parameter free and held
    at its truth: the truth is caught where the objective rises by no more than the profile's threshold, which stands
    for those that each table would have, as their noise is that of the runs.

    The calibrated threshold is the rise that the level of these truths do not exceed, a likelihood ratio calibrated by
    simulation. An end is NaN where the profile never rises that far.
    """
    frame = fit.select(table).frame
    problem, weights = fit.problem(frame), fit.weights(frame)
    made = list(simulated_tables(table, fit, boot, truths=truths, seed=seed))
    targets = np.stack([fit.aims(simulated) for _, simulated in made])
    every, grid = np.broadcast_to(weights, targets.shape), scan(problem)
    held = {curve.parameter: np.array([float(truth.as_dict()[curve.parameter]) for truth, _ in made])}
    free = solve_batch(problem, every, grid=grid, max_steps=STEPS, targets=targets).objective
    fixed = solve_batch(problem, every, held, grid=grid, max_steps=STEPS, targets=targets).objective
    sizes = np.maximum(fixed - free, 0.0) / curve.threshold
    plain = Interval(curve.lo, curve.hi, curve.level, curve.method)
    size, found = calibrated(sizes, curve.level), None
    if math.isfinite(size):
        lo, hi = curve.between(size * curve.threshold)
        found = Interval(lo, hi, curve.level, f"{curve.method}, calibrated at {size:.3g} times its threshold")
    caught = int((sizes <= 1).sum())
    return Caught(plain, caught, len(sizes), found, math.nan, size, crossed(sizes, curve.level))
