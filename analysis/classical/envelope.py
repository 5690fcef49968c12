"""Approach 1: the lower envelope of loss over compute, by the run of least loss at each.

Hoffmann et al. 2022 (arXiv 2203.15556, section 3.1), and before them Kaplan et al. 2020 (arXiv 2001.08361). Works on
training curves, many rows a run with growing compute, and on tables of one row a run. Its answer comes in steps of the
sizes that were trained; the least of several noisy losses lies a little below the best loss; and rows on the way of a
schedule that has not decayed are not the losses that runs of that length would have (so approach 1 needs a constant
rate, or a run for each length). Of one row a run, a bin compares runs of different compute, which favours the larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import rows
from analysis.classical.allocation import Allocation, Line, Point, Refused, expanded, line
from analysis.errors import InputError
from analysis.intervals.uncertainty import grouping, resample

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

BINS_A_DECADE = 4
"""Bins in a factor of ten of compute."""
LEAST_WINNERS = 3
"""Different sizes that must win somewhere: with fewer, the steps of the envelope are its slope."""


@dataclass(frozen=True)
class Runs:
    """What every run has to offer in every bin, [runs, bins], NaN where it has no row there; N is [runs]."""

    N: Array
    C: Array
    D: Array
    L: Array
    centres: Array
    """Computes in the middle of the bins, [bins]."""
    cluster: NDArray[np.intp]
    """What each run is resampled with, [runs]."""


@dataclass(frozen=True)
class Winners:
    """The run of least loss in each bin of each replicate, [R, bins]: its number, and 0 where it is used, 1 where no
    run is there, 2 where it is the smallest of the sizes there and 3 where it is the largest."""

    run: NDArray[np.intp]
    state: NDArray[np.intp]


def envelope(
    frame: pd.DataFrame,
    *,
    run: str = "auto",
    bins: int = BINS_A_DECADE,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
) -> Allocation:
    """N_opt ~ C^a and D_opt ~ C^b by least squares through the envelope, with a bootstrap over whole runs.

    frame has columns N, D, C, L. run names the column that says whose row it is ("auto": run_id where it repeats, else
    each row is a run). At the middle of each bin (`bins` a decade) a run of several rows is interpolated, log L and log
    D linear in log C, and not extrapolated; a run of one row counts in the bin of its C. A bin is used where its best
    size lies between others. Raises InputError where under three sizes win, or the rest has no line.
    """
    runs = _runs(frame, run, bins, clusters)
    found = _winners(runs, np.ones((1, len(runs.N)), dtype=bool))
    points, refused = _told(runs, found)
    winning = len({point.N for point in points})
    if winning < LEAST_WINNERS:
        raise InputError(_too_few(winning, len(points), refused))
    intercept, slope = _lines(runs, found)
    weights = resample(runs.cluster, replicates, np.random.default_rng(seed)) if replicates else None
    many = _winners(runs, weights > 0) if weights is not None else None
    intercepts, slopes = _lines(runs, many) if many else (np.empty((2, 0)), np.empty((2, 0)))
    lines = [Line(float(intercept[i, 0]), float(slope[i, 0]), intercepts[i], slopes[i]) for i in range(2)]
    units = int(runs.cluster.max()) + 1
    return Allocation(
        approach="envelope",
        N=lines[0],
        D=lines[1],
        points=points,
        refused=refused,
        rows=len(frame),
        method=f"resampling {units} runs or clusters of runs",
        level=level,
        probabilities=expanded(level, units - 1),
        seed=seed,
        used=f"{len(points)} of {len(points) + len(refused)} bins, {winning} sizes of {len(np.unique(runs.N))}",
        warnings=(),
        places=np.arange(len(frame)),
    )


def _runs(frame: pd.DataFrame, run: str, bins: int, clusters: str) -> Runs:
    if bins < 1:
        raise InputError(f"bins is {bins}; use at least 1 a decade of compute, e.g. {BINS_A_DECADE}")
    codes = _codes(frame, run)
    groups, how = grouping(frame, clusters)
    N, D, C, L = (np.log(np.asarray(frame[name], dtype=np.float64)) for name in ("N", "D", "C", "L"))
    step = np.log(10) / bins
    count = int(np.floor((C.max() - C.min()) / step + 0.5 + 1e-9)) + 1
    centres = C.min() + step * np.arange(count)
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    _require_one_size(frame, members)
    offers = np.stack([_offer(C[m], D[m], L[m], centres, step) for m in members])
    first = np.array([m[0] for m in members])
    cluster = np.arange(len(members)) if how == "pairs" else np.unique(groups[first], return_inverse=True)[1]
    return Runs(N[first], offers[:, 0], offers[:, 1], offers[:, 2], centres, cluster.astype(np.intp))


def _codes(frame: pd.DataFrame, run: str) -> NDArray[np.intp]:
    """Number of the run of each row."""
    if run == "auto":
        repeats = "run_id" in frame.columns and frame["run_id"].dropna().duplicated().any()
        run = "run_id" if repeats else "pairs"
    return grouping(frame, run)[0]


def _require_one_size(frame: pd.DataFrame, members: list[NDArray[np.intp]]) -> None:
    N = np.asarray(frame["N"], dtype=np.float64)
    for m in members:
        if np.ptp(N[m]) > 0:
            label = rows.label(frame, frame.index[m[0]])
            raise InputError(
                f"the run of {label} has models from {N[m].min():.4g} to {N[m].max():.4g} parameters; a run has one "
                "size: name the column that tells runs apart"
            )


def _offer(C: Array, D: Array, L: Array, centres: Array, step: float) -> Array:
    """log C, log D and log L that a run of rows [n] has at the bins, [3, bins]."""
    offer = np.full((3, len(centres)), np.nan)
    order = np.argsort(C, kind="stable")
    C, D, L = C[order], D[order], L[order]
    if C[0] == C[-1]:
        place = int(np.clip(np.rint((C[0] - centres[0]) / step), 0, len(centres) - 1))
        offer[:, place] = C[0], D[0], L.mean()
        return offer
    reached = (centres >= C[0] - 1e-9) & (centres <= C[-1] + 1e-9)
    at = centres[reached]
    offer[:, reached] = at, np.interp(at, C, D), np.interp(at, C, L)
    return offer


def _winners(runs: Runs, present: NDArray[np.bool_]) -> Winners:
    """The winners where only runs `present` [R, runs] are there."""
    shape = len(present), len(runs.centres)
    run, state = np.zeros(shape, dtype=np.intp), np.ones(shape, dtype=np.intp)
    for k in range(shape[1]):
        here = np.flatnonzero(np.isfinite(runs.L[:, k]))
        if not len(here):
            continue
        there = present[:, here]
        best = here[np.argmin(np.where(there, runs.L[here, k], np.inf), axis=1)]
        smallest = np.where(there, runs.N[here], np.inf).min(axis=1)
        largest = np.where(there, runs.N[here], -np.inf).max(axis=1)
        run[:, k] = best
        edge = np.where(runs.N[best] <= smallest, 2, np.where(runs.N[best] >= largest, 3, 0))
        state[:, k] = np.where(there.any(axis=1), edge, 1)
    return Winners(run, state)


def _lines(runs: Runs, found: Winners) -> tuple[Array, Array]:
    """Intercepts and slopes of log N_opt and log D_opt on log C, [2, R]; NaN where under three sizes win."""
    used = found.state == 0
    bins = np.arange(used.shape[1])
    C = np.where(used, runs.C[found.run, bins], 0.0)
    sizes = np.where(used, runs.N[found.run], np.nan)
    ordered = np.sort(sizes, axis=1)
    many = used.any(axis=1) + (np.diff(ordered, axis=1) > 0).sum(axis=1) >= LEAST_WINNERS
    weights = used * many[:, None].astype(float)
    fitted = [line(C, values, weights) for values in (sizes, runs.D[found.run, bins])]
    return np.stack([intercept for intercept, _ in fitted]), np.stack([slope for _, slope in fitted])


def _told(runs: Runs, found: Winners) -> tuple[tuple[Point, ...], tuple[Refused, ...]]:
    """The bins that are used and those that are not, of the one replicate."""
    points, refused = [], []
    for k, (run, state) in enumerate(zip(found.run[0], found.state[0], strict=True)):
        here = np.isfinite(runs.L[:, k])
        sizes = len(np.unique(runs.N[here]))
        if state == 0:
            values = (runs.C[run, k], runs.N[run], runs.D[run, k], runs.L[run, k])
            points.append(Point(*(float(np.exp(value)) for value in values)))
        elif here.any():
            end = "smallest" if state == 2 else "largest"
            reason = (
                f"the {end} of its {sizes} sizes is best: an edge" if sizes > 1 else "one size only: an edge"
            )
            refused.append(Refused(float(np.exp(runs.centres[k])), int(here.sum()), reason))
    return tuple(points), tuple(refused)


def _too_few(winning: int, bins: int, refused: tuple[Refused, ...]) -> str:
    edges = f" ({len(refused)} bins have their smallest or largest size as the best)" if refused else ""
    return (
        f"{winning} size{'s win' if winning != 1 else ' wins'} in the bins whose best size lies between others, {bins} "
        f"in all{edges}, and an envelope needs {LEAST_WINNERS} winners; add sizes above and below, or take fewer bins "
        "a decade"
    )
