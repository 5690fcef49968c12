"""What a specification curve costs: at least 500 specifications of a table, each with 200 bootstrap replicates.

    python -m benchmarks.specification_speed [TABLE] [--replicates 200] [--workers 2] [--check]

The table is by default Hoffmann et al.'s 245 points in the folder SCALING_REFERENCE_DATA; to the default choices it
adds three deltas. Printed are the seconds by the clock and, which a busy machine lengthens less, the processor seconds
of all processes. --check fits replicates of every tenth law on a set of rows by a global search of their own and
counts those in which one found a lower minimum than the other.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

DELTAS = ("log_huber 0.03", "log_huber 0.003", "log_huber 0.0003")
EVERY, CHECKED = 10, 50
"""Of the laws on sets of rows, and of the replicates, those that are checked."""
SAME = 1e-6
"""Minima whose objectives differ by less than this share are the same."""


def processor_seconds() -> float:
    """Of this process and those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def check(plan, replicates: int) -> tuple[int, int, int]:
    """Replicates compared, and how many the chain and the search of each found a lower minimum for."""
    from dataclasses import replace

    from analysis.choices.refits import refit
    from analysis.choices.specification_curve import tasks_of
    from analysis.fitting import solve_batch
    from analysis.intervals.uncertainty import resample
    from analysis.laws import LAWS
    from analysis.solver.objective import LeastAbsolute
    from analysis.solver.problem import Problem

    compared = lower = higher = 0
    for task in list(tasks_of(plan, replicates, 0).values())[::EVERY]:
        weights = resample(task.groups, replicates, np.random.default_rng(0))
        for found in refit(replace(task, cuts={})).values():
            if isinstance(found.objective, LeastAbsolute):
                continue  # its replicates end at a delta of their own
            problem = Problem(LAWS[task.law], dict(task.columns), task.L, found.objective)
            chain = (weights * found.objective.rho(problem.residual(found.replicates))).sum(axis=1)
            search = solve_batch(problem, weights, max_steps=60).objective
            compared += replicates
            lower += int((chain < search * (1 - SAME)).sum())
            higher += int((chain > search * (1 + SAME)).sum())
    return compared, lower, higher


def main() -> None:
    """Measure and print."""
    from analysis import curve, read, specifications
    from analysis.choices.choices import OBJECTIVES

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("SCALING_REFERENCE_DATA", "")
    parser.add_argument("table", type=Path, nargs="?", default=Path(folder) / "chinchilla.csv")
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="compare replicates with a search of each")
    chosen = parser.parse_args()
    start, used = time.perf_counter(), processor_seconds()
    plan = specifications(read(chosen.table), objectives=(*OBJECTIVES, *DELTAS))
    found = curve(plan, replicates=chosen.replicates, workers=chosen.workers)
    took, used = time.perf_counter() - start, processor_seconds() - used
    count = len(found.table)
    print(
        f"{count} specifications of {len(plan.frame)} rows with {chosen.replicates} replicates each, "
        f"{chosen.workers} processes: {took:.1f} s by the clock, {used:.1f} processor seconds "
        f"({1000 * used / count / chosen.replicates:.2f} ms a refit)",
        flush=True,
    )
    if chosen.check:
        compared, lower, higher = check(plan, min(chosen.replicates, CHECKED))
        print(
            f"of {compared} replicates the chain is lower than a search of each in {lower}, higher in {higher}"
        )


if __name__ == "__main__":
    main()
