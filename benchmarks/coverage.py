"""How often intervals of each method hold the truth, on simulated studies whose truth is known. Nominal: 90 %.

    python -m benchmarks.coverage --truths 100
    python -m benchmarks.coverage --methods bayes --truths 20

A study is the runs of a design with losses of Hoffmann's law (E 1.7, A 400, alpha 0.34, B 2000, beta 0.37) times
log-normal noise, fitted with the default objective. For each method: the share of studies whose interval of E, alpha,
beta and of the law at 10 times the largest compute held the truth, the median width of the interval of E, how many
studies the method refused, and processor seconds a study. A share of 100 studies that is 90 % is known to 3.

The bootstraps and the jackknife take about 0.5 processor seconds a study together, the profile 2.5 and bayes 8 to 15.

wide         7 sizes over 4 decades, 5 token budgets each, a second seed of the two smallest sizes; 1 % of noise in
             every run by itself
wide_noisy   the same with 5 %
five_trunks  5 sizes, 5 budgets; runs of one size are branches of one trunk, with 1 % of noise of the trunk and 0.3 %
             of each branch
ten_trunks   the same with two seeds
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.laws import Hoffmann

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting import Fit
    from analysis.intervals.interval import Uncertainty

Array = NDArray[np.float64]

TRUTH = Hoffmann(E=1.7, A=400.0, alpha=0.34, B=2000.0, beta=0.37)
LEVEL, REPLICATES = 0.9, 200
BUDGETS = np.array([5.0, 20.0, 80.0, 320.0, 1280.0])
BEYOND = {"N": 1e9 * 10**0.5, "D": 1e9 * 1280.0 * 10**0.5}
QUANTITIES = ("E", "alpha", "beta", "L at 10x")


def grid(sizes: int, seeds: int, trunk: float, branch: float, seed: int) -> pd.DataFrame:
    """Runs of sizes x budgets x seeds; those of one size and seed share a trunk's noise."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    shape = (sizes, len(BUDGETS), seeds)
    size, budget, draw = (axis.ravel() for axis in np.indices(shape))
    N = np.geomspace(1e5, 1e9, sizes)[size]
    D = N * BUDGETS[budget]
    shared = rng.standard_normal((sizes, seeds))[size, draw]
    noise = trunk * shared + branch * rng.standard_normal(len(N))
    trunks = [f"{s}-{d}" for s, d in zip(size, draw, strict=True)]
    columns = {"N": N, "D": D, "L": TRUTH(N=N, D=D) * np.exp(noise), "seed": draw, "trunk_id": trunks}
    return pd.DataFrame(columns)


def independent(noise: float, seed: int) -> pd.DataFrame:
    """Runs that share nothing, with a second seed of the two smallest sizes."""
    runs = grid(7, 2, 0.0, noise, seed).drop(columns="trunk_id")
    return runs[(runs["seed"] == 0) | (runs["N"] < 1e6)].reset_index(drop=True)


DESIGNS: dict[str, Callable[[int], pd.DataFrame]] = {
    "wide": lambda seed: independent(0.01, seed),
    "wide_noisy": lambda seed: independent(0.05, seed),
    "five_trunks": lambda seed: grid(5, 1, 0.01, 0.003, seed),
    "ten_trunks": lambda seed: grid(5, 2, 0.01, 0.003, seed),
}
NAMES = (
    "pairs",
    "cluster",
    "residual_rows",
    "residual",
    "wild",
    "seed_noise",
    "profile",
    "jackknife",
    "bayes",
)
"""Names of `analysis.intervals.methods`; residual_rows is the residual bootstrap that does not know of the trunks."""


def ends(name: str, runs: pd.DataFrame, fit: Fit, seed: int) -> list[tuple[float, float]]:
    """Lower and upper end of each of `QUANTITIES` by a method; an end that is not bounded is infinite."""
    from analysis.intervals.methods import uncertainty_by
    from analysis.intervals.posterior import posterior
    from analysis.intervals.profile import profiles

    if name == "profile":
        given = profiles(runs, fit, ("E", "alpha", "beta"), (BEYOND,), level=LEVEL, seed=seed).given.values()
        return [(np.nan_to_num(i.lo, nan=-np.inf), np.nan_to_num(i.hi, nan=np.inf)) for i in given]
    if name == "bayes":
        made = posterior(runs, fit, draws=300, warmup=300, level=LEVEL, seed=seed)
        return _ends_of(made, fit)
    method, clusters = ("residual", "pairs") if name == "residual_rows" else (name, "auto")
    made = uncertainty_by(method, runs, fit, replicates=REPLICATES, clusters=clusters, seed=seed, level=LEVEL)
    return _ends_of(made, fit)


def _ends_of(made: Uncertainty, fit: Fit) -> list[tuple[float, float]]:
    from analysis.intervals.uncertainty import predict

    intervals = made.intervals()
    law = predict(made, fit, BEYOND, noise=False)
    far = (float(law.law_lo[0]), float(law.law_hi[0]))
    return [*((intervals[name].lo, intervals[name].hi) for name in QUANTITIES[:3]), far]


def cover(design: str, names: tuple[str, ...], truths: int, first: int) -> None:
    """Simulate, fit and print the table of a design."""
    from analysis.fitting import fit

    truth = np.array([TRUTH.E, TRUTH.alpha, TRUTH.beta, float(TRUTH(**BEYOND))])
    found: dict[str, list[Array]] = {name: [] for name in names}
    seconds = dict.fromkeys(names, 0.0)
    refused: dict[str, list[str]] = {name: [] for name in names}
    for seed in range(first, first + truths):
        runs = DESIGNS[design](seed)
        fitted = fit(runs)
        for name in names:
            began = time.process_time()
            try:
                found[name].append(np.array(ends(name, runs, fitted, seed)))
            except InputError as error:
                refused[name].append(str(error))
            seconds[name] += time.process_time() - began
    print(f"\n{design}: {len(runs)} runs, {truths} studies")
    print(f"{'method':14s}" + "".join(f"{q:>10s}" for q in QUANTITIES) + "   width of E  refused  s/study")
    for name in names:
        cells, width = [" " * 9 + "-"] * 4, f"{'-':>10s}"
        if found[name]:
            intervals = np.stack(found[name])
            inside = ((intervals[..., 0] <= truth) & (truth <= intervals[..., 1])).mean(axis=0)
            cells = [f"{share:10.1%}" for share in inside]
            width = f"{np.median(intervals[:, 0, 1] - intervals[:, 0, 0]):10.4f}"
        row = (
            f"{name:14s}"
            + "".join(cells)
            + f"   {width}  {len(refused[name]):7d}  {seconds[name] / truths:7.2f}"
        )
        print(row, flush=True)
    for name, reasons in refused.items():
        if reasons:
            print(f"  {name} refused: {reasons[0]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--designs", nargs="+", choices=tuple(DESIGNS), default=tuple(DESIGNS))
    parser.add_argument("--methods", nargs="+", choices=NAMES, default=NAMES[:-1])
    parser.add_argument("--truths", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first study")
    chosen = parser.parse_args()
    for design in chosen.designs:
        cover(design, tuple(chosen.methods), chosen.truths, chosen.first)
    print(f"\n{time.process_time():.0f} processor seconds")


if __name__ == "__main__":
    main()
